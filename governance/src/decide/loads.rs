//! What a decision asks of endpoints' health and load. Not here: how a proxy knows
//! them (its `health`), and how they count (`crate::balance`).

use crate::endpoint::EndpointId;

/// What is known of endpoints' health and load.
pub trait Loads {
    /// Whether a call may be sent there now: not ejected, not draining.
    fn is_available(&self, id: EndpointId) -> bool;
    /// What one more call costs there: the moving average of the latency times
    /// the calls in flight and one. Any unit; smaller is better.
    fn cost(&self, id: EndpointId) -> f64;
    /// How many calls are in flight there.
    fn active(&self, id: EndpointId) -> u32;
}

/// Every endpoint is available and idle: for decisions outside a proxy's worker.
#[derive(Debug)]
pub struct Idle;

impl Loads for Idle {
    fn is_available(&self, _: EndpointId) -> bool {
        true
    }

    fn cost(&self, _: EndpointId) -> f64 {
        1.0
    }

    fn active(&self, _: EndpointId) -> u32 {
        0
    }
}
