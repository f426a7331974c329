//! Documents made to cost time or memory are answered with findings.
#![allow(clippy::unwrap_used)]

mod documents;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use governance::document::MAX_FINDINGS;
use governance::{Compat, Finding, Origin, RuleSet, ScriptLimits, Severity};

/// Counts the bytes that each thread has in use.
struct Counting;

thread_local! {
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    IN_USE.set(IN_USE.get() + bytes);
    PEAK.set(PEAK.get().max(IN_USE.get()));
}

// SAFETY: hands everything on to the system's allocator; counting touches only
// thread-local numbers that need no allocation themselves.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is found in a document, and the most bytes that were in use meanwhile.
fn check(compat: Compat, key: &str, text: &str) -> (Vec<Finding>, isize, bool) {
    let mut rules = RuleSet::new(compat).with_scripts(Some(ScriptLimits::default()));
    let before = IN_USE.get();
    PEAK.set(before);
    let applied = rules.apply(key, Some(text), Origin::Store { revision: 1 });
    let is_in_force = applied.is_in_force();
    (applied.findings, PEAK.get() - before, is_in_force)
}

/// The first of them, for messages.
fn found(findings: &[Finding]) -> String {
    findings.iter().take(5).map(|finding| format!("{finding}\n")).collect()
}

/// The memory that a document of the longest length may take: some hundred bytes for
/// each of the values that it may have.
const MOST: isize = 96 << 20;

#[test]
fn hostile_documents_are_answered_in_bounded_memory() {
    let mut most = (0, "");
    let mut wrong = Vec::new();
    for document in documents::all() {
        for compat in [Compat::Documented, Compat::Java] {
            let (findings, peak, is_in_force) = check(compat, document.key, &document.text);
            let name = document.name;
            assert!(peak <= MOST, "{name}: {} MiB", peak >> 20);
            most = most.max((peak, name));
            assert!(findings.len() <= MAX_FINDINGS + 1, "{name}: {} findings", findings.len());
            if compat == Compat::Java {
                continue;
            }
            let error = findings.iter().find(|finding| finding.severity == Severity::Error);
            let Some(error) = error.filter(|_| !is_in_force) else {
                wrong.push(format!("{name}: in force with {}", found(&findings)));
                continue;
            };
            if error.code != document.code {
                wrong.push(format!("{name}: not {} but {error}", document.code));
            }
            // Only what is wrong with all of a document has no place in it.
            let is_whole = ["yaml-too-large", "missing-key"].contains(&error.code);
            assert!(is_whole || (error.line > 0 && error.column > 0), "{name}: {error}");
            let text = error.to_string();
            assert!(text.len() < 2000, "{name}: {} bytes of text", text.len());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("at most {} KiB, for {}", most.0 >> 10, most.1);
}

#[test]
fn regular_expressions_are_limited() {
    for pattern in ["(a{1,1000}){1,1000}", "(?=a)", "(a)\\1", "[", &"a".repeat(5000)] {
        let text = format!(
            "configVersion: v3.0\ntags: [{{name: a, match: [{{key: b, value: {{regex: '{pattern}'}}}}]}}]"
        );
        let (findings, _, is_in_force) = check(Compat::Documented, "shop.tag-router", &text);
        assert!(!is_in_force);
        let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["bad-regex"], "{pattern}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_under_any_key_is_an_answer(text in "[-a-z:\\[\\]{}&*#!|>'\"%\n =,0-9]{0,200}") {
        for suffix in
            ["condition-router", "tag-router", "configurators", "MESHAPPRULE", "affinity-router",
             "script-router", "x"]
        {
            for about in ["lab.Echo::", "shop"] {
                for head in
                    ["", "configVersion: v3.1\nconditions:\n", "configs:\n", "tags:\n", "script: |\n  "]
                {
                    let mut rules = RuleSet::new(Compat::Documented);
                    let text = format!("{head}{text}");
                    rules.apply(
                        &format!("{about}.{suffix}"),
                        Some(&text),
                        Origin::Store { revision: 1 },
                    );
                }
            }
        }
    }
}
