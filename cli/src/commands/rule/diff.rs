//! `spanwire rule diff`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use registry::rule_store::Stored;
use serde::Serialize;
use similar::TextDiff;

use super::StoreOption;
use super::files::{RuleFile, RuleFiles};
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Shows how rule files differ from what the store has
#[derive(Debug, Parser)]
#[command(
    long_about = "Shows how rule files differ from what the store has, line by line.

Exit status 0 where nothing differs, 1 where something does.",
    after_help = "Examples:
  spanwire rule diff -f rules/ --store http://127.0.0.1:2379
  spanwire rule diff -f shop.tag-router.yaml -o json"
)]
pub(super) struct Diff {
    /// Rule files, and folders of them
    #[arg(short, long = "file", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,

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
    /// `added`, `changed` or `unchanged`.
    change: &'static str,
    /// Where the store has it.
    from: Option<String>,
    revision: Option<i64>,
    /// A unified diff; empty where nothing differs.
    diff: String,
}

impl Diff {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let read = RuleFiles::read_distinct(&self.files)?;
        if !read.are_good() && self.output == Format::Text {
            print::rule_findings(&read.findings, Format::Text)?;
        }
        let store = self.store.open()?;
        let mut rows = Vec::new();
        for file in &read.files {
            rows.push(compare(file, store.read(&file.key)?.counts()));
        }
        let mut stdout = io::stdout().lock();
        match self.output {
            Format::Text => rows.iter().try_for_each(|row| write!(stdout, "{}", row.diff))?,
            Format::Json => {
                serde_json::to_writer(&mut stdout, &rows).map_err(io::Error::from)?;
                writeln!(stdout)?;
            }
        }
        let same = rows.iter().all(|row| row.change == "unchanged");
        Ok(if same { Exit::Done } else { Exit::No })
    }
}

fn compare(file: &RuleFile, stored: Option<&Stored>) -> Row {
    let before = stored.map_or(&[][..], |stored| &stored.bytes);
    let change = match stored {
        None => "added",
        Some(_) if before == file.text.as_bytes() => "unchanged",
        Some(_) => "changed",
    };
    let name = match stored {
        Some(stored) => format!("{}@{}", stored.from, stored.revision),
        None => "/dev/null".to_owned(),
    };
    // What is no text differs in any case, and shows as far as it is one.
    let before = String::from_utf8_lossy(before);
    let diff = TextDiff::from_lines(before.as_ref(), &file.text)
        .unified_diff()
        .header(&name, &file.path.display().to_string())
        .to_string();
    Row {
        key: file.key.clone(),
        change,
        from: stored.map(|stored| stored.from.clone()),
        revision: stored.map(|stored| stored.revision),
        diff: if change == "unchanged" { String::new() } else { diff },
    }
}
