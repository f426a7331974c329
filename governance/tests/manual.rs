//! The manual's worked examples are what `explain` says. `UPDATE=1` writes them
//! anew. Its list of findings: `lint_pages.rs`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

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
