//! How a call over HTTP ended, as health and metrics see it.

use ::http::{HeaderMap, StatusCode};

use super::grpc::{self, Code};
use super::{Dialect, Version};
use crate::fault::Outcome;

/// What a response's head says already; `None` where the end of its body says it
/// (gRPC's trailers).
pub fn of_head(dialect: Dialect, status: StatusCode, headers: &HeaderMap) -> Option<Outcome> {
    match dialect {
        Dialect::Plain => Some(of_status(status)),
        // An answer of no gRPC server: of something in between.
        Dialect::Grpc if status != StatusCode::OK => Some(Outcome::ProviderError),
        Dialect::Grpc => grpc::status(headers).map(of_grpc),
    }
}

/// What the end of a body says, where the head did not. `None` for trailers: the
/// body ended without.
pub fn of_end(trailers: Option<&HeaderMap>) -> Outcome {
    // A gRPC answer without a status is none.
    trailers.and_then(grpc::status).map_or(Outcome::ProviderError, of_grpc)
}

/// A server's 5xx is its failure; a 4xx is an answer that says no.
fn of_status(status: StatusCode) -> Outcome {
    if status.is_server_error() {
        Outcome::ProviderError
    } else if status.is_client_error() {
        Outcome::BusinessException
    } else {
        Outcome::Success
    }
}

/// The codes that a server's gRPC library says, rather than its own code, are its
/// failures. An unhandled exception is UNKNOWN, and so are many codes of
/// applications: an answer.
fn of_grpc(status: u32) -> Outcome {
    const FAILURES: [Code; 6] = [
        Code::DeadlineExceeded,
        Code::ResourceExhausted,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
    ];
    if status == Code::Ok as u32 {
        Outcome::Success
    } else if FAILURES.iter().any(|code| *code as u32 == status) {
        Outcome::ProviderError
    } else {
        Outcome::BusinessException
    }
}

/// The name that metrics and logs have for a call that came in by this version
/// and dialect.
pub fn protocol(dialect: Dialect, version: Version) -> &'static str {
    match (dialect, version) {
        (Dialect::Grpc, _) => "grpc",
        (Dialect::Plain, Version::Http1) => "http1",
        (Dialect::Plain, Version::Http2) => "http2",
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn trailers(status: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(grpc::STATUS, HeaderValue::from_static(status))])
    }

    #[test]
    fn plain_calls_are_told_by_their_status() {
        for (status, outcome) in [
            (200, Outcome::Success),
            (101, Outcome::Success),
            (304, Outcome::Success),
            (404, Outcome::BusinessException),
            (500, Outcome::ProviderError),
            (503, Outcome::ProviderError),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(of_head(Dialect::Plain, status, &HeaderMap::new()), Some(outcome));
        }
    }

    #[test]
    fn grpc_calls_are_told_by_their_trailers() {
        let ok = StatusCode::OK;
        assert_eq!(of_head(Dialect::Grpc, ok, &HeaderMap::new()), None);
        assert_eq!(of_head(Dialect::Grpc, ok, &trailers("0")), Some(Outcome::Success));
        assert_eq!(
            of_head(Dialect::Grpc, StatusCode::BAD_GATEWAY, &trailers("0")),
            Some(Outcome::ProviderError)
        );
        for (status, outcome) in [
            ("0", Outcome::Success),
            ("2", Outcome::BusinessException),
            ("5", Outcome::BusinessException),
            ("12", Outcome::ProviderError),
            ("14", Outcome::ProviderError),
            ("nonsense", Outcome::ProviderError),
        ] {
            assert_eq!(of_end(Some(&trailers(status))), outcome, "{status}");
        }
        assert_eq!(of_end(None), Outcome::ProviderError);
    }
}
