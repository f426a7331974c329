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
