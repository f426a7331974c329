//! `spanwire rule log`.

use std::io::{self, Write};

use clap::Parser;
use proxy::access_log::iso;
use registry::rule_store::{Record, Standing};
use serde::Serialize;

use super::{OpenStore, StoreOption, absent};
use crate::commands::store;
use crate::exit::{Exit, Failure};
use crate::print::Format;

/// Shows who changed a rule, when and why
#[derive(Debug, Parser)]
#[command(
    long_about = "Shows who changed a rule, when and why, the newest change first.

The last 50 changes of each rule are remembered. What others write into the store is known as far as \
it stands there, or stood there when `spanwire rule` wrote over it.",
    after_help = "Examples:
  spanwire rule log shop.tag-router --store http://127.0.0.1:2379
  spanwire rule log shop.tag-router -o json"
)]
pub(super) struct Log {
    /// The rule's key
    key: String,

    #[command(flatten)]
    store: StoreOption,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// What a rule was from a revision on.
#[derive(Debug)]
pub(super) struct Moment {
    /// `None` for a change that nobody recorded, and that left no trace.
    pub(super) revision: Option<i64>,
    /// The text; `None` where there was none, or it is not known.
    pub(super) text: Option<String>,
    /// Whether there was no document.
    pub(super) is_absent: bool,
    action: &'static str,
    pub(super) from: Option<String>,
    record: Option<Record>,
}

/// One change, in JSON.
#[derive(Serialize)]
struct Row<'a> {
    revision: Option<i64>,
    at: Option<String>,
    by: &'a str,
    action: &'a str,
    why: &'a str,
    from: Option<&'a str>,
}

/// What a rule was, the newest first.
pub(super) fn moments(store: &OpenStore, standing: &Standing) -> Result<Vec<Moment>, Failure> {
    let history = store.runtime.block_on(store.rules.history(&standing.key));
    let records = history.map_err(store::unanswered)?;
    let unrecorded = standing.is_foreign().then(|| {
        let stored = standing.counts();
        Moment {
            revision: stored.map(|stored| stored.revision),
            text: stored.and_then(|stored| String::from_utf8(stored.bytes.clone()).ok()),
            is_absent: stored.is_none(),
            action: if stored.is_some() { "found" } else { "gone" },
            from: stored.map(|stored| stored.from.clone()),
            record: None,
        }
    });
    let recorded = records.into_iter().map(|record| Moment {
        revision: Some(record.revision),
        text: record.text.clone(),
        is_absent: record.text.is_none() && record.action != registry::rule_store::Action::Found,
        action: record.action.label(),
        from: Some(record.from.clone()),
        record: Some(record),
    });
    Ok(unrecorded.into_iter().chain(recorded).collect())
}

impl Moment {
    fn row(&self) -> Row<'_> {
        let record = self.record.as_ref();
        Row {
            revision: self.revision,
            at: record.and_then(|record| record.at).map(iso),
            by: record.map_or("", |record| &record.by),
            action: self.action,
            why: record.map_or("", |record| &record.why),
            from: self.from.as_deref(),
        }
    }
}

impl Log {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let store = self.store.open()?;
        let moments = moments(&store, &store.read(&self.key)?)?;
        if moments.is_empty() {
            return Ok(absent(&self.key));
        }
        let rows: Vec<Row<'_>> = moments.iter().map(Moment::row).collect();
        let mut stdout = io::stdout().lock();
        if self.output == Format::Json {
            serde_json::to_writer(&mut stdout, &rows).map_err(io::Error::from)?;
            writeln!(stdout)?;
            return Ok(Exit::Done);
        }
        let by_width = rows.iter().map(|row| row.by.chars().count()).max().unwrap_or(0).max(3);
        writeln!(
            stdout,
            "{:<8}  {:<24}  {:<by_width$}  {:<11}  WHY",
            "REVISION", "WHEN", "WHO", "WHAT"
        )?;
        for row in &rows {
            let revision = row.revision.map_or("-".to_owned(), |revision| revision.to_string());
            let at = row.at.as_deref().unwrap_or("-");
            let by = if row.by.is_empty() { "-" } else { row.by };
            let what = row.action.replace('_', " ");
            // One line each, whatever somebody wrote.
            let why = row.why.replace(['\n', '\r'], " ");
            let line = format!("{revision:<8}  {at:<24}  {by:<by_width$}  {what:<11}  {why}");
            writeln!(stdout, "{}", line.trim_end())?;
        }
        Ok(Exit::Done)
    }
}
