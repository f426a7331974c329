//! `spanwire rule list`.

use std::io::{self, Write};

use clap::Parser;
use governance::{Compat, Finding};
use proxy::explain::Stored;
use proxy::rule_book::{RuleState, State};
use registry::Origin;
use serde::Serialize;

use super::StoreOption;
use crate::commands::store;
use crate::exit::{Exit, Failure};
use crate::print::Format;

/// Lists the rules in the store, and which of them check out
#[derive(Debug, Parser)]
#[command(
    long_about = "Lists the rules in the store, and which of them check out.

What each proxy made of them, its own files and kept ones included, is on its admin page /rules.",
    after_help = "Examples:
  spanwire rule list --store http://127.0.0.1:2379
  spanwire rule list -o json"
)]
pub(super) struct List {
    #[command(flatten)]
    store: StoreOption,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// One document, in JSON.
#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    from: &'a str,
    revision: i64,
    /// `good`; `refused`; or `hidden`, because Spanwire's own place has one, too.
    state: &'static str,
    findings: &'a [Finding],
}

impl List {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let looking = registry::look(self.store.settings(), &[]);
        let view = store::runtime()?.block_on(looking).map_err(store::unanswered)?;
        let states = Stored::new(&view, Compat::Documented).states();
        let rows: Vec<Row<'_>> = states.documents.iter().map(row).collect();
        let mut stdout = io::stdout().lock();
        match self.output {
            Format::Json => {
                serde_json::to_writer(&mut stdout, &rows).map_err(io::Error::from)?;
                writeln!(stdout)?;
            }
            Format::Text => {
                let width = rows.iter().map(|row| row.key.chars().count()).max().unwrap_or(0);
                for Row { key, from, revision, state, findings } in &rows {
                    write!(stdout, "{state:<8} {key:<width$}  {from}@{revision}")?;
                    match findings.len() {
                        0 => writeln!(stdout)?,
                        1 => writeln!(stdout, "  1 finding")?,
                        many => writeln!(stdout, "  {many} findings")?,
                    }
                }
            }
        }
        Ok(Exit::Done)
    }
}

fn row(one: &RuleState) -> Row<'_> {
    let (from, revision) = match &one.document.origin {
        Origin::Store { key, revision } => (key.as_str(), *revision),
        // A look at the store reads no files.
        Origin::File(_) => ("", 0),
    };
    let state = match one.state {
        State::InForce => "good",
        State::Hidden => State::Hidden.label(),
        State::LastGood | State::Refused => State::Refused.label(),
    };
    Row { key: &one.document.key, from, revision, state, findings: &one.findings }
}
