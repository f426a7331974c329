//! Calls that a route delays on purpose (`fault.delay`): they wait here, with the route
//! they have, and then go on.
//!
//! Not here: calls that wait for a service to be listed (see [`crate::parked`]) or for
//! others to end (see [`crate::actives`]).

use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::{Fault, FrameCodec, Outcome, Reason};

use crate::forward::{self, Frame};
use crate::framed::{Engine, Link};
use crate::observe::{Ended, observe};
use crate::route::{LONGEST_TIMEOUT, Route};
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

/// Gives a caller an injected failure after an injected delay.
pub(crate) fn answer<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    from: &Rc<Link<C>>,
    origin: C::Origin,
    fault: Fault,
    delay: Duration,
) {
    send::admitted(engine, from);
    let (engine, from) = (engine.clone(), from.clone());
    tokio::task::spawn_local(async move {
        tokio::time::sleep(delay.min(LONGEST_TIMEOUT)).await;
        send::released(&engine, &from);
        if !from.is_closed() {
            engine.reply(&from, Some(origin), &fault);
        }
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
