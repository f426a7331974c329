//! What is left of a request over HTTP/1.1 when it is answered. There a connection ends when
//! nobody reads a request to its end, and a caller that still writes loses the answer with
//! it. So what is left is read for nobody, for a while, before the answer ends.
//!
//! HTTP/2 has resets for it.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use http_body::Body as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// How much is read for nobody, in bytes: what callers may write before they look for an
/// answer.
const MOST: usize = super::STREAM_WINDOW as usize;
/// For how long.
const LONGEST: Duration = Duration::from_secs(1);

/// A body that comes by HTTP/1.1. A request's is given back when whoever sends it on lets go
/// of it.
#[derive(Debug)]
pub(super) struct Http1 {
    body: Option<Incoming>,
    back: Option<Rc<Back>>,
}

/// Where a request's body is given back to.
#[derive(Debug, Default)]
pub(super) struct Back(RefCell<Left>);

#[derive(Debug, Default)]
enum Left {
    /// Nothing.
    #[default]
    Over,
    /// Somebody has it; whoever waits for it is told.
    InUse,
    Waited(Waker),
    There(Incoming),
}

impl Http1 {
    /// An answer's.
    pub(super) fn new(body: Incoming) -> Self {
        Http1 { body: Some(body), back: None }
    }

    /// A request's.
    pub(super) fn lent(body: Incoming, back: Rc<Back>) -> Self {
        back.0.replace(Left::InUse);
        Http1 { body: Some(body), back: Some(back) }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    pub(super) fn is_end(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        let Some(back) = self.back.take() else { return };
        let left = self.body.take().filter(|body| !body.is_end_stream());
        let left = left.map_or(Left::Over, Left::There);
        if let Left::Waited(waker) = back.0.replace(left) {
            waker.wake();
        }
    }
}

impl Back {
    /// Whether it was given back, and something is left.
    pub(super) fn is_there(&self) -> bool {
        matches!(*self.0.borrow(), Left::There(_))
    }
}

/// Reads what is left.
pub(super) struct Linger {
    back: Rc<Back>,
    read: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl Linger {
    pub(super) fn new(back: Rc<Back>) -> Self {
        Linger { back, read: 0, until: None }
    }

    /// Done when nothing is left, or enough was read, or waited for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut left = self.back.0.borrow_mut();
            let frame = match &mut *left {
                Left::Over => return Poll::Ready(()),
                Left::There(body) => Pin::new(body).poll_frame(cx),
                Left::InUse | Left::Waited(_) => {
                    *left = Left::Waited(cx.waker().clone());
                    Poll::Pending
                }
            };
            let frame = match frame {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(_)) | None) => {
                    *left = Left::Over;
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    drop(left);
                    let until = self.until.get_or_insert_with(|| Box::pin(sleep(LONGEST)));
                    ready!(until.as_mut().poll(cx));
                    return Poll::Ready(());
                }
            };
            drop(left);
            self.read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if self.read >= MOST {
                return Poll::Ready(());
            }
        }
    }
}
