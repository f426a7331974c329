//! Calls over HTTP, as the load sees them: a payload that goes there and comes back,
//! and one end of a connection that speaks [`crate::http1`] or
//! [`crate::http2`].
//!
//! Not here: sockets, and which call is whose (`load`).

use crate::frame::hex;
use crate::protocol::Protocol;
use crate::stream::Input;
use crate::{http1, http2};

/// The host that HTTP/1.1's calls are for.
pub(crate) const HOST: &str = "bench.example";
/// The service that gRPC's calls are for.
pub(crate) const SERVICE: &str = "bench.v1.Echo";

/// Characters at the start of the payload that name the call.
const TAG: usize = 16;
/// What gRPC puts before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What a call carries there and back.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    bytes: Vec<u8>,
    tag: usize,
}

impl Payload {
    /// Of `size` bytes (at least 16); gRPC's prefix comes on top.
    pub(crate) fn new(protocol: Protocol, size: usize) -> Payload {
        assert!(size >= TAG, "the payload has no room for its tag");
        let mut bytes = Vec::new();
        if protocol == Protocol::Grpc {
            bytes.push(0);
            bytes.extend((size as u32).to_be_bytes());
        }
        let tag = bytes.len();
        debug_assert!(tag == 0 || tag == PREFIX);
        bytes.extend((0..size).map(|i| b'a' + (i * 7 % 26) as u8));
        Payload { bytes, tag }
    }

    /// The payload of one call; `tag` is unique among all calls of a run.
    pub(crate) fn stamp(&mut self, tag: u64) -> &[u8] {
        self.bytes[self.tag..self.tag + TAG].copy_from_slice(&hex(tag));
        &self.bytes
    }

    /// Whether `body` is the echo of the call with that tag.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn check(&self, body: &[u8], tag: u64) -> Result<(), String> {
        let end = self.tag + TAG;
        let same = body.len() == self.bytes.len()
            && body[..self.tag] == self.bytes[..self.tag]
            && body[self.tag..end] == hex(tag)
            && body[end..] == self.bytes[end..];
        if same {
            Ok(())
        } else {
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
            Err(format!("an answer of {} bytes with another value: {text}", body.len()))
        }
    }
}

/// The body of an answer, or what came instead of one.
pub(crate) type Answer<'a> = Result<&'a [u8], String>;

/// One end of a connection.
#[derive(Debug)]
pub(crate) enum End {
    Http1(http1::End),
    Http2(Box<http2::End>),
}

impl End {
    pub(crate) fn new(protocol: Protocol, is_caller: bool) -> End {
        match protocol {
            Protocol::Http1 => End::Http1(http1::End::default()),
            _ => End::Http2(Box::new(http2::End::new(is_caller))),
        }
    }

    /// Appends one more call to what is sent. `index` counts the calls of this
    /// connection from 0 on.
    pub(crate) fn call(&mut self, index: u64, payload: &[u8], out: &mut Vec<u8>) {
        match self {
            End::Http1(_) => http1::call(payload, out),
            End::Http2(end) => end.call(index, payload, out),
        }
    }

    /// Takes the answers that have come, each with the index of its call.
    ///
    /// # Errors
    /// When what has come is not what may come.
    pub(crate) fn take_answers(
        &mut self,
        input: &mut Input,
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(u64, Answer<'_>),
    ) -> Result<(), String> {
        match self {
            End::Http1(end) => end.take_answers(input, each),
            End::Http2(end) => end.take(input, out, each),
        }
    }

    /// The provider's: answers every request that has come whole with its own body.
    ///
    /// # Errors
    /// When what has come is not what may come.
    pub(crate) fn serve(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            End::Http1(_) => http1::serve(input, out),
            End::Http2(end) => end.take(input, out, &mut |_, _| {}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_passes_the_check_and_anything_else_does_not() {
        for protocol in [Protocol::Grpc, Protocol::Http1] {
            let mut payload = Payload::new(protocol, 128);
            let echo = payload.stamp(9).to_vec();
            assert_eq!(payload.check(&echo, 9), Ok(()));
            assert!(payload.check(&echo, 10).is_err(), "another call's");
            assert!(payload.check(&echo[..100], 9).is_err(), "a part");
            let mut bad = echo.clone();
            bad[100] ^= 1;
            assert!(payload.check(&bad, 9).is_err(), "a changed byte");
        }
    }
}
