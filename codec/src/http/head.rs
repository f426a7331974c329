//! A request over HTTP, as routing and rules ask for it.

use std::borrow::Cow;
use std::cell::Cell;
use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::HOST;
use ::http::request::Parts;

use super::{Dialect, grpc, grpc_web};
use crate::error::DecodeError;
use crate::head::{Argument, HttpRequest, RequestHead, Target};
use crate::triple::{self, Message};

/// A view of a request's head. Making one costs no allocation, unless the host
/// is written in capitals.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    parts: &'a Parts,
    dialect: Dialect,
    service: Option<Cow<'a, str>>,
    method: &'a str,
    /// Whether its words are Dubbo's.
    is_dubbo: bool,
    /// Of the service; asked for often.
    version: &'a str,
    message: Option<Message<'a>>,
    wants_more: Cell<bool>,
}

impl<'a> Head<'a> {
    /// Of gRPC and Triple, the service and method are the path's last two parts. Of plain
    /// HTTP, the service is the host and the method is HTTP's; unless the path is
    /// `/service/method`, as Triple's calls in JSON have it: they are known by Dubbo's
    /// headers, or because `is_service` knows the service and not the host. A browser's
    /// question whether a page may call by gRPC-Web is for the service that is meant to be
    /// called ([`meant_by_path`]). The host counts
    /// with its port where `is_service` knows it so, and else without; in small letters,
    /// unless `is_service` knows it as it is written.
    pub fn new(parts: &'a Parts, dialect: Dialect, is_service: impl Fn(&str) -> bool) -> Self {
        let head = |service: Option<Cow<'a, str>>, method, is_dubbo| Head {
            parts,
            dialect,
            service: service.filter(|service| !service.is_empty()),
            method,
            is_dubbo,
            version: version(parts, dialect),
            message: None,
            wants_more: Cell::new(false),
        };
        if dialect.is_grpc() {
            let (service, method) = in_path(parts)
                .map_or((None, ""), |(service, method)| (Some(Cow::Borrowed(service)), method));
            return head(service, method, dialect == Dialect::Triple);
        }
        if grpc_web::is_preflight(parts)
            && let Some((service, method)) = meant_by_path(parts, &is_service)
        {
            return head(Some(service.into()), method, false);
        }
        let host = host(parts, &is_service);
        if let Some((service, method)) = triple::json::called(parts.uri.path())
            && (triple::is_triple(&parts.headers)
                || is_service(service) && !host.as_deref().is_some_and(&is_service))
        {
            return head(Some(service.into()), method, true);
        }
        head(host, parts.method.as_str(), false)
    }

    /// The same call, for a service that its path does not name: the path is its method.
    #[must_use]
    pub fn for_service(self, service: Option<Cow<'a, str>>) -> Self {
        let path = self.parts.uri.path();
        let method = path.strip_prefix('/').unwrap_or(path);
        Head { service: service.filter(|service| !service.is_empty()), method, ..self }
    }

    /// The same, of a Triple request of whose body this much has come: as far as its
    /// first message goes, the arguments can be told.
    #[must_use]
    pub fn with_body(self, body: &'a [u8]) -> Self {
        let message = (self.dialect == Dialect::Triple).then(|| Message::new(body));
        Head { message, ..self }
    }

    /// Whether something was asked for that stands where the body has not come yet.
    pub fn wants_more(&self) -> bool {
        self.wants_more.get()
    }

    fn in_message<'s, T>(
        &'s self,
        none: T,
        read: impl FnOnce(&'s Message<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let Some(message) = &self.message else { return Ok(none) };
        let found = read(message);
        if matches!(found, Err(DecodeError::Truncated { .. })) {
            self.wants_more.set(true);
        }
        found
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        joined(&self.parts.headers, name)
    }
}

/// The version that Triple names; a call of gRPC that names one is one of Triple.
fn version(parts: &Parts, dialect: Dialect) -> &str {
    if dialect == Dialect::Grpc {
        return "";
    }
    let version = parts.headers.get(triple::VERSION).and_then(|value| value.to_str().ok());
    version.filter(|version| *version != "0.0.0").unwrap_or_default()
}

/// The service and method that the path names as those of gRPC do.
fn in_path(parts: &Parts) -> Option<(&str, &str)> {
    let (service, method) = parts.uri.path().rsplit_once('/')?;
    Some((service.strip_prefix('/').unwrap_or(service), method))
}

/// The same, of a request that may be meant for its host as well: the path counts, but
/// where `is_service` knows the host and not the path's service.
pub fn meant_by_path(parts: &Parts, is_service: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let (service, method) = in_path(parts)?;
    let is_meant =
        is_service(service) || !host(parts, &is_service).is_some_and(|it| is_service(&it));
    is_meant.then_some((service, method))
}

/// The service that a request names as its host, as [`Head::new`] says.
pub fn host<'a>(parts: &'a Parts, is_service: impl Fn(&str) -> bool) -> Option<Cow<'a, str>> {
    authority(parts).map(|written| match lower(written) {
        _ if is_service(written) => Cow::Borrowed(written),
        authority if is_service(&authority) => authority,
        _ if is_service(without_port(written)) => Cow::Borrowed(without_port(written)),
        Cow::Borrowed(authority) => Cow::Borrowed(without_port(authority)),
        Cow::Owned(mut authority) => {
            authority.truncate(without_port(&authority).len());
            Cow::Owned(authority)
        }
    })
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
pub fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
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
                Dialect::Grpc | Dialect::Triple => "the service in the path",
                Dialect::Plain => "the host",
            };
            return Err(DecodeError::Missing { what });
        };
        Ok(Target { service, method: self.method, version: self.version })
    }

    fn group(&self) -> Result<&str, DecodeError> {
        let group = self.parts.headers.get(triple::GROUP).and_then(|value| value.to_str().ok());
        Ok(group.unwrap_or_default())
    }

    /// A header, whatever its name's case; of Triple, an attachment.
    fn field(&self, name: &str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        Ok(match self.is_dubbo {
            true => triple::fields::field(&self.parts.headers, name),
            false => self.header(name),
        })
    }

    /// Those in Triple's first message, where it was given. Any other body is passed
    /// on, and not read.
    fn argument(&self, index: usize) -> Result<Option<Argument<'_>>, DecodeError> {
        self.in_message(None, |message| message.argument(index))
    }

    fn argument_bytes(&self, index: usize) -> Result<Option<&[u8]>, DecodeError> {
        self.in_message(None, |message| message.argument_bytes(index))
    }

    fn parameter_types(&self) -> Result<&str, DecodeError> {
        self.in_message("", Message::parameter_types)
    }

    fn timeout(&self) -> Option<Duration> {
        match self.dialect {
            Dialect::Grpc | Dialect::Triple => grpc::timeout(&self.parts.headers),
            Dialect::Plain if self.is_dubbo => triple::json::timeout(&self.parts.headers),
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
            ("/a", "Known:80", "Known"),
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
    fn a_call_may_be_for_another_service_than_its_path_says() {
        let parts = parts("POST", "/grpc.health.v1.Health/Check", &[("host", "Shop:1")]);
        let service = host(&parts, |_| false);
        let head = Head::new(&parts, Dialect::Grpc, |_| false).for_service(service);
        let target = head.target().unwrap();
        assert_eq!(target.service, "shop");
        assert_eq!(target.method, "grpc.health.v1.Health/Check");
        let nobody = Head::new(&parts, Dialect::Grpc, |_| false).for_service(None);
        assert!(nobody.target().is_err());
    }

    #[test]
    fn triple_says_version_and_group() {
        let headers = [("tri-service-version", "1.0.0"), ("tri-service-group", "g1")];
        let parts = parts("POST", "/lab.Echo/say", &headers);
        let head = Head::new(&parts, Dialect::Triple, |_| false);
        assert_eq!((head.target().unwrap().version, head.group().unwrap()), ("1.0.0", "g1"));
    }

    #[test]
    fn triple_in_json_is_named_by_its_path() {
        let named = |path, headers: &[(&str, &str)]| {
            let parts = parts("POST", path, headers);
            let head =
                Head::new(&parts, Dialect::Plain, |name| ["lab.Echo", "shop"].contains(&name));
            let user = head.field("remote.application").unwrap().map(Cow::into_owned);
            let target = head.target().unwrap();
            (target.service.to_owned(), target.method.to_owned(), head.timeout(), user)
        };
        let call = |user: Option<&str>, timeout: Option<u64>| {
            let timeout = timeout.map(Duration::from_millis);
            ("lab.Echo".to_owned(), "say".to_owned(), timeout, user.map(str::to_owned))
        };
        assert_eq!(named("/lab.Echo/say", &[("host", "h:1")]), call(None, None));
        let headers = [("host", "h:1"), ("tri-service-timeout", "100")];
        assert_eq!(named("/lab.Echo/say?v=1", &headers), call(None, Some(100)));
        // Whoever says Triple means it.
        let headers = [("host", "shop"), ("tri-consumer-appname", "a")];
        assert_eq!(named("/lab.Echo/say", &headers), call(Some("a"), None));
        // What may be a service of this path and is none.
        for (path, host) in
            [("/lab.Echo/say", "shop"), ("/lab.Other/say", "h:1"), ("/lab.Echo", "h")]
        {
            let (service, method, ..) = named(path, &[("host", host)]);
            assert_eq!((&*service, &*method), (host.split(':').next().unwrap(), "POST"), "{path}");
        }
    }

    #[test]
    fn a_preflight_request_of_grpc_web_is_for_the_service_in_its_path() {
        for (path, host, service) in [
            ("/lab.Echo/Say", "mesh", "lab.Echo"),
            ("/lab.Other/Say", "mesh", "lab.Other"),
            ("/lab.Echo/Say", "shop", "lab.Echo"),
            ("/lab.Other/Say", "shop", "shop"),
            ("/prefix/lab.Other/Say", "mesh", "prefix/lab.Other"),
            ("*", "mesh", "mesh"),
        ] {
            let headers = [("host", host), ("access-control-request-headers", "x-grpc-web")];
            let parts = parts("OPTIONS", path, &headers);
            let is_service = |name: &str| ["lab.Echo", "shop"].contains(&name);
            let head = Head::new(&parts, Dialect::Plain, is_service);
            let target = head.target().unwrap();
            let method = if service == host { "OPTIONS" } else { "Say" };
            assert_eq!((target.service, target.method), (service, method), "{path} {host}");
        }
    }

    #[test]
    fn what_has_not_come_is_wanted() {
        let body = b"\x00\x00\x00\x00\x0f\x0a\x08hessian4\x12\x03\x02no";
        let parts = parts("POST", "/lab.Echo/say", &[]);
        let head =
            |end: usize| Head::new(&parts, Dialect::Triple, |_| false).with_body(&body[..end]);
        let (none, whole) = (head(0), head(body.len()));
        assert!(none.target().is_ok() && !none.wants_more());
        assert!(none.argument(0).is_err() && none.wants_more());
        assert_eq!(whole.argument(0), Ok(Some(Argument::Text("no".into()))));
        assert_eq!(whole.argument(1), Ok(None));
        assert!(!whole.wants_more());
        let grpc = Head::new(&parts, Dialect::Grpc, |_| false).with_body(&[]);
        assert_eq!((grpc.argument(0), grpc.wants_more()), (Ok(None), false));
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
