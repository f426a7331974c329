//! `spanwire rule lint`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use governance::Severity;

use super::files::RuleFiles;
use crate::exit::{Exit, Failure};
use crate::lint_pages;
use crate::print::{self, Format};

/// Checks rule files without a store
#[derive(Debug, Parser)]
#[command(
    long_about = "Checks rule files without a store.

A file holds one rule; its key is the file's name without .yaml or .yml, written as Dubbo writes it: \
lab.EchoService::.condition-router, shop.tag-router. Folders are searched for such files. Errors keep a \
rule from taking effect; warnings name what Java consumers read differently, or what is hardly meant. Each \
finding ends in its code, which --explain tells more about.",
    after_help = "Examples:
  spanwire rule lint rules/
  spanwire rule lint shop.tag-router.yaml -o json
  spanwire rule lint --explain weight-zero"
)]
pub(super) struct Lint {
    /// Files and folders
    #[arg(required_unless_present = "explain", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Prints what a finding means, why it matters and what to do, by its code
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "output"])]
    explain: Option<String>,

    /// Also tells what is only worth knowing: what dubbo-go reads otherwise, and what
    /// Java does not act on
    #[arg(long, conflicts_with = "explain")]
    notes: bool,

    /// How to print findings
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Lint {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        if let Some(code) = &self.explain {
            return explain(code);
        }
        let read = if self.notes { RuleFiles::read_with_notes } else { RuleFiles::read };
        let findings = read(&self.paths)?.findings;
        print::rule_findings(&findings, self.output)?;
        let is_good = findings.iter().all(|finding| finding.severity == Severity::Info);
        Ok(if is_good { Exit::Done } else { Exit::No })
    }
}

/// Prints the page about a finding's code.
fn explain(code: &str) -> Result<Exit, Failure> {
    let Some(page) = lint_pages::page(code) else {
        let proposals = lint_pages::proposals(code).join(", ");
        let hint = if proposals.is_empty() {
            "a finding ends in its code, in brackets; docs/rules.md lists all".to_owned()
        } else {
            format!("did you mean {proposals}?")
        };
        return Err(Failure::new(format!("no finding has the code {code:?}"), hint));
    };
    io::stdout().lock().write_all(page.as_bytes())?;
    Ok(Exit::Done)
}
