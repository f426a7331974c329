//! What a route does to calls: headers, faults, rewrites, redirects, direct
//! responses, CORS.

use std::time::Duration;

use codec::http::is_token;

use super::virtual_service::WrittenRewrite;
use crate::directives::{CorsPolicy, HeaderEdit, PathRewrite, TextMatch};
use crate::document::{Mapping, Node, Position, Report, Value};
use crate::rules::resource::honoured::{Place, refuse};
use crate::rules::resource::route::{Abort, Action, Percentage, Redirect, RedirectPort};
use crate::rules::resource::value;

/// `headers: {request: …, response: …}` of a route or destination.
pub(super) fn read_headers(
    map: &mut Mapping<'_>,
    report: &mut Report,
) -> (Vec<HeaderEdit>, Vec<HeaderEdit>) {
    let Some(mut headers) = map.mapping("headers", report) else { return Default::default() };
    let mut side = |key, report: &mut Report| {
        headers.mapping(key, report).map(|one| read_edits(one, report)).unwrap_or_default()
    };
    let edits = (side("request", report), side("response", report));
    headers.finish(report);
    edits
}

/// Removals come first, as in Envoy.
fn read_edits(mut map: Mapping<'_>, report: &mut Report) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    for (name, at) in map.texts("remove", report) {
        edits.extend(header_name(name, at, report).map(HeaderEdit::Remove));
    }
    for (key, edit) in [("set", HeaderEdit::Set as fn(_, _) -> _), ("add", HeaderEdit::Add)] {
        let Some(node) = map.value(key) else { continue };
        let Value::Mapping(entries) = &node.value else {
            node.wrong_type(key, "a mapping (key: value)", report);
            continue;
        };
        for (name, value) in entries {
            let Some(text) = name.text("a header", report) else { continue };
            let name = header_name(text, name.position, report);
            let value = match value.scalar() {
                Some(scalar) => header_value(&scalar.text, value.position, report),
                None => {
                    value.wrong_type(text, "a text", report);
                    None
                }
            };
            edits.extend(name.zip(value).map(|(name, value)| edit(name, value)));
        }
    }
    map.finish(report);
    edits
}

/// A name that can be changed.
pub(crate) fn header_name(name: &str, at: Position, report: &mut Report) -> Option<Box<str>> {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        report.error(
            at,
            "pseudo-header-not-honoured",
            format!("{name} is no header that a route changes"),
            "write rewrite: {authority: …} for the host, {uri: …} for the path",
        );
        return None;
    }
    if !is_token(name.as_bytes()) {
        report.error(
            at,
            "bad-header",
            format!("{name:?} is no header's name"),
            "write letters, digits and hyphens: x-version",
        );
        return None;
    }
    Some(name.into())
}

/// A value; Envoy's variables (`%REQ(x)%`) have no meaning here.
pub(crate) fn header_value(text: &str, at: Position, report: &mut Report) -> Option<Box<str>> {
    if text.contains(['\r', '\n', '\0']) {
        report.error(
            at,
            "bad-header",
            "a header's value cannot have line breaks",
            "write it on one line",
        );
        return None;
    }
    let plain = text.replace("%%", "");
    if plain.contains('%') {
        report.error(
            at,
            "header-variable-not-honoured",
            format!("{text:?} has a variable of Envoy's"),
            "write the value itself, and %% for a percent sign",
        );
        return None;
    }
    Some(text.replace("%%", "%").into())
}

/// What a `fault` injects.
type Faults = (Option<(Duration, Percentage)>, Option<(Abort, Percentage)>);

pub(super) fn read_fault(mut map: Mapping<'_>, report: &mut Report) -> Faults {
    let delay = map.mapping("delay", report).and_then(|mut delay| {
        let share = read_share(&mut delay, report);
        let fixed = value::positive_duration(&mut delay, "fixedDelay", report);
        refuse(&mut delay, Place::Delay, report);
        if fixed.is_none() && !report.has_errors() {
            let hint = "write fixedDelay: 5s";
            report.error(delay.position(), "missing-key", "fixedDelay is missing", hint);
        }
        delay.finish(report);
        Some((fixed?, share))
    });
    let abort = map.mapping("abort", report).and_then(|mut abort| {
        let share = read_share(&mut abort, report);
        let http = abort.integer("httpStatus", 200..=599, report);
        let grpc = abort.value("grpcStatus").and_then(|node| {
            let found = grpc_status(node.text("grpcStatus", report)?);
            if found.is_none() {
                let hint = "write UNAVAILABLE, NOT_FOUND, … or its number";
                report.error(node.position, "bad-status", "grpcStatus is not one of gRPC's", hint);
            }
            found
        });
        let is_there = |key: &&str| abort.peek(key).is_some_and(|node| !node.is_null());
        let found = match (http.and_then(|http| u16::try_from(http).ok()), grpc) {
            (Some(status), None) => Some(Abort::Http(status)),
            (None, Some(status)) => Some(Abort::Grpc(status)),
            // What is wrong with it has been said, or is by `refuse`.
            (None, None) if ["httpStatus", "grpcStatus", "http2Error"].iter().any(is_there) => None,
            (http, _) => {
                let found = if http.is_some() { "two" } else { "none" };
                let message = format!("an abort must have one status, but has {found}");
                let hint = "write one of httpStatus and grpcStatus";
                report.error(abort.position(), "bad-status", message, hint);
                None
            }
        };
        refuse(&mut abort, Place::Abort, report);
        abort.finish(report);
        Some((found?, share))
    });
    map.finish(report);
    (delay, abort)
}

/// How often a fault is injected; never, where nobody says, as in Istio.
fn read_share(map: &mut Mapping<'_>, report: &mut Report) -> Percentage {
    let at = map.position();
    value::percentage(map, "percentage", report).unwrap_or_else(|| {
        if map.peek("percent").is_none_or(Node::is_null) {
            let hint = "write percentage: {value: 100}";
            report.warning(at, "no-percentage", "a fault without a percentage never happens", hint);
        }
        Percentage(0)
    })
}

/// gRPC's statuses, by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn grpc_status(text: &str) -> Option<u16> {
    let number = match text.parse::<usize>() {
        Ok(number) => number,
        Err(_) => GRPC.iter().position(|name| *name == text)?,
    };
    u16::try_from(number).ok().filter(|_| number < GRPC.len())
}

pub(super) fn read_rewrite(mut map: Mapping<'_>, report: &mut Report) -> WrittenRewrite {
    let authority = map.text("authority", report).map(Box::from);
    let uri = map.text("uri", report).map(Box::from);
    let regex = map.mapping("uriRegexRewrite", report).and_then(|mut inside| {
        let at = inside.position();
        let pattern = inside.required_text("match", report);
        let substitution = value::text_or_empty(&mut inside, "rewrite", report).unwrap_or("");
        inside.finish(report);
        let pattern = value::part_regex(pattern?, at, report)?;
        Some(PathRewrite::Regex { pattern, substitution: from_re2(substitution).into() })
    });
    if uri.is_some() && regex.is_some() {
        let at = map.position();
        report.error(
            at,
            "one-way-to-rewrite",
            "uri and uriRegexRewrite are both there",
            "keep one of them",
        );
    }
    map.finish(report);
    WrittenRewrite { authority, uri, regex }
}

/// RE2 writes groups as `\1`; `$` means nothing there.
fn from_re2(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => written.push_str("$$"),
            '\\' => match letters.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    written.push_str("${");
                    written.push(digit);
                    written.push('}');
                }
                Some(other) => written.push(other),
                None => {}
            },
            other => written.push(other),
        }
    }
    written
}

pub(super) fn read_redirect(mut map: Mapping<'_>, report: &mut Report) -> Redirect {
    let status = map.integer("redirectCode", 301..=308, report).unwrap_or(301);
    if matches!(status, 304..=306) {
        let at = map.peek("redirectCode").map(|node| node.position).unwrap_or_default();
        report.error(at, "bad-status", format!("{status} sends nobody elsewhere"), "write 301");
    }
    let fixed = value::port(&mut map, "port", report);
    let port = match (fixed, map.text("derivePort", report)) {
        (Some(port), _) => RedirectPort::Fixed(port),
        (None, Some("FROM_PROTOCOL_DEFAULT")) => RedirectPort::Scheme,
        (None, Some("FROM_REQUEST_PORT")) => RedirectPort::Request,
        (None, None) => RedirectPort::Derived,
        (None, Some(other)) => {
            let at = map.peek("derivePort").map(|node| node.position).unwrap_or_default();
            let hint = "write FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT";
            report.error(at, "unknown-word", format!("derivePort is {other:?}"), hint);
            RedirectPort::Derived
        }
    };
    let redirect = Redirect {
        status: u16::try_from(status).unwrap_or(301),
        scheme: map.text("scheme", report).map(Box::from),
        host: map.text("authority", report).map(Box::from),
        port,
        path: map.text("uri", report).map(|uri| PathRewrite::Full(uri.into())),
    };
    map.finish(report);
    redirect
}

pub(super) fn read_direct(mut map: Mapping<'_>, report: &mut Report) -> Option<Action> {
    let status =
        map.required("status", report).and_then(|node| node.integer("status", 200..=599, report));
    let body = map.mapping("body", report).and_then(|mut body| {
        refuse(&mut body, Place::Body, report);
        let text = value::text_or_empty(&mut body, "string", report);
        body.finish(report);
        text.map(|text| Box::from(text.as_bytes()))
    });
    map.finish(report);
    Some(Action::Respond { status: u16::try_from(status?).ok()?, body })
}

pub(super) fn read_cors(mut map: Mapping<'_>, report: &mut Report) -> CorsPolicy {
    let allow_origins: Box<[TextMatch]> = map
        .list("allowOrigins", report)
        .iter()
        .filter_map(|node| value::string_match(node, false, report))
        .collect();
    let mut names = |key, report: &mut Report| -> Box<[Box<str>]> {
        map.texts(key, report).into_iter().map(|(name, _)| name.into()).collect()
    };
    let policy = CorsPolicy {
        allow_origins,
        allow_methods: names("allowMethods", report),
        allow_headers: names("allowHeaders", report),
        expose_headers: names("exposeHeaders", report),
        max_age: value::duration(&mut map, "maxAge", report),
        allow_credentials: map.boolean("allowCredentials", report).unwrap_or(false),
        forward_unmatched: match map.text("unmatchedPreflights", report) {
            None | Some("UNSPECIFIED" | "FORWARD") => true,
            Some("IGNORE") => false,
            Some(other) => {
                let at = map.peek("unmatchedPreflights").map(|n| n.position).unwrap_or_default();
                let hint = "write FORWARD or IGNORE";
                report.error(at, "unknown-word", format!("unmatchedPreflights is {other:?}"), hint);
                true
            }
        },
    };
    map.finish(report);
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_written_as_this_library_wants_them() {
        assert_eq!(from_re2("/\\1/$x\\\\y\\2"), "/${1}/$$x\\y${2}");
    }

    #[test]
    fn grpc_statuses_have_names_and_numbers() {
        assert_eq!(grpc_status("UNAVAILABLE"), Some(14));
        assert_eq!(grpc_status("5"), Some(5));
        assert_eq!(grpc_status("17"), None);
        assert_eq!(grpc_status("unavailable"), None);
    }
}
