//! From one connection to the next: what a head says of its own connection is
//! not passed on (RFC 9110, section 7.6.1), and what the next version of HTTP
//! says elsewhere is said there (RFC 9113, section 8.3).

use ::http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use ::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use ::http::{request, response};

use super::head::authority;
use super::octets::is_token;
use crate::error::DecodeError;

/// The versions of HTTP that differ in their heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What belongs to a connection even where `Connection` does not list it.
const OWN: [HeaderName; 7] = [
    TRANSFER_ENCODING,
    TE,
    UPGRADE,
    EXPECT, // answered here: hyper says 100 when the body is first asked for
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// The protocols that a request over HTTP/1.1 asks the next connection to go on with, where
/// it does (`Connection: upgrade`). HTTP is never among them, whatever stands beside it: an
/// endpoint that took it would be given requests by its caller that no rule has seen ("h2c
/// smuggling"). Nor is what is no protocol's name (RFC 9110, section 7.8).
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !lists(headers, CONNECTION, "upgrade") {
        return None;
    }
    let passed: Vec<&str> = list(headers, UPGRADE).filter(|protocol| may_pass(protocol)).collect();
    if passed.is_empty() {
        return None;
    }
    HeaderValue::from_str(&passed.join(", ")).ok()
}

/// Whether connections may go on with this protocol unread. Of HTTP/2 the names of its
/// drafts (`h2c-14`) are known to servers too.
fn may_pass(protocol: &str) -> bool {
    let (name, version) = protocol.split_once('/').unwrap_or((protocol, "any"));
    let is_h2 = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("h2"));
    let is_name = is_token(name.as_bytes()) && is_token(version.as_bytes());
    is_name && !is_h2 && !name.eq_ignore_ascii_case("http")
}

/// Says again that a connection is to go on with another protocol.
pub fn set_upgrade(headers: &mut HeaderMap, to: HeaderValue) {
    let connection = if headers.contains_key(TE) { "upgrade, te" } else { "upgrade" };
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    headers.insert(UPGRADE, to);
}

/// Takes out of a request what its caller said of its own connection, so that what is put in
/// later cannot be taken out by the caller's listing it. That it takes trailers stays said.
pub fn leave(parts: &mut request::Parts, from: Version) {
    match from {
        Version::Http1 => {
            let trailers = lists(&parts.headers, TE, "trailers");
            strip(&mut parts.headers);
            if trailers {
                parts.headers.insert(TE, HeaderValue::from_static("trailers"));
            }
        }
        // The h2 crate refuses the others; this one is answered here as well.
        Version::Http2 => drop(parts.headers.remove(EXPECT)),
    }
}

/// Makes a request that came by one version ready to go out by another.
///
/// # Errors
/// Where it names no host that HTTP/2 could carry.
pub fn request(parts: &mut request::Parts, from: Version, to: Version) -> Result<(), DecodeError> {
    leave(parts, from);
    match to {
        Version::Http1 => {
            parts.version = ::http::Version::HTTP_11;
            // Who takes trailers says so to each next one (RFC 9110, section 10.1.4).
            if lists(&parts.headers, TE, "trailers") {
                parts.headers.insert(TE, HeaderValue::from_static("trailers"));
                parts.headers.insert(CONNECTION, HeaderValue::from_static("te"));
            } else {
                parts.headers.remove(TE);
            }
            join_cookies(&mut parts.headers);
            // The target's host counts, whatever a Host header says besides it.
            if let Some(authority) = parts.uri.authority() {
                let host = without_user(authority.as_str());
                let host = HeaderValue::from_str(host).map_err(|_| MISSING)?;
                parts.headers.insert(HOST, host);
            }
            let path = parts.uri.path_and_query().cloned();
            parts.uri = path.map_or_else(Uri::default, Uri::from);
        }
        Version::Http2 => {
            parts.version = ::http::Version::HTTP_2;
            let is_whole = parts.uri.authority().is_some() && parts.uri.scheme().is_some();
            if !is_whole {
                let authority = authority(parts).and_then(|text| text.parse::<Authority>().ok());
                let mut whole = ::http::uri::Parts::default();
                whole.scheme = Some(parts.uri.scheme().cloned().unwrap_or(Scheme::HTTP));
                whole.authority = Some(authority.ok_or(MISSING)?);
                let path = parts.uri.path_and_query().cloned();
                whole.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
                parts.uri = Uri::from_parts(whole).map_err(|_| MISSING)?;
            }
            parts.headers.remove(HOST);
        }
    }
    Ok(())
}

/// Makes a response ready to go on to its caller.
pub fn response(parts: &mut response::Parts, from: Version, to: Version) {
    if from == Version::Http1 {
        // What it was cut by counts, whatever it says besides (RFC 9112, section 6.3).
        if parts.headers.contains_key(TRANSFER_ENCODING) {
            parts.headers.remove(CONTENT_LENGTH);
        }
        strip(&mut parts.headers);
    }
    parts.version = match to {
        Version::Http1 => ::http::Version::HTTP_11,
        Version::Http2 => ::http::Version::HTTP_2,
    };
}

const MISSING: DecodeError = DecodeError::Missing { what: "the host" };

/// Takes out what belongs to a connection (RFC 9110, section 7.6.1), and what `Connection`
/// lists.
pub fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        // A caller must not take out what others trust in by listing it.
        let listed: Vec<HeaderName> = list(headers, CONNECTION)
            .filter_map(|name| HeaderName::try_from(name).ok())
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
            .collect();
        for name in listed {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    // Nearly every head has none of them: one look at each name is cheaper than a search
    // for each of these.
    if headers.keys().any(is_own) {
        for name in &OWN {
            headers.remove(name);
        }
    }
}

fn is_own(name: &HeaderName) -> bool {
    matches!(name.as_str().len(), 2 | 6 | 7 | 10 | 14 | 16 | 17) && OWN.contains(name)
}

/// The members of a header that is a list, on however many lines.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',')).map(str::trim)
}

/// Whether a header that is a list has this member, in whatever case.
pub(super) fn lists(headers: &HeaderMap, name: HeaderName, member: &str) -> bool {
    list(headers, name).any(|listed| listed.eq_ignore_ascii_case(member))
}

/// HTTP/2 may send each cookie alone; HTTP/1.1 has one list (RFC 9113, section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (cookies.next(), cookies.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for cookie in headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use ::http::{Request, Response};

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn what_belongs_to_a_connection_is_told_by_its_length_first() {
        assert!(OWN.iter().all(is_own));
    }

    #[test]
    fn what_belongs_to_a_connection_stays_on_it() {
        let mut parts = parts(
            "/a?b",
            &[
                ("host", "h:1"),
                ("connection", "close, X-Mine"),
                ("connection", "host, content-length"),
                ("x-mine", "1"),
                ("x-other", "2"),
                ("content-length", "3"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
            ],
        );
        request(&mut parts, Version::Http1, Version::Http1).unwrap();
        let mut left: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "content-length", "host", "te", "x-other"]);
        assert_eq!(
            (parts.headers[CONNECTION].as_bytes(), parts.headers[TE].as_bytes()),
            (&b"te"[..], &b"trailers"[..])
        );
        assert_eq!(parts.uri, "/a?b");
    }

    #[test]
    fn http_1_becomes_http_2() {
        let headers = [("host", "h:1"), ("te", "deflate, Trailers"), ("x", "1")];
        let mut parts = parts("/a?b", &headers);
        request(&mut parts, Version::Http1, Version::Http2).unwrap();
        assert_eq!(parts.uri, "http://h:1/a?b");
        assert_eq!(parts.headers.get(HOST), None);
        assert_eq!(parts.headers[TE], "trailers");
        let mut nameless = self::parts("/a", &[]);
        assert_eq!(request(&mut nameless, Version::Http1, Version::Http2), Err(MISSING));
    }

    #[test]
    fn http_2_becomes_http_1() {
        let headers = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("host", "evil")];
        let mut parts = parts("https://user@h:1/a?b", &headers);
        request(&mut parts, Version::Http2, Version::Http1).unwrap();
        assert_eq!(parts.uri, "/a?b");
        assert_eq!(parts.headers[HOST], "h:1");
        assert_eq!(parts.headers[COOKIE], "a=1; b=2");
        assert_eq!(
            (parts.headers[CONNECTION].as_bytes(), parts.headers[TE].as_bytes()),
            (&b"te"[..], &b"trailers"[..])
        );
    }

    #[test]
    fn an_absolute_target_counts_more_than_the_host_header() {
        let mut parts = parts("http://real/a", &[("host", "other")]);
        request(&mut parts, Version::Http1, Version::Http1).unwrap();
        assert_eq!(
            (parts.uri.to_string().as_str(), &parts.headers[HOST]),
            ("/a", &"real".parse().unwrap())
        );
    }

    #[test]
    fn an_upgrade_is_one_only_where_the_connection_says_so() {
        let of = |headers: &[(&str, &str)]| upgrade(&parts("/", headers).headers);
        let websocket = Some(HeaderValue::from_static("websocket"));
        assert_eq!(
            of(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]),
            websocket
        );
        assert_eq!(of(&[("upgrade", "websocket")]), None);
        assert_eq!(of(&[("connection", "upgrade")]), None);
    }

    #[test]
    fn no_upgrade_to_http_is_passed_on_whatever_stands_beside_it() {
        for (asked, passed) in [
            ("h2c", None),
            ("H2C", None),
            ("h2", None),
            ("h2c-14", None),
            ("HTTP/2.0", None),
            ("h2c, h2", None),
            ("\"h2c\"", None),
            ("h2c/1 2", None),
            (",", None),
            ("websocket, h2c", Some("websocket")),
            ("h2c,websocket", Some("websocket")),
            ("irc/6.9, h2c, rta/x11", Some("irc/6.9, rta/x11")),
        ] {
            let headers = parts("/", &[("connection", "upgrade"), ("upgrade", asked)]).headers;
            let upgrade = upgrade(&headers);
            assert_eq!(upgrade.as_ref().map(|to| to.to_str().unwrap()), passed, "{asked}");
        }
        let lines = [("connection", "upgrade"), ("upgrade", "x"), ("upgrade", "h2c")];
        assert_eq!(upgrade(&parts("/", &lines).headers), Some(HeaderValue::from_static("x")));
    }

    #[test]
    fn a_response_leaves_its_connection_behind() {
        let response = Response::builder()
            .header("connection", "close")
            .header("transfer-encoding", "chunked")
            .header("trailer", "x");
        let mut parts = response.body(()).unwrap().into_parts().0;
        super::response(&mut parts, Version::Http1, Version::Http2);
        assert_eq!(parts.headers.keys().collect::<Vec<_>>(), ["trailer"]);
        assert_eq!(parts.version, ::http::Version::HTTP_2);
    }
}
