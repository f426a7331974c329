//! Calls in gRPC-Web, at the edge: between a caller's connection and [`super::forward`] they are
//! translated to gRPC and back, head by head and piece by piece. Everything behind it, from
//! routing to the access log, sees a call of gRPC.
//!
//! Whose endpoints speak HTTP/1.1 only, and an application behind an inbound listener, get
//! the caller's bytes untouched: gRPC they cannot speak, or nobody knows that they do.
//!
//! Not here: what the bytes mean (`codec::http::grpc_web`).

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use codec::http::grpc_web::{self, Decoder, Encoding, Form, Messages};
use codec::http::{self as meaning, Dialect, answer as own, grpc, head};
use h2::Reason as ResetReason;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Version, request, response};
use http_body::SizeHint;

use super::answer::Answer;
use super::body::{Body, BodyError, Piece, Source};
use super::caller::Caller;
use super::faults::broken_off;
use super::forward::Forwarded;
use super::linger::{Back, Linger};
use super::orders::OnAnswer;
use super::{Http, spoken_by};
use crate::listener::Destination;
use crate::snapshot::Entry;

/// What a caller's connection is to do with a call.
pub(super) enum Served {
    Answer(Box<response::Parts>, Reply),
    /// See [`Forwarded::Reset`].
    Reset(ResetReason, Box<OnAnswer>),
}

/// Makes a call of gRPC-Web one of gRPC, and tells in which form it wants its answer; leaves
/// all others as they are. Comes before [`forward`].
///
/// [`forward`]: super::forward::forward
pub(super) fn translate(
    http: &Http,
    caller: &Caller,
    parts: &mut request::Parts,
    body: Body,
) -> (Option<Form>, Body) {
    let form = Form::of(&parts.headers).filter(|_| is_translated(http, caller, parts));
    let Some(form) = form else { return (None, body) };
    let body = request_body(body, &parts.headers, &form);
    grpc_web::request(&mut parts.headers, &form);
    parts.version = Version::HTTP_2;
    (Some(form), body)
}

/// What came of a call, in the form that [`translate`] told.
pub(super) fn reply(form: Option<Form>, forwarded: Forwarded) -> Served {
    let Some(form) = form else {
        return match forwarded {
            Forwarded::Answer(parts, answer) => Served::Answer(parts, Reply::Whole(answer)),
            Forwarded::Reset(reason, on_answer) => Served::Reset(reason, on_answer),
        };
    };
    let (mut parts, answer) = match forwarded {
        Forwarded::Answer(parts, answer) => (parts, answer),
        // The caller may have no word for it, so it is told what its library would tell it.
        Forwarded::Reset(reason, on_answer) => {
            let fault = broken_off(reason);
            let (mut parts, body) = own::fault(Dialect::Grpc, &fault).into_parts();
            on_answer.apply(&mut parts.headers);
            (Box::new(parts), Box::new(Answer::own(Body::Whole(body))))
        }
    };
    let reply = match grpc_web::response(&mut parts.headers, &form) {
        Some(trailers) => Reply::Web(Box::new(Translated::new(*answer, form.response, trailers))),
        None => Reply::Whole(answer),
    };
    Served::Answer(parts, reply)
}

/// Whether a request of gRPC was one of gRPC-Web: then it is one of HTTP/2 by now, whatever
/// it came over.
pub(super) fn is_web(parts: &request::Parts) -> bool {
    parts.version == Version::HTTP_2
}

/// Whether a request that is gRPC-Web is made gRPC: see the opening of this module.
fn is_translated(http: &Http, caller: &Caller, parts: &request::Parts) -> bool {
    if matches!(caller.listener.destination, Destination::App(_)) {
        return false;
    }
    let snapshot = http.worker.snapshot();
    let services = &snapshot.1.http;
    let Some((service, _)) = head::meant_by_path(parts, |name| services.contains_key(name)) else {
        return false;
    };
    match services.get(service) {
        Some(Entry::Ready(table)) if !table.endpoints().is_empty() => table
            .endpoints()
            .iter()
            .any(|endpoint| spoken_by(&endpoint.protocol) == Some(meaning::Version::Http2)),
        _ => true,
    }
}

fn request_body(body: Body, headers: &HeaderMap, form: &Form) -> Body {
    let is_encoded = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if is_encoded && !body.is_end() {
        return Body::End(Err(BodyError::Unfit("its body is compressed as a whole")));
    }
    match form.request {
        Encoding::Text if !body.is_end() => Body::Text(Box::new(Decoded::new(body))),
        _ => body,
    }
}

/// Translates what was written of a body into window of the one it is made of.
#[derive(Debug, Default)]
struct Window {
    taken: u64,
    given: u64,
    written: u64,
    released: u64,
}

impl Window {
    /// So much was taken of the one and given of the other.
    fn pass(&mut self, taken: usize, given: usize) {
        self.taken += taken as u64;
        self.given += given as u64;
    }

    /// So much of what was given was written: how much more to release of what was taken.
    fn release(&mut self, written: usize) -> usize {
        self.written += written as u64;
        let due = match self.given > self.written {
            true => u128::from(self.taken) * u128::from(self.written) / u128::from(self.given),
            false => u128::from(self.taken),
        };
        // Not more than what was taken.
        let more = (due as u64).saturating_sub(self.released);
        self.released += more;
        more as usize
    }
}

/// A request's body that comes in base64.
#[derive(Debug)]
pub(super) struct Decoded {
    body: Body,
    decoder: Decoder,
    window: Window,
}

const NOT_BASE64: BodyError = BodyError::Unfit("its body is not base64");

impl Decoded {
    fn new(body: Body) -> Self {
        Decoded { body, decoder: Decoder::default(), window: Window::default() }
    }

    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        loop {
            let text = match ready!(self.body.poll_piece(cx)) {
                Some(Ok(Piece::Data(text))) => text,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // No caller has trailers; they would mean nothing.
                Some(Ok(Piece::Trailers(_))) | None => {
                    let end = self.decoder.end().is_err().then_some(Err(NOT_BASE64));
                    return Poll::Ready(end);
                }
            };
            let is_end = self.body.is_end();
            let bytes = match self.decoder.decode(&text) {
                Ok(bytes) if !is_end || self.decoder.end().is_ok() => bytes,
                _ => return Poll::Ready(Some(Err(NOT_BASE64))),
            };
            self.window.pass(text.len(), bytes.len());
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Piece::Data(bytes.into()))));
            }
            self.release(0);
            if is_end {
                return Poll::Ready(None);
            }
        }
    }

    pub(super) fn release(&mut self, bytes: usize) {
        let bytes = self.window.release(bytes);
        self.body.release(bytes);
    }

    pub(super) fn is_end(&self) -> bool {
        self.body.is_end()
    }
}

/// An answer as its caller gets it.
pub(super) enum Reply {
    /// As it came.
    Whole(Box<Answer>),
    /// In gRPC-Web.
    Web(Box<Translated>),
}

/// An answer in gRPC-Web.
pub(super) struct Translated {
    answer: Answer,
    encoding: Encoding,
    /// Those that stood in the head.
    trailers: HeaderMap,
    messages: Messages,
    window: Window,
    /// It has nothing more to say.
    is_over: bool,
    /// What it waits for before it ends.
    linger: Option<Linger>,
}

impl Translated {
    fn new(answer: Answer, encoding: Encoding, trailers: HeaderMap) -> Self {
        let (messages, window) = (Messages::default(), Window::default());
        let (is_over, linger) = (false, None);
        Translated { answer, encoding, trailers, messages, window, is_over, linger }
    }

    fn piece(&mut self, taken: usize, bytes: Bytes) -> Piece {
        let bytes = match self.encoding {
            Encoding::Binary => bytes,
            Encoding::Text => grpc_web::encode(&bytes),
        };
        self.window.pass(taken, bytes.len());
        Piece::Data(bytes)
    }

    /// The last piece. In the middle of a message it would be taken for more of that: then
    /// the caller can only be left without it.
    fn end(&mut self, trailers: &HeaderMap) -> Result<Piece, BodyError> {
        self.is_over = true;
        match self.messages.is_between() {
            true => Ok(self.piece(0, grpc_web::trailer_frame(trailers).into())),
            false => Err(BodyError::Lost),
        }
    }
}

impl Source for Translated {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        if self.is_over {
            if let Some(linger) = &mut self.linger {
                ready!(linger.poll(cx));
            }
            return Poll::Ready(None);
        }
        let piece = match ready!(self.answer.poll_piece(cx)) {
            Some(Ok(Piece::Data(data))) => {
                self.messages.pass(&data);
                Some(Ok(self.piece(data.len(), data)))
            }
            Some(Ok(Piece::Trailers(trailers))) => Some(self.end(&trailers)),
            Some(Err(BodyError::Reset(reason))) => {
                let trailers = own::trailers(Dialect::Grpc, &broken_off(reason));
                Some(self.end(&trailers.unwrap_or_default()))
            }
            Some(Err(error)) => Some(Err(error)),
            None if self.trailers.contains_key(grpc::STATUS) => {
                let trailers = std::mem::take(&mut self.trailers);
                Some(self.end(&trailers))
            }
            None => {
                self.is_over = true;
                return self.poll_piece(cx);
            }
        };
        Poll::Ready(piece)
    }

    fn release(&mut self, bytes: usize) {
        let bytes = self.window.release(bytes);
        self.answer.release(bytes);
    }

    fn is_end(&self) -> bool {
        self.is_over && self.linger.is_none()
    }

    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        self.answer.poll_given_up(cx)
    }

    /// What it is translated to has another length.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Reply {
    /// Ends when nothing is left of its request. gRPC's servers may answer before they have
    /// read it, and nothing of it is sent on then; plain HTTP's read on.
    pub(super) fn linger(&mut self, back: Rc<Back>) {
        if let Reply::Web(answer) = self {
            answer.linger = Some(Linger::new(back));
        }
    }
}

impl Source for Reply {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        match self {
            Reply::Whole(answer) => answer.poll_piece(cx),
            Reply::Web(answer) => answer.poll_piece(cx),
        }
    }

    fn release(&mut self, bytes: usize) {
        match self {
            Reply::Whole(answer) => answer.release(bytes),
            Reply::Web(answer) => answer.release(bytes),
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Reply::Whole(answer) => answer.is_end(),
            Reply::Web(answer) => answer.is_end(),
        }
    }

    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        match self {
            Reply::Whole(answer) => answer.poll_given_up(cx),
            Reply::Web(answer) => answer.poll_given_up(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(answer) => answer.size_hint(),
            Reply::Web(answer) => answer.size_hint(),
        }
    }
}
