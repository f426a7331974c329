//! The manual's worked examples are what `explain` says, and its list of
//! findings is complete. `UPDATE=1` writes the examples anew.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use governance::explain::explain_case;

fn manual() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rules.md")
}

#[test]
fn the_examples_are_what_explain_says() {
    let text = std::fs::read_to_string(manual()).unwrap();
    let mut made = String::new();
    let mut rest = text.as_str();
    let mut examples = 0;
    while let Some((before, behind)) = rest.split_once("```yaml case\n") {
        let (case, behind) = behind.split_once("```\n").unwrap();
        let (_, behind) = behind.split_once("```text\n").unwrap();
        let end = behind.find("```").unwrap();
        let explanation = explain_case("case", case).unwrap_or_else(|found| panic!("{found:?}"));
        assert!(explanation.findings.is_empty(), "{:?}", explanation.findings);
        made += &format!("{before}```yaml case\n{case}```\n\n```text\n{explanation}");
        rest = &behind[end..];
        examples += 1;
    }
    made += rest;
    assert!(examples >= 6);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(manual(), &made).unwrap();
    }
    let odd = text.lines().zip(made.lines()).find(|(old, new)| old != new);
    assert!(text == made, "{odd:?}: run UPDATE=1 cargo test -p governance --test manual");
}

/// Every literal in the sources that looks like a code.
fn codes(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for literal in code.split('"').skip(1).step_by(2) {
            let is_code = literal.contains('-')
                && literal.starts_with(|first: char| first.is_ascii_lowercase())
                && literal
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.');
            if is_code {
                found.insert(literal.to_owned());
            }
        }
    }
}

#[test]
fn every_code_is_in_the_manual() {
    let text = std::fs::read_to_string(manual()).unwrap();
    let mut found = BTreeSet::new();
    for folder in ["rules", "document", "explain"] {
        codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder), &mut found);
    }
    assert!(found.len() > 50, "the sources are not read as expected: {found:?}");
    let missing: Vec<&String> =
        found.iter().filter(|code| !text.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "not in docs/rules.md: {missing:?}");
}
