//! `matches` of an HTTPRoute.

use crate::directives::TextMatch;
use crate::document::{Mapping, Node, Report};
use crate::rules::resource::route::{CallMatch, HeaderMatch, PathMatch, Rank};
use crate::rules::resource::value;

/// The rank of a rule without a match: every path has the prefix `/`.
pub(super) const ANY: Rank = [0, 1, 0, 0, 0];

/// Exact paths go before prefixes, the longer prefix first, and those before
/// expressions; then methods, then the more headers, then the more parameters.
pub(super) fn read(node: &Node, report: &mut Report) -> Option<(CallMatch, Rank)> {
    let mut map = node.mapping("a match", report)?;
    let (path, kind, length) = match map.mapping("path", report) {
        Some(inside) => read_path(inside, report)?,
        None => (None, 0, 1),
    };
    let method = map.text("method", report).map(|method| TextMatch::Exact(method.into()));
    let headers = read_headers(&mut map, report);
    let query: Vec<(Box<str>, TextMatch)> = pairs(&mut map, "queryParams", report);
    map.finish(report);
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let rank = [
        kind,
        count(length),
        u32::from(method.is_some()),
        count(headers.len()),
        count(query.len()),
    ];
    Some((CallMatch { path, method, headers, query, ..CallMatch::default() }, rank))
}

fn read_path(mut map: Mapping<'_>, report: &mut Report) -> Option<(Option<PathMatch>, u32, usize)> {
    let at = map.position();
    let kind = map.text("type", report).unwrap_or("PathPrefix");
    let path = map.text("value", report).unwrap_or("/");
    map.finish(report);
    if kind != "RegularExpression" && !path.starts_with('/') {
        let message = format!("the path is {path:?}, but must start with a slash");
        report.error(at, "bad-path", message, "write /…");
        return None;
    }
    let text = |wanted| Some(PathMatch::Text { wanted, ignore_case: false });
    Some(match kind {
        "Exact" => (text(TextMatch::Exact(path.into())), 3, path.len()),
        "RegularExpression" => {
            (text(TextMatch::Regex(value::whole_regex(path, at, report)?)), 1, path.len())
        }
        "PathPrefix" => match path.trim_end_matches('/') {
            "" => (None, 0, 1),
            prefix => (Some(PathMatch::Elements(prefix.into())), 2, prefix.len()),
        },
        other => {
            let hint = "write Exact, PathPrefix or RegularExpression";
            report.error(at, "unknown-word", format!("type is {other:?}"), hint);
            return None;
        }
    })
}

/// Of headers with the same name the first counts, as the specification says.
pub(super) fn read_headers(map: &mut Mapping<'_>, report: &mut Report) -> Vec<HeaderMatch> {
    let pairs = pairs(map, "headers", report);
    pairs.into_iter().map(|(name, wanted)| HeaderMatch::new(&name, wanted)).collect()
}

fn pairs(
    map: &mut Mapping<'_>,
    key: &'static str,
    report: &mut Report,
) -> Vec<(Box<str>, TextMatch)> {
    let mut pairs: Vec<(Box<str>, TextMatch)> = Vec::new();
    for node in map.list(key, report) {
        if let Some((name, wanted)) = read_pair(node, report) {
            if pairs.iter().take(MAX_PAIRS).any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
                let message = format!("{name} stands here a second time, and does not count");
                report.warning(node.position, "match-twice", message, "keep one of them");
                continue;
            }
            pairs.push((name, wanted));
        }
    }
    if pairs.len() > MAX_PAIRS {
        value::too_many(map.position(), key, pairs.len(), MAX_PAIRS, report);
    }
    pairs
}

/// How many headers, or parameters, one match may have (the specification's 16).
const MAX_PAIRS: usize = 16;

/// `{type, name, value}`.
fn read_pair(node: &Node, report: &mut Report) -> Option<(Box<str>, TextMatch)> {
    let mut map = node.mapping("a match", report)?;
    let name = map.required_text("name", report);
    let text = value::text_or_empty(&mut map, "value", report);
    let kind = map.text("type", report).unwrap_or("Exact");
    map.finish(report);
    let Some(text) = text else {
        report.error(node.position, "missing-key", "value is missing", "write value: …");
        return None;
    };
    let wanted = match kind {
        "Exact" => TextMatch::Exact(text.into()),
        "RegularExpression" => TextMatch::Regex(value::whole_regex(text, node.position, report)?),
        other => {
            let hint = "write Exact or RegularExpression";
            report.error(node.position, "unknown-word", format!("type is {other:?}"), hint);
            return None;
        }
    };
    Some((name?.into(), wanted))
}
