//! Answers that routes give themselves: injected failures, redirects, direct
//! responses, and "there is no such route".

use std::borrow::Cow;
use std::time::Duration;

use codec::fault::Answer;
use codec::{Fault, HttpRequest, Reason};

use crate::decide::none_left;
use crate::directives::{HeaderEdit, PathRewrite};
use crate::rules::resource::Resource;
use crate::rules::resource::route::{Abort, Redirect, RedirectPort, Route};

use super::matches::Asked;
use super::run::Routed;

/// A route's own answer.
pub(super) struct Stop {
    reason: Reason,
    /// What the route does, behind "it".
    pub(super) says: String,
    answer: Answer,
}

impl Stop {
    /// The same, with the headers that the route has an answer changed to.
    pub(super) fn with_headers(mut self, edits: &[HeaderEdit]) -> Self {
        let headers = &mut self.answer.headers;
        for edit in edits {
            let (name, value) = match edit {
                HeaderEdit::Remove(name) => (name, None),
                HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value) => (name, Some(value)),
            };
            if !matches!(edit, HeaderEdit::Add(..)) {
                headers.retain(|(there, _)| !there.eq_ignore_ascii_case(name));
            }
            if let Some(value) = value {
                headers.push((Cow::Owned(name.to_ascii_lowercase()), value.to_string()));
            }
        }
        self
    }

    pub(super) fn into_fault(
        self,
        resource: &Resource,
        route: &Route,
        routed: &Routed<'_>,
    ) -> Fault {
        let detail = format!(
            "{} line {} {} for {} of {}",
            resource.label,
            route.position.line,
            self.says,
            routed.call.method,
            routed.service.name(),
        );
        Fault::new(self.reason, detail, "change the rule, or ask for something else")
            .with_answer(self.answer)
    }
}

pub(super) fn aborted(abort: Abort, delay: Option<Duration>) -> Stop {
    let mut answer = Answer { delay, ..Answer::default() };
    let says = match abort {
        Abort::Http(status) => {
            answer.http_status = Some(status);
            format!("injects status {status}")
        }
        Abort::Grpc(status) => {
            answer.grpc_status = Some(status);
            format!("injects gRPC status {status}")
        }
    };
    Stop { reason: Reason::Injected, says, answer }
}

pub(super) fn responded(status: u16, body: Option<&[u8]>, delay: Option<Duration>) -> Stop {
    let answer = Answer {
        http_status: Some(status),
        // No body at all, where the route has none.
        body: Some(body.unwrap_or_default().into()),
        delay,
        ..Answer::default()
    };
    Stop { reason: Reason::Answered, says: format!("answers with status {status}"), answer }
}

pub(super) fn redirected(redirect: &Redirect, asked: &Asked<'_>, delay: Option<Duration>) -> Stop {
    let mut answer = Answer {
        http_status: Some(redirect.status),
        body: Some(Box::default()),
        delay,
        ..Answer::default()
    };
    let says = match asked.http() {
        Some(http) => {
            let location = location(redirect, &http);
            let says = format!("redirects to {location}");
            answer.headers.push((Cow::Borrowed("location"), location));
            says
        }
        None => "redirects, which only HTTP can,".to_owned(),
    };
    Stop { reason: Reason::Answered, says, answer }
}

/// No route is about the call. Istio answers 404.
pub(super) fn nothing_matches(first: &Resource, routed: &Routed<'_>) -> Fault {
    let fault = none_left(
        routed.service,
        routed.call,
        (&first.label, first.position.line),
        Reason::NoEndpoint,
        "has no route about it",
    );
    with_status(fault, 404)
}

pub(super) fn with_status(fault: Fault, status: u16) -> Fault {
    fault.with_answer(Answer { http_status: Some(status), ..Answer::default() })
}

/// Where a client is sent.
fn location(redirect: &Redirect, http: &HttpRequest<'_>) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(http.scheme);
    let (own_host, own_port) = split(http.authority);
    let host = redirect.host.as_deref().unwrap_or(own_host);
    let port = match redirect.port {
        RedirectPort::Fixed(port) => Some(port),
        RedirectPort::Request => own_port,
        RedirectPort::Scheme => None,
        RedirectPort::Derived => {
            own_port.filter(|_| redirect.host.is_none() && redirect.scheme.is_none())
        }
    };
    let default = if scheme == "https" { 443 } else { 80 };
    let port = port.filter(|port| *port != default);
    let path = match &redirect.path {
        // What is written with a query replaces the request's.
        Some(PathRewrite::Full(full)) if full.contains('?') => Cow::Borrowed(&**full),
        Some(rewrite) => rewrite.apply(http.path),
        None => Cow::Borrowed(http.path),
    };
    match port {
        Some(port) => format!("{scheme}://{host}:{port}{path}"),
        None => format!("{scheme}://{host}{path}"),
    }
}

/// An authority's host and port.
fn split(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_keeps_what_the_redirect_does_not_say() {
        let http = HttpRequest {
            method: "GET",
            scheme: "http",
            authority: "shop.example:8080",
            path: "/a/b?q=1",
        };
        let of = |redirect: Redirect| location(&redirect, &http);
        let plain = || Redirect { status: 301, ..Redirect::default() };
        assert_eq!(of(plain()), "http://shop.example:8080/a/b?q=1");
        let host = || Some("other".into());
        assert_eq!(of(Redirect { host: host(), ..plain() }), "http://other/a/b?q=1");
        let https = || Some("https".into());
        assert_eq!(of(Redirect { scheme: https(), ..plain() }), "https://shop.example/a/b?q=1");
        let port = |port| Redirect { scheme: https(), port, ..plain() };
        assert_eq!(of(port(RedirectPort::Fixed(443))), "https://shop.example/a/b?q=1");
        assert_eq!(of(port(RedirectPort::Fixed(444))), "https://shop.example:444/a/b?q=1");
        assert_eq!(of(port(RedirectPort::Request)), "https://shop.example:8080/a/b?q=1");
        assert_eq!(of(port(RedirectPort::Scheme)), "https://shop.example/a/b?q=1");
        let path = |path: &str| Redirect { path: Some(PathRewrite::Full(path.into())), ..plain() };
        assert_eq!(of(path("/c")), "http://shop.example:8080/c?q=1");
        assert_eq!(of(path("/c?x")), "http://shop.example:8080/c?x");
    }

    #[test]
    fn an_authority_has_a_port_or_none() {
        assert_eq!(split("a:1"), ("a", Some(1)));
        assert_eq!(split("[::1]"), ("[::1]", None));
        assert_eq!(split("[::1]:2"), ("[::1]", Some(2)));
        assert_eq!(split("a"), ("a", None));
    }
}
