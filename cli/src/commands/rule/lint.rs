//! `spanwire rule lint`.

use std::path::PathBuf;

use clap::Parser;

use super::files::RuleFiles;
use crate::exit::{Exit, Failure};
use crate::print::{self, Format};

/// Checks rule files without a store
#[derive(Debug, Parser)]
#[command(
    long_about = "Checks rule files without a store.

A file holds one rule; its key is the file's name without .yaml or .yml, written as Dubbo writes it: \
lab.EchoService::.condition-router, shop.tag-router. Folders are searched for such files. Errors keep a \
rule from taking effect; warnings name what Java consumers read differently, or what is hardly meant.",
    after_help = "Examples:
  spanwire rule lint rules/
  spanwire rule lint shop.tag-router.yaml -o json"
)]
pub(super) struct Lint {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// How to print findings
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Lint {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let findings = RuleFiles::read(&self.paths)?.findings;
        print::findings(&findings, self.output)?;
        Ok(if findings.is_empty() { Exit::Done } else { Exit::No })
    }
}
