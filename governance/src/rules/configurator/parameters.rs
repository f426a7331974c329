//! What a configurator sets.

use crate::document::{Node, Position, Report};
use crate::rules::Compat;
use crate::settings::{Balance, Cluster};

/// Keys that an override cannot set, because they say when it applies
/// (`AbstractConfigurator.genConditionKeys`).
pub(super) const FIXED_KEYS: &[&str] = &[
    "category",
    "check",
    "dynamic",
    "enabled",
    "group",
    "version",
    "application",
    "side",
    "configVersion",
    "compatible_config",
    "interfaces",
];

/// Parameters as they are written.
pub(super) type Set = Vec<(Box<str>, Box<str>)>;

pub(super) fn conditions_of(set: &Set) -> Set {
    set.iter()
        .filter_map(|(key, value)| Some((key.strip_prefix('~')?.into(), value.clone())))
        .collect()
}

/// What Java shows to the conditions of a configuration.
const SEEN_KEYS: [&str; 4] = ["application", "side", "group", "version"];
/// What an override that came before may have set, which is seen, too.
const SET_KEYS: [&str; 7] =
    ["timeout", "retries", "weight", "warmup", "loadbalance", "cluster", "disabled"];

/// Warns of a condition on a parameter that Java does not show it.
pub(super) fn check_condition(key: &str, at: Position, report: &mut Report) {
    let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
    if !SEEN_KEYS.contains(&key) && !SET_KEYS.contains(&name) {
        report.warning(
            at,
            "label-not-seen",
            format!("Java does not see {key} of a provider here, so that this never matches"),
            "tell providers apart by providerAddress while Java consumers read this rule",
        );
    }
}

pub(super) fn settable(set: &Set, is_v30: bool) -> Set {
    set.iter()
        .filter(|(key, _)| {
            !FIXED_KEYS.contains(&&**key)
                && &**key != "priority"
                && (is_v30 || !key.starts_with('~'))
        })
        .cloned()
        .collect()
}

pub(super) fn priority_of(set: &Set) -> i64 {
    let found = set.iter().find(|(key, _)| &**key == "priority");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// Reports what no proxy acts on: a parameter is honoured or refused.
pub(super) fn check_parameter(
    key: &str,
    value: &str,
    node: &Node,
    compat: Compat,
    report: &mut Report,
) {
    if let Some(condition) = key.strip_prefix('~') {
        if value != "*" {
            check_condition(condition, node.position, report);
        }
        return;
    }
    if key == "priority" {
        return;
    }
    if FIXED_KEYS.contains(&key) {
        let severity = report.severity_of_loss(compat);
        report.add(
            severity,
            node.position,
            "fixed-parameter",
            format!("{key} says when a configuration applies, and cannot be set by it"),
            "write it beside parameters, or leave it out",
        );
        return;
    }
    let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
    let number = || value.parse::<i64>().is_ok();
    let (is_known, is_good) = match name {
        "timeout" | "retries" | "weight" => (true, number()),
        "warmup" if name == key => (true, number()),
        "loadbalance" => (true, Balance::from_name(value).is_some()),
        "cluster" if name == key => (true, Cluster::from_name(value).is_some()),
        "disabled" if name == key => (true, matches!(value, "true" | "false")),
        _ => (false, false),
    };
    if is_known && is_good {
        if name == "timeout" && value == "0" {
            report.warning(
                node.position,
                "timeout-zero",
                "timeout 0 is no timeout: the default of 1000 ms counts",
                "write the milliseconds that a call may take",
            );
        }
        return;
    }
    let severity = report.severity_of_loss(compat);
    let (code, message) = if is_known {
        ("bad-parameter", format!("{key} cannot be {value:?} here"))
    } else {
        ("parameter-not-honoured", format!("a proxy does not act on {key}"))
    };
    report.add(
        severity,
        node.position,
        code,
        message,
        "here count timeout, retries, loadbalance and weight, also as <method>.timeout, and \
         cluster (failover, failfast), warmup and disabled",
    );
}
