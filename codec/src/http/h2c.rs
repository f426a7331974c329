//! From HTTP/1.1 to HTTP/2 on one connection without TLS (RFC 7540, section 3.2): who asks
//! for it, and how such a connection's bytes begin.
//!
//! Readers of HTTP/2 know no upgrade. The request that asked for it is the connection's first
//! stream, of which no frame ever comes; and what its client has set stands in a header. So
//! [`Opening`] says both in the frames that a client would have sent that began with HTTP/2,
//! as part of the first bytes that the client does send. Nothing of it needs a table of
//! HPACK's, so that the client's own heads are read as they would be without.
//!
//! Not here: the 101 answer, and who gives it (`proxy::http`).

use ::http::header::{CONNECTION, HeaderName, UPGRADE};
use ::http::request::Parts;
use ::http::{Method, Version};

use super::hop;
use crate::error::DecodeError;
use crate::value::base64;

/// What every connection of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The bytes before a frame's payload.
const FRAME_HEAD: usize = 9;
/// The largest payload that a client may send before it was allowed more.
const PAYLOAD: usize = 16 << 10;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// One setting: two bytes of name, four of value.
const SETTING: usize = 6;
/// What a field of a head counts besides its name and value (RFC 9113, section 6.5.2).
const FIELD: usize = 32;

/// What a client that wants to go on with HTTP/2 sets: a SETTINGS frame's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings(Vec<u8>);

impl Settings {
    /// Those of a request that asks to go on with HTTP/2. One that does not do it as it is
    /// written asks for nothing: its settings must stand in exactly one `HTTP2-Settings`, in
    /// base64url, with values that the frame could have, and be marked by `Connection` as
    /// this connection's own. Whether its body has come is for the caller of this to say.
    pub fn wanted(request: &Parts) -> Option<Settings> {
        const NAME: HeaderName = HeaderName::from_static("http2-settings");
        let headers = &request.headers;
        let asks = request.version == Version::HTTP_11
            && request.method != Method::CONNECT
            && hop::lists(headers, UPGRADE, "h2c")
            && hop::lists(headers, CONNECTION, "upgrade")
            && hop::lists(headers, CONNECTION, NAME.as_str());
        let mut settings = headers.get_all(NAME).iter();
        let (true, Some(settings), None) = (asks, settings.next(), settings.next()) else {
            return None;
        };
        Settings::decode(settings.to_str().ok()?)
    }

    fn decode(text: &str) -> Option<Settings> {
        // Its alphabet has two letters of its own, and there is no padding.
        if text.len() > PAYLOAD || text.contains(['+', '/', '=']) {
            return None;
        }
        let text = text.replace('-', "+").replace('_', "/");
        let padding = "===".get(..(4 - text.len() % 4) % 4)?;
        let payload = base64::decode(&(text + padding))?;
        let (settings, rest) = payload.as_chunks::<SETTING>();
        let are_good = rest.is_empty()
            && settings.iter().all(|&[high, low, value @ ..]| {
                may_be_set(u16::from_be_bytes([high, low]), u32::from_be_bytes(value))
            });
        are_good.then_some(Settings(payload))
    }
}

/// Whether a setting may have this value. Unknown ones may have any (RFC 9113, section 6.5.2;
/// RFC 8441, section 3).
fn may_be_set(name: u16, value: u32) -> bool {
    match name {
        2 | 8 => value <= 1,                      // push, extended CONNECT
        4 => value < 1 << 31,                     // a stream's window
        5 => (1 << 14..1 << 24).contains(&value), // a frame's size
        _ => true,
    }
}

/// What is to be read at the start of a connection that was upgraded.
#[derive(Debug)]
pub struct Opening {
    settings: Settings,
    /// The first stream's frames.
    request: Vec<u8>,
}

impl Opening {
    /// After this request, which has no body, and whose head is said as HTTP/2 has it (see
    /// [`hop::request`]). No frame gets a payload longer than `frame` bytes, which the reader
    /// must take and is at least 32 KiB.
    ///
    /// # Errors
    /// Where the head is larger than `limit`, as HTTP/2 counts: it would be refused by its
    /// reader.
    pub fn new(
        settings: Settings,
        request: &Parts,
        frame: usize,
        limit: usize,
    ) -> Result<Opening, DecodeError> {
        let found = fields(request).map(|(name, value)| name.len() + value.len() + FIELD).sum();
        if found > limit {
            let (found, limit) = (found as u64, limit as u64);
            return Err(DecodeError::TooLarge { what: "head", found, limit });
        }
        let mut block = Vec::with_capacity(found);
        for (name, value) in fields(request) {
            // A literal that no table is to keep (RFC 7541, section 6.2.2).
            block.push(0);
            push_text(&mut block, name.as_bytes());
            push_text(&mut block, value);
        }
        Ok(Opening { settings, request: first_stream(&block, frame.max(2 * PAYLOAD)) })
    }

    /// How many bytes must come, at least, after what came since the upgrade; 0 when nothing
    /// more is needed. They are never more than a frame.
    ///
    /// # Errors
    /// Where they are not HTTP/2's preface and a SETTINGS frame: then they are for nobody.
    pub fn missing(&self, came: &[u8]) -> Result<usize, DecodeError> {
        let wrong = came.iter().zip(PREFACE).position(|(came, expected)| came != expected);
        if let Some(offset) = wrong {
            let found = came.get(offset).copied().unwrap_or_default();
            return Err(unexpected("the connection's start", "HTTP/2's preface", found, offset));
        }
        let head = came.get(PREFACE.len()..).and_then(|rest| rest.first_chunk::<FRAME_HEAD>());
        let Some(&[high, middle, low, kind, flags, stream @ ..]) = head else {
            return Ok(PREFACE.len() + FRAME_HEAD - came.len());
        };
        let at = PREFACE.len();
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if kind != SETTINGS || flags & ACK != 0 {
            let found = if kind == SETTINGS { flags } else { kind };
            return Err(unexpected("the first frame", "SETTINGS", found, at + 3));
        }
        // The first bit means nothing (RFC 9113, section 4.1).
        if u32::from_be_bytes(stream) << 1 != 0 {
            return Err(unexpected("the stream of SETTINGS", "0", stream[3], at + 5));
        }
        if !length.is_multiple_of(SETTING) {
            return Err(unexpected("the length of SETTINGS", "a multiple of 6", low, at + 2));
        }
        if length > PAYLOAD {
            let (found, limit) = (length as u64, PAYLOAD as u64);
            return Err(DecodeError::TooLarge { what: "SETTINGS", found, limit });
        }
        Ok((at + FRAME_HEAD + length).saturating_sub(came.len()))
    }

    /// The bytes to be read in place of those that came, of which nothing is
    /// [`missing`](Opening::missing) and nothing is too much: the preface; one SETTINGS frame
    /// of what the request set and then what the client's own frame does, which counts where
    /// both have it, for its client waits for one acknowledgement; and the request.
    pub fn bytes(&self, came: &[u8]) -> Vec<u8> {
        let own = came.get(PREFACE.len() + FRAME_HEAD..).unwrap_or_default();
        let Settings(asked) = &self.settings;
        let length = asked.len() + own.len();
        let mut bytes =
            Vec::with_capacity(PREFACE.len() + FRAME_HEAD + length + self.request.len());
        bytes.extend_from_slice(PREFACE);
        push_frame_head(&mut bytes, length, SETTINGS, 0, 0);
        bytes.extend_from_slice(asked);
        bytes.extend_from_slice(own);
        bytes.extend_from_slice(&self.request);
        bytes
    }
}

fn unexpected(what: &'static str, expected: &'static str, found: u8, offset: usize) -> DecodeError {
    DecodeError::Unexpected { what, expected, found, offset }
}

/// A head's fields in HTTP/2's order (RFC 9113, section 8.3.1).
fn fields(request: &Parts) -> impl Iterator<Item = (&str, &[u8])> {
    let uri = &request.uri;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let own = [
        (":method", request.method.as_str()),
        (":scheme", uri.scheme_str().unwrap_or("http")),
        (":authority", uri.authority().map_or("", |authority| authority.as_str())),
        (":path", path),
    ];
    let own = own.into_iter().map(|(name, value)| (name, value.as_bytes()));
    own.chain(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
}

/// Stream 1, which ends with its head.
fn first_stream(block: &[u8], frame: usize) -> Vec<u8> {
    let mut frames = Vec::with_capacity(block.len() + (block.len() / frame + 1) * FRAME_HEAD);
    let mut pieces = block.chunks(frame).peekable();
    let (mut kind, mut flags) = (HEADERS, END_STREAM);
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= END_HEADERS;
        }
        push_frame_head(&mut frames, piece.len(), kind, flags, 1);
        frames.extend_from_slice(piece);
        (kind, flags) = (CONTINUATION, 0);
    }
    frames
}

/// The head of a frame with a payload of so many bytes, fewer than 2^24 (RFC 9113, section
/// 4.1).
fn push_frame_head(bytes: &mut Vec<u8>, payload: usize, kind: u8, flags: u8, stream: u32) {
    let [.., high, middle, low] = payload.to_be_bytes();
    bytes.extend_from_slice(&[high, middle, low, kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
}

/// A string that is not compressed (RFC 7541, sections 5.1 and 5.2).
fn push_text(block: &mut Vec<u8>, text: &[u8]) {
    const PREFIX: usize = 0x7f;
    if text.len() < PREFIX {
        block.push(text.len() as u8);
    } else {
        block.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 0x80 {
            block.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use ::http::Request;

    use super::*;

    const ASKS: [(&str, &str); 4] = [
        ("host", "h:1"),
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
    ];

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/a?b");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// What is wanted where this header says this instead, or is missing.
    fn wanted_with(name: &str, value: Option<&str>) -> Option<Settings> {
        let mut headers = ASKS.to_vec();
        headers.retain(|(other, _)| *other != name);
        headers.extend(value.map(|value| (name, value)));
        Settings::wanted(&request(&headers))
    }

    #[test]
    fn what_curl_sends_asks_for_it() {
        // MAX_CONCURRENT_STREAMS 100, INITIAL_WINDOW_SIZE 32 MiB, ENABLE_PUSH 0.
        let payload = b"\0\x03\0\0\0\x64\0\x04\x02\0\0\0\0\x02\0\0\0\0";
        let wanted = Some(Settings(payload.to_vec()));
        assert_eq!(Settings::wanted(&request(&ASKS)), wanted);
        assert_eq!(wanted_with("upgrade", Some("x, H2C")), wanted);
        assert_eq!(wanted_with("connection", Some("http2-settings,x,UPGRADE")), wanted);
        assert_eq!(wanted_with("http2-settings", Some("")), Some(Settings(Vec::new())));
        // Both letters that are not those of other base64, in an unknown setting.
        let unknown = wanted_with("http2-settings", Some("_______-")).unwrap();
        assert_eq!(unknown.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    }

    #[test]
    fn what_does_not_say_it_whole_asks_for_nothing() {
        for (name, value) in [
            ("upgrade", None),
            ("upgrade", Some("h2")),
            ("upgrade", Some("h2c-14")),
            ("upgrade", Some("websocket")),
            ("connection", None),
            ("connection", Some("upgrade")),
            ("connection", Some("http2-settings")),
            ("http2-settings", None),
            ("http2-settings", Some("AAMAAABkAAQCAAAAAAIAAAA=")), // padding
            ("http2-settings", Some("AAMAAAB")),                  // 5 bytes
            ("http2-settings", Some("AAMAAABkAA")),               // 7
            ("http2-settings", Some("A")),
            ("http2-settings", Some("AAMAA*Bk")),
            ("http2-settings", Some("/////v//")), // another base64
            ("http2-settings", Some("AAIAAAAC")), // ENABLE_PUSH 2
            ("http2-settings", Some("AASAAAAA")), // INITIAL_WINDOW_SIZE 2^31
            ("http2-settings", Some("AAUAAAAA")), // MAX_FRAME_SIZE 0
            ("http2-settings", Some("AAUBAAAA")), // MAX_FRAME_SIZE 2^24
        ] {
            assert_eq!(wanted_with(name, value), None, "{name}: {value:?}");
        }
        let two = [&ASKS[..], &ASKS[3..]].concat();
        assert_eq!(Settings::wanted(&request(&two)), None);
        let mut older = request(&ASKS);
        older.version = Version::HTTP_10;
        assert_eq!(Settings::wanted(&older), None);
        let mut connect = request(&ASKS);
        connect.method = Method::CONNECT;
        assert_eq!(Settings::wanted(&connect), None);
        let long = "A".repeat(PAYLOAD + 8);
        assert_eq!(wanted_with("http2-settings", Some(&long)), None);
    }

    fn opening(headers: &[(&str, &str)]) -> Opening {
        let mut request = request(headers);
        let settings = Settings::wanted(&request).unwrap();
        hop::request(&mut request, hop::Version::Http1, hop::Version::Http2).unwrap();
        Opening::new(settings, &request, 2 * PAYLOAD, 1 << 20).unwrap()
    }

    /// A preface, and SETTINGS that allow two streams.
    const CAME: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x02";

    #[test]
    fn the_request_is_the_first_stream_and_its_settings_are_the_first() {
        let opening = opening(&[&ASKS[..], &[("te", "trailers")]].concat());
        assert_eq!(opening.missing(CAME), Ok(0));
        let expected = [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"\0\0\x18\x04\0\0\0\0\0",
            b"\0\x03\0\0\0\x64\0\x04\x02\0\0\0\0\x02\0\0\0\0\0\x03\0\0\0\x02",
            b"\0\0\x44\x01\x05\0\0\0\x01",
            b"\0\x07:method\x03GET\0\x07:scheme\x04http\0\x0a:authority\x03h:1",
            b"\0\x05:path\x04/a?b\0\x02te\x08trailers",
        ];
        assert_eq!(opening.bytes(CAME), expected.concat());
    }

    #[test]
    fn bytes_are_asked_for_as_they_are_needed() {
        let opening = opening(&ASKS);
        let needed: Vec<_> =
            (0..CAME.len()).map(|at| opening.missing(&CAME[..at]).unwrap()).collect();
        let head = PREFACE.len() + FRAME_HEAD;
        let expected =
            (0..CAME.len()).map(|at| if at < head { head - at } else { CAME.len() - at });
        assert_eq!(needed, expected.collect::<Vec<_>>());
    }

    #[test]
    fn nothing_but_a_preface_and_settings_is_taken() {
        let opening = opening(&ASKS);
        let with = |at: usize, byte: u8| {
            let mut came = CAME[..PREFACE.len() + FRAME_HEAD].to_vec();
            came[at] = byte;
            opening.missing(&came).unwrap_err().to_string()
        };
        for at in 0..PREFACE.len() {
            assert!(with(at, b'#').contains("preface"), "{at}");
        }
        assert!(opening.missing(b"GET").unwrap_err().to_string().contains("preface"));
        assert!(with(27, 1).contains("SETTINGS"), "HEADERS");
        assert!(with(28, ACK).contains("SETTINGS"), "an acknowledgement");
        assert!(with(32, 1).contains("stream"), "another stream");
        assert!(with(26, 5).contains("multiple of 6"));
        assert!(with(25, 0x45).contains("over the limit of 16384"));
        // What means nothing is no reason.
        let mut reserved = CAME.to_vec();
        (reserved[28], reserved[29]) = (0xfe, 0x80);
        assert_eq!(opening.missing(&reserved), Ok(0));
    }

    #[test]
    fn long_heads_are_cut_into_frames_and_too_long_ones_are_refused() {
        let long = "x".repeat(3 * PAYLOAD);
        let headers = [&ASKS[..], &[("a", &long)]].concat();
        let frames = opening(&headers).request;
        let second = FRAME_HEAD + 2 * PAYLOAD;
        assert_eq!(frames[..FRAME_HEAD], *b"\0\x80\0\x01\x01\0\0\0\x01");
        assert_eq!(frames[second + 3..second + FRAME_HEAD], *b"\x09\x04\0\0\0\x01");
        let rest = frames.len() - second - FRAME_HEAD;
        assert_eq!(frames[second..second + 3], (rest as u32).to_be_bytes()[1..]);
        // 49152 - 127 = 0x17f81.
        let start = b"\0\x01a\x7f\x81\xff\x02xxx";
        assert!(frames.windows(start.len()).any(|window| window == start));

        let request = request(&[("a", "b")]);
        let of = |limit| Opening::new(Settings(Vec::new()), &request, 2 * PAYLOAD, limit);
        let size = 5 * FIELD + ":method:scheme:authority:pathaGEThttp/a?bb".len();
        assert!(of(size).is_ok());
        let (found, limit) = (size as u64, size as u64 - 1);
        assert_eq!(of(size - 1).unwrap_err(), DecodeError::TooLarge { what: "head", found, limit });
    }
}
