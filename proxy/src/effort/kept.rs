//! Requests that may have to be sent again.
//!
//! Together they hold no more than one limit's worth of bytes on a worker: beyond it a
//! call is sent as often as it can be without its request, which is once.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;

/// How many bytes of requests are kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    bytes: Rc<Cell<usize>>,
}

/// A request, kept until this is dropped.
#[derive(Debug)]
pub(crate) struct KeptFrame {
    frame: Bytes,
    bytes: Rc<Cell<usize>>,
}

impl Kept {
    /// Keeps a copy of a request, where there is room for it within `limit`.
    pub(crate) fn keep(&self, frame: &[u8], limit: usize) -> Option<KeptFrame> {
        let after = self.bytes.get() + frame.len();
        if after > limit {
            return None;
        }
        self.bytes.set(after);
        Some(KeptFrame { frame: Bytes::copy_from_slice(frame), bytes: self.bytes.clone() })
    }
}

impl KeptFrame {
    /// The request; not a copy.
    pub(crate) fn bytes(&self) -> Bytes {
        self.frame.clone()
    }
}

impl Drop for KeptFrame {
    fn drop(&mut self) {
        self.bytes.set(self.bytes.get().saturating_sub(self.frame.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_comes_back() {
        let kept = Kept::default();
        let first = kept.keep(&[1; 60], 100);
        assert!(first.is_some() && kept.keep(&[2; 60], 100).is_none());
        drop(first);
        assert_eq!(kept.keep(&[3; 100], 100).map(|frame| frame.bytes().len()), Some(100));
        assert_eq!(kept.bytes.get(), 0);
    }
}
