//! How much one message may ask for.

use crate::error::DecodeError;

/// Budgets for reading one message. Each is checked before memory is taken.
///
/// Time needs no budget of its own: every value costs at least one byte, so
/// reading is linear in a frame whose length the caller has already limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nested containers.
    pub depth: usize,
    /// Values of any kind. A one-byte null costs some forty bytes once read,
    /// so this bounds the memory a small message can grow into.
    pub values: usize,
    /// Class definitions.
    pub classes: usize,
    /// Bytes of strings and binaries, summed, as stored once read.
    pub text_bytes: usize,
}

impl Limits {
    /// For building values: nesting is bounded by the stack.
    pub const DEFAULT: Limits =
        Limits { depth: 256, values: 4 << 20, classes: 16 << 10, text_bytes: 256 << 20 };

    /// For stepping over them, which keeps eight bytes per level and four per
    /// class, and so can follow a long linked list.
    pub const SKIP: Limits =
        Limits { depth: 64 << 10, values: usize::MAX, classes: 64 << 10, text_bytes: usize::MAX };

    pub(crate) fn check(what: &'static str, found: usize, limit: usize) -> Result<(), DecodeError> {
        if found > limit {
            return Err(DecodeError::TooLarge { what, found: found as u64, limit: limit as u64 });
        }
        Ok(())
    }
}

/// What is left of the limits while one message is read.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    depth: usize,
    values: usize,
    text_bytes: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Budget { limits, depth: 0, values: 0, text_bytes: 0 }
    }

    /// One more value.
    pub(crate) fn value(&mut self) -> Result<(), DecodeError> {
        self.values += 1;
        Limits::check("number of values", self.values, self.limits.values)
    }

    /// Room for `count` more values, before it is taken. They are counted when
    /// they are read.
    pub(crate) fn reserve(&self, count: usize) -> Result<(), DecodeError> {
        Limits::check("number of values", self.values.saturating_add(count), self.limits.values)
    }

    /// One more level of nesting.
    pub(crate) fn enter(&mut self) -> Result<(), DecodeError> {
        self.depth += 1;
        Limits::check("nesting", self.depth, self.limits.depth)
    }

    /// Back out of a level.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// `length` more bytes of text, before they are copied.
    pub(crate) fn text(&mut self, length: usize) -> Result<(), DecodeError> {
        self.text_bytes = self.text_bytes.saturating_add(length);
        Limits::check("text", self.text_bytes, self.limits.text_bytes)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
