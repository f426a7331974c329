//! Steps 4 and 5 of a call: a connection is found or made, and the request goes out
//! by it.
//!
//! Not here: who is sent where (see [`crate::forward`] and [`crate::effort`]).

use std::rc::Rc;
use std::time::Instant;

use bytes::BytesMut;
use codec::{Fault, FrameCodec, Outcome, Reason, RequestHead};
use governance::directives::HeaderEdit;

use crate::actives::Permit;
use crate::effort::Effort;
use crate::forward::Frame;
use crate::framed::{Call, Engine, Link, State, Stay};
use crate::listener::ListenerContext;
use crate::observe::{Ended, observe};
use crate::orders::Repeat;
use crate::route::Route;

/// A request that knows where it goes.
pub(crate) struct Sending<'a, C: FrameCodec> {
    pub(crate) from: &'a Rc<Link<C>>,
    pub(crate) listener: &'a Rc<ListenerContext>,
    pub(crate) frame: Frame<'a>,
    pub(crate) one_way: bool,
    pub(crate) origin: C::Origin,
    pub(crate) started: Instant,
    /// What it is an attempt of.
    pub(crate) effort: Option<Rc<Effort<C>>>,
    pub(crate) permit: Option<Permit>,
    /// Where it is a retry that a destination rule counts.
    pub(crate) repeat: Option<Repeat>,
}

/// A request that was not sent, because its connection or destination is full.
pub(crate) struct Unsent<C: FrameCodec> {
    pub(crate) fault: Fault,
    /// The connection, where it was asked for one.
    pub(crate) to: Option<Rc<Link<C>>>,
    pub(crate) request_bytes: u32,
}

/// Steps 4 and 5: connect or reuse, and send.
///
/// # Errors
/// When too much waits for the endpoint already.
pub(crate) fn dispatch<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    sending: Sending<'_, C>,
    route: &mut Route,
    binds: bool,
    now: Instant,
) -> Result<(), Unsent<C>> {
    let worker = &engine.worker;
    let Sending { from, listener, frame, one_way, origin, started, effort, permit, repeat } =
        sending;
    let policy = route.orders.policy.clone();
    let destination = policy.as_ref().map(|policy| (policy, worker.destination(policy, now)));
    let place = match &destination {
        Some((policy, one)) => match one.enter(policy, repeat.is_some(), now) {
            Ok(place) => Some(place),
            Err(fault) => {
                let request_bytes = frame.bytes().len() as u32;
                return Err(Unsent { fault, to: None, request_bytes });
            }
        },
        None => None,
    };

    // 4 connect or reuse
    let to = if binds {
        engine.bound_upstream(from, route, now)
    } else {
        engine.shared_upstream(route, now)
    };

    // 5 send
    let frame = match route.method.token_of(route.index) {
        Some(token) => with_token::<C>(frame, &token),
        None => frame,
    };
    let request_bytes = frame.bytes().len() as u32;
    if to.waiting() > 0 && to.waiting() + request_bytes as usize > worker.limits.buffer {
        let fault = overloaded(&to.peer, format!("{} bytes wait to be written", to.waiting()));
        return Err(Unsent { fault, to: Some(to), request_bytes });
    }
    let waiting = match &destination {
        Some((policy, one)) if to.state.get() == State::Connecting => match one.wait(policy) {
            Ok(waiting) => Some(waiting),
            Err(fault) => return Err(Unsent { fault, to: Some(to), request_bytes }),
        },
        _ => None,
    };
    let id = if one_way {
        if route.hop.tried.is_empty() && effort.is_none() {
            observe(
                worker,
                Ended {
                    from,
                    method: &route.method,
                    head: None,
                    endpoint: Some(&to.peer),
                    outcome: Outcome::Sent,
                    started,
                    now,
                    request_bytes,
                    response_bytes: 0,
                },
            );
        }
        engine.one_way_id(listener, route.hop.tried.len())
    } else {
        let counts = effort.is_none();
        let call = Call {
            from: from.clone(),
            origin,
            method: route.method.clone(),
            hop: Some(route.hop.clone()),
            started,
            request_bytes,
            effort,
            _permit: permit,
            stay: place.map(|place| Stay { place, waiting, repeat }),
        };
        let limit = worker.limits.pending;
        let Ok(id) = to.pending.borrow_mut().insert::<C>(call, route.deadline, limit) else {
            let fault = overloaded(&to.peer, format!("{limit} calls wait for its answers"));
            return Err(Unsent { fault, to: Some(to), request_bytes });
        };
        if counts {
            admitted(engine, from);
        }
        worker.health.sent(route.hop.endpoint);
        engine.expire_at(route.deadline);
        id
    };
    engine.send(&to, frame, id);
    Ok(())
}

/// Counts a call of a caller's that will be answered.
pub(crate) fn admitted<C: FrameCodec>(engine: &Engine<C>, from: &Link<C>) {
    from.unanswered.set(from.unanswered.get() + 1);
    engine.worker.metrics.call_started();
}

/// Counts it as answered.
pub(crate) fn released<C: FrameCodec>(engine: &Engine<C>, from: &Link<C>) {
    engine.worker.metrics.call_ended();
    from.unanswered.set(from.unanswered.get().saturating_sub(1));
    if from.state.get() == State::Ending {
        from.wake();
    }
}

/// The request with its attachments or headers changed as a route orders it. What
/// cannot be changed goes out as it came.
pub(crate) fn edited<'a, C: FrameCodec>(mut frame: Frame<'a>, edits: &[HeaderEdit]) -> Frame<'a> {
    for edit in edits {
        let bytes = frame.bytes();
        let mut changed = BytesMut::with_capacity(bytes.len() + 64);
        let made = match edit {
            HeaderEdit::Remove(name) => C::remove_fields(bytes, &[name], &mut changed),
            HeaderEdit::Set(name, value) => C::set_field(bytes, name, value, &mut changed),
            HeaderEdit::Add(name, value) => {
                let joined = match C::head(bytes).field(name) {
                    Ok(Some(before)) if !before.is_empty() => format!("{before},{value}"),
                    _ => value.to_string(),
                };
                C::set_field(bytes, name, &joined, &mut changed)
            }
        };
        match made {
            Ok(()) => frame = Frame::Owned(changed),
            Err(error) => tracing::debug!(%error, ?edit, "a call goes out without a change"),
        }
    }
    frame
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
