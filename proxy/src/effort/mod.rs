//! A call that a rule wants more for than one attempt at one endpoint: Dubbo's
//! cluster modes, retries where a configurator or a route asks for them, mocks in place
//! of failures, and copies for mirrors.
//!
//! Each attempt is a slot in its connection's table, as a plain call is, and knows
//! its effort; the effort is what the caller waits for. Its request is kept only
//! while it may have to be sent again.
//!
//! * [`attempt`]: each by itself; [`several`]: those of one call to several endpoints.
//! * [`wanted`]: which attempts have failed, whether another follows, and what the caller
//!   gets; calls over HTTP, which are no efforts, go by it too.
//! * [`resend`]: another attempt after a failed one; [`mod@mirror`]: copies whose answers
//!   nobody waits for.
//! * [`kept`]: requests kept, within a bound.
//! * [`failback`]: failed calls repeated in the background.
//!
//! Not here: what is wanted (`governance::ClusterPolicy`), and sending (see
//! [`crate::send`]).

mod attempt;
mod failback;
mod kept;
mod mirror;
mod resend;
mod several;
mod wanted;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use codec::{Fault, FrameCodec, Outcome, Reason, Substitute};
use governance::settings::Cluster;
use governance::{ClusterPolicy, EndpointId};

use crate::forward::Frame;
use crate::framed::{Engine, Link};
use crate::listener::ListenerContext;
use crate::methods::Method;
use crate::observe::{Ended, observe};
use crate::orders::Orders;
use crate::route::{Route, Tried};
use crate::send::{self, Sending};

pub(crate) use attempt::{answered, failed, unsent};
pub(crate) use failback::{Failbacks, PERIOD};
use kept::KeptFrame;
pub(crate) use kept::{Kept, Room};
pub(crate) use mirror::mirror;
use resend::Last;
pub(crate) use several::everybody;
use several::shout;
pub(crate) use wanted::{Resend, Wanted};

/// A call in several attempts.
pub(crate) struct Effort<C: FrameCodec> {
    from: Rc<Link<C>>,
    listener: Rc<ListenerContext>,
    origin: C::Origin,
    method: Rc<Method>,
    wanted: Wanted,
    started: Instant,
    deadline: Instant,
    request_bytes: u32,
    /// How often it was repeated in the background; `None` while its caller waits.
    repeats: Option<u32>,
    /// The request, where it may have to be sent again.
    frame: RefCell<Option<KeptFrame>>,
    progress: RefCell<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The caller has what it gets.
    is_done: bool,
    /// Attempts are being sent: none of them decides yet.
    is_sending: bool,
    in_flight: usize,
    resent: u32,
    unsent: usize,
    tried: Tried,
    /// Whom a broadcast asks next, last first.
    rest: Vec<EndpointId>,
    /// How many a broadcast asks.
    total: usize,
    failed: usize,
    last: Option<Failure>,
}

/// An attempt that came to nothing.
enum Failure {
    /// An answer that says so.
    Answer(BytesMut),
    Fault(Fault),
}

/// What a caller gets.
enum End<'a> {
    Answer(Frame<'a>),
    /// In place of this failure.
    Substitute(&'a Substitute, Option<Reason>),
    Fault(Fault),
}

/// Steps 4 and 5 of a call that a rule says more about.
pub(crate) fn begin<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    sending: Sending<'_, C>,
    route: Route,
    policy: Option<Arc<ClusterPolicy>>,
    now: Instant,
) {
    let worker = &engine.worker;
    let Sending { from, listener, frame, one_way, origin, started, permit, .. } = sending;
    let wanted = Wanted::new(policy, Orders { delay: None, ..route.orders.clone() });
    let cluster = wanted.cluster();
    let everybody = match cluster {
        Cluster::Broadcast => everybody(worker, &route),
        _ => Vec::new(),
    };
    if one_way {
        return shout(engine, (from, listener, frame, origin), &route, &wanted, everybody, now);
    }
    let is_broadcast = cluster == Cluster::Broadcast;
    // The attempts of a fork begin at once.
    let kept = if wanted.keeps_request() && cluster != Cluster::Forking {
        engine.kept.keep(frame.bytes(), worker.limits.buffer)
    } else {
        None
    };
    let has_frame = kept.is_some();
    let effort = Rc::new(Effort {
        from: from.clone(),
        listener: listener.clone(),
        origin,
        method: route.method.clone(),
        started,
        deadline: route.deadline,
        request_bytes: frame.bytes().len() as u32,
        repeats: None,
        frame: RefCell::new(kept),
        progress: RefCell::default(),
        wanted,
    });
    send::admitted(engine, from);
    if is_broadcast && !has_frame {
        let fault = Fault::new(
            Reason::Overloaded,
            "the requests of calls in progress fill the memory that there is for them; a \
             broadcast cannot be sent",
            "raise `limits.buffer` in the proxy's configuration",
        );
        return effort.conclude(engine, None, Failure::Fault(fault), now);
    }
    effort.progress.borrow_mut().is_sending = true;
    match cluster {
        Cluster::Broadcast => {
            let mut progress = effort.progress.borrow_mut();
            progress.total = everybody.len();
            progress.rest = everybody;
            progress.rest.reverse();
            drop(progress);
            effort.ask_next(engine, frame, now);
        }
        Cluster::Forking => effort.fork(engine, frame, route, permit, now),
        _ => effort.send(engine, frame, route, permit, None, now),
    }
    effort.sent(engine, now);
}

impl<C: FrameCodec> Effort<C> {
    /// No attempt is in flight: what now?
    fn decide(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        peer: Option<&str>,
        failure: Failure,
        now: Instant,
    ) {
        if self.repeats.is_some() {
            return failback::missed(engine, self.clone());
        }
        let is_over = self.from.is_closed() || now >= self.deadline;
        if self.wanted.cluster() == Cluster::Broadcast && !is_over {
            return self.next_of_broadcast(engine, peer, failure, now);
        }
        let kept = self.frame.borrow().as_ref().map(KeptFrame::bytes);
        if let Some(frame) = kept.filter(|_| !is_over)
            && let Some(resend) = self.may_resend(engine, &failure, now)
        {
            self.progress.borrow_mut().resent += 1;
            let last = Last { peer: peer.map(Box::from), failure };
            return self.resend(engine, frame, resend, last, now);
        }
        self.conclude(engine, peer, failure, now);
    }

    /// It failed: the caller is told so, or gets what the policy has for it.
    fn conclude(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        peer: Option<&str>,
        failure: Failure,
        now: Instant,
    ) {
        let reason = match &failure {
            Failure::Fault(fault) => Some(fault.reason),
            Failure::Answer(_) => None,
        };
        if self.wanted.cluster() == Cluster::Failback {
            failback::enqueue(engine, self);
        }
        let end = match (self.wanted.instead(), failure) {
            (Some(answer), _) => End::Substitute(answer, reason),
            (None, Failure::Answer(frame)) => End::Answer(Frame::Owned(frame)),
            (None, Failure::Fault(fault)) => End::Fault(fault),
        };
        self.finish(engine, peer, end, now);
    }

    /// Steps 7 and 8.
    fn finish(&self, engine: &Rc<Engine<C>>, peer: Option<&str>, end: End<'_>, now: Instant) {
        self.progress.borrow_mut().is_done = true;
        self.frame.take();
        let worker = &engine.worker;
        let gone = self.from.is_closed();
        let (outcome, response_bytes) = match &end {
            _ if gone => (Outcome::Cancelled, 0),
            End::Answer(frame) => (C::outcome(frame.bytes()), frame.bytes().len()),
            End::Substitute(..) => (Outcome::Degraded, 0),
            End::Fault(fault) => (Outcome::Fault(fault.reason), 0),
        };
        observe(
            worker,
            Ended {
                from: &self.from,
                method: &self.method,
                head: None,
                endpoint: peer,
                outcome,
                started: self.started,
                now,
                request_bytes: self.request_bytes,
                response_bytes: response_bytes as u32,
            },
        );
        send::released(engine, &self.from);
        if gone {
            return;
        }
        match end {
            End::Answer(frame) => {
                engine.send(&self.from, frame, C::id_of(self.origin));
                if self.from.waiting() > worker.limits.buffer {
                    tracing::warn!(
                        peer = self.from.peer,
                        "leaves its answers unread; disconnected"
                    );
                    engine.close(&self.from);
                }
            }
            End::Substitute(answer, reason) => {
                if let Some(reason) = reason {
                    worker.metrics.fault(reason);
                }
                engine.substitute(&self.from, self.origin, answer);
            }
            End::Fault(fault) => engine.reply(&self.from, Some(self.origin), &fault),
        }
    }
}
