//! A caller's connection that goes on with HTTP/2 after a request over HTTP/1.1 asked for it
//! (RFC 7540, section 3.2): `curl --http2`, and what Java's HTTP client does by default.
//!
//! The request is answered as the first stream of HTTP/2. From then on it is a connection
//! like any other of [`super::h2_server`], but for how its bytes begin, which [`Start`] sees
//! to. It is this hop's own: nothing of it is ever passed on, and where it is not taken up
//! the request is served as if it had not asked.
//!
//! Not here: what asks for it, and the bytes ([`codec::http::h2c`]).

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use codec::http::h2c::{Opening, Settings};
use codec::http::{Version, hop};
use http::{HeaderValue, Response, StatusCode, request};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;

use super::answer::Answer;
use super::body::Body;
use super::caller::Caller;
use super::socket::Socket;
use super::{FRAME, Http, Open, h2_server};
use crate::listener::Admitted;

/// So much is read at once while a connection begins: more than clients send.
const PIECE: usize = 256;

/// A connection that was told to go on with HTTP/2.
pub(super) struct Switched {
    opening: Opening,
    connection: OnUpgrade,
}

impl Switched {
    /// Takes up what this request asks for, if it does. It has no body: one that has would
    /// have to be read whole first, and is served over HTTP/1.1 instead.
    pub(super) fn asked(
        http: &Http,
        caller: &Caller,
        request: &request::Parts,
        connection: &OnUpgrade,
    ) -> Option<Switched> {
        // A caller that is about to be asked for no more calls need not change its language.
        if caller.listener.grpc_only || http.draining.get() {
            return None;
        }
        let settings = Settings::wanted(request)?;
        let mut head = request.clone();
        hop::request(&mut head, Version::Http1, Version::Http2).ok()?;
        let limit = http.worker.limits.head as usize;
        let opening = Opening::new(settings, &head, FRAME as usize, limit).ok()?;
        Some(Switched { opening, connection: connection.clone() })
    }

    /// What the caller is told.
    pub(super) fn answer() -> Response<Answer> {
        let mut answer = Response::new(Answer::own(Body::Empty));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        hop::set_upgrade(answer.headers_mut(), HeaderValue::from_static("h2c"));
        answer
    }

    /// Serves the caller until its connection ends.
    pub(super) async fn serve(self, open: Open, admitted: Rc<Admitted>, caller: &Caller) {
        let peer = caller.address;
        let upgraded = match self.connection.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%peer, %error, "an upgrade did not come about"),
        };
        // hyper gives back what it was given.
        let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else { return };
        open.0.worker.metrics.connection_upgraded();
        let (opening, ahead) = (self.opening, parts.read_buf);
        let start = Start { opening, came: Vec::new(), ahead, said: None };
        let socket = parts.io.into_inner().starting(start);
        let caller = Rc::new(caller.upgraded(&admitted));
        h2_server::serve(open, admitted, caller, socket).await;
    }
}

/// Reads how a caller's HTTP/2 begins, and says it with the request that it began with.
pub(super) struct Start {
    opening: Opening,
    /// Of the preface and the settings.
    came: Vec<u8>,
    /// What was read with the request, behind it.
    ahead: Bytes,
    /// What is to be read in their place, once they came whole.
    said: Option<Bytes>,
}

impl Start {
    /// Whether all that comes is as it is to be read.
    pub(super) fn is_over(&self) -> bool {
        self.said.as_ref().is_some_and(Bytes::is_empty) && self.ahead.is_empty()
    }

    /// Reads on, with `read` from the socket. Nothing is said before all is there, so that
    /// the time that a caller has for the preface holds for it.
    ///
    /// # Errors
    /// Those of `read`, and [`io::ErrorKind::InvalidData`] where HTTP/2 does not begin.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        mut read: impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let said = loop {
            if let Some(said) = &mut self.said {
                break said;
            }
            let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            let missing = self.opening.missing(&self.came).map_err(wrong)?;
            if missing == 0 {
                self.said = Some(self.opening.bytes(&self.came).into());
                self.came = Vec::new();
            } else if !self.ahead.is_empty() {
                let taken = self.ahead.split_to(missing.min(self.ahead.len()));
                self.came.extend_from_slice(&taken);
            } else {
                let mut piece = [0; PIECE];
                let mut piece = ReadBuf::new(&mut piece[..missing.min(PIECE)]);
                ready!(read(cx, &mut piece))?;
                if piece.filled().is_empty() {
                    return Poll::Ready(Ok(())); // it hung up
                }
                self.came.extend_from_slice(piece.filled());
            }
        };
        let next = if said.is_empty() { &mut self.ahead } else { said };
        let taken = next.len().min(buf.remaining());
        buf.put_slice(&next[..taken]);
        next.advance(taken);
        Poll::Ready(Ok(()))
    }
}
