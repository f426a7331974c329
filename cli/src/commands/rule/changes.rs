//! Changes of rules in the store, and what is printed of them.

use std::io::{self, Write};
use std::time::SystemTime;

use registry::rule_store::{Author, Change, WriteError};
use serde::Serialize;

use super::OpenStore;
use crate::commands::store;
use crate::exit::Failure;
use crate::print::Format;

/// What became of a rule, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) key: String,
    /// `applied`, `deleted`, `rolled_back` or `unchanged`.
    pub(super) result: &'static str,
    /// The full key in the store.
    pub(super) from: String,
    /// The store's revision of the last change there.
    pub(super) revision: i64,
    /// What comes first, so that this does not count.
    pub(super) hidden_by: Option<String>,
}

impl Outcome {
    /// One line for people.
    pub(super) fn print(&self, to: &mut impl Write) -> io::Result<()> {
        let Outcome { key, from, revision, .. } = self;
        let result = self.result.replace('_', " ");
        write!(to, "{result:<11} {key}  {from}@{revision}")?;
        match &self.hidden_by {
            Some(other) => writeln!(to, "  (does not count: {other} comes first)"),
            None => writeln!(to),
        }
    }

    /// Prints it by itself; `then` is a further line for people.
    pub(super) fn tell(&self, output: Format, then: Option<String>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match output {
            Format::Text => {
                self.print(&mut stdout)?;
                then.map_or(Ok(()), |line| writeln!(stdout, "{line}"))
            }
            Format::Json => {
                serde_json::to_writer(&mut stdout, self)?;
                writeln!(stdout)
            }
        }
    }
}

/// Why a change is made.
#[derive(Debug, clap::Args)]
pub(super) struct Reason {
    /// Why, for `spanwire rule log`
    #[arg(
        short,
        long = "message",
        value_name = "WHY",
        default_value = "",
        hide_default_value = true
    )]
    message: String,
}

impl Reason {
    /// Whoever runs this, now. `otherwise` is why, where nobody says it.
    pub(super) fn author(&self, otherwise: &str) -> Author {
        let said = !self.message.is_empty();
        let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        Author {
            by: user.unwrap_or_default(),
            why: if said { self.message.clone() } else { otherwise.to_owned() },
            at: SystemTime::now(),
        }
    }
}

impl OpenStore {
    /// Makes one change. Returns its revision.
    pub(super) fn write_one(&self, change: Change<'_>, author: &Author) -> Result<i64, Failure> {
        let (revisions, failure) = self.write(&[change], author);
        match failure {
            Some(failure) => Err(failure),
            None => Ok(revisions.first().copied().unwrap_or_default()),
        }
    }

    /// Makes changes. Returns the revision of each that was made, and why the
    /// others were not.
    pub(super) fn write(
        &self,
        changes: &[Change<'_>],
        author: &Author,
    ) -> (Vec<i64>, Option<Failure>) {
        let mut revisions = Vec::new();
        let writing = self.rules.write(changes, author, &mut revisions);
        let failure = self.runtime.block_on(writing).err().map(|error| match error {
            WriteError::Store(error) => store::unanswered(error),
            large @ WriteError::TooLarge { .. } => Failure::new(
                large.to_string(),
                "split the rule, or keep it in a file of the proxies",
            ),
            raced @ WriteError::Raced(_) => Failure::new(
                raced.to_string(),
                "look at what is there now with `spanwire rule log` and `diff`, then try again",
            ),
        });
        (revisions, failure)
    }
}
