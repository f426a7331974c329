//! Calls that wait for an answer on one connection.
//!
//! A slot's id goes out on the wire in place of the caller's: its index and a
//! generation that changes with every use. An answer that comes after its call
//! was given up, or twice, finds another generation and is dropped.

use std::time::Instant;

use codec::FrameCodec;

/// Index bits of an id; bounds the slots of one connection.
const INDEX_BITS: u32 = 20;

/// The slots of one connection. `T` is what is remembered of a call.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// No call's deadline is earlier; `None` while nothing waits.
    earliest: Option<Instant>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u64,
    call: Option<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    deadline: Instant,
    call: T,
}

impl<T> Pending<T> {
    pub(crate) fn new() -> Self {
        Pending { slots: Vec::new(), free: Vec::new(), earliest: None }
    }

    /// Remembers a call and returns the id to send it under, or the call where
    /// `limit` calls wait already.
    pub(crate) fn insert<C: FrameCodec>(
        &mut self,
        call: T,
        deadline: Instant,
        limit: usize,
    ) -> Result<u64, T> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < limit.min(1 << INDEX_BITS) => {
                let index = self.slots.len() as u32;
                // Two connections, or two lives of this proxy, do not start alike.
                self.slots.push(Slot { generation: fastrand::u64(..), call: None });
                index
            }
            None => return Err(call),
        };
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.call = Some(Waiting { deadline, call });
        if self.earliest.is_none_or(|earliest| deadline < earliest) {
            self.earliest = Some(deadline);
        }
        Ok(id::<C>(slot.generation, index))
    }

    /// Takes the call that `id` was sent for.
    pub(crate) fn take<C: FrameCodec>(&mut self, wire_id: u64) -> Option<T> {
        let index = (wire_id & ((1 << INDEX_BITS) - 1)) as u32;
        let slot = self.slots.get_mut(index as usize)?;
        if id::<C>(slot.generation, index) != wire_id {
            return None;
        }
        let waiting = slot.call.take()?;
        self.free.push(index);
        if self.free.len() == self.slots.len() {
            self.earliest = None;
        }
        Some(waiting.call)
    }

    /// The call that `wire_id` was sent for, if it still waits.
    pub(crate) fn get<C: FrameCodec>(&self, wire_id: u64) -> Option<&T> {
        let index = (wire_id & ((1 << INDEX_BITS) - 1)) as u32;
        let slot = self.slots.get(index as usize)?;
        let waiting = slot.call.as_ref().filter(|_| id::<C>(slot.generation, index) == wire_id)?;
        Some(&waiting.call)
    }

    /// Every call that waits.
    pub(crate) fn calls_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| Some(&mut slot.call.as_mut()?.call))
    }

    /// When [`Pending::take_expired`] is worth calling next, at the earliest.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// Takes every call whose deadline is not after `now`.
    pub(crate) fn take_expired(&mut self, now: Instant, mut expired: impl FnMut(T)) {
        self.earliest = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(waiting) = &slot.call else { continue };
            if waiting.deadline > now {
                if self.earliest.is_none_or(|earliest| waiting.deadline < earliest) {
                    self.earliest = Some(waiting.deadline);
                }
            } else if let Some(waiting) = slot.call.take() {
                self.free.push(index as u32);
                expired(waiting.call);
            }
        }
    }

    /// Takes every call and frees the memory.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.free = Vec::new();
        self.earliest = None;
        std::mem::take(&mut self.slots)
            .into_iter()
            .filter_map(|slot| slot.call.map(|waiting| waiting.call))
            .collect()
    }
}

fn id<C: FrameCodec>(generation: u64, index: u32) -> u64 {
    let id = generation << INDEX_BITS | u64::from(index);
    if C::ID_BITS < 64 { id & ((1 << C::ID_BITS) - 1) } else { id }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use codec::dubbo::Dubbo;

    use super::*;
    use crate::framed::narrow::Narrow;

    const MANY: usize = 1 << 24;

    fn later(base: Instant, millis: u64) -> Instant {
        base + Duration::from_millis(millis)
    }

    #[test]
    fn a_call_is_taken_once_and_only_by_its_own_id() {
        let (mut pending, now) = (Pending::new(), Instant::now());
        let first = pending.insert::<Dubbo>("first", now, MANY).unwrap();
        let second = pending.insert::<Dubbo>("second", now, MANY).unwrap();
        assert_ne!(first, second);
        assert_eq!(pending.get::<Dubbo>(second), Some(&"second"));
        for wrong in [first ^ 1 << 20, first ^ 1 << 63, first | 0xfffff, 0] {
            assert_eq!(pending.take::<Dubbo>(wrong), None, "{wrong:x} for {first:x}");
        }
        assert_eq!(pending.take::<Dubbo>(first), Some("first"));
        assert_eq!(pending.take::<Dubbo>(first), None);
        assert_eq!(pending.get::<Dubbo>(first), None);
        assert_eq!(pending.take::<Dubbo>(second), Some("second"));
    }

    #[test]
    fn an_id_given_up_does_not_take_the_next_call_in_its_slot() {
        let (mut pending, now) = (Pending::new(), Instant::now());
        let mut old = Vec::new();
        for round in 0..1000 {
            let id = pending.insert::<Dubbo>(round, now, 1).unwrap();
            for old in &old {
                assert_eq!(pending.take::<Dubbo>(*old), None);
            }
            assert_eq!(pending.take::<Dubbo>(id), Some(round));
            old.push(id);
        }
    }

    #[test]
    fn ids_of_32_bits_stay_within_them_and_differ_for_4096_calls() {
        let (mut pending, now) = (Pending::new(), Instant::now());
        let mut last = std::collections::VecDeque::new();
        for round in 0..10_000 {
            let id = pending.insert::<Narrow>(round, now, 1).unwrap();
            assert!(u32::try_from(id).is_ok(), "{id:x}");
            assert!(!last.contains(&id), "{id:x} again in round {round}");
            assert_eq!(pending.take::<Narrow>(id), Some(round));
            last.push_back(id);
            if last.len() == 4096 {
                last.pop_front();
            }
        }
    }

    #[test]
    fn a_generation_that_wraps_is_one_like_any_other() {
        let (mut pending, now) = (Pending::new(), Instant::now());
        let id = pending.insert::<Dubbo>(0, now, 1).unwrap();
        pending.take::<Dubbo>(id);
        pending.slots[0].generation = u64::MAX - 1;
        let before = pending.insert::<Dubbo>(1, now, 1).unwrap();
        assert_eq!(pending.take::<Dubbo>(before), Some(1));
        let after = pending.insert::<Dubbo>(2, now, 1).unwrap();
        assert_eq!(after, 0);
        assert_eq!(pending.take::<Dubbo>(before), None);
        assert_eq!(pending.take::<Dubbo>(after), Some(2));
    }

    #[test]
    fn a_full_table_gives_the_call_back() {
        let (mut pending, now) = (Pending::new(), Instant::now());
        let ids: Vec<u64> =
            (0..3).map(|call| pending.insert::<Dubbo>(call, now, 3).unwrap()).collect();
        assert_eq!(pending.insert::<Dubbo>(3, now, 3), Err(3));
        assert_eq!(pending.take::<Dubbo>(ids[1]), Some(1));
        assert!(pending.insert::<Dubbo>(4, now, 3).is_ok());
        assert_eq!(pending.insert::<Dubbo>(5, now, 3), Err(5));
    }

    #[test]
    fn calls_expire_at_their_deadline_and_the_next_one_is_known() {
        let (mut pending, now) = (Pending::new(), Instant::now());
        assert_eq!(pending.earliest(), None);
        let ids = [30, 10, 20].map(|at| pending.insert::<Dubbo>(at, later(now, at), MANY).unwrap());
        assert_eq!(pending.earliest(), Some(later(now, 10)));
        let mut expired = Vec::new();
        pending.take_expired(later(now, 20), |call| expired.push(call));
        expired.sort_unstable();
        assert_eq!(expired, [10, 20]);
        assert_eq!(pending.earliest(), Some(later(now, 30)));
        assert_eq!(pending.take::<Dubbo>(ids[1]), None, "its late answer");
        assert_eq!(pending.take::<Dubbo>(ids[0]), Some(30));
        assert_eq!(pending.earliest(), None);
    }

    #[test]
    fn taking_everything_leaves_an_empty_table() {
        let (mut pending, now) = (Pending::new(), Instant::now());
        let ids: Vec<u64> =
            (0..3).map(|call| pending.insert::<Dubbo>(call, now, MANY).unwrap()).collect();
        pending.take::<Dubbo>(ids[1]);
        assert_eq!(pending.take_all(), [0, 2]);
        assert_eq!((pending.earliest(), pending.take::<Dubbo>(ids[0])), (None, None));
        assert!(pending.insert::<Dubbo>(7, now, MANY).is_ok());
    }
}
