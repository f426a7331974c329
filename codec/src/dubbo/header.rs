//! The fixed header, drawn in [`crate::dubbo`].

use bytes::{BufMut, BytesMut};

use crate::error::DecodeError;
use crate::input::Input;

use super::serialization::Serialization;

/// The header's length in bytes.
pub const LEN: usize = 16;
/// The first two bytes of every frame.
pub const MAGIC: [u8; 2] = [0xda, 0xbb];

/// Flag: a request, not a response.
pub const REQUEST: u8 = 0x80;
/// Flag: the request expects an answer.
pub const TWO_WAY: u8 = 0x40;
/// Flag: a heartbeat or another message about the connection itself.
pub const EVENT: u8 = 0x20;
/// The rest of the flags: the serialization's id.
pub const SERIALIZATION: u8 = 0x1f;

/// Status: answered by the provider's code.
pub const OK: u8 = 20;

/// Writes the body's length into the header at `start`, once the body behind
/// it is complete.
pub(super) fn set_body_len(out: &mut BytesMut, start: usize) {
    let length = out.len().saturating_sub(start + LEN);
    if let Some(field) = out.get_mut(start + 12..start + LEN) {
        field.copy_from_slice(&(length as u32).to_be_bytes());
    }
}

/// A frame's fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// [`REQUEST`], [`TWO_WAY`], [`EVENT`] and the serialization's id.
    pub flags: u8,
    /// A response's status; 0 in requests.
    pub status: u8,
    /// The request's id, returned in its response. Opaque: Java starts at a
    /// random, often negative, number.
    pub id: u64,
    /// The body's length in bytes.
    pub body_len: u32,
}

impl Header {
    /// Reads the first [`LEN`] bytes of a frame.
    ///
    /// # Errors
    /// When there are fewer, or the magic is wrong.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Header, DecodeError> {
        let Some(header) = bytes.first_chunk::<LEN>() else {
            return Err(DecodeError::Truncated { what: "header", offset: bytes.len() });
        };
        for (offset, expected) in MAGIC.into_iter().enumerate() {
            if header[offset] != expected {
                return Err(DecodeError::Unexpected {
                    what: "magic",
                    expected: "0xdabb",
                    found: header[offset],
                    offset,
                });
            }
        }
        let mut input = Input::new(header, 2);
        let [flags, status] = input.array("flags")?;
        let id = u64::from_be_bytes(input.array("request id")?);
        let body_len = u32::from_be_bytes(input.array("body length")?);
        Ok(Header { flags, status, id, body_len })
    }

    /// Appends the header.
    pub fn write(self, out: &mut BytesMut) {
        out.put_slice(&MAGIC);
        out.put_u8(self.flags);
        out.put_u8(self.status);
        out.put_u64(self.id);
        out.put_u32(self.body_len);
    }

    /// The length of the whole frame. Java reads the body's length as signed
    /// and waits for bytes when it is negative; here it is merely too large for
    /// any limit.
    pub fn frame_len(self) -> u64 {
        LEN as u64 + u64::from(self.body_len)
    }

    /// Whether this is a request or an event sent like one.
    pub fn is_request(self) -> bool {
        self.flags & REQUEST != 0
    }

    /// Whether an answer is expected.
    pub fn is_two_way(self) -> bool {
        self.flags & TWO_WAY != 0
    }

    /// Whether this is about the connection itself.
    pub fn is_event(self) -> bool {
        self.flags & EVENT != 0
    }

    /// What the body is written in.
    pub fn serialization(self) -> Serialization {
        Serialization::of(self.flags)
    }
}
