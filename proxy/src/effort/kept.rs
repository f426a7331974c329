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

/// Room for a request that is kept, until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    taken: usize,
    bytes: Rc<Cell<usize>>,
}

/// A request, kept until this is dropped.
#[derive(Debug)]
pub(crate) struct KeptFrame {
    frame: Bytes,
    _room: Room,
}

impl Kept {
    /// Keeps a copy of a request, where there is room for it within `limit`.
    pub(crate) fn keep(&self, frame: &[u8], limit: usize) -> Option<KeptFrame> {
        let mut room = self.room();
        let has_room = room.take(frame.len(), limit);
        has_room.then(|| KeptFrame { frame: Bytes::copy_from_slice(frame), _room: room })
    }

    /// Room for a request that comes in pieces; none is taken yet.
    pub(crate) fn room(&self) -> Room {
        Room { taken: 0, bytes: self.bytes.clone() }
    }
}

impl Room {
    /// Takes so much more, where that leaves all requests within `limit`.
    pub(crate) fn take(&mut self, more: usize, limit: usize) -> bool {
        let after = self.bytes.get().saturating_add(more);
        if after > limit {
            return false;
        }
        self.bytes.set(after);
        self.taken += more;
        true
    }

    /// How much it has.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }
}

impl KeptFrame {
    /// The request; not a copy.
    pub(crate) fn bytes(&self) -> Bytes {
        self.frame.clone()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.bytes.set(self.bytes.get().saturating_sub(self.taken));
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
