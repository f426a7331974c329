//! The attempts of an effort: how each begins, and how it ends.

use std::rc::Rc;
use std::time::Instant;

use bytes::BytesMut;
use codec::{Fault, FrameCodec};
use governance::EndpointId;
use governance::settings::Cluster;

use super::{Effort, End, Failure, failback};
use crate::actives::Permit;
use crate::forward::Frame;
use crate::framed::{Engine, Link};
use crate::listener::ListenerContext;
use crate::orders::{Ending, Repeat};
use crate::route::{self, ATTEMPTS, Ask, Refusal, Route, Tried};
use crate::send::{Sending, dispatch};

impl<C: FrameCodec> Effort<C> {
    /// Sends one attempt.
    pub(super) fn send(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        frame: Frame<'_>,
        mut route: Route,
        permit: Option<Permit>,
        repeat: Option<Repeat>,
        now: Instant,
    ) {
        let deadline = self.wanted.attempt_deadline(Some(self.deadline), now);
        route.deadline = deadline.unwrap_or(self.deadline);
        let mut progress = self.progress.borrow_mut();
        progress.in_flight += 1;
        if !progress.tried.contains(&route.hop.endpoint) {
            progress.tried.push(route.hop.endpoint);
        }
        drop(progress);
        let sending = Sending {
            from: &self.from,
            listener: &self.listener,
            frame,
            one_way: false,
            origin: self.origin,
            // An endpoint's latency is that of its own attempt.
            started: now,
            effort: Some(self.clone()),
            permit,
            repeat,
        };
        if let Err(unsent) = dispatch(engine, sending, &mut route, false, now) {
            self.missed(engine, None, Failure::Fault(unsent.fault), now);
        }
    }

    /// The first attempts are on their way; where none is, that is how it ends.
    pub(super) fn sent(self: &Rc<Self>, engine: &Rc<Engine<C>>, now: Instant) {
        let mut progress = self.progress.borrow_mut();
        progress.is_sending = false;
        if progress.is_done || progress.in_flight > 0 {
            return;
        }
        let failure = progress.last.take().unwrap_or_else(|| {
            Failure::Fault(route::unreachable(&self.listener, progress.tried.len()))
        });
        drop(progress);
        self.decide(engine, None, failure, now);
    }

    /// Sends it once more, wherever it is sent now.
    pub(super) fn again(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        frame: Frame<'_>,
        may_repeat: bool,
        repeat: Option<Repeat>,
        now: Instant,
    ) -> Result<(), Failure> {
        let tried = self.progress.borrow().tried.clone();
        let count = tried.len();
        let selected = select(engine, &self.from, &self.listener, frame.bytes(), tried, now);
        let route = match selected {
            Ok(route) if route.repeats && !may_repeat => {
                return Err(Failure::Fault(route::unreachable(&self.listener, count)));
            }
            Ok(route) => route,
            Err(Refusal::Fault(fault)) => return Err(Failure::Fault(fault)),
            Err(Refusal::Mocked { .. } | Refusal::Unlisted) => {
                return Err(Failure::Fault(route::unknown(&self.method.service, None)));
            }
        };
        let permit = match engine.worker.published.actives.enter(&route) {
            Ok(permit) => permit,
            Err(full) => return Err(Failure::Fault(full.fault(now - self.started))),
        };
        self.send(engine, frame, route, permit, repeat, now);
        Ok(())
    }

    /// An attempt is over and came to nothing.
    fn missed(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        peer: Option<&str>,
        failure: Failure,
        now: Instant,
    ) {
        let mut progress = self.progress.borrow_mut();
        progress.in_flight = progress.in_flight.saturating_sub(1);
        progress.failed += 1;
        if progress.is_done {
            return;
        }
        if progress.is_sending || progress.in_flight > 0 {
            progress.last = Some(failure);
            return;
        }
        drop(progress);
        self.decide(engine, peer, failure, now);
    }
}

/// Routes a further attempt of a call.
pub(super) fn select<C: FrameCodec>(
    engine: &Engine<C>,
    from: &Link<C>,
    listener: &ListenerContext,
    frame: &[u8],
    tried: Tried,
    now: Instant,
) -> Result<Route, Refusal> {
    let head = C::head(frame);
    let ask = Ask {
        protocol: C::NAME,
        listener,
        head: &head,
        caller: from.peer_host(),
        started: now,
        now,
        tried,
    };
    route::select(&engine.worker, ask)
}

/// An attempt was answered.
pub(crate) fn answered<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    effort: &Rc<Effort<C>>,
    peer: &str,
    frame: Frame<'_>,
    now: Instant,
) {
    let outcome = C::outcome(frame.bytes());
    let is_failure = effort.wanted.is_failure(outcome, Ending::of(outcome));
    if is_failure && !effort.progress.borrow().is_done {
        return effort.missed(engine, Some(peer), Failure::Answer(frame.into_owned()), now);
    }
    let mut progress = effort.progress.borrow_mut();
    progress.in_flight = progress.in_flight.saturating_sub(1);
    if progress.is_done {
        return;
    }
    drop(progress);
    if effort.repeats.is_some() {
        return failback::answered(engine, effort);
    }
    if effort.wanted.cluster() == Cluster::Broadcast {
        return effort.go_on(engine, Some(peer), Some(frame), now);
    }
    effort.finish(engine, Some(peer), End::Answer(frame), now);
}

/// An attempt got no answer but the mesh's.
pub(crate) fn failed<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    effort: &Rc<Effort<C>>,
    peer: &str,
    fault: Fault,
    now: Instant,
) {
    effort.missed(engine, Some(peer), Failure::Fault(fault), now);
}

/// An attempt could not be sent: it goes another way, unless that is no way; also
/// to the endpoint `again`, whose connection served before.
pub(crate) fn unsent<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    effort: &Rc<Effort<C>>,
    frame: BytesMut,
    again: Option<EndpointId>,
    now: Instant,
) {
    let mut progress = effort.progress.borrow_mut();
    progress.unsent += 1;
    progress.tried.retain(|endpoint| Some(*endpoint) != again);
    let is_lost = progress.is_done
        || effort.wanted.cluster() == Cluster::Broadcast
        || progress.unsent >= ATTEMPTS
        || now >= effort.deadline;
    let tried = progress.tried.len();
    if !is_lost {
        progress.in_flight = progress.in_flight.saturating_sub(1);
        drop(progress);
        if let Err(failure) = effort.again(engine, Frame::Owned(frame), false, None, now) {
            effort.progress.borrow_mut().in_flight += 1;
            effort.missed(engine, None, failure, now);
        }
        return;
    }
    drop(progress);
    let fault = route::unreachable(&effort.listener, tried);
    effort.missed(engine, None, Failure::Fault(fault), now);
}
