//! A page for each code of a finding, `docs/lint/<code>.md`: every code has one,
//! its example yields the finding, and the manual's table is made of the pages.
//! `UPDATE=1` writes what is made: the examples' results and the table.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use governance::document::{unreadable, utf8};
use governance::explain::{explain_case, read_question};
use governance::{Compat, Finding, Origin, RuleSet, ScriptLimits};

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Writes what was made over what is there, or says that it is not the same.
fn settle(file: &Path, made: &str, text: &str, wrong: &mut Vec<String>) {
    if made == text {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, made).unwrap();
    } else {
        let name = file.display();
        wrong.push(format!(
            "{name} is not what is made: run UPDATE=1 cargo test -p governance --test lint_pages"
        ));
    }
}

struct Page {
    code: String,
    file: PathBuf,
    text: String,
}

/// All pages, by code.
fn pages() -> Vec<Page> {
    let mut pages: Vec<Page> = std::fs::read_dir(path("../docs/lint"))
        .unwrap()
        .map(|entry| {
            let file = entry.unwrap().path();
            let code = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            Page { code, file, text }
        })
        .collect();
    pages.sort_by(|a, b| a.code.cmp(&b.code));
    pages
}

/// Every literal in a folder's sources that looks like a code.
fn codes(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let pieces: Vec<&str> = code.split('"').collect();
        for (literal, behind) in pieces.iter().zip(pieces.iter().skip(1)).skip(1).step_by(2) {
            // A code is an argument; what stands before `=>` or in a list is none.
            let is_code = (literal.contains('-') && behind.starts_with(',')
                || *literal == "unreadable")
                && literal.starts_with(|first: char| first.is_ascii_lowercase())
                && literal
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.');
            if is_code {
                found.insert((*literal).to_owned());
            }
        }
    }
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut in_sources = BTreeSet::new();
    for folder in ["rules", "document", "explain"] {
        codes(&path("src").join(folder), &mut in_sources);
    }
    assert!(in_sources.len() > 50, "the sources are not read as expected: {in_sources:?}");
    let described: BTreeSet<String> = pages().into_iter().map(|page| page.code).collect();
    let missing: Vec<_> = in_sources.difference(&described).collect();
    assert!(missing.is_empty(), "no page in docs/lint: {missing:?}");
    let unknown: Vec<_> = described.difference(&in_sources).collect();
    assert!(unknown.is_empty(), "no such code, but a page in docs/lint: {unknown:?}");
}

/// What the fence of an example says: the document's key and how it is read.
struct Example<'p> {
    key: &'p str,
    is_latin_1: bool,
    is_unreadable: bool,
    times: usize,
    text: &'p str,
}

impl<'p> Example<'p> {
    fn read(fence: &'p str, text: &'p str) -> Example<'p> {
        let mut words = fence.split(' ');
        let key = words.next().filter(|key| !key.is_empty()).expect("a key behind ```yaml");
        let mut example = Example { key, is_latin_1: false, is_unreadable: false, times: 1, text };
        for word in words {
            match word.split_once('=') {
                None if word == "latin-1" => example.is_latin_1 = true,
                None if word == "unreadable" => example.is_unreadable = true,
                Some(("times", count)) => example.times = count.parse().unwrap(),
                _ => panic!("{word:?} is none of latin-1, unreadable, times=N"),
            }
        }
        example
    }

    /// What `rule lint` finds; for a `case` or `question`, `explain`.
    fn findings(&self) -> Vec<Finding> {
        let file = format!("{}.yaml", self.key);
        let text = self.text.repeat(self.times);
        let bytes = if self.is_latin_1 {
            text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
        } else {
            text.into_bytes()
        };
        if self.is_unreadable {
            return vec![unreadable(&file, "the file cannot be read: permission denied")];
        }
        let text = match utf8(bytes, &file) {
            Ok(text) => text,
            Err(finding) => return vec![finding],
        };
        match self.key {
            "case" => explain_case(&file, &text).map_or_else(|e| e, |said| said.findings),
            "question" => read_question(&file, &text).err().unwrap_or_default(),
            key => {
                let mut rules = RuleSet::new(Compat::Documented)
                    .with_notes()
                    .with_scripts(Some(ScriptLimits::default()));
                rules.apply(key, Some(&text), Origin::File(file.into())).findings
            }
        }
    }
}

/// A page with its examples' results as they are; what is wrong with it is added.
fn remade(page: &Page, wrong: &mut Vec<String>) -> Option<String> {
    let Page { code, text, .. } = page;
    let mut parts = text.split("\n\n## ");
    let (title, meaning) = parts.next()?.split_once("\n\n")?;
    let headings: Vec<&str> = parts.map(|part| part.split('\n').next().unwrap()).collect();
    if title != format!("# {code}")
        || meaning.contains('\n')
        || !meaning.ends_with('.')
        || headings != ["Why it matters", "Example", "How to fix"]
    {
        return None;
    }
    let mut made = String::new();
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once("```yaml ") {
        let (fence, behind) = behind.split_once('\n')?;
        let (document, behind) = behind.split_once("```\n")?;
        let (_, behind) = behind.strip_prefix("\n```text\n")?.split_once("```")?;
        let findings = Example::read(fence, document).findings();
        if findings.iter().all(|finding| finding.code != code) {
            wrong.push(format!("docs/lint/{code}.md: an example yields {findings:?}"));
        }
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let said = said.join("\n\n");
        made += &format!("{before}```yaml {fence}\n{document}```\n\n```text\n{said}\n```");
        rest = behind;
    }
    (!made.is_empty()).then(|| made + rest)
}

#[test]
fn every_example_yields_its_finding_and_the_manual_lists_every_page() {
    const HEAD: &str = "| Code | Meaning |\n|---|---|\n";
    let mut wrong = Vec::new();
    let manual = path("../docs/rules.md");
    let text = std::fs::read_to_string(&manual).unwrap();
    let (before, behind) = text.split_once(HEAD).unwrap();
    let rows = behind.split_inclusive('\n').take_while(|line| line.starts_with('|'));
    let behind = &behind[rows.map(str::len).sum()..];
    let mut table = String::new();
    for page in &pages() {
        let Page { code, file, text } = page;
        match remade(page, &mut wrong) {
            Some(made) => settle(file, &made, text, &mut wrong),
            None => wrong.push(format!("docs/lint/{code}.md has not the form of CONTRIBUTING.md")),
        }
        let meaning = text.lines().nth(2).unwrap_or_default().trim_end_matches('.');
        table += &format!("| [`{code}`](lint/{code}.md) | {meaning} |\n");
    }
    settle(&manual, &format!("{before}{HEAD}{table}{behind}"), &text, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
