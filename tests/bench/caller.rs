//! What one caller has outstanding: which ids it has used, and since when it
//! waits for each.

use std::collections::VecDeque;

/// Every caller begins with the same id, as two Java programs may: a proxy that
/// merges callers has to tell them apart.
const FIRST_ID: u64 = 0xddac_c2f0_d2b1_545b;

/// See the module.
#[derive(Debug)]
pub(crate) struct Caller {
    number: u64,
    /// How many calls were finished and forgotten.
    forgotten: u64,
    /// From the oldest on, when each should have been sent; `None` once answered.
    pending: VecDeque<Option<u64>>,
}

/// How a call is recognised: by the caller's id, and by a tag in its argument that
/// no other call of a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) tag: u64,
}

impl Call {
    /// How many calls its caller made before it.
    pub(crate) fn index(self) -> u64 {
        self.tag & ((1 << 48) - 1)
    }
}

impl Caller {
    /// A caller with a number of its own (below 2^16).
    pub(crate) fn new(number: u64) -> Caller {
        Caller { number, forgotten: 0, pending: VecDeque::new() }
    }

    /// One more call, to be sent at `intended` (nanoseconds of the load's clock).
    pub(crate) fn call(&mut self, intended: u64) -> Call {
        let index = self.forgotten + self.pending.len() as u64;
        self.pending.push_back(Some(intended));
        self.name(index)
    }

    /// The call with that `index` (calls of this caller before it), as
    /// [`Caller::answered`] finds it.
    pub(crate) fn answered_index(&mut self, index: u64) -> Option<(Call, u64)> {
        self.answered(FIRST_ID.wrapping_add(index))
    }

    /// The call that `id` answers and when it should have been sent; `None` when
    /// no such call is outstanding.
    pub(crate) fn answered(&mut self, id: u64) -> Option<(Call, u64)> {
        let index = id.wrapping_sub(FIRST_ID);
        let slot = usize::try_from(index.wrapping_sub(self.forgotten)).ok()?;
        let intended = self.pending.get_mut(slot)?.take()?;
        while self.pending.front().is_some_and(Option::is_none) {
            self.pending.pop_front();
            self.forgotten += 1;
        }
        Some((self.name(index), intended))
    }

    /// When each call without an answer should have been sent.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().flatten().copied()
    }

    fn name(&self, index: u64) -> Call {
        Call { id: FIRST_ID.wrapping_add(index), tag: self.number << 48 | index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_matched_once_and_in_any_order() {
        let mut caller = Caller::new(3);
        let calls = [10, 20, 30].map(|at| caller.call(at));
        assert_eq!(caller.answered(calls[1].id), Some((calls[1], 20)));
        assert_eq!(caller.answered(calls[1].id), None, "a second answer");
        assert_eq!(caller.answered(calls[0].id), Some((calls[0], 10)));
        assert_eq!(caller.answered(calls[0].id.wrapping_sub(1)), None, "an id from before");
        assert_eq!(caller.answered(calls[2].id + 1), None, "an id from the future");
        assert_eq!(caller.waiting().collect::<Vec<_>>(), [30]);
        let other = Caller::new(4).call(10);
        assert_eq!(other.id, calls[0].id, "two callers use the same ids");
        assert_ne!(other.tag, calls[0].tag);
        assert_eq!(calls.map(Call::index), [0, 1, 2]);
        assert_eq!(caller.answered_index(2), Some((calls[2], 30)));
    }
}
