//! The mesh's own answers: to plain HTTP as `application/problem+json`
//! (RFC 9457), to gRPC as a status without a body ("trailers-only"), to Triple as
//! [`triple::answer`] says.

use ::http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::json;

use super::Dialect;
use super::grpc::{self, Code};
use crate::fault::{Answer, Fault, Reason};
use crate::triple;
use crate::value::base64;

/// A fault in the caller's language; as a rule orders it, where one does
/// ([`Fault::answer`]).
pub fn fault(dialect: Dialect, fault: &Fault) -> Response<Bytes> {
    let mut response = match dialect {
        Dialect::Plain => plain(fault),
        Dialect::Grpc => trailers_only(grpc_trailers(fault)),
        Dialect::Triple => trailers_only(triple::answer::trailers(fault)),
    };
    for (name, value) in fault.answer.iter().flat_map(|answer| &answer.headers) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(value))
        {
            match name {
                CONTENT_TYPE => drop(response.headers_mut().insert(name, value)),
                CONTENT_LENGTH => {} // what it is, is not for a rule to say
                _ => drop(response.headers_mut().append(name, value)),
            }
        }
    }
    response
}

fn plain(fault: &Fault) -> Response<Bytes> {
    let Some(answer) = &fault.answer else { return problem(status(fault.reason), fault) };
    let status = ordered_status(answer).unwrap_or_else(|| status(fault.reason));
    let has_no_body = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    let body = match &answer.body {
        None if !has_no_body => return problem(status, fault),
        Some(body) if !has_no_body => Bytes::copy_from_slice(body),
        _ => Bytes::new(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if !has_no_body {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    if !response.body().is_empty() {
        // What Envoy says of such a body, too.
        let text = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, text);
    }
    response
}

/// The HTTP status that a rule orders; a gRPC status has one that says the same.
fn ordered_status(answer: &Answer) -> Option<StatusCode> {
    let status = answer.http_status.or(answer.grpc_status.map(grpc::http_status))?;
    StatusCode::from_u16(status).ok()
}

/// The gRPC status code of a fault, as a rule orders it where one does.
pub(crate) fn code_of(fault: &Fault) -> u16 {
    let ordered = fault
        .answer
        .as_deref()
        .and_then(|answer| answer.grpc_status.or(answer.http_status.map(grpc::code_of_http)));
    ordered.unwrap_or(code(fault.reason) as u16)
}

/// A fault as the trailers of an answer whose head was sent already; `None` where
/// the dialect has no word for it there.
pub fn trailers(dialect: Dialect, fault: &Fault) -> Option<HeaderMap> {
    match dialect {
        Dialect::Plain => None,
        Dialect::Grpc => Some(grpc_trailers(fault)),
        Dialect::Triple => Some(triple::answer::trailers(fault)),
    }
}

/// A head that is all of an answer.
fn trailers_only(trailers: HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = trailers;
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

fn grpc_trailers(fault: &Fault) -> HeaderMap {
    let code = code_of(fault);
    let text = fault.to_string();
    let details = base64::encode(&details(code, &text, fault.reason));
    HeaderMap::from_iter([
        (grpc::STATUS, HeaderValue::from(code)),
        (grpc::MESSAGE, value(&grpc::percent_encoded(&text))),
        // Without padding, as the specification prefers.
        (grpc::DETAILS, value(details.trim_end_matches('='))),
    ])
}

/// The answer to CONNECT, which would make this proxy a way to anywhere.
pub fn connect_refused() -> Response<Bytes> {
    let fault = Fault::new(
        Reason::Denied,
        "CONNECT is not served here",
        "send the request itself; the proxy finds the way",
    );
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &fault);
    let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

/// A fault as plain HTTP, under a status.
pub fn problem(status: StatusCode, fault: &Fault) -> Response<Bytes> {
    let body = json!({
        "status": status.as_u16(),
        "title": title(fault.reason),
        "detail": fault.to_string(),
        "reason": fault.reason.label(),
    });
    let body = Bytes::from(body.to_string());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let length = HeaderValue::from(response.body().len());
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_LENGTH, length),
    ];
    response.headers_mut().extend(headers);
    response
}

/// The HTTP status of a fault.
pub fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::UnknownService => StatusCode::NOT_FOUND,
        Reason::NoEndpoint
        | Reason::Unreachable
        | Reason::AppUnreachable
        | Reason::Overloaded
        | Reason::Injected => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Denied => StatusCode::FORBIDDEN,
        Reason::ConnectionLost => StatusCode::BAD_GATEWAY,
        Reason::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::Unreadable => StatusCode::BAD_REQUEST,
        Reason::RuleFailed | Reason::Answered => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The gRPC status code of a fault.
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::UnknownService => Code::Unimplemented,
        Reason::NoEndpoint
        | Reason::Unreachable
        | Reason::AppUnreachable
        | Reason::ConnectionLost
        | Reason::Injected => Code::Unavailable,
        Reason::Denied => Code::PermissionDenied,
        Reason::Timeout => Code::DeadlineExceeded,
        Reason::Overloaded | Reason::TooLarge => Code::ResourceExhausted,
        Reason::Unreadable | Reason::RuleFailed | Reason::Answered => Code::Internal,
    }
}

fn title(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownService => "unknown service",
        Reason::NoEndpoint => "no endpoint left",
        Reason::Denied => "denied",
        Reason::Unreachable => "no endpoint reachable",
        Reason::AppUnreachable => "application unreachable",
        Reason::ConnectionLost => "connection lost",
        Reason::Timeout => "timed out",
        Reason::Overloaded => "overloaded",
        Reason::TooLarge => "too large",
        Reason::Unreadable => "unreadable request",
        Reason::RuleFailed => "a rule failed",
        Reason::Injected => "failed by a rule",
        Reason::Answered => "answered by a rule",
    }
}

/// A value of printable ASCII.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// `google.rpc.Status` with one `google.rpc.ErrorInfo`, which tells programs the
/// mesh's reason: `{code: 1, message: 2, details: 3 Any{type_url: 1, value: 2}}`,
/// `ErrorInfo{reason: 1, domain: 2}`.
fn details(code: u16, message: &str, reason: Reason) -> Vec<u8> {
    let mut info = Vec::new();
    field(1, reason.label().to_ascii_uppercase().as_bytes(), &mut info);
    field(2, b"spanwire", &mut info);
    let mut any = Vec::new();
    field(1, b"type.googleapis.com/google.rpc.ErrorInfo", &mut any);
    field(2, &info, &mut any);
    let mut status = vec![1 << 3, (code & 0x7f) as u8];
    field(2, message.as_bytes(), &mut status);
    field(3, &any, &mut status);
    status
}

/// A length-delimited protobuf field.
fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_happened_and_what_to_do() {
        let no = Fault::new(Reason::NoEndpoint, "nobody has \"g1\"", "start one");
        let response = fault(Dialect::Plain, &no);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["status"], 503);
        assert_eq!(body["title"], "no endpoint left");
        assert_eq!(body["detail"], "Spanwire [no_endpoint]: nobody has \"g1\"; start one");
        assert_eq!(response.headers()[CONTENT_LENGTH], response.body().len().to_string());
    }

    #[test]
    fn a_grpc_fault_is_a_status_with_details_and_no_body() {
        let late = Fault::new(Reason::Timeout, "100%", "");
        let response = fault(Dialect::Grpc, &late);
        assert_eq!(response.status(), 200);
        assert!(response.body().is_empty());
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], "application/grpc");
        assert_eq!(headers[grpc::STATUS], "4");
        assert_eq!(headers[grpc::MESSAGE], "Spanwire [timeout]: 100%25");
        let mut details = headers[grpc::DETAILS].to_str().unwrap().to_owned();
        while !details.len().is_multiple_of(4) {
            details.push('=');
        }
        let details = base64::decode(&details).unwrap();
        let text = String::from_utf8_lossy(&details);
        assert_eq!(details[..2], [8, 4], "the code");
        for part in ["Spanwire [timeout]: 100%", "google.rpc.ErrorInfo", "TIMEOUT", "spanwire"] {
            assert!(text.contains(part), "{part} in {text:?}");
        }
    }

    #[test]
    fn a_rule_says_what_is_answered() {
        let fault = |answer| Fault::new(Reason::Answered, "it is so", "").with_answer(answer);
        let status =
            |http, grpc| Answer { http_status: http, grpc_status: grpc, ..Answer::default() };
        let said = |dialect, answer| {
            let response = super::fault(dialect, &fault(answer));
            let code =
                response.headers().get(grpc::STATUS).map(|code| code.to_str().unwrap().to_owned());
            (response.status().as_u16(), code)
        };
        assert_eq!(said(Dialect::Plain, status(Some(418), None)), (418, None));
        assert_eq!(said(Dialect::Plain, status(None, Some(5))), (404, None));
        for dialect in [Dialect::Grpc, Dialect::Triple] {
            assert_eq!(said(dialect, status(None, Some(5))), (200, Some("5".to_owned())));
            assert_eq!(said(dialect, status(Some(503), None)), (200, Some("14".to_owned())));
        }
        let answer = Answer {
            headers: vec![("location".into(), "http://b/".to_owned())],
            body: Some(b"moved".as_slice().into()),
            ..status(Some(301), None)
        };
        let response = super::fault(Dialect::Plain, &fault(answer));
        assert_eq!((response.status().as_u16(), &response.body()[..]), (301, &b"moved"[..]));
        assert_eq!(response.headers()["location"], "http://b/");
        assert_eq!(response.headers()[CONTENT_LENGTH], "5");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
        let nothing = Answer { body: Some(Box::default()), ..status(Some(204), None) };
        assert!(super::fault(Dialect::Plain, &fault(nothing)).headers().is_empty());
    }

    #[test]
    fn what_a_rule_orders_is_the_answer() {
        let of = |answer: Answer| Fault::new(Reason::Injected, "a", "b").with_answer(answer);
        let teapot = of(Answer { http_status: Some(418), ..Answer::default() });
        let response = fault(Dialect::Plain, &teapot);
        assert_eq!(response.status(), 418);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let location = vec![("location".into(), "http://other/".to_owned())];
        let elsewhere = of(Answer {
            http_status: Some(307),
            headers: location,
            body: Some(Box::default()),
            ..Answer::default()
        });
        let response = fault(Dialect::Plain, &elsewhere);
        assert_eq!((response.status().as_u16(), response.body().len()), (307, 0));
        assert_eq!(response.headers()["location"], "http://other/");
        let gone = of(Answer {
            http_status: Some(410),
            body: Some(b"gone"[..].into()),
            ..Answer::default()
        });
        assert_eq!(fault(Dialect::Plain, &gone).body(), "gone");
        for (answer, status) in [
            (Answer { grpc_status: Some(5), ..Answer::default() }, "5"),
            (Answer { http_status: Some(404), ..Answer::default() }, "12"),
            (Answer { http_status: Some(503), ..Answer::default() }, "14"),
            (Answer { http_status: Some(418), ..Answer::default() }, "2"),
        ] {
            assert_eq!(fault(Dialect::Grpc, &of(answer)).headers()[grpc::STATUS], status);
        }
    }

    /// `UPDATE=1` writes it.
    #[test]
    fn the_documented_answers_are_the_real_ones() {
        const START: &str = "| Reason | HTTP | gRPC |\n|---|---|---|\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocols.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (before, table) = document.split_once(START).unwrap();
        let end = table.find("\n\n").unwrap();
        let row = |reason: Reason| {
            let status = status(reason).as_u16();
            let code = format!("{:?}", code(reason));
            let code = code.chars().enumerate().fold(String::new(), |mut text, (at, char)| {
                if char.is_uppercase() && at > 0 {
                    text.push('_');
                }
                text.push(char.to_ascii_uppercase());
                text
            });
            format!("| `{}` | {status} | `{code}` |\n", reason.label())
        };
        let rows: String = Reason::ALL.into_iter().map(row).collect();
        let expected = format!("{before}{START}{}{}", rows.trim_end(), &table[end..]);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &expected).unwrap();
        } else {
            assert_eq!(document, expected, "run it with UPDATE=1");
        }
    }

    #[test]
    fn every_reason_has_an_error_in_both_languages() {
        for reason in Reason::ALL {
            let status = status(reason);
            assert!(status.is_client_error() || status.is_server_error(), "{reason:?}");
            assert_ne!(code(reason), Code::Ok, "{reason:?}");
        }
    }
}
