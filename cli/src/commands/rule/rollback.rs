//! `spanwire rule rollback`.

use clap::Parser;
use governance::{Compat, Origin, RuleSet, ScriptLimits};
use registry::rule_store::{Action, Change, Place};

use super::changes::{Outcome, Reason};
use super::files::are_good;
use super::log::{Moment, moments};
use super::{StoreOption, absent};
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Brings a rule back to what it was
#[derive(Debug, Parser)]
#[command(
    long_about = "Brings a rule back to what it was before its last change, or at a revision.

That is a change like any other: it is checked, recorded, and can itself be rolled back. Where there \
was no such rule, it is deleted.",
    after_help = "Examples:
  spanwire rule rollback shop.tag-router --store http://127.0.0.1:2379
  spanwire rule rollback shop.tag-router --to 41 -m 'the canary failed'"
)]
pub(super) struct Rollback {
    /// The rule's key
    key: String,

    /// Back to this revision; see `spanwire rule log`
    #[arg(long, value_name = "REVISION")]
    to: Option<i64>,

    #[command(flatten)]
    reason: Reason,

    #[command(flatten)]
    store: StoreOption,

    /// How to print what was done
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Rollback {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let store = self.store.open()?;
        let standing = store.read(&self.key)?;
        let moments = moments(&store, &standing)?;
        if moments.is_empty() {
            return Ok(absent(&self.key));
        }
        let Some(goal) = self.goal(&moments) else { return Ok(Exit::No) };
        if let Some(text) = &goal.text {
            let mut rules =
                RuleSet::new(Compat::Documented).with_scripts(Some(ScriptLimits::default()));
            let origin = Origin::Store { revision: goal.revision.unwrap_or_default() };
            let findings = rules.apply(&self.key, Some(text), origin).findings;
            if !are_good(&findings) {
                print::refusal(
                    &findings,
                    "not rolled back: as it was then, it does not check out",
                )?;
                return Ok(Exit::No);
            }
        }
        let text = goal.text.as_deref();
        let now = standing.counts();
        let mut outcome = Outcome {
            key: self.key.clone(),
            result: "unchanged",
            from: now.map(|stored| stored.from.clone()).unwrap_or_default(),
            revision: now.map_or(0, |stored| stored.revision),
            hidden_by: None,
        };
        if now.map(|stored| stored.bytes.as_slice()) != text.map(str::as_bytes) {
            let why = match goal.revision {
                Some(revision) => format!("back to revision {revision}"),
                None => "back to before".to_owned(),
            };
            let action = Action::RolledBack;
            // One that is gone comes back to where it was.
            let own = store.rules.key(Place::Own, &self.key);
            let place = match now {
                None if goal.from.as_ref() == Some(&own) => Some(Place::Own),
                _ => None,
            };
            let change = Change { standing: &standing, place, text, action };
            outcome.revision = store.write_one(change, &self.reason.author(&why))?;
            let newest = store.read(&self.key)?.newest;
            outcome.result = Action::RolledBack.label();
            outcome.from = newest.map(|newest| newest.from).unwrap_or_default();
        }
        outcome.tell(self.output, None)?;
        Ok(Exit::Done)
    }

    /// What to go back to; where there is nothing, that is told.
    fn goal<'a>(&self, moments: &'a [Moment]) -> Option<&'a Moment> {
        let key = &self.key;
        let goal = match self.to {
            Some(to) => moments.iter().find(|moment| moment.revision == Some(to)),
            None => moments.get(1),
        };
        let Some(goal) = goal else {
            let message = match self.to {
                Some(to) => format!("revision {to} of {key} is not remembered"),
                None => format!("nothing is remembered of {key} before its last change"),
            };
            let hint =
                "`spanwire rule log` shows what is; `spanwire rule delete` takes the rule out";
            print::error(&message, hint);
            return None;
        };
        if goal.text.is_none() && !goal.is_absent {
            print::error(&format!("what {key} was then is no text, and not remembered"), "");
            return None;
        }
        Some(goal)
    }
}
