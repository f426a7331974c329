//! Affinity rules: `<interface>:<version>:<group>.affinity-router` and
//! `<provider application>.affinity-router`. Endpoints that share a parameter
//! with the caller are preferred, where there are enough of them.
//!
//! Dubbo 3.3.6 has the classes (`AffinityStateRouter`) but never loads them;
//! here they work as documented, and with `compat: java` they do nothing.

use crate::document::{Report, Resolved, Severity, parse_one};
use crate::rules::condition::{Expression, Side};
use crate::rules::head::Head;
use crate::rules::{Compat, Scope};

/// An affinity rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AffinityRule {
    pub(crate) enabled: bool,
    /// `key=$key`.
    pub(crate) alike: Expression,
    /// How many of a hundred endpoints must be alike for the rule to count.
    pub(crate) ratio: u32,
    /// Where it stands.
    pub(crate) line: u32,
}

impl AffinityRule {
    /// Reads a rule. `None` when it must not take effect; why is reported.
    pub(crate) fn read(
        text: &str,
        scope: Scope,
        compat: Compat,
        report: &mut Report,
    ) -> Option<AffinityRule> {
        let root = parse_one(text, report)?;
        let mut map = root.mapping("an affinity rule", report)?;
        let head = Head::read(&mut map, compat, report);
        Head::check_scope(&map, scope == Scope::Service, report);
        if head.force {
            report.error(
                map.peek("force").map(|node| node.position).unwrap_or_default(),
                "force-not-honoured",
                "an affinity rule never leaves nobody, so that force has no effect",
                "remove it, or write a condition rule",
            );
        }
        if !head.version.to_lowercase().starts_with("v3.1") {
            report.error(
                map.peek("configVersion").map(|node| node.position).unwrap_or_default(),
                "unknown-version",
                "an affinity rule needs configVersion v3.1",
                "write configVersion: v3.1",
            );
        }
        let node = map.required("affinityAware", report)?;
        let mut aware = node.mapping("affinityAware", report)?;
        let key = aware.required_text("key", report).unwrap_or_default();
        let ratio = match aware.required("ratio", report) {
            Some(value) => match value.scalar().map(|scalar| scalar.resolve()) {
                Some(Resolved::Int(ratio @ 0..=100)) => u32::try_from(ratio).unwrap_or(100),
                _ => {
                    value.wrong_type("ratio", "a whole number from 0 to 100", report);
                    100
                }
            },
            None => 100,
        };
        if key.chars().any(|c| c.is_whitespace() || "&!=,".contains(c)) {
            report.error(node.position, "bad-key", format!("{key:?} is no parameter's name"), "");
        }
        let alike =
            Expression::parse(&format!("{key}=${key}"), Side::Then, compat).unwrap_or_default();
        aware.finish(report);
        map.finish(report);
        let severity = match compat {
            Compat::Java => Severity::Warning,
            Compat::Documented => Severity::Info,
        };
        report.add(
            severity,
            node.position,
            "affinity-inactive-in-java",
            "Dubbo 3.3.6 never loads its affinity routers: Java does not act on this rule",
            "write => key=$key as a condition rule without force",
        );
        let enabled = head.enabled && compat == Compat::Documented;
        Some(AffinityRule { enabled, alike, ratio, line: node.position.line })
    }
}
