//! What the connections of one protocol on one worker share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use codec::{Fault, FrameCodec, Substitute};
use tokio::sync::Notify;

use super::buffers::Buffers;
use super::link::{Link, Role, State};
use super::output::OWN_FROM;
use crate::actives::Queue;
use crate::effort::{Failbacks, Kept};
use crate::forward::Frame;
use crate::listener::ListenerContext;
use crate::parked::{Parked, Parking};
use crate::worker::Worker;

/// Bits of a one-way call's id that count the endpoints tried for it.
const TRIED_BITS: u32 = 8;
/// Bytes read from a socket at once.
const SCRATCH: usize = 128 << 10;

/// The connections of one protocol on one worker.
pub(crate) struct Engine<C: FrameCodec> {
    pub(crate) worker: Rc<Worker>,
    pub(crate) buffers: Buffers,
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// Every open connection.
    pub(super) links: RefCell<HashMap<u64, Rc<Link<C>>>>,
    /// The shared connection to each endpoint, by its id.
    pub(super) upstreams: RefCell<Vec<Option<Rc<Link<C>>>>>,
    /// A deadline earlier than the clock was set to.
    pub(super) earlier: Notify,
    pub(super) next_expiry: Cell<Option<Instant>>,
    pub(super) listeners: Vec<Rc<ListenerContext>>,
    next_number: Cell<u64>,
    pub(crate) parking: Parking<C>,
    /// Calls that wait for others to end.
    pub(crate) waiting: Queue<C>,
    /// Requests kept to be sent again.
    pub(crate) kept: Kept,
    /// Calls that are repeated in the background.
    pub(crate) failbacks: Failbacks,
    dirty: RefCell<Vec<Rc<Link<C>>>>,
    flusher: RefCell<Option<Waker>>,
}

impl<C: FrameCodec> Engine<C> {
    pub(crate) fn new(worker: Rc<Worker>, listeners: Vec<Rc<ListenerContext>>) -> Rc<Self> {
        Rc::new(Engine {
            worker,
            listeners,
            buffers: Buffers::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into()),
            links: RefCell::default(),
            upstreams: RefCell::default(),
            earlier: Notify::new(),
            next_expiry: Cell::new(None),
            next_number: Cell::new(0),
            parking: Parking::new(),
            waiting: Queue::new(),
            kept: Kept::default(),
            failbacks: Failbacks::default(),
            dirty: RefCell::default(),
            flusher: RefCell::default(),
        })
    }

    /// Starts what runs beside the connections: the flusher, the clock, and the
    /// retry of parked calls.
    pub(crate) fn start(self: &Rc<Self>) {
        tokio::task::spawn_local(self.clone().flush_loop());
        tokio::task::spawn_local(super::clock::expire_calls(self.clone()));
        tokio::task::spawn_local(super::clock::keep_alive(self.clone()));
        tokio::task::spawn_local(self.clone().retry_parked());
    }

    /// A number for a new connection.
    pub(super) fn number(&self) -> u64 {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        number
    }

    /// Writes the link's output after the tasks that are ready now have
    /// appended theirs: once for all of them.
    pub(crate) fn flush_soon(&self, link: &Rc<Link<C>>) {
        if !link.mark_dirty() {
            return;
        }
        let mut dirty = self.dirty.borrow_mut();
        dirty.push(link.clone());
        if dirty.len() == 1
            && let Some(waker) = &*self.flusher.borrow()
        {
            waker.wake_by_ref();
        }
    }

    async fn flush_loop(self: Rc<Self>) {
        let mut batch = Vec::new();
        poll_fn(|cx| {
            let mut flusher = self.flusher.borrow_mut();
            if flusher.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                *flusher = Some(cx.waker().clone());
            }
            drop(flusher);
            std::mem::swap(&mut batch, &mut *self.dirty.borrow_mut());
            for link in batch.drain(..) {
                self.flush(&link);
            }
            Poll::<()>::Pending
        })
        .await;
    }

    pub(super) fn flush(&self, link: &Link<C>) {
        let before = link.waiting();
        match link.flush(&self.buffers) {
            Ok(done) => {
                let written = before - link.waiting();
                self.worker.metrics.bytes_sent(link.side(), written as u64);
                if done && link.state.get() == State::Ending {
                    link.wake();
                }
            }
            Err(error) => self.write_failed(link, &error),
        }
    }

    fn write_failed(&self, link: &Link<C>, error: &io::Error) {
        tracing::debug!(peer = link.peer, %error, "write failed");
        self.close(link);
    }

    /// Sends a frame under another id: a small one with the next flush, a large
    /// one now, while its bytes are still in the processor's cache.
    pub(crate) fn send(&self, to: &Rc<Link<C>>, frame: Frame<'_>, id: u64) {
        match frame {
            Frame::Borrowed(bytes) if bytes.len() < OWN_FROM => {
                to.append_as(&self.buffers, bytes, id);
                self.flush_soon(to);
            }
            Frame::Borrowed(bytes) => {
                self.flush(to);
                match to.write_through(&self.buffers, bytes, id) {
                    Ok(written) => self.worker.metrics.bytes_sent(to.side(), written as u64),
                    Err(error) => self.write_failed(to, &error),
                }
            }
            Frame::Owned(bytes) => {
                to.push_as(bytes, id);
                self.flush(to);
            }
        }
    }

    /// Answers a call with a fault in the caller's own language; without an
    /// origin (one-way), nobody waits for it.
    pub(crate) fn reply(&self, to: &Rc<Link<C>>, origin: Option<C::Origin>, fault: &Fault) {
        if let Some(origin) = origin
            && !to.is_closed()
        {
            to.append(&self.buffers, |out| C::reply(origin, fault, out));
            self.flush_soon(to);
        }
    }

    /// Cuts a connection; its task cleans up.
    pub(crate) fn close(&self, link: &Link<C>) {
        link.state.set(State::Closed);
        link.wake();
    }

    /// Answers a call in a provider's place.
    pub(crate) fn substitute(&self, to: &Rc<Link<C>>, origin: C::Origin, answer: &Substitute) {
        if !to.is_closed() {
            to.append(&self.buffers, |out| C::substitute(origin, answer, out));
            self.flush_soon(to);
        }
    }

    /// Puts a call aside until the snapshot changes or its time is up.
    pub(crate) fn park(&self, parked: Parked<C>) {
        self.expire_at(parked.deadline);
        self.parking.push(parked);
    }

    async fn retry_parked(self: Rc<Self>) {
        let mut changes = self.worker.snapshot_changes();
        while changes.changed().await.is_ok() {
            let now = Instant::now();
            for parked in self.parking.take_all() {
                parked.retry(&self, now);
            }
        }
    }

    /// Answers the parked calls whose time is up; returns when the next one's is.
    pub(super) fn expire_parked(self: &Rc<Self>, now: Instant) -> Option<Instant> {
        let (expired, next) = self.parking.take_expired(now);
        for parked in expired {
            parked.expire(self);
        }
        next
    }

    /// Makes the clock look at `deadline` at the latest.
    pub(crate) fn expire_at(&self, deadline: Instant) {
        if self.next_expiry.get().is_none_or(|next| deadline < next) {
            self.next_expiry.set(Some(deadline));
            self.earlier.notify_one();
        }
    }

    /// The id of a one-way call: nobody answers it, so it can say which
    /// listener the call came in by and how many endpoints were tried before.
    pub(crate) fn one_way_id(&self, listener: &ListenerContext, tried: usize) -> u64 {
        u64::from(listener.index) << TRIED_BITS | tried as u64
    }

    /// What [`Engine::one_way_id`] wrote down.
    pub(crate) fn listener_of(&self, one_way_id: u64) -> Option<(Rc<ListenerContext>, usize)> {
        let index = usize::try_from(one_way_id >> TRIED_BITS).ok()?;
        let tried = one_way_id & ((1 << TRIED_BITS) - 1);
        Some((self.listeners.get(index)?.clone(), tried as usize))
    }

    /// A caller that is gone: nothing can be answered to it.
    pub(crate) fn nobody(&self, listener: &Rc<ListenerContext>, now: Instant) -> Rc<Link<C>> {
        let link = Link::new(self.number(), Role::Downstream(listener.clone()), String::new(), now);
        link.state.set(State::Closed);
        Rc::new(link)
    }

    /// Tells every caller to send no more calls.
    pub(crate) fn go_away(&self) {
        for link in self.callers() {
            self.send_go_away(&link);
        }
    }

    /// Closes the callers' connections on which nothing is left to do and
    /// nothing came lately; returns how many there are still.
    pub(crate) fn close_quiet_callers(&self, now: Instant) -> usize {
        for link in self.callers() {
            if link.is_quiet(now) {
                link.end();
            }
        }
        self.callers().len()
    }

    pub(super) fn callers(&self) -> Vec<Rc<Link<C>>> {
        let links = self.links.borrow();
        links.values().filter(|link| link.listener().is_some()).cloned().collect()
    }
}
