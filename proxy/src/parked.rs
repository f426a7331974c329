//! Calls put aside until the endpoints of their service are known: the store
//! was asked and has not answered yet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::BytesMut;
use codec::{Fault, FrameCodec, Outcome, Reason, RequestHead};

use crate::config::Limits;
use crate::forward::{self, Arrival, Frame};
use crate::framed::{Engine, Link, State};
use crate::route::{self, Tried};

/// A request that waits for its service's endpoints.
pub(crate) struct Parked<C: FrameCodec> {
    pub(crate) from: Rc<Link<C>>,
    pub(crate) frame: BytesMut,
    pub(crate) one_way: bool,
    pub(crate) origin: C::Origin,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
}

/// The parked calls of one protocol on one worker. Each counts as unanswered on
/// its caller's connection, which therefore does not end without it.
pub(crate) struct Parking<C: FrameCodec> {
    calls: RefCell<Vec<Parked<C>>>,
    bytes: Cell<usize>,
}

impl<C: FrameCodec> Parking<C> {
    pub(crate) fn new() -> Self {
        Parking { calls: RefCell::default(), bytes: Cell::new(0) }
    }

    /// The fault of a call of `bytes` for which there is no room.
    pub(crate) fn refuses(&self, bytes: usize, limits: &Limits) -> Option<Fault> {
        let (calls, waiting) = (self.calls.borrow().len(), self.bytes.get());
        if calls < limits.pending && (calls == 0 || waiting + bytes <= limits.buffer) {
            return None;
        }
        Some(Fault::new(
            Reason::Overloaded,
            format!(
                "{calls} calls wait for the store to say who provides their service; \
                 this one was not sent"
            ),
            "check the store's address and that it is up",
        ))
    }

    /// Puts a call aside.
    pub(crate) fn push(&self, parked: Parked<C>) {
        parked.from.unanswered.set(parked.from.unanswered.get() + 1);
        self.bytes.set(self.bytes.get() + parked.frame.len());
        self.calls.borrow_mut().push(parked);
    }

    /// Takes every call.
    pub(crate) fn take_all(&self) -> Vec<Parked<C>> {
        let calls = self.calls.take();
        calls.iter().for_each(|parked| self.left(parked));
        calls
    }

    /// Takes the calls whose time is up; says when the next one's is.
    pub(crate) fn take_expired(&self, now: Instant) -> (Vec<Parked<C>>, Option<Instant>) {
        let (expired, waiting): (Vec<_>, Vec<_>) =
            self.calls.take().into_iter().partition(|parked| parked.deadline <= now);
        expired.iter().for_each(|parked| self.left(parked));
        let next = waiting.iter().map(|parked| parked.deadline).min();
        *self.calls.borrow_mut() = waiting;
        (expired, next)
    }

    fn left(&self, parked: &Parked<C>) {
        self.bytes.set(self.bytes.get().saturating_sub(parked.frame.len()));
        let from = &parked.from;
        from.unanswered.set(from.unanswered.get().saturating_sub(1));
        if from.state.get() == State::Ending {
            from.wake();
        }
    }
}

impl<C: FrameCodec> Parked<C> {
    /// Tries again, now that the snapshot changed.
    pub(crate) fn retry(self, engine: &Rc<Engine<C>>, now: Instant) {
        let Some(listener) = self.from.listener() else { return };
        if self.from.is_closed() && !self.one_way {
            return self.end(engine, Outcome::Cancelled);
        }
        let arrival = Arrival {
            from: &self.from,
            listener,
            frame: Frame::Owned(self.frame),
            one_way: self.one_way,
            origin: self.origin,
            started: self.started,
            tried: Tried::new(),
            is_again: false,
        };
        forward::request(engine, arrival, now);
    }

    /// Its time is up.
    pub(crate) fn expire(self, engine: &Rc<Engine<C>>) {
        let head = C::head(&self.frame);
        let service = head.target().map(|target| target.service).unwrap_or_default();
        let trouble = engine.worker.snapshot().1.store_trouble.clone();
        let trouble = trouble.as_deref().unwrap_or("no answer came within the call's deadline");
        let fault = route::unknown(service, Some(trouble));
        engine.reply(&self.from, (!self.one_way).then_some(self.origin), &fault);
        self.end(engine, Outcome::Fault(fault.reason));
    }

    fn end(&self, engine: &Engine<C>, outcome: Outcome) {
        let Some(listener) = self.from.listener() else { return };
        let head = C::head(&self.frame);
        forward::observe_unsent(engine, &self.from, listener, &head, outcome, self.started);
    }
}
