//! Calls that a provider makes back to its caller, over the connection that the
//! caller's own call went out by (Dubbo's callback arguments).
//!
//! A call that carries a callback goes out by a connection that serves its
//! caller alone (see [`Engine::bound_upstream`]), so that it is clear whom the
//! provider means.

use std::rc::Rc;
use std::time::Instant;

use codec::{Fault, FrameCodec, Reason, RequestHead};

use crate::forward::Frame;
use crate::framed::{Call, Engine, Link};
use crate::route::{self, APP_TIMEOUT};

/// Sends a provider's call to the caller that its connection belongs to.
pub(crate) fn call_back<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    provider: &Rc<Link<C>>,
    frame: Frame<'_>,
    one_way: bool,
    now: Instant,
) {
    let worker = &engine.worker;
    let origin = C::origin(frame.bytes());
    let caller = provider.bound.borrow().first().map(|bound| bound.link.clone());
    let caller = caller.filter(|caller| !caller.is_closed());
    let Some((caller, listener)) =
        caller.as_ref().and_then(|caller| Some((caller, caller.listener()?)))
    else {
        let fault = Fault::new(
            Reason::NoEndpoint,
            "a provider called back, but the caller it means is gone or gave it no callback",
            "pass the callback as an argument that the provider's method declares as one",
        );
        return refuse(engine, provider, (!one_way).then_some(origin), &fault);
    };
    let limits = &worker.limits;
    let overloaded = |why| {
        let fault = Fault::new(
            Reason::Overloaded,
            format!("{} does not keep up: {why}; the call was not sent", caller.peer),
            "see why it does not, or raise `limits` in the proxy's configuration",
        );
        refuse(engine, provider, (!one_way).then_some(origin), &fault);
    };
    let waiting = caller.waiting();
    if waiting > 0 && waiting + frame.bytes().len() > limits.buffer {
        return overloaded(format!("{waiting} bytes wait to be written"));
    }
    let head = C::head(frame.bytes());
    let method = route::unrouted_method(worker, C::NAME, listener, &head);
    let deadline = now + head.timeout().unwrap_or(APP_TIMEOUT);
    drop(head);
    let id = if one_way {
        engine.one_way_id(listener, 0)
    } else {
        let call = Call {
            from: provider.clone(),
            origin,
            method,
            hop: None,
            started: now,
            request_bytes: frame.bytes().len() as u32,
            effort: None,
            _permit: None,
            stay: None,
        };
        let inserted = caller.pending.borrow_mut().insert::<C>(call, deadline, limits.pending);
        let Ok(id) = inserted else {
            return overloaded(format!("{} calls wait for its answers", limits.pending));
        };
        provider.unanswered.set(provider.unanswered.get() + 1);
        worker.metrics.call_started();
        engine.expire_at(deadline);
        id
    };
    engine.send(caller, frame, id);
}

fn refuse<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    provider: &Rc<Link<C>>,
    answerable: Option<C::Origin>,
    fault: &Fault,
) {
    engine.worker.metrics.fault(fault.reason);
    // What a provider does not read must not become our memory.
    if provider.waiting() <= engine.worker.limits.buffer {
        engine.reply(provider, answerable, fault);
    }
}
