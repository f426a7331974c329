//! A socket whose bytes are counted, and, of a caller's HTTP/1.1, watched; where that goes on
//! with HTTP/2, what it begins with is put in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use codec::http::framing::Framing;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::h2c::Start;
use crate::metrics::{Side, WorkerMetrics};
use crate::redirected::OwnConnection;
use crate::worker::Dialed;

/// Pieces that are so small together are joined before they are written: that costs less
/// than having the kernel gather them.
const SMALL: usize = 1024;

/// One connection's socket.
pub(super) struct Socket {
    stream: TcpStream,
    metrics: Arc<WorkerMetrics>,
    side: Side,
    /// Set whenever bytes come.
    heard: Arc<AtomicBool>,
    /// Boxed, as is what follows: few connections have either.
    framing: Option<Box<Watch>>,
    /// Of a caller that was upgraded to HTTP/2, until that has begun.
    start: Option<Box<Start>>,
    /// Of a connection that the proxy made.
    _own: Option<Box<OwnConnection>>,
}

/// Refuses what strict readers refuse.
struct Watch {
    framing: Framing,
    /// Set when the bytes are no HTTP any more.
    tunnel: Arc<AtomicBool>,
    refused: bool,
}

impl Socket {
    /// A caller's.
    pub(super) fn accepted(
        stream: TcpStream,
        metrics: Arc<WorkerMetrics>,
        heard: Arc<AtomicBool>,
    ) -> Self {
        let (side, framing, start, _own) = (Side::Downstream, None, None, None);
        Socket { stream, metrics, side, heard, framing, start, _own }
    }

    /// An endpoint's.
    pub(super) fn dialed(
        dialed: Dialed,
        metrics: Arc<WorkerMetrics>,
        heard: Arc<AtomicBool>,
    ) -> Self {
        let Dialed { socket: stream, own } = dialed;
        let (side, framing, start, _own) = (Side::Upstream, None, None, own.map(Box::new));
        Socket { stream, metrics, side, heard, framing, start, _own }
    }

    /// Watches the requests that come, until `tunnel` is set.
    pub(super) fn watched(mut self, line: usize, tunnel: Arc<AtomicBool>) -> Self {
        let framing = Framing::new(line);
        self.framing = Some(Box::new(Watch { framing, tunnel, refused: false }));
        self
    }

    /// Its requests are over; HTTP/2 starts.
    pub(super) fn starting(mut self, start: Start) -> Self {
        self.framing = None;
        self.start = Some(Box::new(start));
        self
    }

    /// What is set whenever bytes come.
    pub(super) fn heard(&self) -> Arc<AtomicBool> {
        self.heard.clone()
    }

    /// Reads, and counts.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read > 0 {
            self.metrics.bytes_received(self.side, read as u64);
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.framing.as_ref().is_some_and(|watch| watch.refused) {
            return Poll::Ready(Ok(())); // after what was refused there is nothing to read
        }
        if let Some(mut start) = self.start.take() {
            let polled = start.poll_read(cx, buf, |cx, buf| self.poll_bytes(cx, buf));
            if !start.is_over() {
                self.start = Some(start);
            }
            return polled;
        }
        let before = buf.filled().len();
        ready!(self.poll_bytes(cx, buf))?;
        let Socket { stream, metrics, side, framing, .. } = &mut *self;
        let read = &mut buf.filled_mut()[before..];
        if let Some(watch) = framing
            && !watch.tunnel.load(Ordering::Relaxed)
            && let Err(refused) = watch.framing.check(read)
        {
            let peer = stream.peer_addr().ok();
            tracing::warn!(?peer, why = refused.why, "an ambiguous HTTP request is refused");
            metrics.decode_error(*side);
            watch.refused = true;
            // A zero is refused by hyper wherever a head or chunk size is read, so
            // that its caller gets 400; what comes behind it is never read.
            if let Some(byte) = read.get_mut(refused.at) {
                *byte = 0;
                buf.set_filled(before + refused.at + 1);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.metrics.bytes_sent(self.side, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if length <= SMALL {
            let (mut joined, mut end) = ([0; SMALL], 0);
            for buf in bufs {
                joined[end..end + buf.len()].copy_from_slice(buf);
                end += buf.len();
            }
            return self.poll_write(cx, &joined[..end]);
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.metrics.bytes_sent(self.side, written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
