//! Linkerd's ServiceProfile (`linkerd.io/v1alpha2`).
//!
//! Its routes say how calls are made, its overrides where all of them go; a call
//! that no route matches is made as any other.

use std::sync::Arc;
use std::time::Duration;

use super::istio::MAX_ROUTES;
use super::resource::ReadSite;
use super::resource::honoured::{Place, refuse};
use super::resource::route::{
    Action, CallMatch, Condition, Destination, Rank, Route, RouteRule, Weighted,
};
use super::resource::value;
use crate::directives::{
    DEFAULT_BACKOFF, Directives, ResponseClass, RetryBudget, RetryCondition, RetryPolicy,
    StatusCondition, TextMatch, TrafficPolicy,
};
use crate::document::{Mapping, Node, Position, Report};

/// Reads the `spec` of a ServiceProfile.
pub(crate) fn read_profile(
    spec: &mut Mapping<'_>,
    site: &ReadSite<'_>,
    report: &mut Report,
) -> RouteRule {
    let host = value::sound_host(&site.identity.name, site.position, report);
    let budget = spec.mapping("retryBudget", report).map(|inside| read_budget(inside, report));
    let overrides = read_overrides(spec.list("dstOverrides", report), report);
    refuse(spec, Place::ServiceProfile, report);
    let items = spec.list("routes", report);
    if items.len() > MAX_ROUTES {
        value::too_many(spec.position(), "routes", items.len(), MAX_ROUTES, report);
        return RouteRule::default();
    }
    let mut routes: Vec<Route> =
        items.iter().filter_map(|node| read_route(node, site, &overrides, report)).collect();
    routes.push(route("", site.position, Vec::new(), plain(site), &overrides));
    let policy = budget.map(|retry_budget| {
        Arc::new(TrafficPolicy {
            rule: site.label.into(),
            retry_budget: Some(retry_budget),
            ..TrafficPolicy::default()
        })
    });
    RouteRule {
        hosts: host.map(Box::from).into_iter().collect(),
        routes,
        policy,
        ..RouteRule::default()
    }
}

fn plain(site: &ReadSite<'_>) -> Directives {
    Directives {
        rule: site.label.into(),
        line: site.position.line,
        timeout: None,
        retry: None,
        request_headers: Box::default(),
        response_headers: Box::default(),
        rewrite: None,
        cors: None,
        response_classes: Box::default(),
    }
}

/// A route to the overrides, or to the service as it is.
fn route(
    name: &str,
    position: Position,
    matches: Vec<CallMatch>,
    directives: Directives,
    overrides: &[(Destination, u32)],
) -> Route {
    let directives = Arc::new(directives);
    let weighted = |(to, weight): &(Destination, u32)| Weighted {
        to: to.clone(),
        weight: *weight,
        directives: directives.clone(),
    };
    let all = (Destination { host: None, subset: None, port: None }, 1);
    let to = if overrides.is_empty() {
        vec![weighted(&all)]
    } else {
        overrides.iter().map(weighted).collect()
    };
    Route {
        name: name.into(),
        position,
        matches,
        rank: Rank::default(),
        action: Action::Forward(to),
        delay: None,
        abort: None,
        mirrors: Vec::new(),
        answer_headers: Vec::new(),
    }
}

fn read_route(
    node: &Node,
    site: &ReadSite<'_>,
    overrides: &[(Destination, u32)],
    report: &mut Report,
) -> Option<Route> {
    let mut map = node.mapping("a route", report)?;
    let name = map.text("name", report).unwrap_or_default();
    let condition =
        map.required("condition", report).and_then(|inside| read_condition(inside, report));
    let is_retryable = map.boolean("isRetryable", report).unwrap_or(false);
    let timeout = value::positive_duration(&mut map, "timeout", report);
    let classes: Box<[ResponseClass]> = map
        .list("responseClasses", report)
        .iter()
        .filter_map(|class| read_class(class, report))
        .collect();
    map.finish(report);
    let directives = Directives {
        line: node.position.line,
        timeout,
        retry: is_retryable.then(|| RetryPolicy {
            attempts: u32::MAX,
            per_try_timeout: None,
            on: [RetryCondition::Failure, RetryCondition::ConnectFailure].into(),
            avoid_tried: true,
            backoff: DEFAULT_BACKOFF,
        }),
        response_classes: classes,
        ..plain(site)
    };
    let one = CallMatch { condition: Some(condition?), ..CallMatch::default() };
    Some(route(name, node.position, vec![one], directives, overrides))
}

/// All of what is there must hold, as in Linkerd; one thing at least.
fn read_condition(node: &Node, report: &mut Report) -> Option<Condition> {
    let mut map = node.mapping("a condition", report)?;
    let mut found = Vec::new();
    if let Some(path) = map.value("pathRegex") {
        let regex = value::whole_regex(path.text("pathRegex", report)?, path.position, report)?;
        found.push(Condition::Path(TextMatch::Regex(regex)));
    }
    if let Some(method) = map.text("method", report) {
        found.push(Condition::Method(method.into()));
    }
    for (key, many) in [("all", Condition::All as fn(_) -> _), ("any", Condition::Any)] {
        if let Some(list) = map.value(key).and_then(|list| list.list(key, report)) {
            let inside = list.iter().filter_map(|one| read_condition(one, report)).collect();
            found.push(many(inside));
        }
    }
    if let Some(one) = map.value("not") {
        found.push(Condition::Not(Box::new(read_condition(one, report)?)));
    }
    map.finish(report);
    match found.len() {
        0 => {
            let hint = "write pathRegex, method, all, any or not";
            report.error(node.position, "missing-key", "a condition says nothing", hint);
            None
        }
        1 => found.pop(),
        _ => Some(Condition::All(found)),
    }
}

fn read_class(node: &Node, report: &mut Report) -> Option<ResponseClass> {
    let mut map = node.mapping("a response class", report)?;
    let condition =
        map.required("condition", report).and_then(|inside| read_status(inside, report));
    let is_failure = map.boolean("isFailure", report).unwrap_or(false);
    map.finish(report);
    Some(ResponseClass { condition: condition?, is_failure })
}

fn read_status(node: &Node, report: &mut Report) -> Option<StatusCondition> {
    let mut map = node.mapping("a condition", report)?;
    let mut found = Vec::new();
    if let Some(mut range) = map.mapping("status", report) {
        let min = range.integer("min", 100..=599, report);
        let max = range.integer("max", 100..=599, report);
        range.finish(report);
        // One of them alone is open on the other side.
        let number =
            |one: Option<u64>, open| one.and_then(|n| u16::try_from(n).ok()).unwrap_or(open);
        found.push(StatusCondition::Status(number(min, 100), number(max, 599)));
    }
    for (key, many) in [("all", StatusCondition::All as fn(_) -> _), ("any", StatusCondition::Any)]
    {
        if let Some(list) = map.value(key).and_then(|list| list.list(key, report)) {
            found.push(many(list.iter().filter_map(|one| read_status(one, report)).collect()));
        }
    }
    if let Some(one) = map.value("not") {
        found.push(StatusCondition::Not(Box::new(read_status(one, report)?)));
    }
    map.finish(report);
    match found.len() {
        0 => {
            let hint = "write status, all, any or not";
            report.error(node.position, "missing-key", "a condition says nothing", hint);
            None
        }
        1 => found.pop(),
        _ => Some(StatusCondition::All(found.into())),
    }
}

fn read_budget(mut map: Mapping<'_>, report: &mut Report) -> RetryBudget {
    let ratio = value::number(&mut map, "retryRatio", 0.0..=1000.0, report);
    let minimum = value::count(&mut map, "minRetriesPerSecond", report);
    let ttl = value::positive_duration(&mut map, "ttl", report);
    let at = map.position();
    map.finish(report);
    if (ratio.is_none() || minimum.is_none() || ttl.is_none()) && !report.has_errors() {
        let hint = "write {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}";
        report.error(at, "missing-key", "a retry budget has three parts", hint);
    }
    RetryBudget {
        percent: ratio.unwrap_or(0.2) * 100.0,
        min_concurrency: None,
        min_per_second: Some(minimum.unwrap_or(10)),
        interval: Some(ttl.unwrap_or(Duration::from_secs(10))),
    }
}

/// How many overrides one profile may have.
const MAX_OVERRIDES: usize = 64;

fn read_overrides(nodes: &[Node], report: &mut Report) -> Vec<(Destination, u32)> {
    if let Some(over) = nodes.get(MAX_OVERRIDES) {
        value::too_many(over.position, "overrides", nodes.len(), MAX_OVERRIDES, report);
        return Vec::new();
    }
    let mut overrides = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(mut map) = node.mapping("an override", report) else { continue };
        let authority = map.required_text("authority", report);
        let weight = map.required("weight", report).and_then(|weight| {
            let read = quantity(weight.text("weight", report)?);
            if read.is_none() {
                weight.wrong_type("weight", "a quantity such as 1 or 500m", report);
            }
            read
        });
        map.finish(report);
        let (Some(authority), Some(weight)) = (authority, weight) else { continue };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (authority, None),
            },
            None => (authority, None),
        };
        let named = host.trim_end_matches('.');
        let named = value::sound_host(
            if named.starts_with('*') { "" } else { named },
            node.position,
            report,
        );
        overrides.extend(
            named.map(|host| (Destination { host: Some(host.into()), subset: None, port }, weight)),
        );
    }
    overrides
}

/// A Kubernetes quantity in thousandths: `1` or `500m`.
fn quantity(text: &str) -> Option<u32> {
    match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().ok(),
        None => text.parse::<u32>().ok()?.checked_mul(1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_kubernetes_own() {
        assert_eq!(quantity("1"), Some(1000));
        assert_eq!(quantity("500m"), Some(500));
        assert_eq!(quantity("-1"), None);
        assert_eq!(quantity("1k"), None);
    }
}
