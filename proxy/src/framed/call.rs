//! What is remembered of a call while it waits for its answer.

use std::rc::Rc;
use std::time::Instant;

use codec::FrameCodec;

use super::link::Link;
use crate::actives::Permit;
use crate::effort::Effort;
use crate::methods::Method;
use crate::orders::{Place, Repeat, Waiting};
use crate::route::Hop;

/// A call in flight.
pub(crate) struct Call<C: FrameCodec> {
    /// Who asked.
    pub(crate) from: Rc<Link<C>>,
    /// What an answer must carry back: the caller's id, serialization…
    pub(crate) origin: C::Origin,
    /// What is called, and its counters.
    pub(crate) method: Rc<Method>,
    /// Where it was sent; `None` for a provider that calls its caller back.
    pub(crate) hop: Option<Hop>,
    /// When the request arrived.
    pub(crate) started: Instant,
    /// The request's length, in bytes.
    pub(crate) request_bytes: u32,
    /// What this is an attempt of, where a rule wants more than one.
    pub(crate) effort: Option<Rc<Effort<C>>>,
    /// Its place among the calls in flight, where a rule limits them.
    pub(crate) _permit: Option<Permit>,
    /// What is counted of it, where a destination rule is about it.
    pub(crate) stay: Option<Stay>,
}

/// What is counted of an attempt while it is in flight.
pub(crate) struct Stay {
    pub(crate) place: Place,
    /// Until its connection is open.
    pub(crate) waiting: Option<Waiting>,
    /// Where it is a retry.
    pub(crate) repeat: Option<Repeat>,
}
