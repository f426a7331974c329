//! `spanwire rule delete`.

use clap::Parser;
use registry::rule_store::{Action, Change};

use super::changes::{Outcome, Reason};
use super::{StoreOption, absent};
use crate::exit::{Exit, Failure};
use crate::print::Format;

/// Takes a rule out of the store
#[derive(Debug, Parser)]
#[command(
    long_about = "Takes a rule out of the store.

Its text is remembered: `spanwire rule rollback` brings it back. Where both places of the store have \
one under the key, the one that counts is deleted, and the other one counts from then on.",
    after_help = "Examples:
  spanwire rule delete shop.tag-router -m 'the canary is over' --store http://127.0.0.1:2379"
)]
pub(super) struct Delete {
    /// The rule's key
    key: String,

    #[command(flatten)]
    reason: Reason,

    #[command(flatten)]
    store: StoreOption,

    /// How to print what was done
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Delete {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let store = self.store.open()?;
        let standing = store.read(&self.key)?;
        let Some(stored) = standing.counts() else { return Ok(absent(&self.key)) };
        let change =
            Change { standing: &standing, place: None, text: None, action: Action::Deleted };
        let revision = store.write_one(change, &self.reason.author(""))?;
        let outcome = Outcome {
            key: self.key,
            result: "deleted",
            from: stored.from.clone(),
            revision,
            hidden_by: None,
        };
        let other = standing.hidden();
        let counts_now = other.map(|one| format!("counts now  {}@{}", one.from, one.revision));
        outcome.tell(self.output, counts_now)?;
        Ok(Exit::Done)
    }
}
