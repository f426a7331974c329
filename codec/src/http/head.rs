//! A request over HTTP, as routing and rules ask for it.

use std::borrow::Cow;
use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::HOST;
use ::http::request::Parts;

use super::{Dialect, grpc};
use crate::error::DecodeError;
use crate::head::{Argument, HttpRequest, RequestHead, Target};

/// Dubbo 3's words in gRPC's headers (`TripleHeaderEnum`).
const VERSION: &str = "tri-service-version";
const GROUP: &str = "tri-service-group";

/// A view of a request's head. Making one costs no allocation, unless the host
/// is written in capitals.
#[derive(Debug)]
pub struct Head<'a> {
    parts: &'a Parts,
    dialect: Dialect,
    service: Option<Cow<'a, str>>,
    method: &'a str,
}

impl<'a> Head<'a> {
    /// Of gRPC, the service and method are the path's last two parts; of plain
    /// HTTP, the service is the host and the method is HTTP's. The host counts
    /// with its port where `is_service` knows it so, and else without; in small
    /// letters, unless `is_service` knows it as it is written.
    pub fn new(parts: &'a Parts, dialect: Dialect, is_service: impl Fn(&str) -> bool) -> Self {
        let (service, method) = match dialect {
            Dialect::Grpc => match parts.uri.path().rsplit_once('/') {
                Some((service, method)) => {
                    let service = service.strip_prefix('/').unwrap_or(service);
                    ((!service.is_empty()).then_some(Cow::Borrowed(service)), method)
                }
                None => (None, ""),
            },
            Dialect::Plain => {
                let service = authority(parts).map(|authority| {
                    if is_service(authority) {
                        return Cow::Borrowed(authority);
                    }
                    let authority = lower(authority);
                    if is_service(&authority) { authority } else { without_port(authority) }
                });
                (service.filter(|service| !service.is_empty()), parts.method.as_str())
            }
        };
        Head { parts, dialect, service, method }
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        joined(&self.parts.headers, name)
    }
}

/// Host and port that a request is for, as the caller wrote them.
pub fn authority(parts: &Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => parts.headers.get(HOST)?.to_str().ok(),
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The host alone; an IPv6 address keeps its brackets.
fn without_port(authority: Cow<'_, str>) -> Cow<'_, str> {
    let end = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => colon,
        _ => authority.len(),
    };
    match authority {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// The values of a header; several are one list (RFC 9110, section 5.2).
fn joined<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    let mut values = headers.get_all(name).iter();
    let mut text = String::from_utf8_lossy(values.next()?.as_bytes());
    for value in values {
        let text = text.to_mut();
        text.push_str(", ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    Some(text)
}

impl RequestHead for Head<'_> {
    fn target(&self) -> Result<Target<'_>, DecodeError> {
        let Some(service) = &self.service else {
            let what = match self.dialect {
                Dialect::Grpc => "the service in the path",
                Dialect::Plain => "the host",
            };
            return Err(DecodeError::Missing { what });
        };
        let version = self.parts.headers.get(VERSION).and_then(|value| value.to_str().ok());
        let version = version.filter(|version| *version != "0.0.0").unwrap_or_default();
        Ok(Target { service, method: self.method, version })
    }

    fn group(&self) -> Result<&str, DecodeError> {
        let group = self.parts.headers.get(GROUP).and_then(|value| value.to_str().ok());
        Ok(group.unwrap_or_default())
    }

    /// A header, whatever its name's case.
    fn field(&self, name: &str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        Ok(self.header(name))
    }

    /// None: a body is passed on, and not read.
    fn argument(&self, _index: usize) -> Result<Option<Argument<'_>>, DecodeError> {
        Ok(None)
    }

    fn parameter_types(&self) -> Result<&str, DecodeError> {
        Ok("")
    }

    fn timeout(&self) -> Option<Duration> {
        match self.dialect {
            Dialect::Grpc => grpc::timeout(&self.parts.headers),
            Dialect::Plain => None,
        }
    }

    fn is_one_way(&self) -> bool {
        false
    }

    fn http(&self) -> Option<HttpRequest<'_>> {
        let uri = &self.parts.uri;
        Some(HttpRequest {
            method: self.parts.method.as_str(),
            scheme: uri.scheme_str().unwrap_or("http"),
            authority: authority(self.parts).unwrap_or_default(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use ::http::Request;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn plain_requests_are_named_by_their_host() {
        for (uri, host, service) in [
            ("http://shop.example:8080/a", "", "shop.example"),
            ("/a", "Shop.Example:80", "shop.example"),
            ("/a", "named:9000", "named:9000"),
            ("/a", "Named:9000", "named:9000"),
            ("/a", "Known", "Known"),
            ("/a", "[::1]:80", "[::1]"),
            ("/a", "[::1]", "[::1]"),
            ("http://a/", "b", "a"),
        ] {
            let parts = parts("PUT", uri, &[("host", host)]);
            let head =
                Head::new(&parts, Dialect::Plain, |name| ["named:9000", "Known"].contains(&name));
            let target = head.target().unwrap();
            assert_eq!((target.service, target.method), (service, "PUT"), "{uri} {host}");
        }
        let parts = parts("GET", "/a", &[]);
        let head = Head::new(&parts, Dialect::Plain, |_| false);
        assert_eq!(head.target(), Err(DecodeError::Missing { what: "the host" }));
    }

    #[test]
    fn grpc_requests_are_named_by_their_path() {
        for (path, expected) in [
            ("/lab.Echo/Say", Some(("lab.Echo", "Say"))),
            ("/prefix/lab.Echo/Say", Some(("prefix/lab.Echo", "Say"))),
            ("/Say", None),
            ("/", None),
        ] {
            let parts = parts("POST", path, &[("host", "h:1"), ("grpc-timeout", "7m")]);
            let head = Head::new(&parts, Dialect::Grpc, |_| true);
            let target = head.target().ok().map(|target| (target.service, target.method));
            assert_eq!(target, expected, "{path}");
            assert_eq!(head.timeout(), Some(Duration::from_millis(7)));
        }
    }

    #[test]
    fn triple_says_version_and_group() {
        let headers = [(VERSION, "1.0.0"), (GROUP, "g1")];
        let parts = parts("POST", "/lab.Echo/say", &headers);
        let head = Head::new(&parts, Dialect::Grpc, |_| false);
        assert_eq!((head.target().unwrap().version, head.group().unwrap()), ("1.0.0", "g1"));
    }

    #[test]
    fn fields_are_headers_and_http_is_told_whole() {
        let headers = [("x-user", "a"), ("X-User", "b"), ("host", "H:1")];
        let parts = parts("GET", "/p?q=1", &headers);
        let head = Head::new(&parts, Dialect::Plain, |_| false);
        assert_eq!(head.field("X-USER").unwrap().as_deref(), Some("a, b"));
        assert_eq!(head.field("x-other").unwrap(), None);
        let http = HttpRequest { method: "GET", scheme: "http", authority: "H:1", path: "/p?q=1" };
        assert_eq!(head.http(), Some(http));
    }
}
