//! Holds `docs/configuration.md` against the reader: the same keys, the same
//! defaults, and an example that is accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::quantity::{ShownDuration, ShownSize};
use super::{Limits, Timeouts, parse};

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// A configuration with an unknown key in every mapping there is, and the mapping
/// that each line stands for: the findings list the keys that are known there.
const PROBE: [(&str, &str); 7] = [
    ("", "q0q0q0q0: 1"),
    ("services[].", "services: [{q0q0q0q0: 1, endpoints: ["),
    ("services[].endpoints[].", "{q0q0q0q0: 1}]}]"),
    ("listeners[].", "listeners: [{q0q0q0q0: 1, direction: inbound, register: "),
    ("listeners[].register.", "{q0q0q0q0: 1}}]"),
    ("limits.", "limits: {q0q0q0q0: 1}"),
    ("timeouts.", "timeouts: {q0q0q0q0: 1}"),
];

fn accepted() -> BTreeSet<String> {
    let text: Vec<&str> = PROBE.iter().map(|(_, line)| *line).collect();
    let findings = parse(Path::new("probe.yaml"), &text.join("\n")).unwrap_err();
    let mut keys = BTreeSet::new();
    let mut mappings = 0;
    for finding in findings.iter().filter(|finding| finding.code == "unknown-key") {
        let (prefix, _) = PROBE[finding.line as usize - 1];
        let known = finding.hint.strip_prefix("known here: ").expect("the hint lists the keys");
        keys.extend(known.split(", ").map(|key| format!("{prefix}{key}")));
        mappings += 1;
    }
    assert_eq!(mappings, PROBE.len(), "{findings:?}");
    keys
}

/// The rows of the document's tables: key and default.
fn documented() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, key, _form, default, _about, _] = cells[..] else {
            panic!("a row of four cells: {line}");
        };
        let key = key.trim_matches('`').to_owned();
        assert!(rows.insert(key, default.to_owned()).is_none(), "a second row: {line}");
    }
    rows
}

#[test]
fn the_document_and_the_reader_know_the_same_keys() {
    let documented: BTreeSet<String> = documented().into_keys().collect();
    let accepted = accepted();
    let missing: Vec<_> = accepted.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&accepted).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    assert!(stale.is_empty(), "documented, but not accepted: {stale:?}");
}

#[test]
fn the_documented_defaults_are_the_real_ones() {
    let Limits { frame, buffer, connections, pending, head, body } = Limits::default();
    let Timeouts { call, call_over_http, connect, detect, heartbeat, idle, drain } =
        Timeouts::default();
    assert_eq!((body, call_over_http, idle), (None, None, None), "as the document says");
    let documented = documented();
    for (key, default) in [
        ("limits.frame", ShownSize(frame).to_string()),
        ("limits.buffer", ShownSize(buffer as u64).to_string()),
        ("limits.connections", connections.to_string()),
        ("limits.pending", pending.to_string()),
        ("limits.head", ShownSize(head.into()).to_string()),
        ("timeouts.call", ShownDuration(call).to_string()),
        ("timeouts.connect", ShownDuration(connect).to_string()),
        ("timeouts.detect", ShownDuration(detect).to_string()),
        ("timeouts.heartbeat", ShownDuration(heartbeat).to_string()),
        ("timeouts.drain", ShownDuration(drain).to_string()),
    ] {
        assert_eq!(documented[key], format!("`{default}`"), "{key}");
    }
}

#[test]
fn the_documented_example_is_accepted() {
    let (_, after) = DOCUMENT.split_once("```yaml\n").expect("an example");
    let (example, _) = after.split_once("```").expect("the example's end");
    parse(Path::new("example.yaml"), example).expect("an example without mistakes");
}
