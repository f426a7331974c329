//! What is spoken over HTTP.

use ::http::HeaderMap;
use ::http::header::CONTENT_TYPE;

use crate::triple;

/// How calls over HTTP are made, known by the request's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// A resource and a method; the status tells how it went.
    Plain,
    /// A service and a method in the path; the status stands in the trailers
    /// (gRPC over HTTP/2, section "Requests").
    Grpc,
    /// gRPC with Dubbo 3's words in it; see [`crate::triple`].
    Triple,
}

impl Dialect {
    /// The dialect of a request with these headers.
    pub fn of(headers: &HeaderMap) -> Dialect {
        let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        // The subtype ends here, or a format follows: application/grpc+proto.
        // gRPC-Web (application/grpc-web) has its own form of trailers.
        match content_type.strip_prefix(b"application/grpc") {
            Some([] | [b'+' | b';' | b' ', ..]) => match triple::is_triple(headers) {
                true => Dialect::Triple,
                false => Dialect::Grpc,
            },
            _ => Dialect::Plain,
        }
    }

    /// Whether calls are made as gRPC makes them: over HTTP/2, the status in the
    /// trailers.
    pub fn is_grpc(self) -> bool {
        matches!(self, Dialect::Grpc | Dialect::Triple)
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn the_content_type_tells() {
        for (content_type, dialect) in [
            ("application/grpc", Dialect::Grpc),
            ("application/grpc+proto", Dialect::Grpc),
            ("application/grpc;charset=utf-8", Dialect::Grpc),
            ("application/grpc-web", Dialect::Plain),
            ("application/grpcx", Dialect::Plain),
            ("application/json", Dialect::Plain),
            ("", Dialect::Plain),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(Dialect::of(&headers), dialect, "{content_type:?}");
        }
        assert_eq!(Dialect::of(&HeaderMap::new()), Dialect::Plain);
    }

    #[test]
    fn triple_is_grpc_with_words_of_its_own() {
        for name in [triple::APPLICATION, triple::VERSION, triple::GROUP] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("x"));
            assert_eq!(Dialect::of(&headers), Dialect::Plain);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
            assert_eq!(Dialect::of(&headers), Dialect::Triple);
        }
    }
}
