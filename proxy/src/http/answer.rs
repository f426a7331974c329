//! An answer's body on its way to the caller, and what its end tells of the call.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use codec::http::answer;
use codec::http::outcome::Verdict;
use codec::{Fault, Outcome, Reason};
use http_body::SizeHint;
use tokio::time::Sleep;

use super::body::{Body, BodyError, Piece, Source};
use super::call::Call;
use super::faults::{lost, unfit};
use super::upstream::{Held, Uploading};

/// The answer to one call.
pub(super) struct Answer {
    body: Body,
    /// The call that it answers, until it has ended.
    call: Option<Call>,
    /// What the head said of how it went.
    verdict: Verdict,
    /// How long the head says that the body is, in bytes.
    length: Option<u64>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The connection that it comes by.
    held: Option<Held>,
    /// What is left of the request.
    upload: Option<Uploading>,
    /// No endpoint gave it.
    pub(super) is_own: bool,
}

impl Answer {
    /// The mesh's own.
    pub(super) fn own(body: Body) -> Self {
        Answer {
            body,
            call: None,
            verdict: Verdict::Final(Outcome::Success),
            length: None,
            deadline: None,
            held: None,
            upload: None,
            is_own: true,
        }
    }

    /// The mesh's own, to a call that is counted when it has ended. `verdict` is what its
    /// head says of it.
    pub(super) fn counted(
        call: Call,
        verdict: Verdict,
        deadline: Option<Instant>,
        body: Body,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        let mut answer = Answer {
            body,
            call: Some(call),
            verdict,
            length: None,
            deadline,
            held: None,
            upload: None,
            is_own: true,
        };
        if answer.body.is_end() {
            answer.end(None);
        }
        answer
    }

    /// An endpoint's, whose head came. `verdict` is what the head says of it, `length` how
    /// long its body is.
    pub(super) fn of(
        mut call: Call,
        verdict: Verdict,
        length: Option<u64>,
        deadline: Option<Instant>,
        received: super::upstream::Received,
    ) -> Self {
        call.answered(Instant::now());
        let super::upstream::Received { body, held, upload, .. } = received;
        let deadline = deadline.filter(|_| !body.is_end());
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        let mut answer = Answer {
            body,
            call: Some(call),
            verdict,
            length,
            deadline,
            held: Some(held),
            upload,
            is_own: false,
        };
        if answer.body.is_end() {
            answer.end(None);
        }
        answer
    }

    /// The body has ended as it should.
    fn end(&mut self, trailers: Option<&http::HeaderMap>) {
        self.deadline = None;
        if let Some(mut call) = self.call.take() {
            let is_grpc = call.dialect.is_grpc();
            if let Some(trailers) = trailers {
                call.set_trailers(trailers);
            }
            call.end(self.verdict.at_end(trailers));
            // A call of gRPC is over with its status; whatever its caller still
            // sends, nobody reads. Plain HTTP may answer early and read on.
            if let Some(upload) = self.upload.take().filter(|_| !is_grpc) {
                upload.go_on();
            }
        }
        if let Some(held) = self.held.take() {
            held.give_back();
        }
    }

    /// The body does not go on. gRPC's callers are told by a status; others can
    /// only be left without the rest.
    fn fail(&mut self, error: BodyError) -> Result<Piece, BodyError> {
        self.body = Body::Empty;
        self.deadline = None;
        self.held = None;
        let Some(mut call) = self.call.take() else { return Err(error) };
        // The endpoint's stream ended because its request did.
        let upload = self.upload.take();
        let error = upload.as_ref().and_then(Uploading::unfit).unwrap_or(error);
        if let Some(upload) = upload.filter(|_| !call.dialect.is_grpc()) {
            upload.go_on();
        }
        let fault = match error {
            // The endpoint's own words, passed on.
            BodyError::Reset(_) => {
                call.set_statuses(None);
                call.end(Outcome::ProviderError);
                return Err(error);
            }
            BodyError::Late => late(&call),
            BodyError::Lost => lost("the connection broke before the answer was whole"),
            BodyError::TooLarge(_) | BodyError::Unfit(_) => unfit(error),
        };
        call.end(Outcome::Fault(fault.reason));
        match answer::trailers(call.dialect, &fault) {
            Some(trailers) => Ok(Piece::Trailers(trailers)),
            None => Err(error),
        }
    }
}

/// The fault of a call whose deadline passed.
pub(super) fn late(call: &Call) -> Fault {
    let after = call.started.elapsed().as_millis();
    Fault::new(
        Reason::Timeout,
        format!("no answer was whole within the call's deadline, after {after} ms"),
        "see why the provider is slow, or give the call more time",
    )
}

impl Source for Answer {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        if let Poll::Ready(error) = self.poll_given_up(cx) {
            return Poll::Ready(Some(self.fail(error)));
        }
        let piece = match ready!(self.body.poll_piece(cx)) {
            Some(Err(error)) => Some(self.fail(error)),
            Some(Ok(Piece::Data(data))) => {
                if let Some(call) = &mut self.call {
                    call.response_bytes += data.len() as u64;
                }
                // Nobody asks again for what comes after the end.
                if self.body.is_end() {
                    self.end(None);
                }
                Some(Ok(Piece::Data(data)))
            }
            Some(Ok(Piece::Trailers(trailers))) => {
                self.end(Some(&trailers));
                Some(Ok(Piece::Trailers(trailers)))
            }
            None => {
                self.end(None);
                None
            }
        };
        Poll::Ready(piece)
    }

    fn release(&mut self, bytes: usize) {
        self.body.release(bytes);
    }

    fn is_end(&self) -> bool {
        self.body.is_end()
    }

    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().poll(cx).map(|()| BodyError::Late),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Over HTTP/1.1 nobody asks for an end that its length has told.
        let call = self.call.as_ref().filter(|call| !call.dialect.is_grpc());
        let given = call.map(|call| call.response_bytes);
        if given.is_some() && given == self.length {
            self.end(None);
        }
    }
}
