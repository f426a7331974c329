//! The mesh's own answers to calls over HTTP that did not go well.

use codec::fault::Answer;
use codec::http::grpc;
use codec::{Fault, Reason};
use h2::Reason as ResetReason;

use super::body::BodyError;

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

/// The fault of a request that cannot be passed on.
pub(super) fn unfit(error: BodyError) -> Fault {
    match error {
        BodyError::TooLarge(limit) => too_large(limit),
        _ => Fault::new(
            Reason::Unreadable,
            format!("the request cannot be passed on: {error}"),
            "write it as gRPC-Web has it: base64 only under `application/grpc-web-text`, and no `Content-Encoding`",
        ),
    }
}

/// The fault of a call whose endpoint reset its stream. Of gRPC it has the status that this
/// reason means.
pub(super) fn broken_off(reason: ResetReason) -> Fault {
    let status = Some(grpc::code_of_reset(reason.into()) as u16);
    Fault::new(
        Reason::ConnectionLost,
        format!("the provider broke the call off: {reason}"),
        "the provider may have acted on the call; repeat it only if that does no harm",
    )
    .with_answer(Answer { grpc_status: status, ..Answer::default() })
}

/// The fault of a call whose connection broke.
pub(super) fn lost(what: &'static str) -> Fault {
    Fault::new(
        Reason::ConnectionLost,
        what,
        "the provider may have acted on the call; repeat it only if that does no harm",
    )
}
