//! `spanwire rule list`.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Parser;
use governance::{Compat, Finding, RuleSet};
use registry::{Origin, RuleDocument};
use serde::Serialize;

use super::StoreOption;
use super::files::are_good;
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
struct Row {
    key: String,
    from: String,
    revision: i64,
    /// `good`; `refused`; or `hidden`, because Spanwire's own place has one, too.
    state: &'static str,
    findings: Vec<Finding>,
}

impl List {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let looking = registry::look(self.store.settings(), &[]);
        let view = store::runtime()?.block_on(looking).map_err(store::unanswered)?;
        let mut rules = RuleSet::new(Compat::Documented);
        let mut rows: Vec<Row> = Vec::new();
        for document in view.rules.values() {
            let findings = check(&mut rules, document);
            let state = match &document.unreadable {
                None if are_good(&findings) => "good",
                _ => "refused",
            };
            rows.push(row(document, state, findings));
        }
        rows.extend(view.hidden.iter().map(|document| row(document, "hidden", Vec::new())));
        // Stable: what hides stays before what it hides.
        rows.sort_by(|a, b| a.key.cmp(&b.key));
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

fn check(rules: &mut RuleSet, document: &Arc<RuleDocument>) -> Vec<Finding> {
    if document.unreadable.is_some() {
        return Vec::new();
    }
    let (_, revision) = origin(document);
    let origin = governance::Origin::Store { revision };
    rules.apply(&document.key, Some(&document.text), origin).findings
}

fn row(document: &RuleDocument, state: &'static str, findings: Vec<Finding>) -> Row {
    let (from, revision) = origin(document);
    Row { key: document.key.clone(), from, revision, state, findings }
}

fn origin(document: &RuleDocument) -> (String, i64) {
    match &document.origin {
        Origin::Store { key, revision } => (key.clone(), *revision),
        Origin::File(path) => (path.display().to_string(), 0),
    }
}
