//! What comes after an upgrade (WebSocket and others): bytes, passed on unread
//! both ways until both sides have ended.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use codec::{Outcome, Reason};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Http;
use super::call::Call;
use super::upstream::Held;
use crate::listener::Admitted;

/// Carries one tunnel to its end. It is its call's, which ends with it.
pub(super) async fn carry(
    http: Rc<Http>,
    admitted: Option<Rc<Admitted>>,
    mut call: Call,
    caller: OnUpgrade,
    endpoint: OnUpgrade,
    held: Held,
) {
    // As long as it lasts, its caller is one that is connected.
    let (_open, _admitted) = (http.opened(), admitted);
    let (caller, endpoint) = match tokio::try_join!(caller, endpoint) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "an upgrade did not come about");
            return; // and the call counts as given up
        }
    };
    let (mut caller, mut endpoint) = (End::new(caller), End::new(endpoint));
    let copied = tokio::io::copy_bidirectional(&mut caller, &mut endpoint).await;
    call.request_bytes().set(caller.read);
    call.response_bytes = endpoint.read;
    match copied {
        Ok(_) => call.end(Outcome::Success),
        Err(error) => {
            tracing::debug!(%error, is_endpoint = endpoint.is_broken, "a tunnel broke");
            // Else its caller has given it up.
            if endpoint.is_broken {
                call.end(Outcome::Fault(Reason::ConnectionLost));
            }
        }
    }
    drop(held);
}

/// One end of a tunnel.
struct End {
    io: TokioIo<Upgraded>,
    /// Bytes that came from it.
    read: u64,
    /// It is the end that failed.
    is_broken: bool,
}

impl End {
    fn new(io: Upgraded) -> Self {
        End { io: TokioIo::new(io), read: 0, is_broken: false }
    }

    fn polled<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.is_broken |= matches!(polled, Poll::Ready(Err(_)));
        polled
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.read += (buf.filled().len() - before) as u64;
        self.polled(polled)
    }
}

impl AsyncWrite for End {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.polled(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.polled(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.polled(polled)
    }
}
