//! The protocols that are measured, each beside the same peers.

use crate::peer::Peer;
use crate::results::Scenario;

/// What the calls of a run are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// Dubbo 2 with Hessian2.
    Dubbo,
    /// gRPC, unary, over HTTP/2 without TLS.
    Grpc,
    /// HTTP/1.1 with connections that are kept.
    Http1,
}

impl Protocol {
    /// All of them, in the order of measuring.
    pub(crate) const ALL: [Protocol; 3] = [Protocol::Dubbo, Protocol::Grpc, Protocol::Http1];

    /// As it is named on the command line, in JSON and in the marks of a page.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Protocol::Dubbo => "dubbo",
            Protocol::Grpc => "grpc",
            Protocol::Http1 => "http1",
        }
    }

    /// As a person reads it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Protocol::Dubbo => "Dubbo",
            Protocol::Grpc => "gRPC, unary",
            Protocol::Http1 => "HTTP/1.1",
        }
    }

    /// The protocol of that name.
    ///
    /// # Errors
    /// When there is none; names those that there are.
    pub(crate) fn parse(key: &str) -> Result<Protocol, String> {
        Protocol::ALL.into_iter().find(|p| p.key() == key).ok_or_else(|| {
            format!("no protocol {key}; there are {}", Protocol::ALL.map(Protocol::key).join(", "))
        })
    }

    /// Whether that is measured of it. HTTP/1.1 has one call at a time on a
    /// connection.
    pub(crate) fn has(self, scenario: Scenario) -> bool {
        match self {
            Protocol::Dubbo => true,
            Protocol::Grpc => scenario != Scenario::Rule,
            Protocol::Http1 => {
                matches!(scenario, Scenario::Single | Scenario::Large | Scenario::Open)
            }
        }
    }

    /// Whether that peer can be measured with it.
    pub(crate) fn is_spoken_by(self, peer: Peer) -> bool {
        match self {
            Protocol::Dubbo => true,
            Protocol::Grpc | Protocol::Http1 => {
                !matches!(peer, Peer::EnvoyAttachment | Peer::SpanwireRule)
            }
        }
    }
}
