//! Copies of a call for those whom a route names as its mirrors. Each is an attempt of
//! an effort that is over already: nobody is told what came of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use codec::FrameCodec;

use super::{Effort, Progress, Wanted};
use crate::forward::Frame;
use crate::framed::{Engine, Link};
use crate::listener::ListenerContext;
use crate::orders::Orders;
use crate::route::Route;
use crate::send::{Sending, dispatch};

/// A call: who made it, where it came in, its frame and origin.
type Call<'a, C> = (&'a Rc<Link<C>>, &'a Rc<ListenerContext>, &'a [u8], <C as FrameCodec>::Origin);

/// Sends the copies of a call that its route orders.
pub(crate) fn mirror<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    (from, listener, frame, origin): Call<'_, C>,
    one_way: bool,
    route: &Route,
    now: Instant,
) {
    let effort = Rc::new(Effort {
        from: engine.nobody(listener, now),
        listener: listener.clone(),
        origin,
        method: route.method.clone(),
        wanted: Wanted::new(None, Orders::default()),
        started: now,
        deadline: route.deadline,
        request_bytes: frame.len() as u32,
        repeats: None,
        frame: RefCell::default(),
        progress: Progress { is_done: true, ..Progress::default() }.into(),
    });
    for index in route.orders.mirrors.iter() {
        let Some(endpoint) = route.method.id_of(index) else { continue };
        let mut copy = Route::to(&route.method, endpoint, index, route.deadline);
        let sending = Sending {
            from: &effort.from,
            listener,
            frame: Frame::Borrowed(frame),
            one_way,
            origin,
            started: now,
            effort: Some(effort.clone()),
            permit: None,
            repeat: None,
        };
        match dispatch(engine, sending, &mut copy, false, now) {
            Ok(()) => engine.worker.metrics.mirrored(),
            Err(unsent) => {
                tracing::debug!(peer = from.peer, fault = %unsent.fault, "a mirror gets no copy");
            }
        }
    }
}
