//! A VirtualService.

use std::sync::Arc;

use super::{action, match_request, retries};
use crate::directives::{Directives, HeaderEdit, MAX_MIRRORS, NO_DEADLINE, PathRewrite, TextMatch};
use crate::document::{Mapping, Node, Report, Value};
use crate::rules::resource::ReadSite;
use crate::rules::resource::honoured::{Place, refuse};
use crate::rules::resource::route::{
    Action, CallMatch, Destination, PathMatch, Percentage, Rank, Route, RouteRule, Weighted,
};
use crate::rules::resource::value;

/// How many routes one resource may have, and how many hosts.
pub(crate) const MAX_ROUTES: usize = 1000;
pub(crate) const MAX_HOSTS: usize = 256;

/// Reads the `spec` of a VirtualService.
pub(crate) fn read_virtual_service(
    spec: &mut Mapping<'_>,
    site: &ReadSite<'_>,
    report: &mut Report,
) -> RouteRule {
    let hosts: Vec<Box<str>> = spec
        .texts("hosts", report)
        .into_iter()
        .filter_map(|(host, at)| Some(value::sound_host(host, at, report)?.into()))
        .collect();
    if hosts.len() > MAX_HOSTS {
        value::too_many(spec.position(), "hosts", hosts.len(), MAX_HOSTS, report);
    }
    check_gateways(spec, report);
    check_export(spec, report);
    refuse(spec, Place::VirtualService, report);
    let items = spec.list("http", report);
    if items.is_empty() {
        let hint = "write http: [{route: [{destination: {host: …}}]}]";
        report.error(spec.position(), "missing-key", "http is missing or empty", hint);
    }
    if items.len() > MAX_ROUTES {
        value::too_many(spec.position(), "routes", items.len(), MAX_ROUTES, report);
        return RouteRule::default();
    }
    let mut routes = Vec::new();
    let mut caught: Option<u32> = None;
    for item in items {
        let before = routes.len();
        read_route(item, site, &mut routes, report);
        if let Some(line) = caught.filter(|_| routes.len() > before) {
            report.warning(
                item.position,
                "unreachable-route",
                format!("the route at line {line} takes every call before this one"),
                "put the route without a match last",
            );
            caught = None;
        } else if let Some(all) = routes.get(before..).and_then(|new| {
            new.iter().find(|route| route.matches.is_empty() && !is_delegate(&route.action))
        }) {
            caught = Some(all.position.line);
        }
    }
    RouteRule { hosts, routes, ..RouteRule::default() }
}

/// Whether other routes decide: calls that none of them takes go on.
fn is_delegate(action: &Action) -> bool {
    matches!(action, Action::Delegate(..))
}

/// Only the mesh itself is there: `gateways: [mesh]`.
pub(super) fn check_gateways(map: &mut Mapping<'_>, report: &mut Report) {
    for (gateway, at) in map.texts("gateways", report) {
        if gateway != "mesh" {
            report.error(
                at,
                "gateway-not-honoured",
                format!("gateway {gateway} is not honoured: rules are for every listener"),
                "leave gateways out, or write mesh",
            );
        }
    }
}

/// Rules are visible everywhere: `exportTo: ["*"]`.
pub(super) fn check_export(map: &mut Mapping<'_>, report: &mut Report) {
    for (namespace, at) in map.texts("exportTo", report) {
        if namespace != "*" {
            report.error(
                at,
                "export-not-honoured",
                format!("exportTo {namespace} is not honoured: rules are visible everywhere"),
                "leave exportTo out, or write *",
            );
        }
    }
}

fn read_route(node: &Node, site: &ReadSite<'_>, routes: &mut Vec<Route>, report: &mut Report) {
    let Some(mut map) = node.mapping("a route", report) else { return };
    let name: Box<str> = map.text("name", report).unwrap_or_default().into();
    let matches = match_request::read_matches(map.list("match", report), report);
    if let Some(delegate) = map.mapping("delegate", report) {
        routes.extend(read_delegate(delegate, site, name, matches, node, report));
        refuse(&mut map, Place::Delegate, report);
        map.finish(report);
        return;
    }
    let mut directives = Directives {
        rule: site.label.into(),
        line: node.position.line,
        timeout: value::duration(&mut map, "timeout", report)
            .map(|timeout| if timeout.is_zero() { NO_DEADLINE } else { timeout }),
        retry: map.mapping("retries", report).and_then(|inside| retries::read(inside, report)),
        request_headers: Box::default(),
        response_headers: Box::default(),
        rewrite: None,
        cors: map.mapping("corsPolicy", report).map(|inside| action::read_cors(inside, report)),
        response_classes: Box::default(),
    };
    let (request, response) = action::read_headers(&mut map, report);
    let (delay, abort) = match map.mapping("fault", report) {
        Some(inside) => action::read_fault(inside, report),
        None => (None, None),
    };
    let mirrors = read_mirrors(&mut map, report);
    let rewrite = map.mapping("rewrite", report).map(|inside| action::read_rewrite(inside, report));
    let destinations = read_destinations(&mut map, report);
    // Those that cannot be read have been reported.
    let leads = map.peek("route").is_some_and(|node| !node.is_null() && !is_empty(node));
    let redirect =
        map.mapping("redirect", report).map(|inside| action::read_redirect(inside, report));
    let direct = map
        .mapping("directResponse", report)
        .and_then(|inside| action::read_direct(inside, report));
    map.finish(report);
    let ways = usize::from(leads) + usize::from(redirect.is_some()) + usize::from(direct.is_some());
    if ways != 1 {
        report.error(
            node.position,
            "one-way-to-go",
            format!("a route must have one of route, redirect, directResponse and delegate, but has {ways}"),
            "write route: [{destination: {host: …}}]",
        );
        return;
    }
    if directives.cors.is_some() && !leads {
        report.error(
            node.position,
            "cors-beside-answer",
            "corsPolicy stands beside a redirect or directResponse, which gets no such headers",
            "write the headers themselves: headers: {response: {set: {access-control-allow-origin: …}}}",
        );
    }
    // What a path becomes depends on the match that was met.
    let by_match = rewrite.as_ref().is_some_and(|rewrite| rewrite.uri.is_some());
    let alternatives: Vec<Vec<CallMatch>> = if by_match && matches.len() > 1 {
        matches.into_iter().map(|one| vec![one]).collect()
    } else {
        vec![matches]
    };
    for matches in alternatives {
        directives.rewrite = rewrite
            .as_ref()
            .map(|rewrite| rewrite.for_prefix(matches.first().map_or(Some("/"), prefix_of)));
        let action = match (&redirect, &direct) {
            (Some(redirect), _) => Action::Redirect(redirect.clone()),
            (None, Some(direct)) => direct.clone(),
            (None, None) => Action::Forward(
                destinations
                    .iter()
                    .map(|one| one.weighted(&directives, &request, &response))
                    .collect(),
            ),
        };
        routes.push(Route {
            name: name.clone(),
            position: node.position,
            matches,
            rank: Rank::default(),
            action,
            delay,
            abort,
            mirrors: mirrors.clone(),
            answer_headers: response.clone(),
        });
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Sequence(items) if items.is_empty())
}

/// A match without a path matches the prefix `/`.
fn prefix_of(one: &CallMatch) -> Option<&str> {
    match &one.path {
        Some(PathMatch::Text { wanted: TextMatch::Prefix(prefix), .. }) => Some(prefix),
        Some(_) => None,
        None => Some("/"),
    }
}

fn read_delegate(
    mut delegate: Mapping<'_>,
    site: &ReadSite<'_>,
    name: Box<str>,
    matches: Vec<CallMatch>,
    node: &Node,
    report: &mut Report,
) -> Option<Route> {
    let to = delegate.required_text("name", report);
    let namespace = delegate.text("namespace", report).unwrap_or(&site.identity.namespace);
    let action = Action::Delegate(namespace.into(), to?.into());
    delegate.finish(report);
    Some(Route {
        name,
        position: node.position,
        matches,
        rank: Rank::default(),
        action,
        delay: None,
        abort: None,
        mirrors: Vec::new(),
        answer_headers: Vec::new(),
    })
}

/// A destination before its route's directives are known.
struct Read {
    to: Destination,
    weight: u32,
    request: Vec<HeaderEdit>,
    response: Vec<HeaderEdit>,
}

impl Read {
    /// Envoy makes the destination's changes first, then the route's.
    fn weighted(
        &self,
        directives: &Directives,
        request: &[HeaderEdit],
        response: &[HeaderEdit],
    ) -> Weighted {
        let mut directives = directives.clone();
        directives.request_headers = self.request.iter().chain(request).cloned().collect();
        directives.response_headers = self.response.iter().chain(response).cloned().collect();
        Weighted { to: self.to.clone(), weight: self.weight, directives: Arc::new(directives) }
    }
}

fn read_destinations(map: &mut Mapping<'_>, report: &mut Report) -> Vec<Read> {
    let items = map.list("route", report);
    let mut read = Vec::with_capacity(items.len());
    let mut total = 0u64;
    for node in items {
        let Some(mut one) = node.mapping("a destination", report) else { continue };
        let weight = value::count(&mut one, "weight", report).unwrap_or(0);
        let (request, response) = action::read_headers(&mut one, report);
        let to = one.required("destination", report).and_then(|to| read_destination(to, report));
        one.finish(report);
        total += u64::from(weight);
        if let Some(to) = to {
            read.push(Read { to, weight, request, response });
        }
    }
    match read.as_mut_slice() {
        // The only one takes all, whatever its weight is.
        [only] => only.weight = only.weight.max(1),
        [] => {}
        [first, ..] if total == 0 => {
            let host = first.to.host.as_deref().unwrap_or_default().to_owned();
            let at = map.peek("route").map(|node| node.position).unwrap_or_default();
            report.error(
                at,
                "weights-all-zero",
                format!("no destination of this route, {host} and others, has a weight"),
                "give each its weight; Istio refuses this, too",
            );
        }
        _ => {}
    }
    read
}

pub(super) fn read_destination(node: &Node, report: &mut Report) -> Option<Destination> {
    let mut map = node.mapping("destination", report)?;
    let host = map.required_text("host", report);
    let subset = map.text("subset", report).map(Box::from);
    let port = map.mapping("port", report).and_then(|mut inside| {
        let number = value::port(&mut inside, "number", report);
        inside.finish(report);
        number
    });
    map.finish(report);
    let host = host?;
    if host.starts_with('*') {
        let hint = "write a service's or an application's name";
        report.error(node.position, "bad-host", format!("calls cannot go to {host}"), hint);
        return None;
    }
    let host = value::sound_host(host, node.position, report)?;
    Some(Destination { host: Some(host.into()), subset, port })
}

/// `mirror` with `mirrorPercentage`, or `mirrors`.
fn read_mirrors(map: &mut Mapping<'_>, report: &mut Report) -> Vec<(Destination, Percentage)> {
    let mut mirrors = Vec::new();
    let percentage = value::percentage(map, "mirrorPercentage", report);
    if let Some(node) = map.value("mirror") {
        let to = read_destination(node, report);
        mirrors.extend(to.map(|to| (to, percentage.unwrap_or(Percentage::ALL))));
    }
    let items = map.list("mirrors", report);
    if let Some(first) = items.first().filter(|_| !mirrors.is_empty() || percentage.is_some()) {
        report.error(
            first.position,
            "one-way-to-mirror",
            "mirror and mirrors cannot both be there",
            "write all of them under mirrors",
        );
    }
    for node in items {
        let Some(mut one) = node.mapping("a mirror", report) else { continue };
        let share = value::percentage(&mut one, "percentage", report);
        let to = one.required("destination", report).and_then(|to| read_destination(to, report));
        mirrors.extend(to.map(|to| (to, share.unwrap_or(Percentage::ALL))));
        one.finish(report);
    }
    if mirrors.len() > MAX_MIRRORS {
        value::too_many(map.position(), "mirrors", mirrors.len(), MAX_MIRRORS, report);
    }
    mirrors
}

/// A `rewrite` before the prefix that it replaces is known.
pub(super) struct WrittenRewrite {
    pub(super) authority: Option<Box<str>>,
    pub(super) uri: Option<Box<str>>,
    pub(super) regex: Option<PathRewrite>,
}

impl WrittenRewrite {
    /// `uri` replaces what was matched by prefix, or else the path.
    fn for_prefix(&self, prefix: Option<&str>) -> crate::directives::Rewrite {
        let path = self.regex.clone().or_else(|| {
            let replacement = self.uri.clone()?;
            Some(match prefix {
                Some(matched) => PathRewrite::Prefix { matched: matched.into(), replacement },
                None => PathRewrite::Full(replacement),
            })
        });
        crate::directives::Rewrite { authority: self.authority.clone(), path }
    }
}
