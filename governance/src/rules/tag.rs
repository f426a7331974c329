//! Tag rules: `<provider application>.tag-router`.
//!
//! Semantics: Dubbo 3.3.6, `TagRouterRule`, `Tag` and `TagStateRouter`. How
//! they run: [`crate::route`].

use crate::document::{Mapping, Node, Position, Report, Resolved, Severity, parse_one};
use crate::rules::head::{Head, java_text};
use crate::rules::string_match::StringMatch;
use crate::rules::{Compat, address};

/// A tag rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TagRule {
    pub(crate) enabled: bool,
    pub(crate) force: bool,
    pub(crate) tags: Vec<Tag>,
}

/// A tag and who has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tag {
    pub(crate) name: Box<str>,
    pub(crate) who: Who,
}

/// Who has a tag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Who {
    /// Endpoints at these addresses.
    Addresses(Vec<Box<str>>),
    /// Endpoints whose parameters are all like this; `None` for a match that
    /// nothing passes.
    Match(Vec<(Box<str>, Option<StringMatch>)>),
    /// Nobody: the rule says nothing that counts.
    Nobody,
}

impl TagRule {
    /// Reads a rule. `None` when it must not take effect; why is reported.
    pub(crate) fn read(text: &str, compat: Compat, report: &mut Report) -> Option<TagRule> {
        let root = parse_one(text, report)?;
        let mut map = root.mapping("a tag rule", report)?;
        let head = Head::read(&mut map, compat, report);
        head.note_version(&map, report);
        let by_match = head.version.starts_with("v3.0");
        let known = matches!(head.version.as_str(), "" | "v2.7" | "v3.0");
        if compat == Compat::Documented && !known {
            report.error(
                map.peek("configVersion").map(|node| node.position).unwrap_or_default(),
                "unknown-version",
                format!("configVersion {} is not known", head.version),
                "write v3.0",
            );
        }
        let node = map.required("tags", report)?;
        let items = node.list("tags", report)?;
        if items.is_empty() {
            report.error(
                node.position,
                "no-tags",
                "tags is empty, so that the rule does not count",
                "remove the rule, or write enabled: false",
            );
        }
        let tags = items
            .iter()
            .filter_map(|item| {
                if report.is_hopeless(compat) {
                    return None;
                }
                let mut tag = item.mapping("a tag", report)?;
                let read = read_tag(&mut tag, by_match, compat, report);
                tag.finish(report);
                read
            })
            .collect();
        map.finish(report);
        Some(TagRule { enabled: head.enabled, force: head.force, tags })
    }
}

fn read_tag(
    map: &mut Mapping<'_>,
    by_match: bool,
    compat: Compat,
    report: &mut Report,
) -> Option<Tag> {
    let position = map.position();
    let name = match map.value("name").map(|node| (node, node.scalar())) {
        Some((node, Some(scalar))) => match scalar.resolve() {
            Resolved::Text(text) => text.to_owned(),
            _ => {
                report.error(
                    node.position,
                    "not-a-text",
                    format!("name is {}, which YAML does not read as a text", scalar.text),
                    format!("put it in quotes: name: \"{}\"", scalar.text),
                );
                return None;
            }
        },
        Some((node, None)) => {
            node.wrong_type("name", "a text", report);
            return None;
        }
        None => {
            if compat == Compat::Documented {
                report.error(position, "missing-key", "name is missing", "");
            }
            String::new()
        }
    };
    if name.contains('|') {
        report.add(
            Severity::Info,
            position,
            "go-no-levels",
            format!("dubbo-go knows no levels: for it {name} is one tag, and nobody falls back"),
            "tag the endpoints with each level while dubbo-go reads this rule",
        );
    }
    let addresses = read_addresses(map, compat, report);
    let matches = map.value("match");
    let who = match (addresses.is_empty(), matches) {
        (false, found) => {
            if let Some(node) = found.filter(|_| by_match) {
                report.warning(
                    node.position,
                    "addresses-win",
                    format!("match of tag {name} does not count beside addresses"),
                    "write one of the two",
                );
                read_matches(node, compat, report);
            }
            Who::Addresses(addresses)
        }
        (true, Some(node)) if by_match => Who::Match(read_matches(node, compat, report)),
        (true, Some(node)) => {
            let severity = report.severity_of_loss(compat);
            report.add(
                severity,
                node.position,
                "match-needs-v3.0",
                "match counts under configVersion v3.0 only",
                "write configVersion: v3.0",
            );
            Who::Nobody
        }
        (true, None) => {
            // Under v3.0 Java falls over it, and the rule with it.
            if by_match || compat == Compat::Documented {
                report.error(
                    position,
                    "tag-without-endpoints",
                    format!("tag {name} has neither addresses nor match"),
                    "write match: [{key: …, value: {exact: …}}], or leave the tag out",
                );
            }
            Who::Nobody
        }
    };
    Some(Tag { name: name.into(), who })
}

fn read_addresses(map: &mut Mapping<'_>, compat: Compat, report: &mut Report) -> Vec<Box<str>> {
    let Some(node) = map.value("addresses") else { return Vec::new() };
    let crate::document::Value::Sequence(items) = &node.value else {
        if compat == Compat::Documented {
            node.wrong_type("addresses", "a list", report);
        }
        return Vec::new();
    };
    let mut addresses = Vec::with_capacity(items.len());
    for item in items {
        if report.is_hopeless(compat) {
            break;
        }
        addresses.push(read_address(item, compat, report).into());
    }
    addresses
}

fn read_address(node: &Node, compat: Compat, report: &mut Report) -> String {
    let text = java_text(node);
    if text == "0.0.0.0" {
        report.warning(
            node.position,
            "any-host-needs-port",
            "0.0.0.0 without a port means nobody",
            "write 0.0.0.0:PORT for any host with this port, or *",
        );
    } else if !address::is_sound(&text) {
        let severity = report.severity_of_loss(compat);
        report.add(
            severity,
            node.position,
            "bad-address",
            format!("{text:?} is no address"),
            "write an IP, IP:PORT, a.b.*.1-5, a network a.b.c.d/n, or *",
        );
    } else if text.contains(['*', '/', '-']) || !text.contains(':') {
        report.add(
            Severity::Info,
            node.position,
            "go-literal-address",
            format!("dubbo-go compares addresses as they are written: for it {text} is nobody's"),
            "write IP:PORT or 0.0.0.0:PORT while dubbo-go reads this rule",
        );
    }
    text
}

fn read_matches(
    node: &Node,
    compat: Compat,
    report: &mut Report,
) -> Vec<(Box<str>, Option<StringMatch>)> {
    let Some(items) = node.list("match", report) else { return Vec::new() };
    if items.is_empty() {
        report.warning(
            node.position,
            "empty-match-means-all",
            "an empty match gives the tag to every endpoint",
            "write what the endpoints have in common",
        );
    }
    let mut matches = Vec::with_capacity(items.len());
    for item in items {
        let Some(mut map) = item.mapping("a parameter match", report) else { continue };
        let position: Position = map.position();
        let key = map.text("key", report).unwrap_or_default();
        let value = map
            .value("value")
            // Java passes over what is no mapping.
            .filter(|value| compat == Compat::Documented || value.scalar().is_none())
            .map(|value| StringMatch::read(value, compat, report));
        if value.is_none() || key.is_empty() {
            let severity = report.severity_of_loss(compat);
            report.add(
                severity,
                position,
                "missing-key",
                "a parameter match needs key and value; without, it never matches",
                "write {key: env, value: {exact: gray}}",
            );
        }
        matches.push((key.into(), value));
        map.finish(report);
    }
    matches
}
