//! `spanwire rule get`.

use std::io::{self, Write};

use clap::Parser;
use serde::Serialize;

use super::{StoreOption, absent};
use crate::commands::store;
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Prints a rule as it stands in the store, byte for byte
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  spanwire rule get shop.tag-router --store http://127.0.0.1:2379 > shop.tag-router.yaml
  spanwire rule get shop.tag-router --revision 41     # as it was, if that is remembered")]
pub(super) struct Get {
    /// The rule's key
    key: String,

    /// As it was at this revision; see `spanwire rule log`
    #[arg(long, value_name = "REVISION")]
    revision: Option<i64>,

    #[command(flatten)]
    store: StoreOption,

    /// How to print: the text alone, or an object that says where it is from
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// A document, in JSON.
#[derive(Serialize)]
struct Document<'a> {
    key: &'a str,
    from: &'a str,
    revision: i64,
    text: &'a str,
}

impl Get {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let store = self.store.open()?;
        let (from, revision, bytes) = match self.revision {
            None => match store.read(&self.key)?.counts() {
                Some(stored) => (stored.from.clone(), stored.revision, stored.bytes.clone()),
                None => return Ok(absent(&self.key)),
            },
            Some(revision) => {
                let history = store.runtime.block_on(store.rules.history(&self.key));
                let mut history = history.map_err(store::unanswered)?.into_iter();
                let text = history
                    .find(|record| record.revision == revision)
                    .and_then(|record| Some((record.from, revision, record.text?.into_bytes())));
                let Some(text) = text else {
                    let message =
                        format!("no text of {} at revision {revision} is remembered", self.key);
                    print::error(&message, "`spanwire rule log` shows what is");
                    return Ok(Exit::No);
                };
                text
            }
        };
        let mut stdout = io::stdout().lock();
        match self.output {
            Format::Text => stdout.write_all(&bytes)?,
            Format::Json => {
                let text = String::from_utf8_lossy(&bytes);
                let document = Document { key: &self.key, from: &from, revision, text: &text };
                serde_json::to_writer(&mut stdout, &document).map_err(io::Error::from)?;
                writeln!(stdout)?;
            }
        }
        Ok(Exit::Done)
    }
}
