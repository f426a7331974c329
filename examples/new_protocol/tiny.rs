//! *Tiny*, a protocol made up for this example:
//!
//! ```text
//!  byte 0    1    2      3 ....... 6   7 ...... 10   11 ...
//!      +----+----+------+------------+-------------+-------------------------+
//!      | 'T'| '1'| kind | id, u32    | length, u32 | service 0 method 0 rest |
//!      +----+----+------+------------+-------------+-------------------------+
//! ```
//!
//! Kinds: 0 request, 1 one-way request, 2 answer, 3 error, 4 ping, 5 pong, 6 bye.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use codec::{
    Argument, DecodeError, Detect, EditError, Fault, FrameCodec, Kind, Meta, Outcome, RequestHead,
    Substitute, Target, Value,
};

const MAGIC: [u8; 2] = *b"T1";
const HEADER: usize = 11;

/// The protocol: a type that nothing is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiny;

impl FrameCodec for Tiny {
    const NAME: &'static str = "tiny";
    const HEADER_LEN: usize = HEADER;
    // The wire has room for 32 bits; the proxy keeps its own ids below that.
    const ID_BITS: u32 = 32;

    // What a fault must carry back to the caller. Dubbo also remembers the
    // serialization here.
    type Origin = u64;
    type Head<'a> = Head<'a>;

    fn detect(prefix: &[u8]) -> Detect {
        match prefix {
            [a, b, ..] if [*a, *b] == MAGIC => Detect::Yes,
            [] => Detect::NeedMore,
            [a] if *a == MAGIC[0] => Detect::NeedMore,
            _ => Detect::No,
        }
    }

    // A `u64`, and nothing reserved: the caller checks it against its limit.
    fn frame_len(header: &[u8]) -> Result<u64, DecodeError> {
        Ok(HEADER as u64 + u64::from(Header::read(header)?.body))
    }

    fn meta(frame: &[u8]) -> Result<Meta, DecodeError> {
        let header = Header::read(frame)?;
        let kind = match header.kind {
            0 | 1 => Kind::Request { one_way: header.kind == 1 },
            2 | 3 => Kind::Response,
            4 => Kind::Ping { two_way: true },
            5 => Kind::Pong,
            6 => Kind::GoAway,
            found => {
                let (what, expected, offset) = ("kind", "0 to 6", 2);
                return Err(DecodeError::Unexpected { what, expected, found, offset });
            }
        };
        Ok(Meta { kind, id: header.id.into() })
    }

    fn head(frame: &[u8]) -> Head<'_> {
        Head { frame }
    }

    fn origin(header: &[u8]) -> u64 {
        Header::read(header).map_or(0, |header| header.id.into())
    }

    fn id_of(origin: u64) -> u64 {
        origin
    }

    // Tiny's servers never call back.
    fn binds(_: &Head<'_>) -> bool {
        false
    }

    fn set_id(header: &mut [u8], id: u64) {
        if let Some(field) = header.get_mut(3..7) {
            field.copy_from_slice(&(id as u32).to_be_bytes());
        }
    }

    // Tiny has no named fields, so none can be set.
    fn set_field(_: &[u8], _: &str, _: &str, _: &mut BytesMut) -> Result<(), EditError> {
        Err(EditError::NoAttachments)
    }

    fn remove_fields(frame: &[u8], _: &[&str], out: &mut BytesMut) -> Result<(), EditError> {
        out.put_slice(frame);
        Ok(())
    }

    fn outcome(frame: &[u8]) -> Outcome {
        match Header::read(frame) {
            Ok(Header { kind: 2, .. }) => Outcome::Success,
            _ => Outcome::ProviderError,
        }
    }

    fn ping(id: u64, out: &mut BytesMut) {
        write(4, id, b"", out);
    }

    fn pong(ping: &[u8], out: &mut BytesMut) {
        write(5, Self::origin(ping), b"", out);
    }

    fn go_away(id: u64, out: &mut BytesMut) {
        write(6, id, b"", out);
    }

    fn reply(origin: u64, fault: &Fault, out: &mut BytesMut) {
        write(3, origin, fault.to_string().as_bytes(), out);
    }

    // Tiny's answers are text, whatever the value.
    fn substitute(origin: u64, answer: &Substitute, out: &mut BytesMut) {
        match answer {
            Substitute::Value(Value::String(text)) => write(2, origin, text.as_bytes(), out),
            Substitute::Value(_) => write(2, origin, b"", out),
            Substitute::Exception { message, .. } => write(3, origin, message.as_bytes(), out),
        }
    }
}

/// Appends a frame.
pub(crate) fn write(kind: u8, id: u64, body: &[u8], out: &mut BytesMut) {
    out.put_slice(&MAGIC);
    out.put_u8(kind);
    out.put_u32(id as u32);
    out.put_u32(body.len() as u32);
    out.put_slice(body);
}

struct Header {
    kind: u8,
    id: u32,
    body: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, DecodeError> {
        let Some(&[a, b, kind, i0, i1, i2, i3, l0, l1, l2, l3]) = bytes.first_chunk::<HEADER>()
        else {
            return Err(DecodeError::Truncated { what: "header", offset: 0 });
        };
        if [a, b] != MAGIC {
            let (what, expected, offset) = ("magic", "T1", 0);
            return Err(DecodeError::Unexpected { what, expected, found: a, offset });
        }
        let (id, body) = (u32::from_be_bytes([i0, i1, i2, i3]), [l0, l1, l2, l3]);
        Ok(Header { kind, id, body: u32::from_be_bytes(body) })
    }
}

/// A request as routing sees it: borrowed, and read only when asked.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    frame: &'a [u8],
}

impl Head<'_> {
    /// One of the texts that end with a zero byte.
    fn text(&self, index: usize) -> Result<&str, DecodeError> {
        let body = self.frame.get(HEADER..).unwrap_or_default();
        let text = body.split(|byte| *byte == 0).nth(index);
        text.and_then(|text| std::str::from_utf8(text).ok())
            .ok_or(DecodeError::Truncated { what: "name", offset: HEADER })
    }
}

impl RequestHead for Head<'_> {
    fn target(&self) -> Result<Target<'_>, DecodeError> {
        Ok(Target { service: self.text(0)?, method: self.text(1)?, version: "" })
    }

    fn group(&self) -> Result<&str, DecodeError> {
        Ok("")
    }

    fn field(&self, _: &str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        Ok(None)
    }

    fn argument(&self, _: usize) -> Result<Option<Argument<'_>>, DecodeError> {
        Ok(None)
    }

    fn parameter_types(&self) -> Result<&str, DecodeError> {
        Ok("")
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }

    fn is_one_way(&self) -> bool {
        matches!(Header::read(self.frame), Ok(Header { kind: 1, .. }))
    }
}
