//! The way of a call, in eight steps, for every whole-frame protocol:
//!
//! 1. admit, 2. route, 3. pick (all three in [`route::choose`], which knows no
//!    protocol): [`request`]; 4. connect or reuse, 5. send: [`crate::send`];
//! 6. again, where it was never sent: [`resend`];
//! 7. observe, 8. answer: [`answer`] and [`fail`].
//!
//! A call is not a future: between steps 5 and 7 it is a slot in the upstream
//! connection's table, so that a call on its way allocates nothing.
//!
//! Where a rule wants more for a call than one attempt, [`crate::effort`] sends it
//! instead, by the same steps.
//!
//! Not here: bytes and sockets (see [`crate::framed`]), calls that a provider
//! makes back to its caller (see [`crate::callback`]), and every decision (see
//! the `governance` crate).

use std::rc::Rc;
use std::time::Instant;

use bytes::BytesMut;
use codec::{Fault, FrameCodec, Kind, Outcome, RequestHead};
use governance::EndpointId;

use crate::actives::{self, Waiting};
use crate::delayed;
use crate::effort;
use crate::framed::{Call, Engine, Link};
use crate::listener::ListenerContext;
use crate::observe::{Ended, observe};
use crate::orders::{Ending, Orders};
use crate::parked::Parked;
use crate::route::{self, Ask, Refusal, Route, Tried};
use crate::send::{self, Sending, Unsent, dispatch, released};

/// A frame's bytes: where they were read, or in a buffer of their own.
pub(crate) enum Frame<'a> {
    Borrowed(&'a [u8]),
    Owned(BytesMut),
}

impl Frame<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Frame::Borrowed(bytes) => bytes,
            Frame::Owned(bytes) => bytes,
        }
    }

    pub(crate) fn into_owned(self) -> BytesMut {
        match self {
            Frame::Borrowed(bytes) => BytesMut::from(bytes),
            Frame::Owned(bytes) => bytes,
        }
    }
}

/// A request that wants to go somewhere.
pub(crate) struct Arrival<'a, C: FrameCodec> {
    pub(crate) from: &'a Rc<Link<C>>,
    pub(crate) listener: &'a Rc<ListenerContext>,
    pub(crate) frame: Frame<'a>,
    pub(crate) one_way: bool,
    /// What an answer must carry back.
    pub(crate) origin: C::Origin,
    /// When it arrived.
    pub(crate) started: Instant,
    /// Endpoints that did not work out.
    pub(crate) tried: Tried,
    /// It was on its way before: what its route orders to be done once was done.
    pub(crate) is_again: bool,
}

/// Steps 1 to 5: a request goes out, is put aside until its service is known or
/// its turn has come, or is answered.
pub(crate) fn request<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    arrival: Arrival<'_, C>,
    now: Instant,
) {
    let Arrival { from, listener, frame, one_way, origin, started, tried, is_again } = arrival;
    let worker = &engine.worker;
    let answerable = (!one_way).then_some(origin);
    let head = C::head(frame.bytes());

    // 1 admit, 2 route, 3 pick
    let ask = Ask {
        protocol: C::NAME,
        listener,
        head: &head,
        caller: from.peer_host(),
        started,
        now,
        tried,
    };
    let route = match route::choose(worker, ask) {
        Ok(route) => route,
        Err(Refusal::Fault(fault)) => {
            return refuse(engine, from, listener, &head, answerable, &fault, started);
        }
        Err(Refusal::Mocked { mock, cause }) => {
            observe_unsent(engine, from, listener, &head, Outcome::Degraded, started);
            if let Some(fault) = cause {
                worker.metrics.fault(fault.reason);
            }
            if let Some(origin) = answerable {
                engine.substitute(from, origin, &mock.answer);
            }
            return;
        }
        Err(Refusal::Unlisted) => {
            if let Some(fault) = engine.parking.refuses(frame.bytes().len(), &worker.limits) {
                return refuse(engine, from, listener, &head, answerable, &fault, started);
            }
            let deadline = started + head.timeout().unwrap_or(worker.timeouts.call);
            drop(head);
            let frame = frame.into_owned();
            let from = from.clone();
            return engine.park(Parked { from, frame, one_way, origin, started, deadline });
        }
    };
    let binds = C::binds(&head) && !from.is_closed();
    let permit = match worker.published.actives.enter(&route) {
        Ok(permit) => permit.filter(|_| !one_way),
        Err(_) if one_way => None,
        Err(full) if !engine.waiting.has_room(frame.bytes().len(), &worker.limits) => {
            let fault = full.fault(now.saturating_duration_since(started));
            return refuse(engine, from, listener, &head, answerable, &fault, started);
        }
        Err(full) => {
            drop(head);
            let (from, frame, deadline) = (from.clone(), frame.into_owned(), route.deadline);
            return actives::wait(engine, Waiting { from, frame, origin, started, deadline, full });
        }
    };
    drop(head);
    let Orders { delay, mirrors, directives, .. } = &route.orders;
    let frame = match directives {
        Some(directives) if !is_again => send::edited::<C>(frame, &directives.request_headers),
        _ => frame,
    };
    if !is_again && !mirrors.is_empty() && !binds {
        effort::mirror(engine, (from, listener, frame.bytes(), origin), one_way, &route, now);
    }
    let delay = delay.filter(|_| !is_again);
    let (effort, repeat) = (None, None);
    let sending =
        Sending { from, listener, frame, one_way, origin, started, effort, permit, repeat };
    match delay {
        Some(delay) => delayed::wait(engine, sending, route, binds, delay, now),
        None => go(engine, sending, route, binds, now),
    }
}

/// Steps 4 and 5, in as many attempts as rules want.
pub(crate) fn go<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    sending: Sending<'_, C>,
    mut route: Route,
    binds: bool,
    now: Instant,
) {
    let Sending { from, one_way, origin, started, .. } = sending;
    let cluster = route.cluster.take();
    let wants_attempts = cluster.is_some() || (route.orders.want_attempts() && !one_way);
    if wants_attempts && !binds {
        return effort::begin(engine, sending, route, cluster, now);
    }
    if let Err(unsent) = dispatch(engine, sending, &mut route, binds, now) {
        let Unsent { fault, to, request_bytes } = unsent;
        observe(
            &engine.worker,
            Ended {
                from,
                method: &route.method,
                head: None,
                endpoint: to.as_ref().map(|to| &*to.peer),
                outcome: Outcome::Fault(fault.reason),
                started,
                now,
                request_bytes,
                response_bytes: 0,
            },
        );
        engine.reply(from, (!one_way).then_some(origin), &fault);
    }
}

/// Step 6: a connection failed; a request of which not one byte left goes
/// another way. The caller does not notice.
pub(crate) fn resend<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    failed: &Link<C>,
    frame: BytesMut,
    avoid: Option<EndpointId>,
    now: Instant,
) {
    let Ok(meta) = C::meta(&frame) else { return };
    let Kind::Request { one_way } = meta.kind else { return };
    let (from, origin, started, mut tried) = if one_way {
        let Some((listener, count)) = engine.listener_of(meta.id) else { return };
        // Which endpoints these were is not known any more, only how many.
        let tried = avoid.map_or_else(Tried::new, |last| Tried::from_elem(last, count));
        (engine.nobody(&listener, now), C::origin(&frame), now, tried)
    } else {
        let pending = failed.pending.borrow();
        if pending.get::<C>(meta.id).is_none_or(|call| call.from.is_closed()) {
            return; // nobody waits for it any more
        }
        drop(pending);
        let Some(call) = take(engine, failed, meta.id, avoid, now) else { return };
        if let Some(effort) = &call.effort {
            engine.worker.metrics.retried();
            let endpoint = call.hop.as_ref().map(|hop| hop.endpoint);
            let again = endpoint.filter(|_| avoid.is_none());
            return effort::unsent(engine, effort, frame, again, now);
        }
        let tried = call.hop.map(|hop| hop.tried).unwrap_or_default();
        (call.from, call.origin, call.started, tried)
    };
    tried.extend(avoid);
    let Some(listener) = from.listener() else { return };
    engine.worker.metrics.retried();
    let frame = Frame::Owned(frame);
    let from = &from;
    let arrival =
        Arrival { from, listener, frame, one_way, origin, started, tried, is_again: true };
    request(engine, arrival, now);
}

/// Steps 7 and 8 for an answer that came.
pub(crate) fn answer<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    upstream: &Link<C>,
    id: u64,
    frame: Frame<'_>,
    now: Instant,
) {
    let worker = &engine.worker;
    let Some(mut call) = upstream.pending.borrow_mut().take::<C>(id) else {
        worker.metrics.late_answer();
        return;
    };

    // 7 observe
    let gone = call.from.is_closed();
    let ending = || Ending::of(C::outcome(frame.bytes()));
    let latency = Some(now - call.started);
    settle(engine, &mut call, latency, ending, now);
    if let Some(effort) = &call.effort {
        return effort::answered(engine, effort, &upstream.peer, frame, now);
    }
    observe(
        worker,
        Ended {
            from: &call.from,
            method: &call.method,
            head: None,
            endpoint: Some(&upstream.peer),
            outcome: if gone { Outcome::Cancelled } else { C::outcome(frame.bytes()) },
            started: call.started,
            now,
            request_bytes: call.request_bytes,
            response_bytes: frame.bytes().len() as u32,
        },
    );

    // 8 answer
    if !gone {
        engine.send(&call.from, frame, C::id_of(call.origin));
        if call.from.waiting() > worker.limits.buffer {
            tracing::warn!(peer = call.from.peer, "leaves its answers unread; disconnected");
            engine.close(&call.from);
        }
    }
}

/// Steps 7 and 8 for a call that gets no answer but the mesh's.
pub(crate) fn fail<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    upstream: &Link<C>,
    mut call: Call<C>,
    fault: &Fault,
    now: Instant,
) {
    let gone = call.from.is_closed();
    settle(engine, &mut call, None, || Ending::of(Outcome::Fault(fault.reason)), now);
    if let Some(effort) = &call.effort {
        return effort::failed(engine, effort, &upstream.peer, fault.clone(), now);
    }
    observe(
        &engine.worker,
        Ended {
            from: &call.from,
            method: &call.method,
            head: None,
            endpoint: Some(&upstream.peer),
            outcome: if gone { Outcome::Cancelled } else { Outcome::Fault(fault.reason) },
            started: call.started,
            now,
            request_bytes: call.request_bytes,
            response_bytes: 0,
        },
    );
    tracing::debug!(peer = call.from.peer, service = %call.method.service, %fault, "failed");
    engine.reply(&call.from, Some(call.origin), fault);
}

/// Takes a call out of its connection's table, to be sent another way, since the
/// connection was closed or could not be made to an endpoint to `avoid`.
fn take<C: FrameCodec>(
    engine: &Engine<C>,
    link: &Link<C>,
    id: u64,
    avoid: Option<EndpointId>,
    now: Instant,
) -> Option<Call<C>> {
    let mut call = link.pending.borrow_mut().take::<C>(id)?;
    let ending = avoid.map_or(Ending::NotSent, |_| Ending::NotConnected);
    settle(engine, &mut call, None, || ending, now);
    Some(call)
}

/// Counts a call as no longer in flight.
fn settle<C: FrameCodec>(
    engine: &Engine<C>,
    call: &mut Call<C>,
    latency: Option<std::time::Duration>,
    ending: impl FnOnce() -> Ending,
    now: Instant,
) {
    let worker = &engine.worker;
    // If it was a retry, the next of the same call needs no second place.
    drop(call.stay.as_mut().and_then(|stay| stay.repeat.take()));
    if let Some(hop) = &call.hop {
        worker.health.ended(hop.endpoint, latency, now);
        if let Some(stay) = &call.stay
            && stay.place.ended(hop.endpoint, ending(), &worker.health, now)
        {
            worker.metrics.ejected();
        }
    }
    // The attempts of one effort are one call.
    if call.effort.is_none() {
        released(engine, &call.from);
    }
}

/// Answers a call that found no route.
fn refuse<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    from: &Rc<Link<C>>,
    listener: &ListenerContext,
    head: &dyn RequestHead,
    answerable: Option<C::Origin>,
    fault: &Fault,
    started: Instant,
) {
    tracing::debug!(peer = from.peer, %fault, "refused");
    if from.address.is_some() {
        observe_unsent(engine, from, listener, head, Outcome::Fault(fault.reason), started);
    } else {
        // A one-way call whose connection failed: it was counted when it was sent.
        engine.worker.metrics.fault(fault.reason);
    }
    match (answerable, fault.answer.as_ref().and_then(|answer| answer.delay)) {
        (Some(origin), Some(delay)) => delayed::answer(engine, from, origin, fault.clone(), delay),
        (answerable, _) => engine.reply(from, answerable, fault),
    }
}

/// Step 7 for a call that was sent nowhere.
pub(crate) fn observe_unsent<C: FrameCodec>(
    engine: &Engine<C>,
    from: &Link<C>,
    listener: &ListenerContext,
    head: &dyn RequestHead,
    outcome: Outcome,
    started: Instant,
) {
    let method = route::refused_method(&engine.worker, C::NAME, listener, head, outcome);
    let ended = Ended {
        from,
        method: &method,
        head: Some(head),
        endpoint: None,
        outcome,
        started,
        now: Instant::now(),
        request_bytes: 0,
        response_bytes: 0,
    };
    observe(&engine.worker, ended);
}
