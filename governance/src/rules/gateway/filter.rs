//! `filters` of a rule or backend.

use super::{WrittenPath, read_reference};
use crate::directives::HeaderEdit;
use crate::document::{Mapping, Node, Report};
use crate::rules::istio::{header_name, header_value};
use crate::rules::resource::route::{Destination, Percentage, Redirect, RedirectPort};
use crate::rules::resource::value;

/// What filters say together.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) request: Vec<HeaderEdit>,
    pub(super) response: Vec<HeaderEdit>,
    pub(super) mirrors: Vec<(Destination, Percentage)>,
    /// The authority, and the path.
    pub(super) rewrite: Option<(Option<Box<str>>, Option<WrittenPath>)>,
    pub(super) redirect: Option<(Redirect, Option<WrittenPath>)>,
}

pub(super) fn read(nodes: &[Node], is_http: bool, report: &mut Report) -> Filters {
    let mut filters = Filters::default();
    for node in nodes {
        if report.is_full() {
            break;
        }
        let Some(mut map) = node.mapping("a filter", report) else { continue };
        let kind = map.required_text("type", report).unwrap_or_default();
        match kind {
            "RequestHeaderModifier" => {
                let edits = map.mapping("requestHeaderModifier", report);
                filters.request.extend(edits.into_iter().flat_map(|one| read_edits(one, report)));
            }
            "ResponseHeaderModifier" => {
                let edits = map.mapping("responseHeaderModifier", report);
                filters.response.extend(edits.into_iter().flat_map(|one| read_edits(one, report)));
            }
            "RequestMirror" => {
                let mirror = map.mapping("requestMirror", report);
                filters.mirrors.extend(mirror.and_then(|one| read_mirror(one, report)));
            }
            "URLRewrite" if is_http => {
                let rewrite = map.mapping("urlRewrite", report).map(|mut one| {
                    let host = one.text("hostname", report).map(Box::from);
                    let path = read_path(&mut one, report);
                    one.finish(report);
                    (host, path)
                });
                filters.rewrite = filters.rewrite.or(rewrite);
            }
            "RequestRedirect" if is_http => {
                let redirect =
                    map.mapping("requestRedirect", report).map(|one| read_redirect(one, report));
                filters.redirect = filters.redirect.or(redirect);
            }
            "" => continue,
            other => {
                report.error(
                    node.position,
                    "filter-not-honoured",
                    format!("a filter of type {other} is not honoured"),
                    "write RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, or for \
                     an HTTPRoute RequestRedirect or URLRewrite",
                );
                continue;
            }
        }
        map.finish(report);
    }
    filters
}

fn read_edits(mut map: Mapping<'_>, report: &mut Report) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    for (name, at) in map.texts("remove", report) {
        edits.extend(header_name(name, at, report).map(HeaderEdit::Remove));
    }
    for (key, edit) in [("set", HeaderEdit::Set as fn(_, _) -> _), ("add", HeaderEdit::Add)] {
        for node in map.list(key, report) {
            let Some(mut one) = node.mapping("a header", report) else { continue };
            let name = one.required_text("name", report);
            let text = value::text_or_empty(&mut one, "value", report).unwrap_or_default();
            one.finish(report);
            let name = name.and_then(|name| header_name(name, node.position, report));
            let text = header_value(text, node.position, report);
            edits.extend(name.zip(text).map(|(name, text)| edit(name, text)));
        }
    }
    map.finish(report);
    edits
}

fn read_mirror(mut map: Mapping<'_>, report: &mut Report) -> Option<(Destination, Percentage)> {
    let percent = map.integer("percent", 0..=100, report);
    let fraction = map.mapping("fraction", report).map(|mut inside| {
        let above = inside.integer("numerator", 0..=1_000_000_000, report).unwrap_or(0);
        let below = inside.integer("denominator", 1..=1_000_000_000, report).unwrap_or(100);
        inside.finish(report);
        above.saturating_mul(1_000_000) / below
    });
    let to = map.mapping("backendRef", report).and_then(|mut inside| {
        let to = read_reference(&mut inside, report);
        inside.finish(report);
        to
    });
    let at = map.position();
    map.finish(report);
    let share = match (percent, fraction) {
        (Some(_), Some(_)) => {
            let message = "percent and fraction cannot both be there";
            report.error(at, "one-way-to-mirror", message, "keep one of them");
            None
        }
        (Some(percent), None) => Some(percent * 10_000),
        (None, fraction) => fraction,
    };
    let share = share.map_or(Percentage::ALL, |share| {
        Percentage(u32::try_from(share).unwrap_or(u32::MAX).min(Percentage::ALL.0))
    });
    Some((to?, share))
}

/// `path: {type, replaceFullPath | replacePrefixMatch}`.
fn read_path(map: &mut Mapping<'_>, report: &mut Report) -> Option<WrittenPath> {
    let mut path = map.mapping("path", report)?;
    let full = value::text_or_empty(&mut path, "replaceFullPath", report);
    let prefix = value::text_or_empty(&mut path, "replacePrefixMatch", report);
    let found = match (path.text("type", report), full, prefix) {
        (Some("ReplaceFullPath"), Some(full), None) => Some(WrittenPath::Full(full.into())),
        (Some("ReplacePrefixMatch"), None, Some(prefix)) => {
            Some(WrittenPath::Prefix(prefix.into()))
        }
        _ => {
            let hint = "write ReplaceFullPath with replaceFullPath, ReplacePrefixMatch with replacePrefixMatch";
            let message = "a path's type does not fit its replacement";
            report.error(path.position(), "one-way-to-rewrite", message, hint);
            None
        }
    };
    path.finish(report);
    found
}

fn read_redirect(mut map: Mapping<'_>, report: &mut Report) -> (Redirect, Option<WrittenPath>) {
    let status = map.integer("statusCode", 301..=308, report).unwrap_or(302);
    if matches!(status, 304..=306) {
        let at = map.peek("statusCode").map(|node| node.position).unwrap_or_default();
        report.error(at, "bad-status", format!("{status} sends nobody elsewhere"), "write 302");
    }
    let redirect = Redirect {
        status: u16::try_from(status).unwrap_or(302),
        scheme: map.text("scheme", report).map(Box::from),
        host: map.text("hostname", report).map(Box::from),
        port: value::port(&mut map, "port", report)
            .map_or(RedirectPort::Derived, RedirectPort::Fixed),
        path: None,
    };
    let path = read_path(&mut map, report);
    map.finish(report);
    (redirect, path)
}
