//! Rule files: found, read and checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use governance::document::utf8;
use governance::{Compat, Finding, Origin, RuleSet, ScriptLimits, Severity};

use crate::exit::Failure;

/// A file that holds one rule.
pub(super) struct RuleFile {
    pub(super) path: PathBuf,
    /// What the file's name says.
    pub(super) key: String,
    pub(super) text: String,
}

/// What paths lead to.
#[derive(Default)]
pub(super) struct RuleFiles {
    /// Those that are text.
    pub(super) files: Vec<RuleFile>,
    pub(super) findings: Vec<Finding>,
}

impl RuleFiles {
    /// Reads and checks files and, in folders, all that end in .yaml or .yml.
    pub(super) fn read(paths: &[PathBuf]) -> Result<RuleFiles, Failure> {
        RuleFiles::read_into(paths, RuleSet::new(Compat::Documented))
    }

    /// The same, with what is only worth knowing among the findings.
    pub(super) fn read_with_notes(paths: &[PathBuf]) -> Result<RuleFiles, Failure> {
        RuleFiles::read_into(paths, RuleSet::new(Compat::Documented).with_notes())
    }

    fn read_into(paths: &[PathBuf], rules: RuleSet) -> Result<RuleFiles, Failure> {
        // Whether scripts are run, the proxy's configuration says.
        let mut rules = rules.with_scripts(Some(ScriptLimits::default()));
        let mut found = Vec::new();
        for path in paths {
            collect(path, true, &mut found)?;
        }
        if found.is_empty() {
            return Err(Failure::new("there is no .yaml or .yml file in these folders", ""));
        }
        let mut read = RuleFiles::default();
        for path in found {
            let key = key_of(&path);
            match read_text(&path)? {
                Ok(text) => {
                    let applied = rules.apply(&key, Some(&text), Origin::File(path.clone()));
                    read.findings.extend(applied.findings);
                    read.files.push(RuleFile { path, key, text });
                }
                Err(finding) => read.findings.push(finding),
            }
        }
        Ok(read)
    }

    /// The same, where there must be one file for each key.
    pub(super) fn read_distinct(paths: &[PathBuf]) -> Result<RuleFiles, Failure> {
        let read = RuleFiles::read(paths)?;
        let mut known: BTreeMap<&str, &Path> = BTreeMap::new();
        for file in &read.files {
            if let Some(other) = known.insert(&file.key, &file.path) {
                let (one, two) = (other.display(), file.path.display());
                return Err(Failure::new(
                    format!("{one} and {two} are both {}", file.key),
                    "a rule's key is its file's name: name one of the two",
                ));
            }
        }
        Ok(read)
    }

    /// Whether every document would take effect.
    pub(super) fn are_good(&self) -> bool {
        are_good(&self.findings)
    }
}

/// Whether there is no error among the findings.
pub(super) fn are_good(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity < Severity::Error)
}

/// The files to read below a path, sorted.
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

fn key_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let key = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(&name);
    key.to_owned()
}

fn read_text(file: &Path) -> Result<Result<String, Finding>, Failure> {
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", file.display()), ""))?;
    Ok(utf8(bytes, &file.display().to_string()))
}
