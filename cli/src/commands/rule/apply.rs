//! `spanwire rule apply`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use governance::Finding;
use governance::rules::RuleKey;
use registry::rule_store::{Action, Change, Place, Standing, Stored};
use serde::Serialize;

use super::changes::{Outcome, Reason};
use super::files::{RuleFile, RuleFiles};
use super::{OpenStore, StoreOption};
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Checks rule files and writes them into the store
#[derive(Debug, Parser)]
#[command(
    long_about = "Checks rule files and writes them into the store.

Files are named by their keys, as for `spanwire rule lint`. Where one does not check out, nothing is \
written; warnings keep nothing back. Proxies take what is written at once, and so does Java that reads \
its rules from the same store. What stands there already is not written again. A change is written only \
if nobody else changed the rule meanwhile, with a record of who, when and why.",
    after_help = "Examples:
  spanwire rule apply -f rules/ -m 'canary in hz' --store http://127.0.0.1:2379
  SPANWIRE_STORE=http://127.0.0.1:2379 spanwire rule apply -f shop.tag-router.yaml

A rule stays where it is; a new one goes to Dubbo's place, /dubbo/config/dubbo/, where Java sees it too, \
and one of a kind that Dubbo does not know to Spanwire's, /spanwire/rules/, which comes first."
)]
pub(super) struct Apply {
    /// Rule files, and folders of them
    #[arg(short, long = "file", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    reason: Reason,

    /// Where in the store
    #[arg(long, value_name = "PLACE")]
    place: Option<PlaceName>,

    #[command(flatten)]
    store: StoreOption,

    /// How to print what was done
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PlaceName {
    /// /dubbo/config/dubbo/
    Dubbo,
    /// /spanwire/rules/
    Spanwire,
}

/// What was done, in JSON.
#[derive(Serialize)]
struct Report<'a> {
    documents: &'a [Outcome],
    findings: &'a [Finding],
}

impl Apply {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let read = RuleFiles::read_distinct(&self.files)?;
        if !read.are_good() {
            match self.output {
                Format::Json => print_json(&[], &read.findings)?,
                Format::Text => print::refusal(&read.findings, "nothing is applied")?,
            }
            return Ok(Exit::No);
        }
        if self.output == Format::Text {
            print::rule_findings(&read.findings, Format::Text)?;
        }
        let place = self.place.map(|place| match place {
            PlaceName::Dubbo => Place::Dubbo,
            PlaceName::Spanwire => Place::Own,
        });
        let (outcomes, failure) = apply(&self.store.open()?, &read.files, place, &self.reason)?;
        match self.output {
            Format::Json => print_json(&outcomes, &read.findings)?,
            Format::Text => {
                let mut stdout = io::stdout().lock();
                outcomes.iter().try_for_each(|outcome| outcome.print(&mut stdout))?;
            }
        }
        failure.map_or(Ok(Exit::Done), Err)
    }
}

/// Writes what differs. Tells what became of each file, and what went wrong with
/// those that are missing there.
fn apply(
    store: &OpenStore,
    files: &[RuleFile],
    place: Option<Place>,
    reason: &Reason,
) -> Result<(Vec<Outcome>, Option<Failure>), Failure> {
    let mut found = Vec::new();
    for file in files {
        let standing = store.read(&file.key)?;
        let place = place.unwrap_or_else(|| place_of(&standing));
        found.push((file, standing, place));
    }
    let is_same = |file: &RuleFile, stored: &Stored| stored.bytes == file.text.as_bytes();
    let changes: Vec<Change<'_>> = found
        .iter()
        .filter(|(file, standing, place)| {
            !at(standing, *place).is_some_and(|stored| is_same(file, stored))
        })
        .map(|(file, standing, place)| Change {
            standing,
            place: Some(*place),
            text: Some(&file.text),
            action: Action::Applied,
        })
        .collect();
    let (revisions, failure) = store.write(&changes, &reason.author(""));
    let mut outcomes = Vec::new();
    let mut revisions = revisions.into_iter();
    for (file, standing, place) in &found {
        let written = match at(standing, *place) {
            Some(stored) if is_same(file, stored) => Some(("unchanged", stored.revision)),
            _ => revisions.next().map(|revision| ("applied", revision)),
        };
        let Some((result, revision)) = written else { continue };
        let hides = |_: &&Stored| *place == Place::Dubbo;
        outcomes.push(Outcome {
            key: file.key.clone(),
            result,
            from: store.rules.key(*place, &file.key),
            revision,
            hidden_by: standing.own.as_ref().filter(hides).map(|own| own.from.clone()),
        });
    }
    Ok((outcomes, failure))
}

/// Where a rule goes if nobody says it.
fn place_of(standing: &Standing) -> Place {
    match (&standing.own, &standing.dubbo) {
        (Some(_), _) => Place::Own,
        (None, None) if RuleKey::parse(&standing.key).is_none() => Place::Own,
        (None, _) => Place::Dubbo,
    }
}

fn at(standing: &Standing, place: Place) -> Option<&Stored> {
    match place {
        Place::Dubbo => standing.dubbo.as_ref(),
        Place::Own => standing.own.as_ref(),
    }
}

fn print_json(documents: &[Outcome], findings: &[Finding]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &Report { documents, findings })?;
    writeln!(stdout)
}
