//! Frames as they arrive from one peer.
//!
//! All connections of a worker read into one scratch buffer and handle the
//! whole frames in it where they lie. What a connection keeps between reads is
//! only the start of a frame that has not arrived whole: a few bytes, or, for a
//! large frame, a buffer of its own that the rest is read straight into.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use codec::{DecodeError, FrameCodec};
use tokio::io::{AsyncRead, ReadBuf};

use super::buffers::Buffers;
use super::output::OWN_FROM;

/// How much memory (bytes) a frame gets for what its header claims; for the rest
/// it must come first.
const BELIEVED: usize = 1 << 20;

/// What a peer sent.
pub(crate) enum Arrived<'a> {
    /// A whole frame, in memory that is used again after this call.
    Borrowed(&'a [u8]),
    /// A whole large frame in a buffer of its own.
    Owned(BytesMut),
    /// The header of a frame over the limit. Its body is thrown away as it
    /// arrives.
    TooLarge {
        /// At least the fixed header.
        header: &'a [u8],
        /// Its whole length, in bytes.
        len: u64,
    },
}

/// Whether to go on after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    /// Throw away everything that follows.
    Stop,
}

/// One connection's reading side.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// The start of a small frame.
    rest: Option<BytesMut>,
    /// A large frame and the length it will have.
    large: Option<(BytesMut, usize)>,
    /// Bytes of a frame over the limit that are still to come.
    skip: u64,
}

/// How one read ended.
#[derive(Debug)]
pub(crate) enum Read {
    /// This many bytes came; their frames were handed over.
    Bytes(usize),
    /// The peer will send no more.
    End,
}

impl Input {
    /// Reads once and hands over every whole frame.
    ///
    /// # Errors
    /// The outer error is the socket's; the inner one says that the peer's
    /// bytes are not this protocol's, after which nothing more can be read.
    pub(crate) fn poll<C: FrameCodec>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncRead + Unpin),
        scratch: &mut [u8],
        buffers: &Buffers,
        limit: u64,
        on: impl FnMut(Arrived<'_>) -> Next,
    ) -> Poll<io::Result<Result<Read, DecodeError>>> {
        if let Some((frame, len)) = self.large.take() {
            return self.poll_large(cx, socket, frame, len, on);
        }
        let kept = self.rest.as_ref().map_or(0, BytesMut::len);
        let mut buf = ReadBuf::new(&mut scratch[kept..]);
        ready!(Pin::new(socket).poll_read(cx, &mut buf))?;
        let came = buf.filled().len();
        if came == 0 {
            return Poll::Ready(Ok(Ok(Read::End)));
        }
        if let Some(rest) = self.rest.take() {
            scratch[..kept].copy_from_slice(&rest);
            buffers.give(rest);
        }
        let parsed = self.split::<C>(&scratch[..kept + came], buffers, limit, on);
        Poll::Ready(Ok(parsed.map(|()| Read::Bytes(came))))
    }

    /// Whether the peer stopped in the middle of a frame.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.rest.is_some() || self.large.is_some() || self.skip > 0
    }

    fn poll_large(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncRead + Unpin),
        mut frame: BytesMut,
        len: usize,
        mut on: impl FnMut(Arrived<'_>) -> Next,
    ) -> Poll<io::Result<Result<Read, DecodeError>>> {
        let before = frame.len();
        let missing = len - before;
        if frame.capacity() == before {
            frame.reserve(missing.min(before));
        }
        let room = missing.min(frame.capacity() - before);
        let result = spare::poll_read(cx, socket, &mut frame, room);
        let came = frame.len() - before;
        if frame.len() == len {
            if on(Arrived::Owned(frame)) == Next::Stop {
                self.skip = u64::MAX;
            }
        } else {
            self.large = Some((frame, len));
            if matches!(result, Poll::Ready(Ok(()))) && came == 0 {
                return Poll::Ready(Ok(Ok(Read::End)));
            }
        }
        ready!(result)?;
        Poll::Ready(Ok(Ok(Read::Bytes(came))))
    }

    fn split<C: FrameCodec>(
        &mut self,
        mut bytes: &[u8],
        buffers: &Buffers,
        limit: u64,
        mut on: impl FnMut(Arrived<'_>) -> Next,
    ) -> Result<(), DecodeError> {
        loop {
            if self.skip > 0 {
                let here = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= here as u64;
                bytes = &bytes[here..];
            }
            if bytes.len() < C::HEADER_LEN {
                self.keep(bytes, buffers);
                return Ok(());
            }
            let len = C::frame_len(bytes)?;
            if len > limit {
                self.skip = match on(Arrived::TooLarge { header: bytes, len }) {
                    Next::Continue => len,
                    Next::Stop => u64::MAX,
                };
                continue;
            }
            // Within the limit, which is checked to fit `usize` with the configuration.
            let len = len as usize;
            if let Some(frame) = bytes.get(..len) {
                bytes = &bytes[len..];
                if on(Arrived::Borrowed(frame)) == Next::Stop {
                    self.skip = u64::MAX;
                }
            } else if len < OWN_FROM {
                self.keep(bytes, buffers);
                return Ok(());
            } else {
                let mut frame = buffers.take_large(len.min(BELIEVED.max(bytes.len())));
                frame.extend_from_slice(bytes);
                self.large = Some((frame, len));
                return Ok(());
            }
        }
    }

    fn keep(&mut self, bytes: &[u8], buffers: &Buffers) {
        if !bytes.is_empty() {
            let mut rest = buffers.take();
            rest.extend_from_slice(bytes);
            self.rest = Some(rest);
        }
    }
}

mod spare {
    //! Reading into a buffer's spare capacity, without zeroing it first.

    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use bytes::{BufMut, BytesMut};
    use tokio::io::{AsyncRead, ReadBuf};

    /// Appends at most `count` bytes to `frame`, which has room for them.
    pub(super) fn poll_read(
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncRead + Unpin),
        frame: &mut BytesMut,
        count: usize,
    ) -> Poll<io::Result<()>> {
        let mut limited = frame.limit(count);
        let mut buf = ReadBuf::uninit(
            // SAFETY: `ReadBuf` never de-initializes what it is given, and only
            // its filled part is counted below.
            unsafe { limited.chunk_mut().as_uninit_slice_mut() },
        );
        ready!(Pin::new(socket).poll_read(cx, &mut buf))?;
        let came = buf.filled().len();
        // SAFETY: the socket filled `came` bytes of the spare capacity.
        unsafe { limited.advance_mut(came) };
        Poll::Ready(Ok(()))
    }
}
