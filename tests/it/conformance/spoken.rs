//! The protocols that the suite runs every feature over.

use std::fmt;

use proxy::config::Protocol;

/// One protocol, as callers and servers speak it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoken {
    Dubbo,
    Http1,
    Http2,
    Grpc,
    Triple,
    Tcp,
}

impl Spoken {
    /// All of them, as the table's columns stand.
    pub const ALL: [Spoken; 6] =
        [Spoken::Dubbo, Spoken::Http1, Spoken::Http2, Spoken::Grpc, Spoken::Triple, Spoken::Tcp];

    /// As a configuration has it.
    pub fn protocol(self) -> Protocol {
        match self {
            Spoken::Dubbo => Protocol::Dubbo,
            Spoken::Http1 => Protocol::Http1,
            Spoken::Http2 => Protocol::Http2,
            Spoken::Grpc => Protocol::Grpc,
            Spoken::Triple => Protocol::Triple,
            Spoken::Tcp => Protocol::Tcp,
        }
    }

    /// What a connection's first bytes say.
    pub fn detected(self) -> &'static str {
        match self {
            Spoken::Grpc | Spoken::Triple => "http2",
            other => other.protocol().name(),
        }
    }

    /// The methods that the suite calls; a connection has but one.
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            Spoken::Http1 | Spoken::Http2 => &["POST", "PUT"],
            Spoken::Tcp => &["connect"],
            Spoken::Dubbo | Spoken::Grpc | Spoken::Triple => &["echo", "other"],
        }
    }

    /// Whether a call of it is a stream of HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Spoken::Http2 | Spoken::Grpc | Spoken::Triple)
    }

    /// Whether its status stands in gRPC's terms.
    pub fn is_grpc(self) -> bool {
        matches!(self, Spoken::Grpc | Spoken::Triple)
    }
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.protocol().name())
    }
}
