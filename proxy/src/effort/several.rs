//! Several endpoints for one call: at once (Dubbo's `ForkingClusterInvoker`), or one
//! after another (`BroadcastClusterInvoker`).

use std::rc::Rc;
use std::time::Instant;

use codec::FrameCodec;
use governance::EndpointId;
use governance::settings::Cluster;

use super::attempt::select;
use super::kept::KeptFrame;
use super::{Effort, End, Failure, Wanted};
use crate::actives::Permit;
use crate::forward::Frame;
use crate::framed::{Engine, Link};
use crate::listener::ListenerContext;
use crate::route::{Route, Tried};
use crate::send::{Sending, dispatch};
use crate::worker::Worker;

/// Every endpoint that the last decision left.
pub(crate) fn everybody(worker: &Worker, route: &Route) -> Vec<EndpointId> {
    let scratch = worker.scratch.borrow();
    scratch.candidates().filter_map(|index| route.method.id_of(index)).collect()
}

/// A one-way call: its caller, where that called, its frame and origin.
pub(super) type OneWay<'a, C> =
    (&'a Rc<Link<C>>, &'a Rc<ListenerContext>, Frame<'a>, <C as FrameCodec>::Origin);

/// A one-way call to as many as the policy says. Of its failures nobody is told.
pub(super) fn shout<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    (from, listener, frame, origin): OneWay<'_, C>,
    route: &Route,
    wanted: &Wanted,
    everybody: Vec<EndpointId>,
    now: Instant,
) {
    let mut to = match wanted.cluster() {
        Cluster::Broadcast => everybody,
        _ => vec![route.hop.endpoint],
    };
    if wanted.cluster() == Cluster::Forking {
        let mut tried: Tried = to.iter().copied().collect();
        while let Some(more) = another(engine, from, listener, frame.bytes(), &tried, wanted, now) {
            tried.push(more.hop.endpoint);
            to.push(more.hop.endpoint);
        }
    }
    for endpoint in to {
        let Some(mut route) = route.elsewhere(endpoint) else { continue };
        let sending = Sending {
            from,
            listener,
            frame: Frame::Borrowed(frame.bytes()),
            one_way: true,
            origin,
            started: now,
            effort: None,
            permit: None,
            repeat: None,
        };
        if let Err(unsent) = dispatch(engine, sending, &mut route, false, now) {
            engine.worker.metrics.fault(unsent.fault.reason);
        }
    }
}

/// A further endpoint for a fork, while more are wanted and there is one.
fn another<C: FrameCodec>(
    engine: &Engine<C>,
    from: &Link<C>,
    listener: &ListenerContext,
    frame: &[u8],
    tried: &Tried,
    wanted: &Wanted,
    now: Instant,
) -> Option<Route> {
    if wanted.has_forks(tried.len()) {
        return None;
    }
    let selected = select(engine, from, listener, frame, tried.clone(), now);
    selected.ok().filter(|route| !route.repeats)
}

impl<C: FrameCodec> Effort<C> {
    /// Attempts at several endpoints at once.
    pub(super) fn fork(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        frame: Frame<'_>,
        route: Route,
        permit: Option<Permit>,
        now: Instant,
    ) {
        let bytes = frame.bytes();
        self.send(engine, Frame::Borrowed(bytes), route, permit, None, now);
        loop {
            let tried = self.progress.borrow().tried.clone();
            let next =
                another(engine, &self.from, &self.listener, bytes, &tried, &self.wanted, now);
            let Some(route) = next else { return };
            match engine.worker.published.actives.enter(&route) {
                Ok(permit) => self.send(engine, Frame::Borrowed(bytes), route, permit, None, now),
                // Busy: one fork less.
                Err(_) => self.progress.borrow_mut().tried.push(route.hop.endpoint),
            }
        }
    }

    /// Asks the next endpoint of a broadcast that is still there; `false` where
    /// there is none.
    pub(super) fn ask_next(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        frame: Frame<'_>,
        now: Instant,
    ) -> bool {
        loop {
            let Some(endpoint) = self.progress.borrow_mut().rest.pop() else { return false };
            let Some(index) = self.method.index_of(endpoint) else { continue };
            let route = Route::to(&self.method, endpoint, index, self.deadline);
            self.send(engine, frame, route, None, None, now);
            return true;
        }
    }

    /// One of a broadcast failed: go on, unless too many did.
    pub(super) fn next_of_broadcast(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        peer: Option<&str>,
        failure: Failure,
        now: Instant,
    ) {
        let mut progress = self.progress.borrow_mut();
        if self.wanted.gives_up(progress.failed, progress.total) {
            drop(progress);
            return self.conclude(engine, peer, failure, now);
        }
        progress.last = Some(failure);
        drop(progress);
        self.go_on(engine, peer, None, now);
    }

    /// The next of a broadcast, or its end, with the last `answer` there was.
    pub(super) fn go_on(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        peer: Option<&str>,
        answer: Option<Frame<'_>>,
        now: Instant,
    ) {
        let kept = self.frame.borrow().as_ref().map(KeptFrame::bytes);
        if let Some(frame) = kept
            && self.ask_next(engine, Frame::Borrowed(&frame), now)
        {
            return;
        }
        let failure = self.progress.borrow_mut().last.take();
        match (failure, answer) {
            (Some(failure), _) => self.conclude(engine, peer, failure, now),
            (None, Some(answer)) => self.finish(engine, peer, End::Answer(answer), now),
            (None, None) => {}
        }
    }
}
