//! The start of a Triple call's body, held back while the call is routed: a rule
//! asked for an argument, and the arguments stand in the first message.
//!
//! Not here: what the message says (`codec::triple`). Other calls, and those that no
//! rule asks, are routed by their head alone.

use std::future::poll_fn;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use codec::triple::message;
use tokio::time::timeout_at;

use super::body::{Body, Piece};

/// So much of a first message is waited for at most; less than a stream's window,
/// which the sender gets back only when its bytes go on. Arguments behind it cannot be
/// read.
const MOST: usize = 64 << 10;

/// A request's body before it goes anywhere.
pub(super) struct First {
    body: Body,
    read: Bytes,
    /// No more of it is waited for.
    is_over: bool,
}

impl First {
    pub(super) fn new(body: Body) -> Self {
        First { body, read: Bytes::new(), is_over: false }
    }

    /// Of a call whose body was taken: what was read of it.
    pub(super) fn again(&self) -> First {
        First { body: Body::Empty, read: self.read.clone(), is_over: true }
    }

    /// What was read of it.
    pub(super) fn read(&self) -> &[u8] {
        &self.read
    }

    /// Whether it was not waited for yet.
    pub(super) fn may_go_on(&self) -> bool {
        !self.is_over
    }

    /// Reads until the first message is whole, or as much of it has come as is waited
    /// for, or there is no more, or time is up.
    pub(super) async fn wait(&mut self, until: Instant) {
        self.is_over = true;
        let mut read = BytesMut::new();
        let body = &mut self.body;
        let reading = async {
            while !is_enough(&read) {
                match poll_fn(|cx| body.poll_piece(cx)).await {
                    Some(Ok(Piece::Data(data))) => read.extend_from_slice(&data),
                    Some(Ok(Piece::Trailers(trailers))) => return Some(Ok(trailers)),
                    Some(Err(error)) => return Some(Err(error)),
                    None => return None,
                }
            }
            None
        };
        // Late, it is routed by what has come.
        let end = timeout_at(until.into(), reading).await.ok().flatten();
        self.read = read.freeze();
        let rest = std::mem::replace(&mut self.body, Body::Empty);
        self.body = end.map_or(rest, Body::End).after(self.read.clone());
    }

    /// The whole body, to be sent on; what was read of it stays readable.
    pub(super) fn take_body(&mut self) -> Body {
        self.is_over = true;
        std::mem::replace(&mut self.body, Body::Empty)
    }
}

fn is_enough(read: &[u8]) -> bool {
    let whole = message::length(read).is_some_and(|length| length <= read.len() as u64);
    whole || read.len() >= MOST
}
