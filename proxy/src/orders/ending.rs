//! How attempts end, and which of them are repeated.
//!
//! Retry conditions and outlier detection speak of HTTP and gRPC statuses. Of other
//! protocols a provider's own refusal counts as HTTP 500 and gRPC INTERNAL, and an
//! answer of its code, exceptions included, as HTTP 200 and gRPC OK.

use std::time::Duration;

use codec::{Outcome, Reason};
use governance::directives::{Directives, RetryCondition, RetryPolicy};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An answer with these statuses came.
    Answered {
        /// HTTP's.
        http: u16,
        /// gRPC's.
        grpc: u16,
    },
    /// No connection came about.
    NotConnected,
    /// The connection broke after the request, or a part of it, was sent.
    Reset,
    /// The endpoint refused the stream and did nothing for it.
    Refused,
    /// No answer came in time.
    TimedOut,
    /// It was not sent, for a reason that is not the endpoint's.
    NotSent,
}

impl Ending {
    /// Of an attempt that ended so.
    pub(crate) fn of(outcome: Outcome) -> Ending {
        match outcome {
            Outcome::ProviderError => Ending::Answered { http: 500, grpc: 13 },
            Outcome::Fault(Reason::Unreachable | Reason::AppUnreachable) => Ending::NotConnected,
            Outcome::Fault(Reason::ConnectionLost) => Ending::Reset,
            Outcome::Fault(Reason::Timeout) => Ending::TimedOut,
            Outcome::Fault(_) | Outcome::Cancelled => Ending::NotSent,
            Outcome::Success | Outcome::BusinessException | Outcome::Sent | Outcome::Degraded => {
                Ending::Answered { http: 200, grpc: 0 }
            }
        }
    }
}

/// Whether a route has an attempt repeated that ended so (Envoy's `x-envoy-retry-on`;
/// an attempt whose own time is up counts as reset).
pub(crate) fn is_repeated(directives: &Directives, retry: &RetryPolicy, ending: Ending) -> bool {
    retry.on.iter().any(|condition| match ending {
        Ending::NotSent => false,
        Ending::Answered { http, grpc } => match condition {
            RetryCondition::ServerError => http >= 500,
            RetryCondition::GatewayError => (502..=504).contains(&http),
            RetryCondition::Retriable4xx => http == 409,
            RetryCondition::Status(status) => http == *status,
            RetryCondition::Failure => directives.is_failure(http),
            RetryCondition::Cancelled => grpc == 1,
            RetryCondition::DeadlineExceeded => grpc == 4,
            RetryCondition::ResourceExhausted => grpc == 8,
            RetryCondition::Internal => grpc == 13,
            RetryCondition::Unavailable => grpc == 14,
            RetryCondition::Reset
            | RetryCondition::ResetBeforeRequest
            | RetryCondition::ConnectFailure
            | RetryCondition::RefusedStream => false,
        },
        Ending::NotConnected | Ending::Reset | Ending::Refused | Ending::TimedOut => {
            match condition {
                RetryCondition::ServerError
                | RetryCondition::GatewayError
                | RetryCondition::Reset => true,
                RetryCondition::ConnectFailure | RetryCondition::ResetBeforeRequest => {
                    ending == Ending::NotConnected
                }
                RetryCondition::RefusedStream => ending == Ending::Refused,
                _ => false,
            }
        }
    })
}

/// The wait before a retry: drawn evenly from nothing to a time that doubles with each,
/// up to ten times the first.
pub(crate) fn backoff(retry: &RetryPolicy, before: u32, roll: f64) -> Duration {
    let longest = retry.backoff.saturating_mul(1 << before.min(4)).min(retry.backoff * 10);
    longest.mul_f64(roll)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(on: &[RetryCondition]) -> (Directives, RetryPolicy) {
        let retry = RetryPolicy {
            attempts: 2,
            per_try_timeout: None,
            on: on.into(),
            avoid_tried: true,
            backoff: Duration::from_millis(25),
        };
        let directives = Directives {
            rule: "VirtualService/shop".into(),
            line: 1,
            timeout: None,
            retry: None,
            request_headers: Box::default(),
            response_headers: Box::default(),
            rewrite: None,
            cors: None,
            response_classes: Box::default(),
        };
        (directives, retry)
    }

    #[test]
    fn only_what_is_named_is_repeated() {
        let refused = Ending::of(Outcome::ProviderError);
        let lost = Ending::of(Outcome::Fault(Reason::ConnectionLost));
        let unreachable = Ending::of(Outcome::Fault(Reason::Unreachable));
        let late = Ending::of(Outcome::Fault(Reason::Timeout));
        let full = Ending::of(Outcome::Fault(Reason::Overloaded));
        let thrown = Ending::of(Outcome::BusinessException);
        for (on, repeated) in [
            (RetryCondition::ServerError, [true, true, true, true]),
            (RetryCondition::GatewayError, [false, true, true, true]),
            (RetryCondition::Reset, [false, true, true, true]),
            (RetryCondition::ConnectFailure, [false, false, true, false]),
            (RetryCondition::ResetBeforeRequest, [false, false, true, false]),
            (RetryCondition::Internal, [true, false, false, false]),
            (RetryCondition::Unavailable, [false, false, false, false]),
            (RetryCondition::Status(500), [true, false, false, false]),
            (RetryCondition::Failure, [true, false, false, false]),
        ] {
            let (directives, retry) = directives(&[on]);
            let is = |ending| is_repeated(&directives, &retry, ending);
            assert_eq!([refused, lost, unreachable, late].map(is), repeated, "{on:?}");
            assert!(!is(thrown) && !is(full), "{on:?}");
        }
    }

    #[test]
    fn waits_double_up_to_ten_times_the_first() {
        let (_, retry) = directives(&[]);
        let waits = [0, 1, 2, 3, 4, 40].map(|before| backoff(&retry, before, 1.0).as_millis());
        assert_eq!(waits, [25, 50, 100, 200, 250, 250]);
        assert_eq!(backoff(&retry, 3, 0.0), Duration::ZERO);
    }
}
