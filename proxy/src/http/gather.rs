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
pub(super) struct Gathered<S = Socket>(Rc<RefCell<Gathering<S>>>);

/// The end of whoever polls the connection.
pub(super) struct Turn<S = Socket>(Rc<RefCell<Gathering<S>>>);

struct Gathering<S> {
    socket: S,
    bytes: Vec<u8>,
    sent: usize,
    /// While the connection comes about nobody ends its turns.
    has_begun: bool,
}

/// Splits a socket into both ends.
pub(super) fn gather<S>(socket: S) -> (Gathered<S>, Turn<S>) {
    let gathering = Gathering { socket, bytes: Vec::new(), sent: 0, has_begun: false };
    let gathering = Rc::new(RefCell::new(gathering));
    (Gathered(gathering.clone()), Turn(gathering))
}

impl<S: AsyncWrite + Unpin> Turn<S> {
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

impl<S: AsyncWrite + Unpin> Gathering<S> {
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

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// A socket that does as it is told, and tells what it was asked.
    #[derive(Default)]
    struct Told {
        /// What becomes of the next writes: so many bytes are taken (none: it is full), or
        /// it fails. Those behind them are taken whole.
        next: VecDeque<io::Result<usize>>,
        writes: Vec<Vec<u8>>,
        flushes: u32,
        is_shut: bool,
        /// How often somebody waits for room.
        waiting: u32,
    }

    impl AsyncRead for Told {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(b"read");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Told {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = match self.next.pop_front() {
                Some(Ok(0)) => {
                    self.waiting += 1;
                    return Poll::Pending;
                }
                Some(Ok(usize::MAX)) => return Poll::Ready(Ok(0)),
                Some(Ok(taken)) => taken.min(buf.len()),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => buf.len(),
            };
            self.writes.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_shut = true;
            Poll::Ready(Ok(()))
        }
    }

    /// A turn that takes no more of a socket than this says.
    const FULL: io::Result<usize> = Ok(0);
    /// A socket that says it took nothing.
    const NOTHING: io::Result<usize> = Ok(usize::MAX);

    fn broken() -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Both ends, after the connection came about.
    fn begun(next: impl IntoIterator<Item = io::Result<usize>>) -> (Gathered<Told>, Turn<Told>) {
        let (gathered, turn) = gather(Told { next: next.into_iter().collect(), ..Told::default() });
        turn.begin();
        (gathered, turn)
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn write(gathered: &mut Gathered<Told>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(gathered).poll_write(&mut cx(), bytes)
    }

    #[track_caller]
    fn written(gathered: &mut Gathered<Told>, bytes: &[u8]) {
        assert!(matches!(write(gathered, bytes), Poll::Ready(Ok(count)) if count == bytes.len()));
    }

    fn end(turn: &Turn<Told>) {
        turn.end(&mut cx());
    }

    /// What reached the socket, write by write.
    fn writes(turn: &Turn<Told>) -> Vec<Vec<u8>> {
        turn.0.borrow().socket.writes.clone()
    }

    #[test]
    fn what_is_written_in_a_turn_is_one_write_in_its_order() {
        let (mut gathered, turn) = begun([]);
        for frame in [&b"one "[..], b"", b"two "] {
            written(&mut gathered, frame);
            assert!(Pin::new(&mut gathered).poll_flush(&mut cx()).is_ready());
        }
        let bufs = [IoSlice::new(b"head "), IoSlice::new(b"data")];
        let count = Pin::new(&mut gathered).poll_write_vectored(&mut cx(), &bufs);
        assert!(matches!(count, Poll::Ready(Ok(9))));
        assert!(writes(&turn).is_empty(), "before the turn has ended");
        end(&turn);
        assert_eq!(writes(&turn), [b"one two head data"]);
        // A turn in which nothing is said writes nothing.
        end(&turn);
        written(&mut gathered, b"next");
        end(&turn);
        assert_eq!(writes(&turn), [&b"one two head data"[..], b"next"]);
    }

    /// Nobody ends the turns of a handshake.
    #[test]
    fn what_is_written_before_the_connection_came_about_goes_at_once() {
        let (mut gathered, turn) = gather(Told::default());
        written(&mut gathered, b"settings");
        assert_eq!(writes(&turn), [b"settings"]);
        assert!(Pin::new(&mut gathered).poll_flush(&mut cx()).is_ready());
        assert_eq!(turn.0.borrow().socket.flushes, 1);
        turn.begin();
        written(&mut gathered, b"frame");
        assert_eq!(writes(&turn).len(), 1);
    }

    #[test]
    fn what_a_full_socket_does_not_take_goes_before_what_comes_after_it() {
        let (mut gathered, turn) = begun([Ok(3), Ok(2), FULL, Ok(1), FULL]);
        written(&mut gathered, b"first turn ");
        end(&turn);
        assert_eq!(writes(&turn), [&b"fir"[..], b"st"]);
        written(&mut gathered, b"second turn");
        assert_eq!(turn.0.borrow().socket.waiting, 1, "a write into the buffer asks nobody");
        end(&turn);
        assert_eq!(turn.0.borrow().socket.waiting, 2, "the task is woken when there is room");
        end(&turn);
        assert_eq!(writes(&turn).concat(), b"first turn second turn");
        assert_eq!(writes(&turn).last().map(Vec::as_slice), Some(&b"turn second turn"[..]));
    }

    #[test]
    fn no_more_is_kept_than_enough_and_one_write() {
        let piece = vec![b'x'; 1000];
        let (mut gathered, turn) = begun([FULL, FULL, Ok(70_000), FULL]);
        let mut taken = 0;
        while write(&mut gathered, &piece).is_ready() {
            taken += piece.len();
            assert!(taken < 2 * ENOUGH, "nobody stops it");
        }
        assert_eq!(taken, ENOUGH.next_multiple_of(piece.len()));
        // Nor does it help that the socket takes a part: what is kept is sent first, whole.
        assert!(write(&mut gathered, &piece).is_pending() && writes(&turn).is_empty());
        assert!(write(&mut gathered, &piece).is_pending());
        assert_eq!(writes(&turn).concat().len(), 70_000);
        written(&mut gathered, b"!");
        end(&turn);
        let all = writes(&turn).concat();
        assert_eq!((all.len(), all.last()), (taken + 1, Some(&b'!')));
    }

    #[test]
    fn between_turns_a_connection_keeps_no_buffer() {
        let (mut one, turn) = begun([]);
        let (mut other, other_turn) = begun([]);
        written(&mut one, &[b'x'; 5000]);
        end(&turn);
        assert_eq!(turn.0.borrow().bytes.capacity(), 0);
        written(&mut other, b"short");
        assert!(other_turn.0.borrow().bytes.capacity() >= 5000, "it is the worker's, used again");
        end(&other_turn);
        assert_eq!(writes(&other_turn), [b"short"], "with nothing of its last user's");
    }

    /// The turn has nobody to tell; whoever writes next is told.
    #[test]
    fn what_fails_at_a_turns_end_fails_the_next_write() {
        let (mut gathered, turn) = begun([Ok(2), broken(), broken()]);
        written(&mut gathered, b"lost");
        end(&turn);
        assert_eq!(writes(&turn), [b"lo"]);
        let error = write(&mut gathered, b"more");
        assert!(
            matches!(error, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe)
        );
        assert_eq!(turn.0.borrow().bytes.capacity(), 0);

        let (mut gathered, turn) = begun([NOTHING, NOTHING]);
        written(&mut gathered, b"lost");
        end(&turn);
        let error = write(&mut gathered, b"more");
        assert!(
            matches!(error, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::WriteZero)
        );
    }

    #[test]
    fn all_is_sent_before_the_end() {
        let (mut gathered, turn) = begun([FULL]);
        written(&mut gathered, b"goaway");
        assert!(Pin::new(&mut gathered).poll_shutdown(&mut cx()).is_pending());
        assert!(!turn.0.borrow().socket.is_shut);
        assert!(Pin::new(&mut gathered).poll_shutdown(&mut cx()).is_ready());
        assert_eq!(writes(&turn), [b"goaway"]);
        assert!(turn.0.borrow().socket.is_shut);

        let (mut gathered, turn) = begun([broken()]);
        written(&mut gathered, b"goaway");
        let ended = Pin::new(&mut gathered).poll_shutdown(&mut cx());
        assert!(matches!(ended, Poll::Ready(Err(_))) && !turn.0.borrow().socket.is_shut);
    }

    #[test]
    fn reads_are_the_sockets_own() {
        let (mut gathered, turn) = begun([]);
        written(&mut gathered, b"kept");
        let mut bytes = [0; 8];
        let mut buf = ReadBuf::new(&mut bytes);
        assert!(Pin::new(&mut gathered).poll_read(&mut cx(), &mut buf).is_ready());
        assert_eq!(buf.filled(), b"read");
        assert!(writes(&turn).is_empty());
    }
}
