//! How a call over HTTP ended, as health and metrics see it.

use ::http::{HeaderMap, StatusCode};

use super::grpc::{self, Code};
use super::{Dialect, Version};
use crate::fault::Outcome;
use crate::triple;

/// What a response's head says of how its call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All there is to say.
    Final(Outcome),
    /// The end of the body says it: gRPC's trailers. This is what it came to if they
    /// say that all went well.
    AtEnd(Outcome),
}

impl Verdict {
    /// What it is as far as the head tells.
    pub fn so_far(self) -> Outcome {
        match self {
            Verdict::Final(outcome) | Verdict::AtEnd(outcome) => outcome,
        }
    }

    /// How the call ended whose answer's body ended with these trailers; `None` for
    /// without.
    pub fn at_end(self, trailers: Option<&HeaderMap>) -> Outcome {
        match self {
            Verdict::Final(outcome) => outcome,
            // A gRPC answer without a status is none.
            Verdict::AtEnd(ok) => trailers
                .and_then(grpc::status)
                .map_or(Outcome::ProviderError, |status| of_grpc(status, ok)),
        }
    }
}

/// What a response's head says.
pub fn of_head(dialect: Dialect, status: StatusCode, headers: &HeaderMap) -> Verdict {
    let ok = match dialect {
        Dialect::Plain => return Verdict::Final(of_status(status)),
        Dialect::Triple if triple::announces_exception(headers) => Outcome::BusinessException,
        Dialect::Triple | Dialect::Grpc => Outcome::Success,
    };
    if status != StatusCode::OK {
        // An answer of no gRPC server: of something in between; or of a Triple
        // provider that has no such service or method.
        return Verdict::Final(Outcome::ProviderError);
    }
    match grpc::status(headers) {
        Some(status) => Verdict::Final(of_grpc(status, ok)),
        None => Verdict::AtEnd(ok),
    }
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
fn of_grpc(status: u32, ok: Outcome) -> Outcome {
    const FAILURES: [Code; 6] = [
        Code::DeadlineExceeded,
        Code::ResourceExhausted,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
    ];
    if status == Code::Ok as u32 {
        ok
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
        (Dialect::Triple, _) => "triple",
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
            let verdict = of_head(Dialect::Plain, status, &HeaderMap::new());
            assert_eq!(verdict, Verdict::Final(outcome));
        }
    }

    #[test]
    fn grpc_calls_are_told_by_their_trailers() {
        let ok = StatusCode::OK;
        let verdict = of_head(Dialect::Grpc, ok, &trailers("0"));
        assert_eq!(verdict, Verdict::Final(Outcome::Success));
        let verdict = of_head(Dialect::Grpc, StatusCode::BAD_GATEWAY, &trailers("0"));
        assert_eq!(verdict, Verdict::Final(Outcome::ProviderError));
        let verdict = of_head(Dialect::Grpc, ok, &HeaderMap::new());
        for (status, outcome) in [
            ("0", Outcome::Success),
            ("2", Outcome::BusinessException),
            ("5", Outcome::BusinessException),
            ("12", Outcome::ProviderError),
            ("14", Outcome::ProviderError),
            ("nonsense", Outcome::ProviderError),
        ] {
            assert_eq!(verdict.at_end(Some(&trailers(status))), outcome, "{status}");
        }
        assert_eq!(verdict.at_end(None), Outcome::ProviderError);
    }

    #[test]
    fn triple_announces_an_exception_in_the_head() {
        let mut headers = HeaderMap::new();
        for (code, outcome) in [("0", Outcome::Success), ("3", Outcome::BusinessException)] {
            headers.insert(triple::EXCEPTION, HeaderValue::from_static(code));
            let verdict = of_head(Dialect::Triple, StatusCode::OK, &headers);
            assert_eq!(verdict.at_end(Some(&trailers("0"))), outcome);
            assert_eq!(verdict.at_end(Some(&trailers("13"))), Outcome::ProviderError);
        }
    }
}
