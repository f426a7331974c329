//! What a new connection speaks, told by its first bytes.
//!
//! The bytes are looked at, not taken (`MSG_PEEK`): whoever serves the
//! connection reads them from the plain socket as if nobody had been there, so
//! that no engine needs a way in for bytes read before it came. The price is one
//! system call a connection, and none on a listener that takes one protocol,
//! which does not wait at all.
//!
//! Not here: who serves what (see [`crate::engines`]).

use std::io;
use std::time::Duration;

use codec::dubbo::Dubbo;
use codec::{Detect, FrameCodec};
use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::{Protocol, Timeouts};

/// Bytes looked at: enough for every signature.
const LOOKED_AT: usize = 64;
/// The longest HTTP method that is taken for one.
const LONGEST_METHOD: usize = 32;
/// How many idle times a caller may say nothing, where silence has no meaning: as
/// many as after which [`crate::framed`] gives one up.
const SILENCES: u32 = 3;

/// What was found out about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Detected {
    /// Dubbo's magic.
    Dubbo,
    /// A request line.
    Http1,
    /// The client's preface, without TLS.
    Http2,
    /// A handshake record.
    Tls,
    /// Bytes to be passed on as they are, unread.
    Tcp,
    /// Bytes that nothing here knows.
    Unknown,
    /// Too few bytes to tell, for too long.
    Timeout,
    /// The caller hung up before it could be told.
    Closed,
}

impl Detected {
    /// Every finding, for metrics that must exist before they happen.
    pub(crate) const ALL: [Detected; 8] = [
        Detected::Dubbo,
        Detected::Http1,
        Detected::Http2,
        Detected::Tls,
        Detected::Tcp,
        Detected::Unknown,
        Detected::Timeout,
        Detected::Closed,
    ];

    /// The metric label, stable across versions.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Detected::Dubbo => "dubbo",
            Detected::Http1 => "http1",
            Detected::Http2 => "http2",
            Detected::Tls => "tls",
            Detected::Tcp => "tcp",
            Detected::Unknown => "unknown",
            Detected::Timeout => "timeout",
            Detected::Closed => "closed",
        }
    }
}

/// Whether first bytes are a protocol's.
type Signature = fn(&[u8]) -> Detect;

/// How each protocol's first bytes look. No two can be right about the same ones.
const SIGNATURES: [(Detected, Signature); 4] = [
    (Detected::Dubbo, <Dubbo as FrameCodec>::detect),
    (Detected::Tls, tls),
    (Detected::Http2, http2),
    (Detected::Http1, http1),
];

/// What a listener takes.
#[derive(Debug, Clone)]
pub(crate) struct Takes(SmallVec<[Detected; 4]>);

impl Takes {
    /// What these protocols begin with.
    pub(crate) fn new(protocols: &[Protocol]) -> Self {
        let mut takes = SmallVec::new();
        for protocol in protocols {
            let begins_with = match protocol {
                Protocol::Dubbo => Detected::Dubbo,
                Protocol::Http1 => Detected::Http1,
                Protocol::Http2 | Protocol::Grpc | Protocol::Triple => Detected::Http2,
                Protocol::Tcp => Detected::Tcp,
            };
            if !takes.contains(&begins_with) {
                takes.push(begins_with);
            }
        }
        Takes(takes)
    }

    /// What a connection is served as, if at all.
    pub(crate) fn served_as(&self, found: Detected) -> Option<Detected> {
        let served = if found == Detected::Timeout { Detected::Tcp } else { found };
        self.takes(served).then_some(served)
    }

    fn takes(&self, found: Detected) -> bool {
        self.0.contains(&found)
    }

    /// What everything is, where there is nothing to tell apart.
    fn only(&self) -> Option<Detected> {
        match self.0[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// What these first bytes are; `None` where more are needed. Where everything
    /// else passes as plain TCP, only what the listener takes is told apart;
    /// elsewhere what it does not take shall at least be named.
    fn classify(&self, prefix: &[u8]) -> Option<Detected> {
        let passes_tcp = self.takes(Detected::Tcp);
        let mut undecided = false;
        for (protocol, looks_like) in SIGNATURES {
            if passes_tcp && !self.takes(protocol) {
                continue;
            }
            match looks_like(prefix) {
                Detect::Yes => return Some(protocol),
                Detect::NeedMore => undecided = true,
                Detect::No => {}
            }
        }
        let otherwise = if passes_tcp { Detected::Tcp } else { Detected::Unknown };
        (!undecided).then_some(otherwise)
    }
}

/// Finds out what a new connection speaks, and leaves its bytes where they are.
///
/// Where the listener passes plain TCP, a caller that has said nothing by
/// `timeouts.detect` waits for its server to speak first. Elsewhere it is one that
/// has nothing to say yet, such as a consumer that connects before its first call.
pub(crate) async fn detect(socket: &TcpStream, takes: &Takes, timeouts: &Timeouts) -> Detected {
    if let Some(only) = takes.only() {
        return only;
    }
    let patience = patience(takes, timeouts);
    match timeout(patience, first_bytes(socket, takes)).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Detected::Closed,
        Err(_) => Detected::Timeout,
    }
}

fn patience(takes: &Takes, timeouts: &Timeouts) -> Duration {
    if takes.takes(Detected::Tcp) { timeouts.detect } else { timeouts.heartbeat * SILENCES }
}

async fn first_bytes(socket: &TcpStream, takes: &Takes) -> io::Result<Detected> {
    let mut prefix = [0; LOOKED_AT];
    loop {
        // Asked before the bytes, so that none came after what it says.
        let ended = socket.ready(Interest::READABLE).await?.is_read_closed();
        let count = socket.peek(&mut prefix).await?;
        let prefix = &prefix[..count];
        match takes.classify(prefix) {
            Some(found) => return Ok(found),
            None if ended || count == 0 || count == LOOKED_AT => {
                let passes = takes.takes(Detected::Tcp);
                return Ok(match count {
                    _ if passes => Detected::Tcp,
                    0 => Detected::Closed,
                    _ => Detected::Unknown,
                });
            }
            None => wait_for_more(socket),
        }
    }
}

/// Bytes that were looked at leave the socket readable; what shall wake us is the
/// next ones' arrival, which `epoll` tells of although these are still there.
fn wait_for_more(socket: &TcpStream) {
    let nothing = || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock));
    // It fails as it is told to.
    let _ = socket.try_io(Interest::READABLE, nothing);
}

/// Whether `prefix` begins with `magic`, or may yet.
fn begins_with(prefix: &[u8], magic: &[u8]) -> Detect {
    let compared = prefix.len().min(magic.len());
    match prefix[..compared] == magic[..compared] {
        false => Detect::No,
        true if compared < magic.len() => Detect::NeedMore,
        true => Detect::Yes,
    }
}

/// A record of type handshake and a version 3.x (RFC 8446, section 5.1).
fn tls(prefix: &[u8]) -> Detect {
    begins_with(prefix, &[0x16, 0x03])
}

/// The client's connection preface (RFC 9113, section 3.4).
fn http2(prefix: &[u8]) -> Detect {
    begins_with(prefix, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
}

/// A method, one space, and the start of a request target (RFC 9112, section 3).
/// The target counts, because text protocols have lines of a word, a space and
/// something else: `EHLO name`, `get key`, `CONNECT {…`.
fn http1(prefix: &[u8]) -> Detect {
    let length = prefix.iter().take_while(|byte| is_token(**byte)).count();
    let (method, rest) = prefix.split_at(length);
    match rest {
        _ if length > LONGEST_METHOD => Detect::No,
        [] => Detect::NeedMore,
        // Reserved for what is not HTTP/1 (RFC 9113, section 11.6).
        _ if length == 0 || method == b"PRI" => Detect::No,
        [b' ', target @ ..] => match target {
            [] => Detect::NeedMore,
            [b'/' | b'*', ..] => Detect::Yes,
            [first, ..]
                if method == b"CONNECT" && (first.is_ascii_alphanumeric() || *first == b'[') =>
            {
                Detect::Yes
            }
            _ => begins_with(&target[..target.len().min(4)].to_ascii_lowercase(), b"http"),
        },
        _ => Detect::No,
    }
}

/// A character of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn signature(of: Detected) -> Signature {
        SIGNATURES.iter().find(|(protocol, _)| *protocol == of).expect("a signature").1
    }

    /// What each signature says of the whole; `Yes` and `No` must stand from the
    /// byte on at which they are first said.
    fn told(bytes: &[u8]) -> Vec<Detected> {
        let mut found = Vec::new();
        for (protocol, looks_like) in SIGNATURES {
            let answers: Vec<_> = (0..=bytes.len()).map(|at| looks_like(&bytes[..at])).collect();
            assert_eq!(answers[0], Detect::NeedMore, "{protocol:?} of nothing");
            let decided = answers.iter().position(|answer| *answer != Detect::NeedMore);
            let last = *answers.last().expect("at least one");
            if let Some(at) = decided {
                assert!(
                    answers[at..].iter().all(|answer| *answer == last),
                    "{protocol:?}: {answers:?}"
                );
            }
            if last == Detect::Yes {
                found.push(protocol);
            }
        }
        found
    }

    #[test]
    fn each_protocol_is_told_by_its_own_signature_alone() {
        for (bytes, expected) in [
            (&b"\xda\xbb\xc2\x00\x00"[..], Some(Detected::Dubbo)),
            (b"\x16\x03\x01\x02\x00\x01", Some(Detected::Tls)),
            (PREFACE, Some(Detected::Http2)),
            (b"GET / HTTP/1.1\r\n", Some(Detected::Http1)),
            (b"get /lower HTTP/1.1\r\n", Some(Detected::Http1)),
            (b"M-SEARCH * HTTP/1.1\r\n", Some(Detected::Http1)),
            (b"GET http://a/ HTTP/1.1\r\n", Some(Detected::Http1)),
            (b"GET HTTPS://a/ HTTP/1.1\r\n", Some(Detected::Http1)),
            (b"CONNECT a.example:443 HTTP/1.1\r\n", Some(Detected::Http1)),
            (b"CONNECT [::1]:443 HTTP/1.1\r\n", Some(Detected::Http1)),
            (b"PRI / HTTP/1.1\r\n", None),
            (b" GET / HTTP/1.1\r\n", None),
            (b"GET\t/ HTTP/1.1\r\n", None),
            (b"EHLO client.example\r\n", None),
            (b"get hotel\r\n", None),
            (b"CONNECT {\"verbose\":false}\r\n", None),
            (b"SSH-2.0-OpenSSH_9.2\r\n", None),
            (b"*1\r\n$4\r\nPING\r\n", None),
            (b"ONE-WORD-THAT-IS-LONGER-THAN-ANY-METHOD / HTTP/1.1\r\n", None),
            (b"\x00\x00\x00", None),
            (b"\x15\x03\x01", None),
            (b"\x16\x02\x01", None),
            (b"\xda\xba", None),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(told(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_signature_fits_into_what_is_looked_at() {
        let longest = [&[b'A'; LONGEST_METHOD][..], b" http"].concat();
        for (of, bytes) in [(Detected::Http2, PREFACE), (Detected::Http1, &longest)] {
            assert!(bytes.len() <= LOOKED_AT);
            assert_eq!(signature(of)(bytes), Detect::Yes);
        }
        assert_eq!(http1(&[b'A'; LOOKED_AT]), Detect::No);
    }

    #[test]
    fn a_listener_tells_apart_what_it_takes() {
        let dubbo_or_tcp = Takes::new(&[Protocol::Dubbo, Protocol::Tcp]);
        assert_eq!(dubbo_or_tcp.classify(b""), None);
        assert_eq!(dubbo_or_tcp.classify(b"\xda"), None);
        assert_eq!(dubbo_or_tcp.classify(b"\xda\xbb"), Some(Detected::Dubbo));
        // What it does not take is not waited for.
        for other in [&b"G"[..], b"\x16", b"P", b"\x00"] {
            assert_eq!(dubbo_or_tcp.classify(other), Some(Detected::Tcp), "{other:?}");
        }
        // Without plain TCP, it is named, to be refused under its name.
        let neither = Takes(SmallVec::from_slice(&[Detected::Dubbo, Detected::Http2]));
        assert_eq!(neither.classify(b"\x16"), None);
        assert_eq!(neither.classify(b"\x16\x03"), Some(Detected::Tls));
        assert_eq!(neither.classify(b"GET /"), Some(Detected::Http1));
        assert_eq!(neither.classify(b"\x00"), Some(Detected::Unknown));
    }

    #[test]
    fn one_protocol_leaves_nothing_to_tell() {
        assert_eq!(Takes::new(&[Protocol::Dubbo]).only(), Some(Detected::Dubbo));
        assert_eq!(Takes::new(&[Protocol::Tcp, Protocol::Tcp]).only(), Some(Detected::Tcp));
        assert_eq!(Takes::new(&[Protocol::Dubbo, Protocol::Tcp]).only(), None);
    }

    /// What was looked at stays readable; that must not wake us on and on.
    #[tokio::test]
    async fn half_a_signature_is_waited_on_without_turning_round() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let mut caller = TcpStream::connect(address).await.expect("it listens");
        let (socket, _) = listener.accept().await.expect("a caller");
        let takes = Takes::new(&[Protocol::Dubbo, Protocol::Tcp]);
        caller.write_all(b"\xda").await.expect("it takes a byte");
        let mut found = std::pin::pin!(first_bytes(&socket, &takes));
        let mut polls = 0;
        let counted = std::future::poll_fn(|cx| {
            polls += 1;
            found.as_mut().poll(cx)
        });
        assert!(timeout(Duration::from_millis(50), counted).await.is_err());
        assert!(polls < 5, "{polls}");
        caller.write_all(b"\xbb").await.expect("it takes another byte");
        let found = timeout(Duration::from_secs(5), found).await.expect("it is woken");
        assert_eq!(found.expect("no error"), Detected::Dubbo);
    }

    #[test]
    fn only_plain_tcp_gives_silence_a_meaning() {
        let timeouts = Timeouts::default();
        let wait = |protocols: &[Protocol]| patience(&Takes::new(protocols), &timeouts);
        assert_eq!(wait(&[Protocol::Dubbo, Protocol::Tcp]), timeouts.detect);
        assert_eq!(wait(&[Protocol::Dubbo]), timeouts.heartbeat * 3);
    }
}
