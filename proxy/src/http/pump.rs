//! Writes a body to an HTTP/2 stream, as fast as its peer takes it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::body::{BodyError, Piece, Source};

/// How the writing of a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// All of it was written.
    Whole,
    /// The source gave up; the stream was reset.
    SourceFailed(BodyError),
    /// The peer wants no more of it, or is gone.
    Unwanted,
}

/// A body being written. Holds one piece at most.
pub(super) struct Pump<S> {
    source: S,
    stream: SendStream<Bytes>,
    held: Bytes,
}

impl<S: Source> Pump<S> {
    pub(super) fn new(source: S, stream: SendStream<Bytes>) -> Self {
        Pump { source, stream, held: Bytes::new() }
    }

    /// Writes what is held as far as the peer's window goes.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Pumped>> {
        while !self.held.is_empty() {
            let mut room = self.stream.capacity();
            if room == 0 {
                self.stream.reserve_capacity(self.held.len());
                room = self.stream.capacity();
            }
            if room == 0 {
                room = match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => return Poll::Ready(Err(Pumped::Unwanted)),
                };
            }
            if room == 0 {
                continue; // another stream took it
            }
            let piece = self.held.split_to(room.min(self.held.len()));
            let taken = piece.len();
            let is_last = self.held.is_empty() && self.source.is_end();
            if self.stream.send_data(piece, is_last).is_err() {
                return Poll::Ready(Err(Pumped::Unwanted));
            }
            self.source.release(taken);
            if is_last {
                return Poll::Ready(Err(Pumped::Whole));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Pumped> {
        loop {
            if let Err(end) = ready!(self.poll_held(cx)) {
                return Poll::Ready(end);
            }
            match ready!(self.source.poll_piece(cx)) {
                // An empty piece says something only as the last one.
                Some(Ok(Piece::Data(data))) if data.is_empty() && !self.source.is_end() => {}
                Some(Ok(Piece::Data(data))) if data.is_empty() => return self.end(None),
                Some(Ok(Piece::Data(data))) => self.held = data,
                Some(Ok(Piece::Trailers(trailers))) => return self.end(Some(trailers)),
                None => return self.end(None),
                Some(Err(error)) => return self.fail(error),
            }
        }
    }

    fn end(&mut self, trailers: Option<http::HeaderMap>) -> Poll<Pumped> {
        let sent = match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        };
        Poll::Ready(if sent.is_ok() { Pumped::Whole } else { Pumped::Unwanted })
    }

    fn fail(&mut self, error: BodyError) -> Poll<Pumped> {
        self.stream.send_reset(match error {
            BodyError::Reset(reason) => reason,
            BodyError::Lost => Reason::INTERNAL_ERROR,
            BodyError::TooLarge(_) | BodyError::Unfit(_) | BodyError::Late => Reason::CANCEL,
        });
        Poll::Ready(Pumped::SourceFailed(error))
    }
}

impl<S: Source + Unpin> Future for Pump<S> {
    type Output = Pumped;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Pumped> {
        if let Poll::Ready(end) = self.poll_all(cx) {
            return Poll::Ready(end);
        }
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Pumped::Unwanted);
        }
        // While the peer takes nothing, nobody asks the source for a piece.
        if !self.held.is_empty()
            && let Poll::Ready(error) = self.source.poll_given_up(cx)
        {
            return self.fail(error);
        }
        Poll::Pending
    }
}
