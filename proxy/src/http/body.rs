//! Bodies on their way: pulled, never pushed. Whoever writes to the next
//! connection takes the next piece when that connection has room for it; until
//! then it stays in the window of the one it comes from.

use std::cell::Cell;
use std::error::Error as StdError;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use thiserror::Error;

use super::grpc_web::Decoded;
use super::health_watch::Watch;
use super::linger::Http1;
use super::tape::{Reader, Tape};

/// A body that comes from a connection, or that the mesh made.
#[derive(Debug)]
pub(super) enum Body {
    Empty,
    Whole(Bytes),
    Http1(Http1),
    Http2(RecvStream),
    /// In base64, read as it comes.
    Text(Box<Decoded>),
    /// Of which something was read already, which comes again.
    Begun(Bytes, Box<Body>),
    /// What a health check watches.
    Watch(Box<Watch>),
    /// Of which only the end is left, or the breaking off.
    End(Result<HeaderMap, BodyError>),
}

/// Why a body does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum BodyError {
    /// The peer ended the stream, and says why.
    #[error("reset: {0}")]
    Reset(Reason),
    /// The peer's connection broke, or what it sent was no HTTP.
    #[error("the connection broke")]
    Lost,
    /// It is over `limits.body`.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// It cannot be passed on, for this reason.
    #[error("{0}")]
    Unfit(&'static str),
    /// The call's deadline has passed.
    #[error("the deadline has passed")]
    Late,
}

impl From<h2::Error> for BodyError {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => BodyError::Reset(reason),
            _ => BodyError::Lost,
        }
    }
}

/// A body as it is written to the next connection.
pub(super) trait Source {
    /// The next piece. What it takes of the sender's window is given back by
    /// [`Source::release`], when the piece has gone on.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>>;
    /// Gives back window to the sender.
    fn release(&mut self, bytes: usize);
    /// Whether nothing more will come.
    fn is_end(&self) -> bool;
    /// Whether it is given up although it goes on.
    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<BodyError>;
    /// How much is to come, as far as that is known.
    fn size_hint(&self) -> SizeHint;
}

/// A source for hyper, which takes a piece when it has room for it.
pub(super) struct Pulled<S>(pub(super) S);

impl<S: Source + Unpin> http_body::Body for Pulled<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let source = &mut self.0;
        let frame = ready!(source.poll_piece(cx)).map(|piece| match piece? {
            Piece::Data(data) => {
                source.release(data.len());
                Ok(Frame::data(data))
            }
            Piece::Trailers(trailers) => Ok(Frame::trailers(trailers)),
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A part of a body.
#[derive(Clone)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Body {
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        let piece = match self {
            Body::Empty => None,
            Body::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Body::Empty;
                (!bytes.is_empty()).then_some(Ok(Piece::Data(bytes)))
            }
            Body::Text(body) => ready!(body.poll_piece(cx)),
            Body::Begun(bytes, rest) => {
                let bytes = std::mem::take(bytes);
                *self = std::mem::replace(rest, Body::Empty);
                Some(Ok(Piece::Data(bytes)))
            }
            Body::End(end) => {
                let end = std::mem::replace(end, Ok(HeaderMap::new()));
                *self = Body::Empty;
                Some(end.map(Piece::Trailers))
            }
            Body::Watch(watch) => {
                let piece = ready!(watch.poll_piece(cx));
                if let Piece::Trailers(_) = piece {
                    *self = Body::Empty;
                }
                Some(Ok(piece))
            }
            Body::Http1(body) => match ready!(body.poll_frame(cx)) {
                None => None,
                Some(Err(_)) => Some(Err(BodyError::Lost)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(Ok(Piece::Data(data))),
                    Err(frame) => frame.into_trailers().ok().map(|sent| Ok(Piece::Trailers(sent))),
                },
            },
            Body::Http2(stream) => match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => Some(Ok(Piece::Data(data))),
                Some(Err(error)) => Some(Err(error.into())),
                None => match ready!(stream.poll_trailers(cx)) {
                    Ok(trailers) => trailers.map(|trailers| Ok(Piece::Trailers(trailers))),
                    Err(error) => Some(Err(error.into())),
                },
            },
        };
        Poll::Ready(piece)
    }

    /// The body that begins with what was read of this one, and goes on as this one
    /// does.
    pub(super) fn after(self, read: Bytes) -> Body {
        if read.is_empty() { self } else { Body::Begun(read, Box::new(self)) }
    }

    pub(super) fn release(&mut self, bytes: usize) {
        match self {
            Body::Http2(stream) => {
                // It fails only for more than was received.
                let _ = stream.flow_control().release_capacity(bytes);
            }
            Body::Text(body) => body.release(bytes),
            _ => {}
        }
    }

    /// Reads what is left, for nobody; returns the trailers.
    pub(super) async fn drain(&mut self) -> Result<Option<HeaderMap>, BodyError> {
        while let Some(piece) = std::future::poll_fn(|cx| self.poll_piece(cx)).await {
            match piece? {
                Piece::Data(data) => self.release(data.len()),
                Piece::Trailers(trailers) => return Ok(Some(trailers)),
            }
        }
        Ok(None)
    }

    pub(super) fn is_end(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Whole(bytes) => bytes.is_empty(),
            Body::Http1(body) => body.is_end(),
            Body::Http2(stream) => stream.is_end_stream(),
            Body::Text(body) => body.is_end(),
            Body::Begun(..) | Body::Watch(_) | Body::End(_) => false,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Http1(body) => body.size_hint(),
            Body::Http2(stream) if stream.is_end_stream() => SizeHint::with_exact(0),
            Body::Http2(_) | Body::Text(_) | Body::Begun(..) | Body::Watch(_) | Body::End(_) => {
                SizeHint::default()
            }
        }
    }
}

/// A request's body: counted, and bounded.
pub(super) struct Upload {
    body: Origin,
    count: Rc<Cell<u64>>,
    limit: Option<u64>,
    /// Lives as long as this does, where somebody asks.
    life: Option<Rc<()>>,
}

/// Where an upload comes from.
enum Origin {
    /// It is sent once.
    Once(Body),
    /// It may be sent again.
    Kept(Reader),
}

impl Upload {
    pub(super) fn new(body: Body, count: Rc<Cell<u64>>, limit: Option<u64>) -> Self {
        Upload { body: Origin::Once(body), count, limit, life: None }
    }

    /// From the start of what may have been sent before.
    pub(super) fn kept(tape: &Tape, count: Rc<Cell<u64>>, limit: Option<u64>) -> Self {
        count.set(0);
        Upload { body: Origin::Kept(tape.read()), count, limit, life: None }
    }

    /// From the start, beside others that send it at the same time.
    pub(super) fn beside(tape: &Tape, count: Rc<Cell<u64>>, limit: Option<u64>) -> Self {
        Upload { body: Origin::Kept(tape.read_beside()), count, limit, life: None }
    }

    /// What tells whether this is still read.
    pub(super) fn life(&mut self) -> Weak<()> {
        Rc::downgrade(self.life.get_or_insert_default())
    }

    /// Of a request without a body.
    pub(super) fn empty() -> Self {
        Upload::new(Body::Empty, Rc::default(), None)
    }
}

impl Source for Upload {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let piece = ready!(match &mut self.body {
            Origin::Once(body) => body.poll_piece(cx),
            Origin::Kept(reader) => reader.poll_piece(cx),
        });
        // A caller that is gone wants nothing any more.
        if let Some(Err(BodyError::Lost)) = &piece {
            return Poll::Ready(Some(Err(BodyError::Reset(Reason::CANCEL))));
        }
        if let Some(Ok(Piece::Data(data))) = &piece {
            let count = self.count.get() + data.len() as u64;
            self.count.set(count);
            if let Some(limit) = self.limit.filter(|limit| count > *limit) {
                return Poll::Ready(Some(Err(BodyError::TooLarge(limit))));
            }
        }
        Poll::Ready(piece)
    }

    fn release(&mut self, bytes: usize) {
        match &mut self.body {
            Origin::Once(body) => body.release(bytes),
            Origin::Kept(reader) => reader.release(bytes),
        }
    }

    fn is_end(&self) -> bool {
        match &self.body {
            Origin::Once(body) => body.is_end(),
            Origin::Kept(reader) => reader.is_end(),
        }
    }

    fn poll_given_up(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Origin::Once(body) => body.size_hint(),
            Origin::Kept(reader) => reader.size_hint(),
        }
    }
}

/// What a peer's error says of the stream that it ended, however deep hyper has
/// wrapped it.
pub(super) fn body_error_in(error: &(dyn StdError + 'static)) -> Option<BodyError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<BodyError>() {
            return Some(*found);
        }
        next = error.source();
    }
    None
}
