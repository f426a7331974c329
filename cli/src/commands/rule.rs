//! `spanwire rule`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use governance::document::utf8;
use governance::{Compat, Finding, Origin, RuleSet, Severity};

use super::Command;
use crate::exit::{Exit, Failure};
use crate::lint_pages;
use crate::print::{self, Format};

/// Checks governance rules
#[derive(Debug, Parser)]
#[command(name = "rule")]
pub(super) struct Rule {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Lint(Lint),
}

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
struct Lint {
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

impl Command for Rule {
    fn run(self) -> Result<Exit, Failure> {
        match self.action {
            Action::Lint(lint) => lint.run(),
        }
    }
}

impl Lint {
    fn run(self) -> Result<Exit, Failure> {
        if let Some(code) = &self.explain {
            return explain(code);
        }
        let mut files = Vec::new();
        for path in &self.paths {
            collect(path, true, &mut files)?;
        }
        if files.is_empty() {
            return Err(Failure::new("there is no .yaml or .yml file in these folders", ""));
        }
        let mut rules = RuleSet::new(Compat::Documented);
        if self.notes {
            rules = rules.with_notes();
        }
        let mut findings = Vec::new();
        for file in &files {
            findings.extend(check(file, &mut rules)?);
        }
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

/// The files to check below a path, sorted.
fn collect(path: &Path, is_named: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable =
        |error| Failure::new(format!("{} cannot be read: {error}", path.display()), "");
    if path.is_dir() {
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            inside.push(entry.map_err(unreadable)?.path());
        }
        inside.sort();
        return inside.iter().try_for_each(|path| collect(path, false, files));
    }
    let is_yaml =
        path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_named || is_yaml {
        files.push(path.to_owned());
    }
    Ok(())
}

fn check(file: &Path, rules: &mut RuleSet) -> Result<Vec<Finding>, Failure> {
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", file.display()), ""))?;
    let text = match utf8(bytes, &file.display().to_string()) {
        Ok(text) => text,
        Err(finding) => return Ok(vec![finding]),
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let key = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(&name);
    Ok(rules.apply(key, Some(&text), Origin::File(file.to_owned())).findings)
}
