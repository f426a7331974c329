//! What a configurator sets.

use crate::cluster::{Mock, NoMock};
use crate::document::{Node, Position, Report};
use crate::hash::{HashArguments, MOST_NODES};
use crate::rules::Compat;
use crate::settings::{Balance, Cluster, split_key};

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
const SET_KEYS: &[&str] = &[
    "timeout",
    "retries",
    "weight",
    "warmup",
    "loadbalance",
    "hash.nodes",
    "hash.arguments",
    "sticky",
    "actives",
    "mock",
    "cluster",
    "forks",
    "broadcast.fail.percent",
    "disabled",
];

/// Warns of a condition on a parameter that Java does not show it.
pub(super) fn check_condition(key: &str, at: Position, report: &mut Report) {
    let (_, name) = split_key(key);
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

/// What acts inside the provider alone: Java's providers obey it, consumers do not.
const OF_PROVIDERS: &[&str] = &[
    "accepts",
    "accesslog",
    "delay",
    "executes",
    "export",
    "exporter.listener",
    "iothreads",
    "payload",
    "queues",
    "register",
    "service.filter",
    "threadname",
    "threadpool",
    "threads",
    "token",
    "tps",
    "tps.interval",
];

/// What acts inside the caller alone, before a call is one on the wire.
const OF_CALLERS: &[&str] = &[
    "async",
    "cache",
    "callbacks",
    "check",
    "cluster.availablecheck",
    "deprecated",
    "generic",
    "init",
    "invoker.listener",
    "lazy",
    "merger",
    "proxy",
    "reconnect",
    "reference.filter",
    "return",
    "sent",
    "stub",
    "url",
    "validation",
];

/// What a proxy acts on.
const HERE: &str = "here count timeout, retries, loadbalance, weight, hash.nodes, hash.arguments, \
                    sticky, actives and mock, also as <method>.timeout, and cluster, forks, \
                    broadcast.fail.percent, warmup and disabled";

/// What is wrong with a parameter: a code, a message, and what to do.
type Finding = (&'static str, String, &'static str);

/// Reports what no proxy acts on: a parameter is honoured or refused.
pub(super) fn check_parameter(
    key: &str,
    value: &str,
    node: &Node,
    for_providers: bool,
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
    let (method, name) = split_key(key);
    if for_providers && OF_PROVIDERS.contains(&name) {
        // The providers' own affair; they read the same document.
        return;
    }
    if let Some((code, message, hint)) = fault_of(key, method, name, value) {
        let severity = report.severity_of_loss(compat);
        return report.add(severity, node.position, code, message, hint);
    }
    match (name, value) {
        ("timeout", "0") => report.warning(
            node.position,
            "timeout-zero",
            "timeout 0 is no timeout: the default of 1000 ms counts",
            "write the milliseconds that a call may take",
        ),
        ("mock", mock) if mock.trim_end().ends_with("return empty") => report.warning(
            node.position,
            "mock-empty",
            "the type of the answer is not known here: instead of an empty one callers get null",
            "write the value as JSON, such as force:return []",
        ),
        _ => {}
    }
}

fn fault_of(key: &str, method: Option<&str>, name: &str, value: &str) -> Option<Finding> {
    let number = || value.parse::<i64>().is_ok();
    let within = |from: i64, to: i64| value.parse().is_ok_and(|n| (from..=to).contains(&n));
    let flag = || matches!(value, "true" | "false");
    // Whether it is known, may stand behind a method's name, and is good.
    let (for_methods, is_good) = match name {
        "timeout" | "retries" | "weight" => (true, number()),
        "actives" => (true, within(0, i64::from(u32::MAX))),
        "hash.nodes" => (true, within(4, i64::from(MOST_NODES))),
        "hash.arguments" => (true, HashArguments::read(value).is_some()),
        "sticky" => (true, flag()),
        "loadbalance" => (true, Balance::from_name(value).is_some()),
        "mock" => match Mock::read(value) {
            Err(NoMock::Class) => return Some(needs_class(key, value)),
            read => (true, read != Err(NoMock::NotAValue)),
        },
        "warmup" => (false, number()),
        "forks" => (false, within(0, i64::from(u32::MAX))),
        "broadcast.fail.percent" => (false, within(0, 100)),
        "cluster" => match not_one_cluster(value) {
            None => (false, Cluster::from_name(value).is_some()),
            refused => return refused,
        },
        "disabled" => (false, flag()),
        _ => return Some(not_honoured(key, name)),
    };
    if method.is_some() && !for_methods {
        return Some(not_honoured(key, key));
    }
    let message = || format!("{key} cannot be {value:?} here");
    (!is_good).then(|| ("bad-parameter", message(), HERE))
}

fn not_honoured(key: &str, name: &str) -> Finding {
    if OF_PROVIDERS.contains(&name) {
        return (
            "acts-in-provider",
            format!("{key} acts inside the provider's process, which no consumer tells it"),
            "write side: provider: Java's providers obey it by themselves",
        );
    }
    if OF_CALLERS.contains(&name) {
        return (
            "acts-in-caller",
            format!("{key} acts inside the caller's process, before a proxy sees the call"),
            "set it in the caller's own configuration",
        );
    }
    ("parameter-not-honoured", format!("a proxy does not act on {key}"), HERE)
}

fn needs_class(key: &str, value: &str) -> Finding {
    (
        "mock-class",
        format!("{key} {value:?} means a class of the caller's, which a proxy cannot run"),
        "write force:return null, fail:return \"…\" or force:throw com.foo.SomeException",
    )
}

fn not_one_cluster(value: &str) -> Option<Finding> {
    let (message, hint) = match value {
        "mergeable" => (
            "cluster mergeable puts the answers of several groups together by Java types",
            "merge in the caller",
        ),
        "zone-aware" => (
            "cluster zone-aware chooses between registries, of which a proxy has one",
            "prefer near endpoints with an affinity rule, or a condition on region",
        ),
        _ => return None,
    };
    Some(("cluster-not-honoured", message.to_owned(), hint))
}
