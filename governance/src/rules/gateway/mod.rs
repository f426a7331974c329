//! Gateway API's routes to services of the mesh: HTTPRoute and GRPCRoute
//! (`gateway.networking.k8s.io/v1`, with parents of kind Service).
//!
//! Each match of a rule becomes a route of its own with its rank: precedence is
//! by what a match says, not by where it stands.

mod filter;
mod grpc_match;
mod http_match;

use std::sync::Arc;

use self::filter::Filters;
use super::istio::{MAX_HOSTS, MAX_ROUTES};
use super::resource::honoured::{Place, refuse};
use super::resource::route::{
    Action, CallMatch, Destination, PathMatch, Rank, Route, RouteRule, Weighted,
};
use super::resource::value;
use super::resource::{ReadSite, ResourceKind};
use crate::decide::DEFAULT_RETRIES;
use crate::directives::{
    DEFAULT_BACKOFF, Directives, MAX_MIRRORS, NO_DEADLINE, PathRewrite, RetryCondition,
    RetryPolicy, Rewrite,
};
use crate::document::{Mapping, Node, Report};

/// Reads the `spec` of an HTTPRoute or GRPCRoute.
pub(crate) fn read_route(
    spec: &mut Mapping<'_>,
    site: &ReadSite<'_>,
    report: &mut Report,
) -> RouteRule {
    let parents = read_parents(spec, report);
    let names: Vec<Box<str>> = spec
        .texts("hostnames", report)
        .into_iter()
        .filter_map(|(host, at)| Some(value::sound_host(host, at, report)?.into()))
        .collect();
    if parents.is_empty() && names.is_empty() && !report.has_errors() {
        let hint = "write parentRefs: [{kind: Service, group: \"\", name: …}]";
        report.error(spec.position(), "missing-key", "parentRefs is missing", hint);
    }
    for (what, found) in [("parents", parents.len()), ("hostnames", names.len())] {
        if found > MAX_HOSTS {
            value::too_many(spec.position(), what, found, MAX_HOSTS, report);
        }
    }
    let (hosts, narrowed_to) =
        if parents.is_empty() { (names, Vec::new()) } else { (parents, names) };
    let mut routes = Vec::new();
    for node in spec.list("rules", report) {
        read_rule(node, site, &mut routes, report);
        if routes.len() > MAX_ROUTES {
            value::too_many(node.position, "matches", routes.len(), MAX_ROUTES, report);
            break;
        }
    }
    if routes.is_empty() && !report.has_errors() {
        report.error(
            spec.position(),
            "missing-key",
            "rules is missing or empty",
            "write rules: [{backendRefs: [{name: …}]}]",
        );
    }
    RouteRule { hosts, narrowed_to, created: site.created.into(), routes, policy: None }
}

/// The services that a route is for.
fn read_parents(spec: &mut Mapping<'_>, report: &mut Report) -> Vec<Box<str>> {
    let mut parents = Vec::new();
    for node in spec.list("parentRefs", report) {
        let Some(mut map) = node.mapping("a parent", report) else { continue };
        let kind = map.text("kind", report).unwrap_or("Gateway");
        let group = value::text_or_empty(&mut map, "group", report).unwrap_or("");
        // Applications are known by name alone, whatever their namespace is.
        map.text("namespace", report);
        let name = map.required_text("name", report);
        refuse(&mut map, Place::Parent, report);
        map.finish(report);
        if kind != "Service" || !matches!(group, "" | "core") {
            report.error(
                node.position,
                "gateway-not-honoured",
                format!("a parent of kind {kind} is not honoured: routes are for services"),
                "write kind: Service, group: \"\" and the service's or application's name",
            );
            continue;
        }
        parents.extend(
            name.and_then(|name| Some(value::sound_host(name, node.position, report)?.into())),
        );
    }
    parents
}

fn read_rule(node: &Node, site: &ReadSite<'_>, routes: &mut Vec<Route>, report: &mut Report) {
    let Some(mut map) = node.mapping("a rule", report) else { return };
    let name: Box<str> = map.text("name", report).unwrap_or_default().into();
    let is_http = site.identity.kind == ResourceKind::HttpRoute;
    let read_match = if is_http { http_match::read } else { grpc_match::read };
    let items = map.list("matches", report);
    if items.len() > MAX_ROUTES {
        value::too_many(node.position, "matches", items.len(), MAX_ROUTES, report);
        return;
    }
    let mut matches: Vec<(CallMatch, Rank, u32)> = items
        .iter()
        .filter_map(|one| read_match(one, report).map(|(m, rank)| (m, rank, one.position.line)))
        .collect();
    if items.is_empty() {
        let rank = if is_http { http_match::ANY } else { grpc_match::ANY };
        matches.push((CallMatch::default(), rank, node.position.line));
    }
    let filters = filter::read(map.list("filters", report), is_http, report);
    let (timeout, per_try) = if is_http { read_timeouts(&mut map, report) } else { (None, None) };
    let retry = if is_http { map.mapping("retry", report) } else { None };
    let retry = read_retry(retry, per_try, report);
    refuse(&mut map, Place::RouteRule, report);
    let backends = read_backends(map.list("backendRefs", report), is_http, report);
    map.finish(report);
    if filters.mirrors.len() > MAX_MIRRORS {
        value::too_many(node.position, "mirrors", filters.mirrors.len(), MAX_MIRRORS, report);
    }
    if filters.redirect.is_some() && (!backends.is_empty() || filters.rewrite.is_some()) {
        report.error(
            node.position,
            "one-way-to-go",
            "a rule with a redirect has neither backendRefs nor a URLRewrite",
            "take the redirect out, or the others",
        );
        return;
    }
    for (one, rank, line) in matches {
        let prefix = match &one.path {
            Some(PathMatch::Elements(prefix)) => Some(&**prefix),
            None => Some("/"),
            Some(PathMatch::Text { .. }) => None,
        };
        let by_prefix = |path: &WrittenPath, report: &mut Report| match (path, prefix) {
            (WrittenPath::Full(full), _) => Some(PathRewrite::Full(full.clone())),
            (WrittenPath::Prefix(replacement), Some(matched)) => Some(PathRewrite::Prefix {
                matched: matched.trim_end_matches('/').into(),
                replacement: replacement.trim_end_matches('/').into(),
            }),
            (WrittenPath::Prefix(_), None) => {
                report.error(
                    node.position,
                    "prefix-without-prefix",
                    "ReplacePrefixMatch needs a match of type PathPrefix",
                    "write ReplaceFullPath, or match by prefix",
                );
                None
            }
        };
        let rewrite = filters.rewrite.as_ref().map(|(authority, path)| Rewrite {
            authority: authority.clone(),
            path: path.as_ref().and_then(|path| by_prefix(path, report)),
        });
        let directives = Directives {
            rule: site.label.into(),
            line,
            timeout,
            retry: retry.clone(),
            request_headers: Box::default(),
            response_headers: Box::default(),
            rewrite,
            cors: None,
            response_classes: Box::default(),
        };
        let action = match &filters.redirect {
            Some((redirect, path)) => {
                let mut redirect = redirect.clone();
                redirect.path = path.as_ref().and_then(|path| by_prefix(path, report));
                Action::Redirect(redirect)
            }
            None => Action::Forward(
                backends.iter().map(|backend| backend.weighted(&directives, &filters)).collect(),
            ),
        };
        routes.push(Route {
            name: name.clone(),
            position: crate::document::Position { line, ..node.position },
            matches: vec![one],
            rank,
            action,
            delay: None,
            abort: None,
            mirrors: filters.mirrors.clone(),
            answer_headers: filters.response.clone(),
        });
    }
}

/// A path modifier, before the prefix that it replaces is known.
#[derive(Debug, Clone)]
pub(crate) enum WrittenPath {
    Full(Box<str>),
    Prefix(Box<str>),
}

/// A backend before its rule's directives are known.
struct Backend {
    to: Destination,
    weight: u32,
    filters: Filters,
}

impl Backend {
    /// The backend's changes first, as for Istio's destinations.
    fn weighted(&self, directives: &Directives, rule: &Filters) -> Weighted {
        let mut directives = directives.clone();
        let both = |own: &[_], rule: &[_]| own.iter().chain(rule).cloned().collect();
        directives.request_headers = both(&self.filters.request, &rule.request);
        directives.response_headers = both(&self.filters.response, &rule.response);
        Weighted { to: self.to.clone(), weight: self.weight, directives: Arc::new(directives) }
    }
}

fn read_backends(nodes: &[Node], is_http: bool, report: &mut Report) -> Vec<Backend> {
    let mut backends = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(mut map) = node.mapping("a backend", report) else { continue };
        let weight = map.integer("weight", 0..=1_000_000, report).unwrap_or(1);
        let filters = filter::read(map.list("filters", report), is_http, report);
        if filters.redirect.is_some() || filters.rewrite.is_some() || !filters.mirrors.is_empty() {
            report.error(
                node.position,
                "filter-not-honoured",
                "a backend's filters change headers only",
                "write the filter beside matches",
            );
        }
        let to = read_reference(&mut map, report);
        map.finish(report);
        backends.extend(to.map(|to| Backend {
            to,
            weight: u32::try_from(weight).unwrap_or(1),
            filters,
        }));
    }
    backends
}

/// A reference to a service.
fn read_reference(map: &mut Mapping<'_>, report: &mut Report) -> Option<Destination> {
    let at = map.position();
    let kind = map.text("kind", report).unwrap_or("Service");
    let group = value::text_or_empty(map, "group", report).unwrap_or("");
    map.text("namespace", report);
    let name = map.required_text("name", report);
    let port = value::port(map, "port", report);
    if kind != "Service" || !matches!(group, "" | "core") {
        report.error(
            at,
            "backend-not-honoured",
            format!("a backend of kind {kind} is not honoured: calls go to services"),
            "write the name of a service or an application, and no kind",
        );
        return None;
    }
    let host = name.filter(|name| !name.starts_with('*'));
    let host = value::sound_host(host.unwrap_or_default(), at, report)?;
    Some(Destination { host: Some(host.into()), subset: None, port })
}

/// The deadlines of the whole call and of each attempt.
fn read_timeouts(
    map: &mut Mapping<'_>,
    report: &mut Report,
) -> (Option<std::time::Duration>, Option<std::time::Duration>) {
    let Some(mut inside) = map.mapping("timeouts", report) else { return (None, None) };
    let mut read = |key, report: &mut Report| {
        let duration = value::duration(&mut inside, key, report)?;
        Some(if duration.is_zero() { NO_DEADLINE } else { duration })
    };
    let (request, each) = (read("request", report), read("backendRequest", report));
    if request.zip(each).is_some_and(|(request, each)| each > request) {
        report.error(
            inside.position(),
            "bad-duration",
            "backendRequest is longer than request",
            "shorten it: request is the time for all attempts together",
        );
    }
    inside.finish(report);
    (request, each)
}

/// A rule without `retry` repeats what was not sent, as ever.
fn read_retry(
    map: Option<Mapping<'_>>,
    per_try_timeout: Option<std::time::Duration>,
    report: &mut Report,
) -> Option<RetryPolicy> {
    let Some(mut map) = map else {
        return per_try_timeout.is_some().then(|| RetryPolicy {
            attempts: DEFAULT_RETRIES,
            per_try_timeout,
            on: [RetryCondition::ConnectFailure].into(),
            avoid_tried: true,
            backoff: DEFAULT_BACKOFF,
        });
    };
    let attempts = value::count(&mut map, "attempts", report).unwrap_or(DEFAULT_RETRIES);
    let backoff = value::positive_duration(&mut map, "backoff", report);
    let mut on = vec![RetryCondition::ConnectFailure, RetryCondition::Reset];
    for node in map.list("codes", report) {
        let status = node.integer("a code", 400..=599, report);
        on.extend(status.and_then(|status| u16::try_from(status).ok()).map(RetryCondition::Status));
    }
    map.finish(report);
    Some(RetryPolicy {
        attempts,
        per_try_timeout,
        on: on.into(),
        avoid_tried: true,
        backoff: backoff.unwrap_or(DEFAULT_BACKOFF),
    })
}
