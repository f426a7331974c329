//! Calls that a route delays on purpose (`fault.delay`): they wait here, with the route
//! they have, and then go on, or are refused.
//!
//! Not here: calls that wait for a service to be listed (see [`crate::parked`]) or for
//! others to end (see [`crate::actives`]).

use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::{Fault, FrameCodec, Outcome, Reason};

use crate::forward::{self, Frame};
use crate::framed::{Engine, Link};
use crate::listener::ListenerContext;
use crate::observe::{Ended, observe};
use crate::route::Route;
use crate::send::{self, Sending};

/// Lets a call wait for `delay`, but not beyond its deadline, and sends it then. Its
/// request is kept within the limit of those that may be sent again.
pub(crate) fn wait<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    sending: Sending<'_, C>,
    route: Route,
    binds: bool,
    delay: Duration,
    now: Instant,
) {
    let Sending { from, listener, frame, one_way, origin, started, permit, .. } = sending;
    let Some(kept) = engine.kept.keep(frame.bytes(), engine.worker.limits.buffer) else {
        let fault = Fault::new(
            Reason::Overloaded,
            "the requests of calls in progress fill the memory that there is for them; a call \
             that a rule delays was not sent",
            "raise `limits.buffer` in the proxy's configuration, or delay fewer calls",
        );
        let outcome = Outcome::Fault(fault.reason);
        ended(engine, from, &route, outcome, started, frame.bytes().len());
        return engine.reply(from, (!one_way).then_some(origin), &fault);
    };
    if !one_way {
        send::admitted(engine, from);
    }
    let (engine, from, listener) = (engine.clone(), from.clone(), listener.clone());
    let until = (now + delay).min(route.deadline);
    tokio::task::spawn_local(async move {
        tokio::time::sleep_until(until.into()).await;
        let now = Instant::now();
        let frame = kept.bytes();
        if !one_way {
            send::released(&engine, &from);
            if from.is_closed() {
                return ended(&engine, &from, &route, Outcome::Cancelled, started, frame.len());
            }
        }
        if now >= route.deadline {
            let fault = Fault::new(
                Reason::Timeout,
                format!("a rule delays the call by {} ms, beyond its deadline", delay.as_millis()),
                "shorten the delay, or give the call more time",
            );
            ended(&engine, &from, &route, Outcome::Fault(fault.reason), started, frame.len());
            return engine.reply(&from, (!one_way).then_some(origin), &fault);
        }
        let (from, listener, frame) = (&from, &listener, Frame::Borrowed(&frame));
        let (effort, repeat) = (None, None);
        let sending =
            Sending { from, listener, frame, one_way, origin, started, effort, permit, repeat };
        forward::go(&engine, sending, route, binds, now);
    });
}

/// A call that a route answers itself, after a while.
pub(crate) struct Refused<'a, C: FrameCodec> {
    pub(crate) from: &'a Rc<Link<C>>,
    pub(crate) listener: &'a Rc<ListenerContext>,
    /// `None` for a one-way call.
    pub(crate) origin: Option<C::Origin>,
    pub(crate) started: Instant,
    pub(crate) fault: Fault,
}

/// Answers a call with a fault after `delay`; at once, where its request cannot be kept.
pub(crate) fn refuse<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    refused: Refused<'_, C>,
    frame: &[u8],
    delay: Duration,
) {
    let Refused { from, listener, origin, started, fault } = refused;
    let Some(kept) = engine.kept.keep(frame, engine.worker.limits.buffer) else {
        return forward::refuse(engine, from, listener, &C::head(frame), origin, &fault, started);
    };
    send::admitted(engine, from);
    let (engine, from, listener) = (engine.clone(), from.clone(), listener.clone());
    tokio::task::spawn_local(async move {
        tokio::time::sleep(delay).await;
        send::released(&engine, &from);
        let frame = kept.bytes();
        let head = C::head(&frame);
        if from.is_closed() {
            let outcome = Outcome::Cancelled;
            return forward::observe_unsent(&engine, &from, &listener, &head, outcome, started);
        }
        forward::refuse(&engine, &from, &listener, &head, origin, &fault, started);
    });
}

/// Step 7 for a call that ended while it waited.
fn ended<C: FrameCodec>(
    engine: &Engine<C>,
    from: &Link<C>,
    route: &Route,
    outcome: Outcome,
    started: Instant,
    bytes: usize,
) {
    observe(
        &engine.worker,
        Ended {
            from,
            method: &route.method,
            head: None,
            endpoint: None,
            outcome,
            started,
            now: Instant::now(),
            request_bytes: bytes as u32,
            response_bytes: 0,
        },
    );
}
