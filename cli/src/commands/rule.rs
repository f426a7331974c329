//! `spanwire rule`.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use governance::{Compat, Finding, Origin, RuleSet, ScriptLimits, Severity};

use super::Command;
use crate::exit::{Exit, Failure};
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
rule from taking effect; warnings name what Java consumers read differently, or what is hardly meant.",
    after_help = "Examples:
  spanwire rule lint rules/
  spanwire rule lint shop.tag-router.yaml -o json"
)]
struct Lint {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

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
        let mut files = Vec::new();
        for path in &self.paths {
            collect(path, true, &mut files)?;
        }
        if files.is_empty() {
            return Err(Failure::new("there is no .yaml or .yml file in these folders", ""));
        }
        let mut rules =
            RuleSet::new(Compat::Documented).with_scripts(Some(ScriptLimits::default()));
        let mut findings = Vec::new();
        for file in &files {
            findings.extend(check(file, &mut rules)?);
        }
        print::findings(&findings, self.output)?;
        Ok(if findings.is_empty() { Exit::Done } else { Exit::No })
    }
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
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return Ok(vec![Finding {
                file: file.display().to_string(),
                line: 0,
                column: 0,
                code: "not-utf8",
                severity: Severity::Error,
                message: error.utf8_error().to_string(),
                hint: "save the file as UTF-8".to_owned(),
            }]);
        }
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let key = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(&name);
    Ok(rules.apply(key, Some(&text), Origin::File(file.to_owned())).findings)
}
