//! Bytes on their way to one peer.
//!
//! Small frames are copied into shared chunks, so that one system call carries
//! many calls; large ones are kept as they are and written with `writev`. The
//! queue remembers where each frame ends: when a connection breaks, the frames
//! of which not one byte was accepted by the kernel can be sent elsewhere.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, BytesMut};

use super::buffers::Buffers;

/// Frames at least this long (bytes) are read into a buffer of their own, which
/// is then queued without a copy.
pub(crate) const OWN_FROM: usize = 16 << 10;
/// A chunk is not appended to beyond this size (bytes), so that an early part
/// can be freed while a later one waits.
const CHUNK: usize = 64 << 10;
/// How many chunks one system call takes.
const BATCH: usize = 16;

/// The queue. Holds no memory while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Output {
    chunks: VecDeque<Chunk>,
    /// Lengths of the frames not yet written whole, oldest first.
    frames: VecDeque<u32>,
    /// How much of the oldest frame has been written.
    begun: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    data: BytesMut,
    written: usize,
    /// One large frame, to which nothing is appended.
    whole: bool,
}

impl Chunk {
    fn remaining(&self) -> &[u8] {
        &self.data[self.written..]
    }
}

impl Output {
    /// Bytes that wait to be written.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Lets `write` append one frame to the copied bytes.
    pub(crate) fn append<R>(
        &mut self,
        buffers: &Buffers,
        write: impl FnOnce(&mut BytesMut) -> R,
    ) -> R {
        let has_room =
            matches!(self.chunks.back(), Some(chunk) if !chunk.whole && chunk.data.len() < CHUNK);
        if !has_room {
            self.chunks.push_back(Chunk { data: buffers.take(), written: 0, whole: false });
        }
        let Some(Chunk { data, .. }) = self.chunks.back_mut() else {
            unreachable!("a chunk with room was just made the last one")
        };
        let before = data.len();
        let result = write(data);
        let added = data.len() - before;
        if added > 0 {
            self.count(added);
        } else if before == 0 {
            self.drop_last_chunk(buffers);
        }
        result
    }

    /// Queues a whole frame without copying it.
    pub(crate) fn push(&mut self, frame: BytesMut) {
        self.push_rest(frame, 0);
    }

    /// Queues what is left of a frame of which `written` bytes are written
    /// already: none, unless the queue is empty.
    pub(crate) fn push_rest(&mut self, frame: BytesMut, written: usize) {
        debug_assert!(written == 0 || self.is_empty(), "frames leave in order");
        self.count(frame.len());
        self.bytes -= written;
        self.begun += written;
        self.chunks.push_back(Chunk { data: frame, written, whole: true });
    }

    fn count(&mut self, frame: usize) {
        self.bytes += frame;
        self.frames.push_back(u32::try_from(frame).unwrap_or(u32::MAX));
    }

    fn drop_last_chunk(&mut self, buffers: &Buffers) {
        if let Some(chunk) = self.chunks.pop_back() {
            buffers.give(chunk.data);
        }
    }

    /// Writes as much as `write` accepts, in as few calls as possible. Returns
    /// the bytes written; `Ok` with bytes left means that `write` would block.
    ///
    /// # Errors
    /// What `write` returns, except `WouldBlock`.
    pub(crate) fn flush(
        &mut self,
        buffers: &Buffers,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut total = 0;
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let mut used = 0;
            let mut offered = 0;
            for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
                *slice = IoSlice::new(chunk.remaining());
                offered += chunk.remaining().len();
                used += 1;
            }
            match write(&slices[..used]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    total += count;
                    self.wrote(count, buffers);
                    if count < offered {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    fn wrote(&mut self, count: usize, buffers: &Buffers) {
        self.bytes -= count;
        let mut left = count;
        while left > 0 {
            let Some(chunk) = self.chunks.front_mut() else { break };
            let here = chunk.remaining().len().min(left);
            chunk.written += here;
            left -= here;
            if chunk.remaining().is_empty() {
                match self.chunks.pop_front() {
                    Some(Chunk { data, whole: true, .. }) => buffers.give_large(data),
                    Some(Chunk { data, whole: false, .. }) => buffers.give(data),
                    None => {}
                }
            }
        }
        self.begun += count;
        while let Some(&frame) = self.frames.front() {
            if self.begun < frame as usize {
                break;
            }
            self.begun -= frame as usize;
            self.frames.pop_front();
        }
        if self.bytes == 0 && self.frames.capacity() > 1024 {
            self.frames = VecDeque::new();
        }
    }

    /// Empties the queue and returns the frames of which nothing was written,
    /// oldest first.
    pub(crate) fn take_unsent(&mut self) -> Vec<BytesMut> {
        let mut rest = BytesMut::with_capacity(self.bytes);
        for chunk in self.chunks.drain(..) {
            rest.extend_from_slice(chunk.remaining());
        }
        self.bytes = 0;
        let mut unsent = Vec::new();
        for frame in self.frames.drain(..) {
            if self.begun > 0 {
                rest.advance((frame as usize).saturating_sub(self.begun).min(rest.len()));
                self.begun = 0;
            } else {
                unsent.push(rest.split_to((frame as usize).min(rest.len())));
            }
        }
        unsent
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(output: &mut Output, buffers: &Buffers, frame: &[u8]) {
        output.append(buffers, |out| out.extend_from_slice(frame));
    }

    /// A writer that accepts `room` bytes and then would block.
    fn accept<'a>(
        room: &'a mut usize,
        seen: &'a mut Vec<u8>,
    ) -> impl FnMut(&[IoSlice<'_>]) -> io::Result<usize> + 'a {
        move |slices| {
            if *room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut count = 0;
            for slice in slices {
                let here = slice.len().min(*room);
                seen.extend_from_slice(&slice[..here]);
                *room -= here;
                count += here;
            }
            Ok(count)
        }
    }

    #[test]
    fn many_frames_leave_in_one_write_and_in_order() {
        let buffers = Buffers::default();
        let mut output = Output::default();
        put(&mut output, &buffers, b"one");
        output.push(BytesMut::from(&b"two"[..]));
        put(&mut output, &buffers, b"three");
        let mut writes = 0;
        let mut seen = Vec::new();
        output
            .flush(&buffers, |slices| {
                writes += 1;
                slices.iter().for_each(|slice| seen.extend_from_slice(slice));
                Ok(slices.iter().map(|slice| slice.len()).sum())
            })
            .unwrap();
        assert_eq!((writes, seen.as_slice()), (1, b"onetwothree".as_slice()));
        assert!(output.is_empty());
    }

    #[test]
    fn only_frames_without_a_written_byte_are_unsent() {
        for written in 0..=11 {
            let buffers = Buffers::default();
            let mut output = Output::default();
            put(&mut output, &buffers, b"one");
            output.push(BytesMut::from(&b"two"[..]));
            put(&mut output, &buffers, b"three");
            let (mut room, mut seen) = (written, Vec::new());
            output.flush(&buffers, accept(&mut room, &mut seen)).unwrap();
            assert_eq!(seen, b"onetwothree"[..written]);
            let expected: Vec<&[u8]> = [(0, &b"one"[..]), (3, b"two"), (6, b"three")]
                .into_iter()
                .filter(|(start, _)| *start >= written)
                .map(|(_, frame)| frame)
                .collect();
            assert_eq!(output.take_unsent(), expected, "after {written} bytes");
            assert!(output.is_empty());
        }
    }

    #[test]
    fn a_frame_begun_elsewhere_is_finished_and_is_not_unsent() {
        let buffers = Buffers::default();
        let mut output = Output::default();
        output.push_rest(BytesMut::from(&b"begun"[..]), 2);
        put(&mut output, &buffers, b"next");
        assert_eq!(output.len(), 7);
        let (mut room, mut seen) = (1, Vec::new());
        output.flush(&buffers, accept(&mut room, &mut seen)).unwrap();
        assert_eq!(seen, b"g");
        assert_eq!(output.take_unsent(), [&b"next"[..]]);
    }

    #[test]
    fn an_append_that_adds_nothing_leaves_nothing() {
        let buffers = Buffers::default();
        let mut output = Output::default();
        output.append(&buffers, |_| ());
        assert!(output.is_empty());
        assert!(output.take_unsent().is_empty());
    }
}
