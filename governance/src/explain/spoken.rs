//! What a written call is spoken in, and what it then has.
//!
//! Rules see calls of every protocol alike; but a call over HTTP has HTTP's own terms
//! beside its service and method, and a plain TCP connection has nothing else.

use crate::document::{Mapping, Report};

/// What a call is spoken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// Dubbo 2.
    Dubbo,
    /// Bolt.
    Bolt,
    /// gRPC.
    Grpc,
    /// Dubbo 3's dialect of gRPC.
    Triple,
    /// HTTP/1.1; also where only `http` is said.
    Http1,
    /// HTTP/2.
    Http2,
    /// A connection, as one call.
    Tcp,
}

impl Spoken {
    const WORDS: [(&'static str, Spoken); 8] = [
        ("dubbo", Spoken::Dubbo),
        ("bolt", Spoken::Bolt),
        ("grpc", Spoken::Grpc),
        ("triple", Spoken::Triple),
        ("http", Spoken::Http1),
        ("http1", Spoken::Http1),
        ("http2", Spoken::Http2),
        ("tcp", Spoken::Tcp),
    ];

    /// Its name in configurations and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Spoken::Dubbo => "dubbo",
            Spoken::Bolt => "bolt",
            Spoken::Grpc => "grpc",
            Spoken::Triple => "triple",
            Spoken::Http1 => "http1",
            Spoken::Http2 => "http2",
            Spoken::Tcp => "tcp",
        }
    }

    /// Whether calls of it are requests over HTTP.
    pub fn is_over_http(self) -> bool {
        !matches!(self, Spoken::Dubbo | Spoken::Bolt | Spoken::Tcp)
    }

    /// Whether HTTP is all that it is: its method is HTTP's, and its service the host.
    pub(super) fn is_plain_http(self) -> bool {
        matches!(self, Spoken::Http1 | Spoken::Http2)
    }

    /// Reads `protocol`; `None` where nobody says.
    pub(super) fn read(map: &mut Mapping<'_>, report: &mut Report) -> Option<Spoken> {
        let word = map.text("protocol", report)?;
        let known = Spoken::WORDS.iter().find(|(known, _)| *known == word);
        if known.is_none() {
            let at = map.peek("protocol").map(|node| node.position).unwrap_or_default();
            let words = Spoken::WORDS.map(|(word, _)| word).join(", ");
            let hint = format!("write one of {words}");
            report.error(at, "unknown-word", format!("protocol is {word:?}"), hint);
        }
        known.map(|(_, spoken)| *spoken)
    }

    /// Reports what a call in this protocol cannot have.
    pub(super) fn check(self, map: &Mapping<'_>, report: &mut Report) {
        let foreign: &[&str] = match self {
            Spoken::Tcp => &[
                "http",
                "attachments",
                "arguments",
                "parameter_types",
                "group",
                "version",
                "timeout_ms",
            ],
            Spoken::Dubbo | Spoken::Bolt => &["http"],
            _ => &[],
        };
        let present = foreign.iter().filter_map(|key| {
            let node = map.peek(key).filter(|node| !node.is_null())?;
            Some((key, node.position))
        });
        for (key, at) in present {
            let message = format!("a call of {} has no {key}", self.name());
            report.error(at, "not-in-protocol", message, format!("leave {key} out"));
        }
    }
}
