//! The way of a call, in eight steps, for every whole-frame protocol:
//!
//! 1. admit, 2. route, 3. pick (all three in [`route::choose`], which knows no
//!    protocol), 4. connect or reuse, 5. send: [`request`];
//! 6. again, where it was never sent: [`resend`];
//! 7. observe, 8. answer: [`answer`] and [`fail`].
//!
//! A call is not a future: between steps 5 and 7 it is a slot in the upstream
//! connection's table, so that a call on its way allocates nothing.
//!
//! Not here: bytes and sockets (see [`crate::framed`]), calls that a provider
//! makes back to its caller (see [`crate::callback`]), and every decision (see
//! the `governance` crate).

use std::rc::Rc;
use std::time::Instant;

use bytes::BytesMut;
use codec::{Fault, FrameCodec, Kind, Outcome, Reason, RequestHead};
use governance::EndpointId;

use crate::framed::{Call, Engine, Link, State};
use crate::listener::ListenerContext;
use crate::observe::{Ended, observe};
use crate::parked::Parked;
use crate::route::{self, Ask, Refusal, Tried};

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
}

/// Steps 1 to 5: a request goes out, is put aside until its service is known,
/// or is answered with a fault.
pub(crate) fn request<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    arrival: Arrival<'_, C>,
    now: Instant,
) {
    let Arrival { from, listener, frame, one_way, origin, started, tried } = arrival;
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
    let mut route = match route::choose(worker, ask) {
        Ok(route) => route,
        Err(Refusal::Fault(fault)) => {
            return refuse(engine, from, listener, &head, answerable, &fault, started);
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
    drop(head);

    // 4 connect or reuse
    let to = if binds {
        engine.bound_upstream(from, &mut route, now)
    } else {
        engine.shared_upstream(&route, now)
    };

    // 5 send
    let frame = match route.method.token_of(route.index) {
        Some(token) => with_token::<C>(frame, &token),
        None => frame,
    };
    let request_bytes = frame.bytes().len() as u32;
    let ended = |outcome| Ended {
        from,
        method: &route.method,
        head: None,
        endpoint: Some(&to.peer),
        outcome,
        started,
        now,
        request_bytes,
        response_bytes: 0,
    };
    if to.waiting() > 0 && to.waiting() + request_bytes as usize > worker.limits.buffer {
        let fault = overloaded(&to.peer, format!("{} bytes wait to be written", to.waiting()));
        observe(worker, ended(Outcome::Fault(fault.reason)));
        return engine.reply(from, answerable, &fault);
    }
    let id = if one_way {
        if route.hop.tried.is_empty() {
            observe(worker, ended(Outcome::Sent));
        }
        engine.one_way_id(listener, route.hop.tried.len())
    } else {
        let call = Call {
            from: from.clone(),
            origin,
            method: route.method.clone(),
            hop: Some(route.hop.clone()),
            started,
            request_bytes,
        };
        let limit = worker.limits.pending;
        let Ok(id) = to.pending.borrow_mut().insert::<C>(call, route.deadline, limit) else {
            let fault = overloaded(&to.peer, format!("{limit} calls wait for its answers"));
            observe(worker, ended(Outcome::Fault(fault.reason)));
            return engine.reply(from, answerable, &fault);
        };
        from.unanswered.set(from.unanswered.get() + 1);
        worker.health.sent(route.hop.endpoint);
        worker.metrics.call_started();
        engine.expire_at(route.deadline);
        id
    };
    engine.send(&to, frame, id);
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
        let Some(call) = take(engine, failed, meta.id, now) else { return };
        let tried = call.hop.map(|hop| hop.tried).unwrap_or_default();
        (call.from, call.origin, call.started, tried)
    };
    tried.extend(avoid);
    let Some(listener) = from.listener() else { return };
    engine.worker.metrics.retried();
    let frame = Frame::Owned(frame);
    let arrival = Arrival { from: &from, listener, frame, one_way, origin, started, tried };
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
    let Some(call) = upstream.pending.borrow_mut().take::<C>(id) else {
        worker.metrics.late_answer();
        return;
    };

    // 7 observe
    let gone = call.from.is_closed();
    settle(engine, &call, Some(now - call.started), now);
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
    call: Call<C>,
    fault: &Fault,
    now: Instant,
) {
    let gone = call.from.is_closed();
    settle(engine, &call, None, now);
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

/// Takes a call out of its connection's table, to be sent another way.
fn take<C: FrameCodec>(
    engine: &Engine<C>,
    link: &Link<C>,
    id: u64,
    now: Instant,
) -> Option<Call<C>> {
    let call = link.pending.borrow_mut().take::<C>(id)?;
    settle(engine, &call, None, now);
    Some(call)
}

/// Counts a call as no longer in flight.
fn settle<C: FrameCodec>(
    engine: &Engine<C>,
    call: &Call<C>,
    latency: Option<std::time::Duration>,
    now: Instant,
) {
    if let Some(hop) = &call.hop {
        engine.worker.health.ended(hop.endpoint, latency, now);
    }
    engine.worker.metrics.call_ended();
    call.from.unanswered.set(call.from.unanswered.get().saturating_sub(1));
    if call.from.state.get() == State::Ending {
        call.from.wake();
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
    engine.reply(from, answerable, fault);
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

/// The request with the token that its endpoint demands (Dubbo's `token`
/// parameter, checked by Java's `TokenFilter`): a caller that was told only this
/// proxy's address cannot know it. What cannot be read goes out as it came.
fn with_token<'a, C: FrameCodec>(frame: Frame<'a>, token: &str) -> Frame<'a> {
    let mut changed = BytesMut::with_capacity(frame.bytes().len() + token.len() + 16);
    match C::set_field(frame.bytes(), "token", token, &mut changed) {
        Ok(()) => Frame::Owned(changed),
        Err(error) => {
            tracing::debug!(%error, "a call goes out without its endpoint's token");
            frame
        }
    }
}

fn overloaded(peer: &str, why: String) -> Fault {
    Fault::new(
        Reason::Overloaded,
        format!("{peer} does not keep up: {why}; the call was not sent"),
        "add providers, or raise `limits` in the proxy's configuration if it only bursts",
    )
}
