//! The Dubbo protocol, as Java 2.6, 2.7 and 3.x speak it (protocol "2.0.2").
//!
//! Every frame is a fixed header and a body (`ExchangeCodec`):
//!
//! ```text
//!  byte 0    1    2       3        4 ..... 11   12 ... 15   16 ...
//!      +----+----+-------+--------+------------+-----------+-------------+
//!      | da | bb | flags | status | request id | body len  | body        |
//!      +----+----+-------+--------+------------+-----------+-------------+
//!                  |       20 = ok    u64, opaque  u32
//!                  | (responses only)
//!                  +-- 0x80 request, 0x40 two-way, 0x20 event,
//!                      0x1f serialization id: 2 hessian2, 23 fastjson2, …
//! ```
//!
//! A request's body is a row of values: protocol version, path, service
//! version, method, parameter descriptor, the arguments, and a map of
//! attachments; the service's group is one of those. A response's body is a
//! type (value, null or exception, each with or without attachments) and what
//! it announces; one with another status than 20 holds one string.
//!
//! * [`header`]: the fixed header.
//! * [`serialization`]: which serializations can be read.
//! * [`head`]: the lazily read view of a request.
//! * [`attachments`]: a message's attachments, one at a time.
//! * [`edit`]: setting and removing them.
//! * [`leaf`]: a value as far as routing looks into it.
//! * [`response`]: what a call came to.
//! * [`call`], [`answer`]: whole requests and responses, for a client of our own.
//! * [`reply`]: the mesh's own answers.
//!
//! Values themselves are in [`crate::hessian2`] and [`crate::jsonb`]; whatever
//! serialization a body is in, it is passed on untouched.

pub mod answer;
pub mod attachments;
pub mod call;
pub mod edit;
pub mod head;
pub mod header;
pub mod leaf;
mod origin;
pub mod reply;
pub mod response;
pub mod serialization;

use bytes::{BufMut, BytesMut};

use crate::error::{DecodeError, EditError};
use crate::fault::{Fault, Outcome};
use crate::frame::{Detect, FrameCodec, Kind, Meta};
use crate::substitute::Substitute;

pub use answer::Answer;
pub use call::Call;
pub use head::RequestHead;
pub use header::Header;
pub use leaf::{Leaf, Text};
pub use origin::Origin;
pub use response::{ResponseHead, ResponseType};
pub use serialization::Serialization;

/// The Dubbo protocol.
#[derive(Debug, Clone, Copy)]
pub struct Dubbo;

impl FrameCodec for Dubbo {
    const NAME: &'static str = "dubbo";
    const HEADER_LEN: usize = header::LEN;
    const ID_BITS: u32 = 64;

    type Origin = Origin;
    type Head<'a> = RequestHead<'a>;

    fn detect(prefix: &[u8]) -> Detect {
        match prefix {
            [a, b, ..] if [*a, *b] == header::MAGIC => Detect::Yes,
            [] => Detect::NeedMore,
            [a] if *a == header::MAGIC[0] => Detect::NeedMore,
            _ => Detect::No,
        }
    }

    fn frame_len(bytes: &[u8]) -> Result<u64, DecodeError> {
        Ok(Header::read(bytes)?.frame_len())
    }

    fn meta(frame: &[u8]) -> Result<Meta, DecodeError> {
        let header = Header::read(frame)?;
        let kind = match (header.is_request(), header.is_event()) {
            (true, false) => Kind::Request { one_way: !header.is_two_way() },
            (false, false) => Kind::Response,
            (false, true) => Kind::Pong,
            (true, true) if is_read_only(header, frame) => Kind::GoAway,
            (true, true) => Kind::Ping { two_way: header.is_two_way() },
        };
        Ok(Meta { kind, id: header.id })
    }

    fn head(frame: &[u8]) -> RequestHead<'_> {
        RequestHead::new(frame)
    }

    fn origin(header: &[u8]) -> Origin {
        Origin::of(header)
    }

    fn id_of(origin: Origin) -> u64 {
        origin.id
    }

    fn binds(head: &RequestHead<'_>) -> bool {
        // Of a call that cannot be read nobody can say; it is passed on as it is.
        head.has_callback().unwrap_or(false)
    }

    fn set_id(header: &mut [u8], id: u64) {
        if let Some(field) = header.get_mut(4..12) {
            field.copy_from_slice(&id.to_be_bytes());
        }
    }

    fn set_field(
        frame: &[u8],
        name: &str,
        value: &str,
        out: &mut BytesMut,
    ) -> Result<(), EditError> {
        edit::request(frame, edit::Edit { set: &[(name, value)], remove: &[] }, out)
    }

    fn remove_fields(frame: &[u8], names: &[&str], out: &mut BytesMut) -> Result<(), EditError> {
        edit::request(frame, edit::Edit { set: &[], remove: names }, out)
    }

    fn outcome(frame: &[u8]) -> Outcome {
        response::outcome(frame)
    }

    fn ping(id: u64, out: &mut BytesMut) {
        let serialization = Serialization::Hessian2;
        let flags = header::REQUEST | header::TWO_WAY | header::EVENT | serialization.id();
        Header { flags, status: 0, id, body_len: 1 }.write(out);
        out.put_u8(b'N');
    }

    fn pong(ping: &[u8], out: &mut BytesMut) {
        let (id, asked) = match Header::read(ping) {
            Ok(header) => (header.id, header.serialization()),
            Err(_) => (0, Serialization::Hessian2),
        };
        // A null that the peer is known to accept: the very one it sent, where
        // its serialization is not one that is written here.
        let null = match asked {
            Serialization::Hessian2 => &b"N"[..],
            Serialization::Fastjson2 => b"\x00\x00\x00\x01\xaf",
            Serialization::Other(_) => ping.get(header::LEN..).unwrap_or_default(),
        };
        let flags = header::EVENT | asked.id();
        Header { flags, status: header::OK, id, body_len: null.len() as u32 }.write(out);
        out.put_slice(null);
    }

    fn go_away(id: u64, out: &mut BytesMut) {
        let flags = header::REQUEST | header::EVENT | Serialization::Hessian2.id();
        Header { flags, status: 0, id, body_len: 2 }.write(out);
        out.put_slice(b"\x01R");
    }

    fn reply(origin: Origin, fault: &Fault, out: &mut BytesMut) {
        reply::write(origin, fault, out);
    }

    fn substitute(origin: Origin, answer: &Substitute, out: &mut BytesMut) {
        reply::write_substitute(origin, answer, out);
    }
}

/// Whether an event asks for no more requests (`READONLY_EVENT`, the string
/// `R`). In a serialization that cannot be read no event is taken for it: a
/// heartbeat mistaken for it would close the connection to a good provider.
fn is_read_only(header: Header, frame: &[u8]) -> bool {
    let body = frame.get(header::LEN..).unwrap_or_default();
    match header.serialization() {
        Serialization::Hessian2 => body == b"\x01R",
        Serialization::Fastjson2 => body == b"\x00\x00\x00\x02\x4aR",
        Serialization::Other(_) => false,
    }
}
