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
        worker.metrics.fault(fault.reason);
        return engine.reply(provider, (!one_way).then_some(origin), &fault);
    };
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
        };
        let limit = worker.limits.pending;
        let Ok(id) = caller.pending.borrow_mut().insert::<C>(call, deadline, limit) else {
            return; // the provider's own deadline answers for a caller this far behind
        };
        provider.unanswered.set(provider.unanswered.get() + 1);
        worker.metrics.call_started();
        engine.expire_at(deadline);
        id
    };
    engine.send(caller, frame, id);
}
