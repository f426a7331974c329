//! `spanwire rule delete`.

use std::io::{self, Write};

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
        let (revisions, failure) = store.write(&[change], &self.reason.author(""));
        if let Some(failure) = failure {
            return Err(failure);
        }
        let outcome = Outcome {
            key: self.key,
            result: "deleted",
            from: stored.from.clone(),
            revision: revisions.first().copied().unwrap_or_default(),
            hidden_by: None,
        };
        let mut stdout = io::stdout().lock();
        match self.output {
            Format::Text => {
                outcome.print(&mut stdout)?;
                if let Some(other) = standing.hidden() {
                    writeln!(stdout, "counts now  {}@{}", other.from, other.revision)?;
                }
            }
            Format::Json => {
                serde_json::to_writer(&mut stdout, &outcome).map_err(io::Error::from)?;
                writeln!(stdout)?;
            }
        }
        Ok(Exit::Done)
    }
}
