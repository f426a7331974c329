//! `http[].match`: which requests.

use super::virtual_service::check_gateways;
use crate::directives::TextMatch;
use crate::document::{Mapping, Node, Report, Value};
use crate::rules::resource::honoured::{Place, refuse};
use crate::rules::resource::route::{CallMatch, HeaderMatch, PathMatch};
use crate::rules::resource::value;

/// How many alternatives one route may have.
const MAX_MATCHES: usize = 1000;

pub(super) fn read_matches(nodes: &[Node], report: &mut Report) -> Vec<CallMatch> {
    if let Some(over) = nodes.get(MAX_MATCHES) {
        value::too_many(over.position, "matches", nodes.len(), MAX_MATCHES, report);
        return Vec::new();
    }
    nodes.iter().filter_map(|node| read_match(node, report)).collect()
}

fn read_match(node: &Node, report: &mut Report) -> Option<CallMatch> {
    let mut map = node.mapping("a match", report)?;
    // A name to find it by; the route's line does that here.
    map.text("name", report);
    let ignore_case = map.boolean("ignoreUriCase", report).unwrap_or(false);
    let mut text = |key, report: &mut Report| {
        map.value(key).and_then(|node| value::string_match(node, false, report))
    };
    let path = text("uri", report).map(|wanted| PathMatch::Text { wanted, ignore_case });
    let (method, scheme) = (text("method", report), text("scheme", report));
    let authority = text("authority", report);
    let headers = read_headers(&mut map, "headers", report);
    let without_headers = read_headers(&mut map, "withoutHeaders", report);
    let query = texts(&mut map, "queryParams", report);
    let source_labels = map
        .text_map("sourceLabels", report)
        .into_iter()
        .map(|(key, label)| (key.into(), label.into()))
        .collect();
    check_gateways(&mut map, report);
    refuse(&mut map, Place::Match, report);
    map.finish(report);
    Some(CallMatch {
        path,
        method,
        scheme,
        authority,
        headers,
        without_headers,
        query,
        source_labels,
        ..CallMatch::default()
    })
}

/// Texts by name; `{}` means that there is one.
fn texts(
    map: &mut Mapping<'_>,
    key: &'static str,
    report: &mut Report,
) -> Vec<(Box<str>, TextMatch)> {
    let Some(node) = map.value(key) else { return Vec::new() };
    let Value::Mapping(entries) = &node.value else {
        node.wrong_type(key, "a mapping (key: value)", report);
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|(name, wanted)| {
            let name = name.text("a name", report)?;
            // `name:` alone is `{}` to Istio.
            if wanted.is_null() {
                return Some((name.into(), TextMatch::Present));
            }
            Some((name.into(), value::string_match(wanted, true, report)?))
        })
        .collect()
}

fn read_headers(map: &mut Mapping<'_>, key: &'static str, report: &mut Report) -> Vec<HeaderMatch> {
    let at = map.peek(key).map(|node| node.position).unwrap_or_default();
    texts(map, key, report)
        .into_iter()
        .map(|(name, wanted)| {
            if name.starts_with(':') || matches!(&*name, "uri" | "scheme" | "method" | "authority")
            {
                report.error(
                    at,
                    "pseudo-header-not-honoured",
                    format!("{name} is not matched in {key}: it is no header"),
                    "match uri, scheme, method and authority beside headers",
                );
            }
            HeaderMatch::new(&name, wanted)
        })
        .collect()
}
