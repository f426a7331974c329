//! Documents made to cost time or memory are answered with findings.
#![allow(clippy::unwrap_used)]

use governance::document::MAX_FINDINGS;
use governance::{Compat, Origin, RuleSet, Severity};

/// What is found in a document under a key.
fn findings(key: &str, text: &str) -> Vec<&'static str> {
    for compat in [Compat::Java, Compat::Documented] {
        let mut rules = RuleSet::new(compat);
        let applied = rules.apply(key, Some(text), Origin::Store { revision: 1 });
        assert!(applied.findings.len() <= MAX_FINDINGS + 1);
        if compat == Compat::Documented {
            assert!(!applied.is_in_force());
            return applied
                .findings
                .iter()
                .filter(|finding| finding.severity == Severity::Error)
                .map(|finding| finding.code)
                .collect();
        }
    }
    Vec::new()
}

const CONDITION: &str = "lab.Echo::.condition-router";

#[test]
fn size_and_number_are_limited() {
    let large = format!("conditions: ['{}']", "x".repeat(10 << 20));
    assert_eq!(findings(CONDITION, &large), ["yaml-too-large"]);
    let keys: Vec<String> = (0..200_000).map(|n| format!("k{n}")).collect();
    let many = format!("conditions: ['{} => x=1']", keys.join("&"));
    assert_eq!(findings(CONDITION, &many), ["bad-condition"]);
    let unknown: String = (0..60_000).map(|n| format!("confitions{n}: 1\n")).collect();
    assert!(findings(CONDITION, &unknown).contains(&"unknown-key"));
}

#[test]
fn regular_expressions_are_limited() {
    let tag = |pattern: &str| {
        format!(
            "configVersion: v3.0\ntags: [{{name: a, match: [{{key: b, value: {{regex: '{pattern}'}}}}]}}]"
        )
    };
    for pattern in ["(a{1,1000}){1,1000}", "(?=a)", "(a)\\1", "[", &"a".repeat(5000)] {
        assert_eq!(findings("shop.tag-router", &tag(pattern)), ["bad-regex"], "{pattern}");
    }
    let items = "{key: b, value: {regex: '[a-z]{1,50}'}},".repeat(10_000);
    let many = format!("configVersion: v3.0\ntags: [{{name: a, match: [{items}]}}]");
    assert!(findings("shop.tag-router", &many).contains(&"bad-regex"));
}

proptest::proptest! {
    #[test]
    fn any_text_under_any_key_is_an_answer(text in "[-a-z:\\[\\]{}&*#!|>'\"%\n =,0-9]{0,200}") {
        for suffix in
            ["condition-router", "tag-router", "configurators", "MESHAPPRULE", "affinity-router", "x"]
        {
            for about in ["lab.Echo::", "shop"] {
                for head in ["", "configVersion: v3.1\nconditions:\n", "configs:\n", "tags:\n"] {
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
