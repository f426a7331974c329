//! Bytes from a peer, read with checked bounds.
//!
//! What stands in them is the business of [`crate::hessian2`] and
//! [`crate::jsonb`].

use crate::error::DecodeError;

/// A place in a message's bytes. Every step is checked; none allocates.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// Reading starts at `at`, which may be the end or beyond.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Input { bytes, at }
    }

    /// Reading starts at `start` and ends before `end`; offsets are those of
    /// `bytes`.
    pub fn between(bytes: &'a [u8], start: usize, end: usize) -> Self {
        Input { bytes: bytes.get(..end).unwrap_or(bytes), at: start }
    }

    /// The offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Whether every byte is read.
    pub fn is_at_end(&self) -> bool {
        self.remaining() == 0
    }

    /// The next byte, left where it is.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// All the bytes, read or not.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes from `start` to `end`, as far as they exist.
    pub fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Goes to `at`, which may be the end or beyond.
    pub fn move_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// At the end of the data.
    #[inline]
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(DecodeError::Truncated { what, offset: self.at }),
        }
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(count);
        match end.and_then(|end| Some((end, self.bytes.get(self.at..end)?))) {
            Some((end, bytes)) => {
                self.at = end;
                Ok(bytes)
            }
            None => Err(DecodeError::Truncated { what, offset: self.at }),
        }
    }

    /// Takes `N` bytes as an array, for the fixed-width numbers.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N, what)?;
        bytes.try_into().map_err(|_| DecodeError::Truncated { what, offset: self.at })
    }
}
