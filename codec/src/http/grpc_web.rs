//! gRPC-Web: gRPC as a page in a browser can speak it (grpc/grpc, `doc/PROTOCOL-WEB.md`).
//! Over any version of HTTP, the trailers as the body's last frame, and all of it in base64
//! where the caller wants text.
//!
//! Heads are made those of gRPC over HTTP/2 and back; bodies are translated piece by piece,
//! as they come: [`Decoder`], [`encode`], [`trailer_frame`].
//!
//! Not here: whose calls are translated, and the bodies themselves (`proxy::http::grpc_web`).

use ::http::header::{
    ACCEPT, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TE, TRAILER,
};
use ::http::request::Parts;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;

use super::grpc;
use crate::error::DecodeError;
use crate::value::base64;

/// What clients say beside the content type; endpoints of gRPC do not know it.
pub const MARK: HeaderName = HeaderName::from_static("x-grpc-web");

/// The bit of a frame's first byte that makes it one of trailers.
const TRAILERS: u8 = 0x80;
/// A frame's flags and length.
const FRAME_HEADER: usize = 5;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As gRPC has it.
    Binary,
    /// In base64, in pieces that may be padded each (`application/grpc-web-text`).
    Text,
}

/// What a caller speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// How its messages are written.
    pub request: Encoding,
    /// How it wants its answer.
    pub response: Encoding,
    /// What its messages are in, with the sign before it (`+proto`); empty where it says
    /// nothing.
    format: Box<str>,
}

impl Form {
    /// What the caller of a request with these headers speaks; `None` where it is not
    /// gRPC-Web. The answer is written as `Accept` says, else as the request is.
    pub fn of(headers: &HeaderMap) -> Option<Form> {
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let (request, format) = media_type(content_type)?;
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut accepted = accepted.flat_map(|list| list.split(',')).filter_map(media_type);
        let response = accepted.next().map_or(request, |(encoding, _)| encoding);
        Some(Form { request, response, format: format.into() })
    }
}

/// What a media type of gRPC-Web says.
fn media_type(text: &str) -> Option<(Encoding, &str)> {
    const NAME: &str = "application/grpc-web";
    let (name, rest) = text.trim_start().split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let rest = rest.split(';').next().unwrap_or_default().trim_end();
    let (encoding, rest) = match rest.strip_prefix("-text") {
        Some(rest) => (Encoding::Text, rest.strip_prefix("-base64").unwrap_or(rest)),
        None => (Encoding::Binary, rest),
    };
    (rest.is_empty() || rest.starts_with('+')).then_some((encoding, rest))
}

/// Makes a request's head one of gRPC.
pub fn request(headers: &mut HeaderMap, form: &Form) {
    headers.insert(CONTENT_TYPE, content_type("application/grpc", &form.format));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.remove(MARK);
    if form.request == Encoding::Text {
        headers.remove(CONTENT_LENGTH);
    }
    let accepts_web = |value: &HeaderValue| {
        value.to_str().is_ok_and(|list| list.split(',').any(|one| media_type(one).is_some()))
    };
    if headers.get_all(ACCEPT).iter().any(accepts_web) {
        headers.remove(ACCEPT);
    }
}

/// Makes an answer's head one of gRPC-Web. Returns the trailers that stood in it, because
/// there was nothing else to say: they belong at the end of the body, where a page may read
/// them whatever it may read of heads. `None` for an answer of no gRPC server, which is
/// passed on as it is.
pub fn response(headers: &mut HeaderMap, form: &Form) -> Option<HeaderMap> {
    let said = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let format = match said.strip_prefix(b"application/grpc") {
        // Where it names no format, it is the caller's.
        Some([] | [b';' | b' ', ..]) => form.format.clone(),
        Some(format @ [b'+', ..]) => String::from_utf8_lossy(format).into(),
        _ if headers.contains_key(grpc::STATUS) => form.format.clone(),
        _ => return None,
    };
    let name = match form.response {
        Encoding::Binary => "application/grpc-web",
        Encoding::Text => "application/grpc-web-text",
    };
    headers.insert(CONTENT_TYPE, content_type(name, &format));
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRAILER);
    let mut trailers = HeaderMap::new();
    if headers.contains_key(grpc::STATUS) {
        let moved: Vec<HeaderName> =
            headers.keys().filter(|name| !is_of_http(name)).cloned().collect();
        for name in moved {
            for value in headers.get_all(&name) {
                trailers.append(name.clone(), value.clone());
            }
            headers.remove(name);
        }
    }
    Some(trailers)
}

fn content_type(name: &str, format: &str) -> HeaderValue {
    // It came in a header.
    HeaderValue::from_str(&format!("{name}{format}"))
        .unwrap_or_else(|_| HeaderValue::from_static("application/grpc"))
}

/// Whether a header says something of the answer over HTTP, and not of the call.
fn is_of_http(name: &HeaderName) -> bool {
    const OWN: [&str; 6] = ["date", "server", "vary", "via", "cache-control", "alt-svc"];
    let text = name.as_str();
    text.starts_with("access-control-")
        || text.starts_with("content-")
        || name == SET_COOKIE
        || OWN.contains(&text)
}

/// Whether a browser asks whether a page may call by gRPC-Web (a preflight request, which
/// names the headers that the call would have).
pub fn is_preflight(parts: &Parts) -> bool {
    let headers = || parts.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    parts.method == Method::OPTIONS
        && headers()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .any(|name| name.trim().eq_ignore_ascii_case(MARK.as_str()))
}

/// The frame that carries these trailers.
pub fn trailer_frame(trailers: &HeaderMap) -> Vec<u8> {
    let mut frame = vec![TRAILERS, 0, 0, 0, 0];
    for (name, value) in trailers {
        frame.extend_from_slice(name.as_str().as_bytes());
        frame.extend_from_slice(b": ");
        frame.extend_from_slice(value.as_bytes());
        frame.extend_from_slice(b"\r\n");
    }
    // No head is larger than the limit on heads, which is a number of 32 bits.
    let length = (frame.len() - FRAME_HEADER) as u32;
    frame[1..FRAME_HEADER].copy_from_slice(&length.to_be_bytes());
    frame
}

/// A piece of a body in base64, padded: it can be read before the next one comes.
pub fn encode(piece: &[u8]) -> Bytes {
    base64::encode(piece).into()
}

/// Reads a body in base64 that comes in pieces cut anywhere, some of them padded.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The letters of the group that is not whole.
    bits: u32,
    letters: u8,
    padding: u8,
    /// How much of the body was read.
    offset: usize,
}

impl Decoder {
    /// The bytes that became whole with this piece; at most three for each four of its
    /// letters, and two more.
    ///
    /// # Errors
    /// Where it is not base64.
    pub fn decode(&mut self, text: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
        for letter in text {
            let offset = self.offset;
            self.offset += 1;
            let sextet = match (base64::sextet(*letter), letter) {
                (Some(sextet), _) if self.padding == 0 => sextet,
                (_, b'=') if self.letters >= 2 => {
                    self.padding += 1;
                    0
                }
                _ => {
                    let (what, expected) = ("the body in base64", "a letter of base64");
                    return Err(DecodeError::Unexpected { what, expected, found: *letter, offset });
                }
            };
            self.bits = self.bits << 6 | u32::from(sextet);
            self.letters += 1;
            if self.letters == 4 {
                let [_, whole @ ..] = self.bits.to_be_bytes();
                bytes.extend_from_slice(&whole[..3 - usize::from(self.padding)]);
                (self.bits, self.letters, self.padding) = (0, 0, 0);
            }
        }
        Ok(bytes)
    }

    /// The body ends here.
    ///
    /// # Errors
    /// Where it may not.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.letters {
            0 => Ok(()),
            _ => Err(DecodeError::Truncated { what: "the body in base64", offset: self.offset }),
        }
    }
}

/// Where in its messages a body has got to: a frame of trailers has its place only between
/// two.
#[derive(Debug, Default)]
pub struct Messages {
    header: [u8; FRAME_HEADER],
    /// How much of the header has come.
    read: usize,
    /// What is left of the message behind it.
    left: u32,
}

impl Messages {
    /// These bytes passed.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let length = bytes.len().min(self.left as usize);
                self.left -= length as u32;
                bytes = &bytes[length..];
                continue;
            }
            let length = bytes.len().min(FRAME_HEADER - self.read);
            self.header[self.read..self.read + length].copy_from_slice(&bytes[..length]);
            self.read += length;
            bytes = &bytes[length..];
            if self.read == FRAME_HEADER {
                let [_, length @ ..] = self.header;
                (self.read, self.left) = (0, u32::from_be_bytes(length));
            }
        }
    }

    /// Whether no message is begun.
    pub fn is_between(&self) -> bool {
        self.read == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    fn form(content_type: &'static str, accept: &'static str) -> Option<Form> {
        Form::of(&headers(&[("content-type", content_type), ("accept", accept)]))
    }

    #[test]
    fn the_content_type_tells_the_form_and_accept_that_of_the_answer() {
        use Encoding::{Binary, Text};
        for (content_type, accept, expected) in [
            ("application/grpc-web", "", Some((Binary, Binary, ""))),
            ("Application/GRPC-Web+proto; charset=utf-8", "*/*", Some((Binary, Binary, "+proto"))),
            ("application/grpc-web-text", "", Some((Text, Text, ""))),
            ("application/grpc-web-text+thrift", "", Some((Text, Text, "+thrift"))),
            ("application/grpc-web-text-base64", "", Some((Text, Text, ""))),
            ("application/grpc-web", "application/grpc-web-text", Some((Binary, Text, ""))),
            (
                "application/grpc-web-text",
                "text/html, application/grpc-web+proto",
                Some((Text, Binary, "")),
            ),
            ("application/grpc-webx", "", None),
            ("application/grpc-web-texts", "", None),
            ("application/grpc+proto", "", None),
            ("text/plain", "application/grpc-web", None),
        ] {
            let form = form(content_type, accept);
            let form = form.as_ref().map(|form| (form.request, form.response, &*form.format));
            assert_eq!(form, expected, "{content_type} {accept}");
        }
    }

    #[test]
    fn a_request_becomes_one_of_grpc() {
        let lines = [
            ("content-type", "application/grpc-web-text+proto"),
            ("accept", "application/grpc-web-text"),
            ("content-length", "8"),
            ("x-grpc-web", "1"),
            ("x-user-agent", "grpc-web-javascript/0.1"),
            ("grpc-timeout", "1S"),
        ];
        let mut asked = headers(&lines);
        let spoken = Form::of(&asked).unwrap();
        request(&mut asked, &spoken);
        let left = [
            ("content-type", "application/grpc+proto"),
            ("x-user-agent", "grpc-web-javascript/0.1"),
            ("grpc-timeout", "1S"),
            ("te", "trailers"),
        ];
        assert_eq!(asked, headers(&left));
        // As long as it was, and what is accepted is not about it.
        let mut asked = headers(&[
            ("content-type", "application/grpc-web"),
            ("accept", "*/*"),
            ("content-length", "8"),
        ]);
        request(&mut asked, &form("application/grpc-web", "").unwrap());
        assert!(asked["content-length"] == "8" && asked["accept"] == "*/*");
    }

    #[test]
    fn an_answer_becomes_one_of_grpc_web() {
        let form = form("application/grpc-web-text+json", "").unwrap();
        let answered = |lines: &[(&'static str, &'static str)]| {
            let mut head = headers(lines);
            let trailers = response(&mut head, &form);
            (head, trailers)
        };
        let (head, trailers) = answered(&[
            ("content-type", "application/grpc+proto"),
            ("content-length", "5"),
            ("trailer", "grpc-status"),
            ("x-own", "1"),
        ]);
        let left = [("content-type", "application/grpc-web-text+proto"), ("x-own", "1")];
        assert_eq!((head, trailers), (headers(&left), Some(HeaderMap::new())));
        // All that there is: its words are trailers, those of HTTP are not.
        let (head, trailers) = answered(&[
            ("content-type", "application/grpc"),
            ("date", "today"),
            ("access-control-allow-origin", "*"),
            ("set-cookie", "a=b"),
            ("grpc-status", "5"),
            ("x-own", "1"),
        ]);
        let left = [
            ("content-type", "application/grpc-web-text+json"),
            ("date", "today"),
            ("access-control-allow-origin", "*"),
            ("set-cookie", "a=b"),
        ];
        let moved = headers(&[("grpc-status", "5"), ("x-own", "1")]);
        assert_eq!((head, trailers), (headers(&left), Some(moved)));
        // Of no gRPC server.
        for content_type in ["text/html", "application/grpcx", ""] {
            let lines = [("content-type", content_type), ("content-length", "5")];
            assert_eq!(answered(&lines), (headers(&lines), None));
        }
    }

    #[test]
    fn trailers_are_a_frame() {
        let trailers = headers(&[("grpc-status", "0"), ("a-bin", "AA")]);
        assert_eq!(
            trailer_frame(&trailers),
            b"\x80\x00\x00\x00\x1bgrpc-status: 0\r\na-bin: AA\r\n"[..]
        );
    }

    #[test]
    fn base64_is_read_in_pieces_that_are_padded_each() {
        let mut decoder = Decoder::default();
        let mut read = Vec::new();
        for piece in ["Z", "g==Zm8", "=", "", "Zm9v"] {
            read.extend(decoder.decode(piece.as_bytes()).unwrap());
        }
        assert_eq!((&*read, decoder.end()), (&b"ffofoo"[..], Ok(())));
        for (text, offset) in
            [("Zm9v*", 4), ("Zg=v", 3), ("Z===", 1), ("=", 0), ("Zg===", 4), ("Zm\n", 2)]
        {
            match Decoder::default().decode(text.as_bytes()) {
                Err(DecodeError::Unexpected { offset: at, .. }) => assert_eq!(at, offset, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["Z", "Zg", "Zg="] {
            let mut decoder = Decoder::default();
            assert_eq!(decoder.decode(text.as_bytes()), Ok(Vec::new()));
            assert!(decoder.end().is_err(), "{text}");
        }
    }

    #[test]
    fn a_frame_has_its_place_between_messages() {
        let body = b"\x00\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01c";
        for length in 0..=body.len() {
            let (first, rest) = body.split_at(length);
            let mut messages = Messages::default();
            messages.pass(first);
            assert_eq!(messages.is_between(), [0, 7, 12, 18].contains(&length), "{length}");
            messages.pass(rest);
            assert!(messages.is_between());
        }
    }

    #[test]
    fn a_preflight_request_names_the_header() {
        let preflight = |method: &str, wanted: &str| {
            let request = ::http::Request::builder().method(method);
            let request = request.header("access-control-request-headers", wanted);
            is_preflight(&request.body(()).unwrap().into_parts().0)
        };
        assert!(preflight("OPTIONS", "content-type, X-Grpc-Web"));
        assert!(!preflight("OPTIONS", "content-type"));
        assert!(!preflight("POST", "x-grpc-web"));
    }
}
