//! What an HTTP/2 connection writes in one turn, gathered. The h2 crate hands over every
//! frame of data on its own and flushes behind it: a body of 64 KiB would take five
//! system calls. Here it is kept until the connection has said all that it has to say.
//!
//! Whoever polls the connection calls [`Turn::end`] behind it; without that nothing is
//! sent.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;

/// So many bytes are sent before the turn has ended.
const ENOUGH: usize = 128 << 10;

thread_local! {
    /// A buffer for the next connection's turn: one serves a whole worker, and stays in
    /// the processor's cache.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The h2 crate's end of a connection's socket.
pub(super) struct Gathered(Rc<RefCell<Gathering>>);

/// The end of whoever polls the connection.
pub(super) struct Turn(Rc<RefCell<Gathering>>);

struct Gathering {
    socket: Socket,
    bytes: Vec<u8>,
    sent: usize,
    /// While the connection comes about nobody ends its turns.
    has_begun: bool,
}

/// Splits a socket into both ends.
pub(super) fn gather(socket: Socket) -> (Gathered, Turn) {
    let gathering = Gathering { socket, bytes: Vec::new(), sent: 0, has_begun: false };
    let gathering = Rc::new(RefCell::new(gathering));
    (Gathered(gathering.clone()), Turn(gathering))
}

impl Turn {
    /// From now on turns are ended by [`Turn::end`].
    pub(super) fn begin(&self) {
        self.0.borrow_mut().has_begun = true;
    }

    /// Sends what the turn has gathered, as far as the socket takes it; the task is woken
    /// for the rest.
    pub(super) fn end(&self, cx: &mut Context<'_>) {
        let mut gathering = self.0.borrow_mut();
        if let Poll::Ready(Err(_)) = gathering.poll_send(cx) {
            // The next write fails as well, and tells the connection.
            gathering.has_begun = false;
        }
    }
}

impl Gathering {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let rest = &self.bytes[self.sent..];
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, rest));
            match written {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.sent += written,
                Err(error) => {
                    self.forget();
                    return Poll::Ready(Err(error));
                }
            }
        }
        self.forget();
        Poll::Ready(Ok(()))
    }

    fn forget(&mut self) {
        if self.bytes.capacity() > 0 {
            self.bytes.clear();
            SPARE.set(std::mem::take(&mut self.bytes));
        }
        self.sent = 0;
    }
}

impl AsyncRead for Gathered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathering = self.0.borrow_mut();
        if gathering.bytes.len() >= ENOUGH || !gathering.has_begun {
            ready!(gathering.poll_send(cx))?;
        }
        if !gathering.has_begun {
            return Pin::new(&mut gathering.socket).poll_write_vectored(cx, bufs);
        }
        if gathering.bytes.capacity() == 0 {
            gathering.bytes = SPARE.take();
        }
        let before = gathering.bytes.len();
        for buf in bufs {
            gathering.bytes.extend_from_slice(buf);
        }
        Poll::Ready(Ok(gathering.bytes.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().socket.is_write_vectored()
    }

    /// What is gathered goes with the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.0.borrow_mut();
        if gathering.has_begun {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut gathering.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.0.borrow_mut();
        ready!(gathering.poll_send(cx))?;
        Pin::new(&mut gathering.socket).poll_shutdown(cx)
    }
}
