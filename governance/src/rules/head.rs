//! What every Dubbo router rule starts with: `configVersion`, `scope`, `key`,
//! `enabled`, `force` and the rest (`AbstractRouterRule.parseFromMap0`).

use crate::document::{Mapping, Node, Report, Resolved, Severity, Value};
use crate::rules::Compat;

/// The common head of a router rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// `configVersion`; empty where absent.
    pub(crate) version: String,
    /// An empty result stays empty instead of the rule being left out.
    pub(crate) force: bool,
    /// Whether the rule is on: `enabled` and `valid`.
    pub(crate) enabled: bool,
}

impl Head {
    /// Reads the head out of a rule and reports what is wrong with it.
    pub(crate) fn read(map: &mut Mapping<'_>, compat: Compat, report: &mut Report) -> Head {
        let mut head = Head {
            version: text(map, "configVersion", report).unwrap_or_default().to_owned(),
            force: flag(map, "force", false, compat, report),
            enabled: flag(map, "enabled", true, compat, report),
        };
        head.enabled &= flag(map, "valid", true, compat, report);
        flag(map, "dynamic", false, compat, report);
        if let Some(node) = map.get("runtime")
            && !flag(map, "runtime", true, compat, report)
        {
            report.warning(
                node.position,
                "ignored-runtime",
                "runtime: false has no effect: rules are always applied to each call",
                "remove it; Dubbo 3 does not read it either",
            );
        }
        if let Some(node) = map.value("priority") {
            let number = match node.scalar().map(|scalar| scalar.resolve()) {
                Some(Resolved::Int(number)) => i32::try_from(number).ok(),
                Some(Resolved::Text(text)) => text.parse().ok(),
                _ => None,
            };
            match number {
                Some(0) => {}
                Some(_) => report.warning(
                    node.position,
                    "ignored-priority",
                    "priority has no effect: rules apply in the order of their kinds",
                    "remove it; Dubbo 3 does not read it either",
                ),
                None => node.wrong_type("priority", "a whole number", report),
            }
        }
        if let Some(scope) = map.value("scope") {
            match text(map, "scope", report) {
                None | Some("service" | "application") => {}
                Some(other) if compat == Compat::Documented => report.error(
                    scope.position,
                    "unknown-scope",
                    format!("scope is {other:?}"),
                    "write service or application",
                ),
                Some(_) => {}
            }
        }
        text(map, "key", report);
        head
    }

    /// Warns of a version that is read as `known` because it starts like it.
    pub(crate) fn check_exact(&self, map: &Mapping<'_>, known: &str, report: &mut Report) {
        if self.version != known {
            report.warning(
                map.peek("configVersion").map(|node| node.position).unwrap_or_default(),
                "version-by-prefix",
                format!("configVersion {} is read as {known}", self.version),
                format!("write {known}"),
            );
        }
    }

    /// Notes that dubbo-go refuses a rule without a version.
    pub(crate) fn note_version(&self, map: &Mapping<'_>, report: &mut Report) {
        if self.version.is_empty() {
            report.add(
                Severity::Info,
                map.position(),
                "go-needs-version",
                "dubbo-go refuses a rule without configVersion",
                "write configVersion: v3.0",
            );
        }
    }

    /// Warns where the scope that is written is not the one of the rule's key.
    pub(crate) fn check_scope(map: &Mapping<'_>, is_service: bool, report: &mut Report) {
        let Some(node) = map.peek("scope") else { return };
        let (said, meant) =
            if is_service { ("application", "a service") } else { ("service", "an application") };
        if node.scalar().is_some_and(|scalar| scalar.text == said) {
            report.warning(
                node.position,
                "scope-mismatch",
                format!("scope is {said}, but the rule's key names {meant}, and the key decides"),
                "name service rules <interface>:<version>:<group>, with both colons",
            );
        }
    }
}

/// A value that Java casts to a string: anything else that is not null throws
/// there, and the rule is dropped.
pub(crate) fn text<'n>(
    map: &mut Mapping<'n>,
    key: &'static str,
    report: &mut Report,
) -> Option<&'n str> {
    let node = map.value(key)?;
    match &node.value {
        Value::Scalar(scalar) => match scalar.resolve() {
            Resolved::Text(text) => Some(text),
            _ => {
                report.error(
                    node.position,
                    "not-a-text",
                    format!("{key} is {}, which YAML does not read as a text", scalar.text),
                    format!("put it in quotes: {key}: \"{}\"", scalar.text),
                );
                None
            }
        },
        _ => {
            node.wrong_type(key, "a text", report);
            None
        }
    }
}

/// A boolean. Java takes YAML 1.1's words for it (`yes`, `on`), and everything
/// else that is not the text `true` for false.
pub(crate) fn flag(
    map: &mut Mapping<'_>,
    key: &'static str,
    default: bool,
    compat: Compat,
    report: &mut Report,
) -> bool {
    let Some(node) = map.value(key) else { return default };
    let resolved = node.scalar().map(|scalar| scalar.resolve());
    match (resolved, compat) {
        (Some(Resolved::Bool(value)), _) => value,
        (Some(Resolved::Text(text)), _) if text.eq_ignore_ascii_case("true") => true,
        (Some(Resolved::Text(text)), _) if text.eq_ignore_ascii_case("false") => false,
        (_, Compat::Documented) => {
            node.wrong_type(key, "true or false", report);
            default
        }
        (_, Compat::Java) => {
            report.warning(
                node.position,
                "not-a-boolean",
                format!("Java reads this {key} as false"),
                "write true or false",
            );
            false
        }
    }
}

/// `String.valueOf` of what SnakeYAML makes of a node.
pub(crate) fn java_text(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => "null".to_owned(),
            Resolved::Bool(value) => value.to_string(),
            Resolved::Int(value) => value.to_string(),
            Resolved::Float(value) => crate::java::double_text(value).as_str().to_owned(),
            Resolved::Date | Resolved::Text(_) => scalar.text.clone(),
        },
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(java_text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}={}", java_text(key), java_text(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}
