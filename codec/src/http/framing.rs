//! Where each HTTP/1.1 request ends, read strictly (RFC 9112).
//!
//! A request that two readers cut at different places lets one caller put words
//! into another's mouth ("request smuggling"). So whatever one reader could take
//! otherwise than the next is refused here, where lenient readers would repair it:
//! lines that end without a carriage return, folded headers, a space before a
//! colon, two lengths, a length beside chunks, codings other than `chunked`.
//!
//! [`Framing`] only watches the bytes go by; the `hyper` crate reads them.

use thiserror::Error;

use super::octets::{HOST, TARGET, VALUE, are_all, is_token};

/// The longest chunk-size line: sixteen digits and some extensions.
const CHUNK_LINE: usize = 256;

/// A request that is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct Refused {
    /// Which of the bytes looked at gave it away.
    pub at: usize,
    /// Why.
    pub why: &'static str,
}

/// Watches one caller's bytes.
#[derive(Debug)]
pub struct Framing {
    state: State,
    /// The start of a line whose end has not come.
    line: Vec<u8>,
    /// The longest line.
    limit: usize,
    head: HeadFacts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    RequestLine,
    Header,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
}

/// What of a head decides where its request ends.
#[derive(Debug, Default)]
struct HeadFacts {
    is_http_10: bool,
    hosts: u32,
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Before the first request. No line may be longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Framing { state: State::RequestLine, line: Vec::new(), limit, head: HeadFacts::default() }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// At the first byte that no strict reader takes. Then there is no next.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let left = rest.len() as u64;
            match self.state {
                State::Body(length) => {
                    at += length.min(left) as usize;
                    self.state = if length > left {
                        State::Body(length - left)
                    } else {
                        self.next_request()
                    };
                }
                State::Chunk(length) => {
                    at += length.min(left) as usize;
                    self.state =
                        if length > left { State::Chunk(length - left) } else { State::ChunkEnd };
                }
                _ => {
                    let limit =
                        if self.state == State::ChunkSize { CHUNK_LINE } else { self.limit };
                    let end = memchr::memchr(b'\n', rest);
                    let taken = end.map_or(rest.len(), |end| end + 1);
                    let refused = |why| Refused { at: at + taken - 1, why };
                    if self.line.len() + taken > limit {
                        return Err(refused("a line is too long"));
                    }
                    if end.is_none() {
                        self.line.extend_from_slice(rest);
                        return Ok(());
                    }
                    if self.line.is_empty() {
                        self.end_of_line(&rest[..taken]).map_err(refused)?;
                    } else {
                        let mut line = std::mem::take(&mut self.line);
                        line.extend_from_slice(&rest[..taken]);
                        self.end_of_line(&line).map_err(refused)?;
                    }
                    at += taken;
                }
            }
        }
        Ok(())
    }

    fn next_request(&mut self) -> State {
        self.head = HeadFacts::default();
        State::RequestLine
    }

    fn end_of_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = line.strip_suffix(b"\r\n").ok_or("a line ends without a carriage return")?;
        self.state = match self.state {
            // Allowed before a request (RFC 9112, section 2.2).
            State::RequestLine if line.is_empty() => State::RequestLine,
            State::RequestLine => {
                self.head.is_http_10 = request_line(line)?;
                State::Header
            }
            State::Header if line.is_empty() => self.end_of_head()?,
            State::Header => {
                let (name, value) = header(line)?;
                self.head.take(name, value)?;
                State::Header
            }
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err("a chunk is longer than its size"),
            State::Trailer if line.is_empty() => self.next_request(),
            State::Trailer => {
                let (name, _) = header(line)?;
                if is_one_of(name, &["content-length", "transfer-encoding", "host"]) {
                    return Err("a trailer says what only a head may say");
                }
                State::Trailer
            }
            state @ (State::Body(_) | State::Chunk(_)) => state,
        };
        Ok(())
    }

    fn end_of_head(&mut self) -> Result<State, &'static str> {
        let head = &self.head;
        if head.hosts == 0 && !head.is_http_10 {
            return Err("there is no Host");
        }
        match (head.length, head.chunked) {
            (Some(_), true) => Err("there are both Content-Length and Transfer-Encoding"),
            (None, true) if head.is_http_10 => Err("HTTP/1.0 has no Transfer-Encoding"),
            (None, true) => Ok(State::ChunkSize),
            (None | Some(0), false) => Ok(self.next_request()),
            (Some(length), false) => Ok(State::Body(length)),
        }
    }
}

impl HeadFacts {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        // Most names are told by their lengths.
        if !matches!(name.len(), 4 | 14 | 17) {
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err("there is more than one Content-Length");
            }
            self.length = Some(decimal(value).ok_or("Content-Length is not a number")?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked {
                return Err("there is more than one Transfer-Encoding");
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err("Transfer-Encoding is not chunked");
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            if self.hosts > 1 || !are_all(HOST, value) {
                return Err("Host is not one host");
            }
        }
        Ok(())
    }
}

/// Whether it is one of HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, &'static str> {
    const BAD: &str = "the request line is not METHOD TARGET VERSION";
    let end = memchr::memchr(b' ', line).ok_or(BAD)?;
    let (method, rest) = (&line[..end], &line[end + 1..]);
    let end = memchr::memchr(b' ', rest).ok_or(BAD)?;
    let (target, version) = (&rest[..end], &rest[end + 1..]);
    has_no_bare(line)?;
    if !is_token(method) || target.is_empty() || !are_all(TARGET, target) {
        return Err(BAD);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(BAD),
    }
}

/// A header's name, and its value without the white space around it.
fn header(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err("a header is folded over two lines");
    }
    let Some(colon) = memchr::memchr(b':', line) else {
        has_no_bare(line)?;
        return Err("a header has no colon");
    };
    let (name, value) = line.split_at(colon);
    if !is_token(name) {
        has_no_bare(line)?;
        return Err("a header's name is no token");
    }
    let value = value.get(1..).unwrap_or_default();
    if !are_all(VALUE, value) {
        has_no_bare(value)?;
        return Err("a header's value has control characters");
    }
    Ok((name, trimmed(value)))
}

fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    has_no_bare(line)?;
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    // Eight bytes' worth, less one digit: larger ones overflow somewhere.
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err("a chunk's size is no hexadecimal number");
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or("a chunk's size is no hexadecimal number")
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// What other readers may take for the end of a line, or of a text.
fn has_no_bare(line: &[u8]) -> Result<(), &'static str> {
    match memchr::memchr2(b'\r', b'\0', line) {
        Some(_) => Err("a carriage return or zero stands inside a line"),
        None => Ok(()),
    }
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /a HTTP/1.1\r\nhost: a:80\r\ncontent-length: 5\r\n\r\n\nGET GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
         5;ext=1\r\nab\n\rd\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nX: \u{e4}\t b \r\n\r\n",
    ];

    /// What is refused, and a word of why.
    const BAD: &[(&str, &str)] = &[
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "carriage return"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "carriage return"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", "carriage return"),
        ("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", "inside a line"),
        ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", "inside a line"),
        ("GET  / HTTP/1.1\r\n", "request line"),
        ("GET /\t HTTP/1.1\r\n", "request line"),
        ("GET / HTTP/1.1 \r\n", "request line"),
        ("GET / HTTP/2.0\r\n", "request line"),
        ("GET /\r\n", "request line"),
        ("G\u{1}T / HTTP/1.1\r\n", "request line"),
        ("GET / HTTP/1.1\r\n\r\n", "no Host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "one host"),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n", "one host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n", "one host"),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n", "one host"),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n", "folded"),
        ("GET / HTTP/1.1\r\n X: a\r\n", "folded"),
        ("GET / HTTP/1.1\r\nHost : a\r\n", "no token"),
        ("GET / HTTP/1.1\r\n: a\r\n", "no token"),
        ("GET / HTTP/1.1\r\nX\u{b}: a\r\n", "no token"),
        ("GET / HTTP/1.1\r\nnocolon\r\n", "no colon"),
        ("GET / HTTP/1.1\r\nX: \u{8}\r\n", "control"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "more than one"),
        ("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n", "not a number"),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n", "not a number"),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n", "not a number"),
        ("POST / HTTP/1.1\r\nContent-Length: 0x1\r\n", "not a number"),
        ("POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n", "not a number"),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n", "not a number"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n", "not chunked"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n", "not chunked"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n", "not chunked"),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "more than one",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "both",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "both",
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"),
    ];

    const BAD_CHUNKS: &[(&str, &str)] = &[
        ("5\nhello\r\n", "carriage return"),
        ("5;a\nb\r\nhello", "carriage return"),
        ("0x5\r\nhello\r\n", "hexadecimal"),
        ("5 \r\nhello\r\n", "hexadecimal"),
        ("-1\r\n", "hexadecimal"),
        ("\r\n", "hexadecimal"),
        ("ffffffffffffffff\r\n", "hexadecimal"),
        ("3\r\nhello\r\n", "longer than its size"),
        ("3\r\nhel\n0\r\n\r\n", "carriage return"),
        ("0\r\nContent-Length: 3\r\n", "only a head"),
        ("0\r\n folded\r\n", "folded"),
    ];

    fn outcome_of(bytes: &[u8], step: usize) -> Result<(), Refused> {
        let mut framing = Framing::new(4096);
        for (piece, part) in bytes.chunks(step).enumerate() {
            framing
                .check(part)
                .map_err(|refused| Refused { at: refused.at + piece * step, ..refused })?;
        }
        assert_eq!((framing.state, framing.line.len()), (State::RequestLine, 0), "it ends whole");
        Ok(())
    }

    #[test]
    fn good_requests_pass_however_they_are_cut() {
        for text in GOOD {
            for step in [1, 2, 3, 7, text.len()] {
                assert_eq!(outcome_of(text.as_bytes(), step), Ok(()), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn ambiguous_requests_are_refused_however_they_are_cut() {
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = BAD_CHUNKS.iter().map(|(text, why)| (format!("{chunked}{text}"), *why));
        for (text, why) in BAD.iter().map(|(text, why)| ((*text).to_owned(), *why)).chain(chunks) {
            let whole = outcome_of(text.as_bytes(), text.len()).unwrap_err();
            assert!(whole.why.contains(why), "{text:?}: {whole}");
            for step in [1, 2, 3, 7] {
                assert_eq!(outcome_of(text.as_bytes(), step), Err(whole), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn no_line_is_kept_beyond_the_limit() {
        let mut framing = Framing::new(100);
        framing.check(&[b'a'; 100]).unwrap();
        assert_eq!(framing.check(b"a").unwrap_err().why, "a line is too long");
        assert!(framing.line.capacity() <= 200);
    }
}
