//! The mesh's own answers to calls over HTTP that did not go well.

use codec::{Fault, Reason};

/// The fault of a call for which an endpoint's connections have no room.
pub(super) fn full(waiting: usize) -> Fault {
    Fault::new(
        Reason::Overloaded,
        format!("{waiting} calls wait for the provider's answers; this one was not sent"),
        "add providers, or raise `limits.pending` if it only bursts",
    )
}

/// The fault of a request over this limit.
pub(super) fn too_large(limit: u64) -> Fault {
    Fault::new(
        Reason::TooLarge,
        format!("the request is larger than {limit} bytes"),
        "send less, or raise `limits.body` in the proxy's configuration",
    )
}

/// The fault of a call whose connection broke.
pub(super) fn lost(what: &'static str) -> Fault {
    Fault::new(
        Reason::ConnectionLost,
        what,
        "the provider may have acted on the call; repeat it only if that does no harm",
    )
}
