//! How many calls of a method may be in flight to an endpoint, where a rule limits
//! them (Dubbo's `actives`), and the calls that wait for their turn.
//!
//! Counted over all workers, since the limit is the application's. A call over it
//! waits as in Dubbo's `ActiveLimitFilter`, until another one ends or its own time
//! is up; it is then answered with a fault. One-way calls are never waited for and
//! are not counted.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use codec::{Fault, FrameCodec, Outcome, Reason};
use dashmap::DashMap;
use governance::EndpointId;

use crate::config::Limits;
use crate::forward::{self, Arrival, Frame};
use crate::framed::{Engine, Link};
use crate::route::{Route, Tried};
use crate::send;

/// Counters kept at most. Method names come from callers: beyond this they start
/// afresh, and a limit may be exceeded once.
const BOUND: usize = 65_536;
/// How often waiting calls are looked at: a place may have become free on another
/// worker.
pub(crate) const TICK: Duration = Duration::from_millis(2);

type Key = (EndpointId, Box<str>, Box<str>);

/// The calls in flight of the whole process, as far as rules limit them.
#[derive(Debug, Default)]
pub(crate) struct Actives {
    counters: DashMap<Key, Arc<AtomicU32>>,
}

/// A call's place among those in flight, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicU32>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Actives {
    /// A place among at most `limit` calls, if there is one.
    fn acquire(&self, key: Key, limit: u32) -> Option<Permit> {
        if self.counters.len() >= BOUND {
            self.counters.clear();
        }
        let counter = self.counters.entry(key).or_default().clone();
        let more = |count| (count < limit).then_some(count + 1);
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Permit(counter))
    }

    /// The place of a call on its route: `Ok(None)` where no rule limits them, and
    /// an error where all are taken.
    pub(crate) fn enter(&self, route: &Route) -> Result<Option<Permit>, Full> {
        if route.actives == 0 {
            return Ok(None);
        }
        let key = (route.hop.endpoint, route.method.service.clone(), route.method.name.clone());
        self.acquire(key, route.actives).map(Some).ok_or(Full { limit: route.actives })
    }
}

/// All places are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Full {
    limit: u32,
}

impl Full {
    /// What a call is told that found no place, after it had `waited`.
    pub(crate) fn fault(self, waited: Duration) -> Fault {
        Fault::new(
            Reason::Overloaded,
            format!(
                "{} calls of the method are in flight to the endpoint, as many as a rule allows; \
                 the call waited {} ms for one to end and was not sent",
                self.limit,
                waited.as_millis()
            ),
            "raise `actives`, add providers, or give the call more time",
        )
    }
}

/// A call that waits for its turn.
pub(crate) struct Waiting<C: FrameCodec> {
    pub(crate) from: Rc<Link<C>>,
    pub(crate) frame: BytesMut,
    pub(crate) origin: C::Origin,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    pub(crate) full: Full,
}

/// The waiting calls of one protocol on one worker. Each counts as unanswered on
/// its caller's connection.
pub(crate) struct Queue<C: FrameCodec> {
    calls: RefCell<VecDeque<Waiting<C>>>,
    bytes: Cell<usize>,
    is_watched: Cell<bool>,
}

impl<C: FrameCodec> Queue<C> {
    pub(crate) fn new() -> Self {
        Queue { calls: RefCell::default(), bytes: Cell::new(0), is_watched: Cell::new(false) }
    }

    /// Whether a call of so many bytes may wait.
    pub(crate) fn has_room(&self, bytes: usize, limits: &Limits) -> bool {
        let (calls, waiting) = (self.calls.borrow().len(), self.bytes.get());
        calls < limits.pending && (calls == 0 || waiting + bytes <= limits.buffer)
    }

    fn push(&self, call: Waiting<C>) {
        self.bytes.set(self.bytes.get() + call.frame.len());
        self.calls.borrow_mut().push_back(call);
    }

    fn pop(&self) -> Option<Waiting<C>> {
        let call = self.calls.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get().saturating_sub(call.frame.len()));
        Some(call)
    }
}

/// Lets a call wait until there is a place, or its time is up.
pub(crate) fn wait<C: FrameCodec>(engine: &Rc<Engine<C>>, call: Waiting<C>) {
    send::admitted(engine, &call.from);
    engine.waiting.push(call);
    if !engine.waiting.is_watched.replace(true) {
        tokio::task::spawn_local(watch(engine.clone()));
    }
}

/// Tries waiting calls again until there are none.
async fn watch<C: FrameCodec>(engine: Rc<Engine<C>>) {
    while !engine.waiting.calls.borrow().is_empty() {
        tokio::time::sleep(TICK).await;
        let now = Instant::now();
        let count = engine.waiting.calls.borrow().len();
        for _ in 0..count {
            let Some(call) = engine.waiting.pop() else { break };
            try_again(&engine, call, now);
        }
    }
    engine.waiting.is_watched.set(false);
}

fn try_again<C: FrameCodec>(engine: &Rc<Engine<C>>, call: Waiting<C>, now: Instant) {
    let Waiting { from, frame, origin, started, deadline, full } = call;
    send::released(engine, &from);
    let Some(listener) = from.listener() else { return };
    if from.is_closed() || deadline <= now {
        let fault = full.fault(now.saturating_duration_since(started));
        let outcome =
            if from.is_closed() { Outcome::Cancelled } else { Outcome::Fault(fault.reason) };
        let head = C::head(&frame);
        forward::observe_unsent(engine, &from, listener, &head, outcome, started);
        return engine.reply(&from, Some(origin), &fault);
    }
    let arrival = Arrival {
        from: &from,
        listener,
        frame: Frame::Owned(frame),
        one_way: false,
        origin,
        started,
        tried: Tried::new(),
        is_again: false,
    };
    forward::request(engine, arrival, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_call_is_gone() {
        let actives = Actives::default();
        let enter = |endpoint| actives.acquire((EndpointId(endpoint), "s".into(), "m".into()), 2);
        let (one, two) = (enter(1), enter(1));
        assert!(one.is_some() && two.is_some() && enter(1).is_none());
        assert!(enter(2).is_some(), "another endpoint has places of its own");
        drop(one);
        assert!(enter(1).is_some());
    }
}
