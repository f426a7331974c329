//! The seam for whole-frame, multiplexed protocols (Dubbo, Bolt, …).
//!
//! A [`FrameCodec`] is pure functions over bytes. Ids, pending calls,
//! heartbeats, timeouts, drain and write batching are written once, above it, in
//! `proxy::framed`; a codec never sees a socket or a clock.

use bytes::BytesMut;

use crate::error::{DecodeError, EditError};
use crate::fault::{Fault, Outcome};
use crate::head::RequestHead;
use crate::substitute::Substitute;

/// Whether the first bytes of a connection are a protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detect {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// More bytes are needed to tell.
    NeedMore,
}

/// What a frame is to the engine that multiplexes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call.
    Request {
        /// No answer is expected.
        one_way: bool,
    },
    /// An answer to a call.
    Response,
    /// A heartbeat; to be answered if `two_way`.
    Ping {
        /// Whether the peer waits for an answer.
        two_way: bool,
    },
    /// An answer to a heartbeat.
    Pong,
    /// The peer asks for no more calls on this connection (Dubbo: read-only).
    GoAway,
}

/// A frame's kind and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// The peer's id for it.
    pub id: u64,
}

/// One whole-frame protocol, both sides of a connection.
///
/// Everywhere, `frame` is one whole frame as [`FrameCodec::frame_len`] measured
/// it, fixed header included.
pub trait FrameCodec: Sized + 'static {
    /// Configuration key and metric label.
    const NAME: &'static str;
    /// Bytes needed before [`FrameCodec::frame_len`] can answer.
    const HEADER_LEN: usize;
    /// How many low bits of an id survive on the wire: 64 for Dubbo, 32 for Bolt.
    const ID_BITS: u32;

    /// What a fault needs to remember of a request, once the request's bytes
    /// are gone: ids, serialization, protocol version.
    type Origin: Copy + std::fmt::Debug;
    /// The lazily read head.
    type Head<'a>: RequestHead;

    /// Looks at the first bytes of a connection. Monotone: once `Yes` or `No`,
    /// more bytes do not change it.
    fn detect(prefix: &[u8]) -> Detect;

    /// The length of the whole frame whose first `HEADER_LEN` bytes are given.
    /// The caller checks it against its limit before it reserves anything.
    ///
    /// # Errors
    /// When the bytes are not the start of a frame.
    fn frame_len(header: &[u8]) -> Result<u64, DecodeError>;

    /// The kind and id of a whole frame. Only for messages about the connection
    /// itself does this look beyond the fixed header; given the header alone,
    /// [`Kind::GoAway`] may be taken for [`Kind::Ping`], all else is right.
    ///
    /// # Errors
    /// When the header contradicts itself.
    fn meta(frame: &[u8]) -> Result<Meta, DecodeError>;

    /// A lazily read view of a request frame. Reads nothing yet.
    fn head(frame: &[u8]) -> Self::Head<'_>;

    /// What [`FrameCodec::reply`] needs, from a request's fixed header.
    fn origin(header: &[u8]) -> Self::Origin;

    /// The caller's id, which an answer must carry.
    fn id_of(origin: Self::Origin) -> u64;

    /// Whether the provider may call back over the connection that this request
    /// goes out by, so that it must be one that serves this caller alone
    /// (Dubbo: callback arguments).
    fn binds(head: &Self::Head<'_>) -> bool;

    /// Writes `id` into the first `HEADER_LEN` bytes of a frame that the caller
    /// owns alone. Every other byte stays.
    fn set_id(header: &mut [u8], id: u64);

    /// Appends the request `frame` with one attachment or header set, every other
    /// byte kept.
    ///
    /// # Errors
    /// See [`EditError`]; then nothing is appended.
    fn set_field(
        frame: &[u8],
        name: &str,
        value: &str,
        out: &mut BytesMut,
    ) -> Result<(), EditError>;

    /// Appends the request `frame` without the attachments or headers `names`,
    /// every other byte kept.
    ///
    /// # Errors
    /// See [`EditError`]; then nothing is appended.
    fn remove_fields(frame: &[u8], names: &[&str], out: &mut BytesMut) -> Result<(), EditError>;

    /// How the call ended, from a response frame.
    fn outcome(frame: &[u8]) -> Outcome;

    /// Appends a heartbeat that asks for an answer.
    fn ping(id: u64, out: &mut BytesMut);

    /// Appends the answer to the heartbeat `ping` (a whole frame).
    fn pong(ping: &[u8], out: &mut BytesMut);

    /// Appends the frame that tells callers to send no more calls here, where
    /// the protocol has one.
    fn go_away(id: u64, out: &mut BytesMut);

    /// Appends the mesh's own answer in the peer's language. Never called for a
    /// one-way request.
    fn reply(origin: Self::Origin, fault: &Fault, out: &mut BytesMut);

    /// Appends an answer that no provider gave, in the peer's language. Never
    /// called for a one-way request.
    fn substitute(origin: Self::Origin, answer: &Substitute, out: &mut BytesMut);
}
