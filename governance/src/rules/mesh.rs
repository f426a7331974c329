//! Dubbo's mesh rules: `<provider application>.MESHAPPRULE`, VirtualServices and
//! DestinationRules in one document each, separated by `---`.
//!
//! Semantics: Dubbo 3.3.6, `MeshRuleRouter`, `DubboMatchRequest` and their
//! like. How they run: [`crate::route`].

use crate::document::{Mapping, Node, Position, Report, Resolved, parse_all};
use crate::rules::Compat;
use crate::rules::head::java_text;
use crate::rules::split;
use crate::rules::string_match::StringMatch;

/// The mesh rules of one application.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct MeshRule {
    /// The routes of all VirtualServices, each VirtualService's in a list.
    pub(crate) services: Vec<Vec<Route>>,
    /// The subsets of all DestinationRules.
    pub(crate) subsets: Vec<Subset>,
}

/// Routes for some services.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    /// Which services; empty for all.
    pub(crate) services: Vec<StringMatch>,
    pub(crate) details: Vec<Detail>,
}

/// Where calls of one kind go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detail {
    pub(crate) position: Position,
    /// All must hold; empty for every call.
    pub(crate) matches: Vec<MatchRequest>,
    pub(crate) to: Vec<Destination>,
}

/// A destination: a subset, and those to fall back to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Destination {
    pub(crate) subsets: Vec<Box<str>>,
    pub(crate) weight: u32,
}

/// Endpoints with these labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subset {
    pub(crate) name: Box<str>,
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
}

/// What a call must be like.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct MatchRequest {
    pub(crate) name: Option<StringMatch>,
    pub(crate) argument_count: Option<usize>,
    pub(crate) types: Vec<StringMatch>,
    pub(crate) arguments: Vec<ArgumentMatch>,
    pub(crate) source_labels: Vec<(Box<str>, Box<str>)>,
    pub(crate) attachments: Vec<(Box<str>, StringMatch)>,
    /// It asks for a tracing context, of which Java knows none.
    pub(crate) never: bool,
}

/// What an argument must be like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArgumentMatch {
    pub(crate) index: usize,
    pub(crate) value: ValueMatch,
}

/// One of several texts or numbers, or a boolean.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ValueMatch {
    Text(Vec<StringMatch>),
    Number(Vec<NumberMatch>),
    Bool(Option<bool>),
    Nothing,
}

/// `{exact}`, `{range: {start, end}}` (the end excluded) or `{exact, mod}`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct NumberMatch {
    exact: Option<f64>,
    range: Option<(Option<f64>, Option<f64>)>,
    modulo: Option<f64>,
}

impl NumberMatch {
    pub(crate) fn is_match(&self, input: f64) -> bool {
        match (self.exact, self.range, self.modulo) {
            (Some(exact), _, None) => input == exact,
            (_, Some((start, end)), _) => {
                (start.is_some() || end.is_some())
                    && start.is_none_or(|start| input >= start)
                    && end.is_none_or(|end| input < end)
            }
            (Some(exact), None, Some(modulo)) => input % modulo == exact,
            (None, None, _) => false,
        }
    }
}

impl MeshRule {
    /// Reads the documents of an application. `None` when they must not take
    /// effect; why is reported.
    pub(crate) fn read(text: &str, compat: Compat, report: &mut Report) -> Option<MeshRule> {
        let mut rule = MeshRule::default();
        for node in parse_all(text, report)? {
            let Some(mut map) = node.mapping("a mesh rule", report) else { continue };
            map.text("apiVersion", report);
            let name = map
                .mapping("metadata", report)
                .and_then(|mut metadata| metadata.required_text("name", report).map(str::to_owned));
            match name {
                None => {
                    report.error(
                        map.position(),
                        "missing-key",
                        "metadata.name is missing, and the document does not count without",
                        "write metadata: {name: shop/VirtualService}",
                    );
                    continue;
                }
                Some(name) if name.contains('.') => {
                    report.error(
                        map.position(),
                        "other-router",
                        format!(
                            "a name with a dot ({name}) is for another router than the standard one"
                        ),
                        "take the dot out of metadata.name",
                    );
                    continue;
                }
                Some(_) => {}
            }
            let kind = map.required_text("kind", report).unwrap_or_default();
            let spec = map.required("spec", report).and_then(|node| node.mapping("spec", report));
            let Some(mut spec) = spec else { continue };
            match kind {
                "VirtualService" => rule.services.push(read_routes(&mut spec, compat, report)),
                "DestinationRule" => read_subsets(&mut spec, compat, &mut rule.subsets, report),
                other => {
                    report.error(
                        map.position(),
                        "unknown-kind",
                        format!("kind {other} is not known here"),
                        "write VirtualService or DestinationRule",
                    );
                    continue;
                }
            }
            spec.finish(report);
            map.finish(report);
        }
        let is_half = rule.services.is_empty() || rule.subsets.is_empty();
        let is_said = report.findings().iter().any(|finding| finding.code == "mesh-needs-both");
        if is_half && !is_said {
            report.error(
                Position::default(),
                "mesh-needs-both",
                "a VirtualService and a DestinationRule with subsets are both needed",
                "add the other document behind ---",
            );
        }
        Some(rule)
    }
}

fn read_routes(spec: &mut Mapping<'_>, compat: Compat, report: &mut Report) -> Vec<Route> {
    spec.texts("hosts", report);
    let mut routes = Vec::new();
    for node in spec.list("dubbo", report) {
        let Some(mut map) = node.mapping("a route", report) else { continue };
        map.text("name", report);
        let services = matches_of(map.list("services", report), compat, report);
        let mut details = Vec::new();
        for node in map.list("routedetail", report) {
            let Some(mut detail) = node.mapping("a route detail", report) else { continue };
            detail.text("name", report);
            let matches: Vec<MatchRequest> = detail
                .list("match", report)
                .iter()
                .filter_map(|node| read_match(node, compat, report))
                .collect();
            if matches.len() > 1 {
                report.warning(
                    detail.peek("match").map(|node| node.position).unwrap_or_default(),
                    "matches-are-anded",
                    "all items of this match must hold, where Istio asks for one of them",
                    "write one item, or one routedetail for each that shall do",
                );
            }
            let to: Vec<Destination> = detail
                .list("route", report)
                .iter()
                .filter_map(|node| read_destination(node, report))
                .collect();
            let weights: Vec<u32> = to.iter().map(|one| one.weight.max(1)).collect();
            split::warn(&weights, 1, node.position, report);
            details.push(Detail { position: node.position, matches, to });
            detail.finish(report);
        }
        routes.push(Route { services, details });
        map.finish(report);
    }
    routes
}

fn matches_of(nodes: &[Node], compat: Compat, report: &mut Report) -> Vec<StringMatch> {
    nodes.iter().map(|node| StringMatch::read(node, compat, report)).collect()
}

fn read_destination(node: &Node, report: &mut Report) -> Option<Destination> {
    let mut subsets = Vec::new();
    let mut weight = 0;
    let mut next = Some(node);
    while let Some(node) = next.take() {
        let mut map = node.mapping("a destination", report)?;
        let found = map.integer("weight", 0..=u64::from(u32::MAX) / 2, report);
        if subsets.is_empty() {
            weight = u32::try_from(found.unwrap_or(0)).unwrap_or(0);
            if found == Some(0) {
                report.warning(
                    node.position,
                    "weight-zero",
                    "weight 0 counts as 1, so that some calls go there",
                    "leave the destination out",
                );
            }
        }
        let mut inside = map.required("destination", report)?.mapping("destination", report)?;
        inside.text("host", report);
        if let Some(port) = inside.value("port") {
            report.error(
                port.position,
                "port-not-honoured",
                "a destination's port has no effect",
                "name a subset",
            );
        }
        subsets.push(inside.text("subset", report).unwrap_or_default().into());
        next = inside.value("fallback");
        inside.finish(report);
        map.finish(report);
    }
    Some(Destination { subsets, weight })
}

fn read_subsets(
    spec: &mut Mapping<'_>,
    compat: Compat,
    subsets: &mut Vec<Subset>,
    report: &mut Report,
) {
    spec.text("host", report);
    if let Some(policy) = spec.value("trafficPolicy") {
        let severity = report.severity_of_loss(compat);
        report.add(
            severity,
            policy.position,
            "traffic-policy-not-honoured",
            "trafficPolicy has no effect, in Java neither",
            "set loadbalance by a configurator",
        );
    }
    let listed = spec.list("subsets", report);
    if listed.is_empty() {
        report.error(
            spec.position(),
            "mesh-needs-both",
            "this DestinationRule has no subsets: Java throws at it",
            "write subsets: [{name: …, labels: {…}}], or leave it out",
        );
    }
    for node in listed {
        let Some(mut map) = node.mapping("a subset", report) else { continue };
        let name = map.required_text("name", report).unwrap_or_default().into();
        subsets.push(Subset { name, labels: pairs(&mut map, "labels", report) });
        map.finish(report);
    }
}

fn pairs(
    map: &mut Mapping<'_>,
    key: &'static str,
    report: &mut Report,
) -> Vec<(Box<str>, Box<str>)> {
    let Some(inside) = map.mapping(key, report) else { return Vec::new() };
    let text = |node: &Node| -> Box<str> { java_text(node).into() };
    inside.entries().iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn read_match(node: &Node, compat: Compat, report: &mut Report) -> Option<MatchRequest> {
    let mut map = node.mapping("a match", report)?;
    let mut found = MatchRequest::default();
    map.text("name", report);
    refuse_headers(&mut map, compat, report);
    if let Some(mut method) = map.mapping("method", report) {
        let read = |node: &Node, report: &mut Report| StringMatch::read(node, compat, report);
        found.name = method.value("name_match").map(|node| read(node, report));
        found.argument_count =
            method.integer("argc", 0..=255, report).and_then(|count| usize::try_from(count).ok());
        found.types = matches_of(method.list("argp", report), compat, report);
        found.arguments = method
            .list("args", report)
            .iter()
            .filter_map(|node| read_argument(node, compat, report))
            .collect();
        let beyond = found.arguments.iter().any(|argument| {
            argument.index > 0
                && argument.index >= found.argument_count.unwrap_or(0).max(found.types.len())
        });
        if beyond {
            report.warning(
                method.position(),
                "argument-unguarded",
                "in Java a call with fewer arguments than this asks for fails",
                "write argc, or argp, so that only calls with these arguments are compared",
            );
        }
        refuse_headers(&mut method, compat, report);
        method.finish(report);
    }
    found.source_labels = pairs(&mut map, "sourceLabels", report);
    if let Some(mut attachments) = map.mapping("attachments", report) {
        if let Some(context) = attachments.mapping("dubboContext", report) {
            for (key, value) in context.entries() {
                let read = StringMatch::read(value, compat, report);
                found.attachments.push((java_text(key).into(), read));
            }
        }
        if let Some(tracing) = attachments.value("tracingContext") {
            let severity = report.severity_of_loss(compat);
            report.add(
                severity,
                tracing.position,
                "tracing-context",
                "a tracing context is not known, so that this never matches",
                "match an attachment in dubboContext",
            );
            found.never = true;
        }
        attachments.finish(report);
    }
    map.finish(report);
    Some(found)
}

fn refuse_headers(map: &mut Mapping<'_>, compat: Compat, report: &mut Report) {
    if let Some(headers) = map.value("headers") {
        let severity = report.severity_of_loss(compat);
        report.add(
            severity,
            headers.position,
            "headers-not-honoured",
            "headers are not matched, in Java neither",
            "match attachments: {dubboContext: …}",
        );
    }
}

fn read_argument(node: &Node, compat: Compat, report: &mut Report) -> Option<ArgumentMatch> {
    let mut map = node.mapping("an argument match", report)?;
    let index = map.integer("index", 0..=255, report).unwrap_or(0);
    map.text("type", report);
    let mut oneof = |key: &'static str, report: &mut Report| -> Option<Vec<Node>> {
        let mut inside = map.mapping(key, report)?;
        let list = inside.list("oneof", report).to_vec();
        inside.finish(report);
        Some(list)
    };
    let texts = oneof("str_value", report);
    let numbers = oneof("num_value", report);
    let value = if let Some(texts) = texts {
        ValueMatch::Text(matches_of(&texts, compat, report))
    } else if let Some(numbers) = numbers {
        ValueMatch::Number(
            numbers.iter().filter_map(|node| read_number(node, compat, report)).collect(),
        )
    } else if let Some(mut inside) = map.mapping("bool_value", report) {
        let value = inside.boolean("exact", report);
        inside.finish(report);
        ValueMatch::Bool(value)
    } else {
        report.error(
            node.position,
            "missing-key",
            "an argument match needs str_value, num_value or bool_value",
            "write str_value: {oneof: [{exact: tom}]}",
        );
        ValueMatch::Nothing
    };
    map.finish(report);
    Some(ArgumentMatch { index: usize::try_from(index).ok()?, value })
}

fn read_number(node: &Node, compat: Compat, report: &mut Report) -> Option<NumberMatch> {
    let mut map = node.mapping("a number match", report)?;
    let number = |map: &mut Mapping<'_>, key: &'static str, report: &mut Report| {
        let value = map.value(key)?;
        match value.scalar().map(|scalar| scalar.resolve()) {
            Some(Resolved::Int(number)) => {
                report.warning(
                    value.position,
                    "number-needs-point",
                    format!("Java passes over {key}: {number}, because it is no double"),
                    format!("write {key}: {number}.0"),
                );
                (compat == Compat::Documented).then_some(number as f64)
            }
            Some(Resolved::Float(number)) => Some(number),
            _ => {
                value.wrong_type(key, "a number", report);
                None
            }
        }
    };
    let mut found = NumberMatch {
        exact: number(&mut map, "exact", report),
        range: None,
        modulo: number(&mut map, "mod", report),
    };
    if let Some(mut range) = map.mapping("range", report) {
        found.range =
            Some((number(&mut range, "start", report), number(&mut range, "end", report)));
        range.finish(report);
    }
    map.finish(report);
    Some(found)
}
