//! What routes and destination rules order beyond the choice of an endpoint, carried
//! out: the part that knows no protocol.
//!
//! * [`Orders`]: of one call, as [`crate::route`] hands them on.
//! * [`ending`]: how attempts end, which of them are repeated, and how soon.
//! * [`destination`]: what is counted of the calls that one traffic policy is about:
//!   those in flight, those that wait for a connection, retries, connections of plain TCP.
//! * [`budget`]: how many retries there may be beside other calls.
//! * [`outliers`]: endpoints that failed too often and are left out for a while.
//!
//! Calls in flight and retries are counted over all workers, since the limits are the
//! proxy's; failures in a row by each worker, as health is (see [`crate::health`]).
//!
//! Not here: what is ordered (`governance::Directives`, `governance::TrafficPolicy`),
//! and bytes: how a framed call is sent by its orders is in [`crate::effort`] and
//! [`crate::send`].

mod budget;
mod destination;
mod ending;
mod outliers;

use std::sync::Arc;
use std::time::Duration;

use governance::{Decision, Directives, Mirrors, TrafficPolicy};

pub(crate) use destination::{
    Connection, Counters, Destination, Destinations, Place, Repeat, Waiting,
};
pub(crate) use ending::{Ending, backoff, is_repeated};

/// What is ordered for one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    /// How long the call waits before it is sent.
    pub(crate) delay: Option<Duration>,
    /// Who gets a copy.
    pub(crate) mirrors: Mirrors,
    /// What its route orders.
    pub(crate) directives: Option<Arc<Directives>>,
    /// What a destination rule says of the way to the endpoint.
    pub(crate) policy: Option<Arc<TrafficPolicy>>,
}

impl Orders {
    /// Takes them out of a decision.
    pub(crate) fn of(decision: &mut Decision) -> Orders {
        Orders {
            delay: decision.delay.take(),
            mirrors: std::mem::take(&mut decision.mirrors),
            directives: decision.directives.take(),
            policy: decision.policy.take(),
        }
    }

    /// Whether a call by these may take more than one attempt, or attempts have
    /// deadlines of their own.
    pub(crate) fn want_attempts(&self) -> bool {
        let retry = self.directives.as_ref().and_then(|directives| directives.retry.as_ref());
        retry.is_some_and(|retry| retry.attempts > 0 || retry.per_try_timeout.is_some())
    }
}
