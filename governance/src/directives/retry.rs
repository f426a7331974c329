//! When a failed attempt is repeated, and which answers are failures.

use std::time::Duration;

use serde::Serialize;

use super::{millis, plain_millis};

/// When and how failed attempts are repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// How many more attempts may follow the first; 0 for none, [`u32::MAX`]
    /// where only the destination's retry budget limits them.
    pub attempts: u32,
    /// The deadline of each attempt, the first included; the call's own where
    /// absent.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<Duration>,
    /// What is repeated: any of these.
    pub on: Box<[RetryCondition]>,
    /// Whether an attempt goes to an endpoint that was not tried yet, while
    /// there is one.
    pub avoid_tried: bool,
    /// How long to wait before the first retry; the wait doubles with each, up
    /// to ten times this, and is drawn evenly from nothing to that.
    #[serde(serialize_with = "plain_millis")]
    pub backoff: Duration,
}

/// Envoy's wait before the first retry
/// (`RetryPolicy.retry_back_off.base_interval`).
pub const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);

/// What is repeated. Names and meanings are those of Envoy's
/// `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryCondition {
    /// `5xx`: an answer with a status of 500 and above, or none at all.
    ServerError,
    /// `gateway-error`: an answer with status 502, 503 or 504.
    GatewayError,
    /// `reset`: the connection broke, or the stream was reset, before an answer.
    Reset,
    /// `reset-before-request`: the same, before anything of the request was sent.
    ResetBeforeRequest,
    /// `connect-failure`: no connection came about.
    ConnectFailure,
    /// `refused-stream`: the other side refused the stream unprocessed.
    RefusedStream,
    /// `retriable-4xx`: an answer with status 409.
    Retriable4xx,
    /// `cancelled`: gRPC status 1.
    Cancelled,
    /// `deadline-exceeded`: gRPC status 4.
    DeadlineExceeded,
    /// `resource-exhausted`: gRPC status 8.
    ResourceExhausted,
    /// `internal`: gRPC status 13.
    Internal,
    /// `unavailable`: gRPC status 14.
    Unavailable,
    /// An answer with this HTTP status.
    Status(u16),
    /// An answer that [`Directives::is_failure`](super::Directives::is_failure)
    /// calls one.
    Failure,
}

/// Envoy's word for answers with one of the statuses that stand beside it.
pub(crate) const BY_STATUS: &str = "retriable-status-codes";

impl RetryCondition {
    /// The condition of this name; statuses have none.
    pub fn from_name(name: &str) -> Option<RetryCondition> {
        Some(match name {
            "5xx" => RetryCondition::ServerError,
            "gateway-error" => RetryCondition::GatewayError,
            "reset" => RetryCondition::Reset,
            "reset-before-request" => RetryCondition::ResetBeforeRequest,
            "connect-failure" => RetryCondition::ConnectFailure,
            "refused-stream" => RetryCondition::RefusedStream,
            "retriable-4xx" => RetryCondition::Retriable4xx,
            "cancelled" => RetryCondition::Cancelled,
            "deadline-exceeded" => RetryCondition::DeadlineExceeded,
            "resource-exhausted" => RetryCondition::ResourceExhausted,
            "internal" => RetryCondition::Internal,
            "unavailable" => RetryCondition::Unavailable,
            _ => return None,
        })
    }
}

/// Answers of one kind, and whether they are failures (a Linkerd
/// `responseClass`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResponseClass {
    /// Which answers.
    pub condition: StatusCondition,
    /// Whether they are failures.
    pub is_failure: bool,
}

/// What an answer's HTTP status must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusCondition {
    /// From the first to the second, both included.
    Status(u16, u16),
    /// All of these.
    All(Box<[StatusCondition]>),
    /// Any of these.
    Any(Box<[StatusCondition]>),
    /// Not this.
    Not(Box<StatusCondition>),
}

impl StatusCondition {
    /// Whether a status is as it says.
    pub fn is_met(&self, status: u16) -> bool {
        match self {
            StatusCondition::Status(from, to) => (*from..=*to).contains(&status),
            StatusCondition::All(all) => all.iter().all(|one| one.is_met(status)),
            StatusCondition::Any(any) => any.iter().any(|one| one.is_met(status)),
            StatusCondition::Not(one) => !one.is_met(status),
        }
    }
}
