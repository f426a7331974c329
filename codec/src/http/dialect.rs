//! What is spoken over HTTP.

use ::http::HeaderMap;
use ::http::header::CONTENT_TYPE;

/// How calls over HTTP are made, known by the request's content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// A resource and a method; the status tells how it went.
    Plain,
    /// A service and a method in the path; the status stands in the trailers
    /// (gRPC over HTTP/2, section "Requests").
    Grpc,
}

impl Dialect {
    /// The dialect of a request.
    pub fn of(headers: &HeaderMap) -> Dialect {
        let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        // The subtype ends here, or a format follows: application/grpc+proto.
        // gRPC-Web (application/grpc-web) has its own form of trailers.
        match content_type.strip_prefix(b"application/grpc") {
            Some([] | [b'+' | b';' | b' ', ..]) => Dialect::Grpc,
            _ => Dialect::Plain,
        }
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
}
