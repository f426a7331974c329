//! Byte buffers that the connections of one worker take turns with.
//!
//! An idle connection holds none; a busy worker allocates none, because those
//! that were written out come back.

use std::cell::RefCell;

use bytes::BytesMut;

/// What a fresh buffer for small frames holds (bytes).
const FRESH: usize = 4 << 10;
/// Free buffers of one kind that together hold more than this (bytes) are freed.
const KEEP: usize = 8 << 20;

/// A worker's free buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Free>,
    large: RefCell<Free>,
}

#[derive(Debug, Default)]
struct Free {
    buffers: Vec<BytesMut>,
    bytes: usize,
}

impl Free {
    fn take(&mut self, index: usize) -> BytesMut {
        let buffer = self.buffers.swap_remove(index);
        self.bytes -= buffer.capacity();
        buffer
    }

    fn give(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        if self.bytes + buffer.capacity() <= KEEP {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }
}

impl Buffers {
    /// An empty buffer to collect small frames in.
    pub(crate) fn take(&self) -> BytesMut {
        let mut small = self.small.borrow_mut();
        match small.buffers.len().checked_sub(1) {
            Some(last) => small.take(last),
            None => BytesMut::with_capacity(FRESH),
        }
    }

    /// Takes back what [`Buffers::take`] gave.
    pub(crate) fn give(&self, buffer: BytesMut) {
        self.small.borrow_mut().give(buffer);
    }

    /// An empty buffer that holds at least `size` bytes. The caller has checked
    /// `size` against its limit.
    pub(crate) fn take_large(&self, size: usize) -> BytesMut {
        let mut large = self.large.borrow_mut();
        match large.buffers.iter().position(|buffer| buffer.capacity() >= size) {
            Some(index) => large.take(index),
            None => BytesMut::with_capacity(size),
        }
    }

    /// Takes back what [`Buffers::take_large`] gave.
    pub(crate) fn give_large(&self, buffer: BytesMut) {
        self.large.borrow_mut().give(buffer);
    }
}
