//! What a route orders for the calls it takes, and a destination rule for those
//! it sends: plain data, made when rules are compiled.
//!
//! Deciding hands these out behind an `Arc`, so that it allocates nothing. What
//! concerns the choice of an endpoint is done by then; the rest is for whoever
//! sends the call. Where each comes from: `rules::istio`, `rules::gateway` and
//! `rules::linkerd`; how they are chosen: [`crate::decide()`].

mod http;
mod policy;
mod retry;
mod text;

use std::time::Duration;

use serde::{Serialize, Serializer};

pub use http::{CorsPolicy, HeaderEdit, PathRewrite, Rewrite};
pub use policy::{
    ConnectionPool, HashPolicy, HashSource, HashTable, Keepalive, OutlierDetection, RetryBudget,
    TrafficPolicy, Warmup,
};
pub(crate) use retry::BY_STATUS;
pub use retry::{DEFAULT_BACKOFF, ResponseClass, RetryCondition, RetryPolicy, StatusCondition};
pub use text::TextMatch;

/// The deadline of a call that a rule gives none (`timeout: 0s`): a day, since
/// nobody remembers a call for longer.
pub const NO_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// What a route orders for the calls it takes. One value per route and
/// destination, so that what a destination adds is in it.
///
/// Its timeout is in [`Decision::timeout`](crate::Decision::timeout), its number
/// of retries in [`Decision::retries`](crate::Decision::retries), its faults and
/// mirrors in the decision, too: those are rolled for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Directives {
    /// The rule: `VirtualService/shop`.
    pub rule: Box<str>,
    /// The route's line in its document.
    pub line: u32,
    /// The deadline of the whole call, retries included; [`NO_DEADLINE`] for
    /// none. It counts before everything else that is said of timeouts.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// When and how failed attempts are repeated; `None` where the route does
    /// not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Changes of the request's headers or attachments, in the order in which
    /// they are made.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub request_headers: Box<[HeaderEdit]>,
    /// Changes of the response's headers, in order; for HTTP only.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub response_headers: Box<[HeaderEdit]>,
    /// Another path or authority for the request; for HTTP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Which other origins may call; for HTTP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<CorsPolicy>,
    /// Which answers count as failures; the first class that an answer is in
    /// counts. Empty: those with a status of 500 and above.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub response_classes: Box<[ResponseClass]>,
}

impl Directives {
    /// Whether an answer with this HTTP status is a failure.
    pub fn is_failure(&self, status: u16) -> bool {
        self.response_classes
            .iter()
            .find(|class| class.condition.is_met(status))
            .map_or(status >= 500, |class| class.is_failure)
    }
}

/// How many mirrors one call may have.
pub const MAX_MIRRORS: usize = 4;

/// The endpoints that get a copy of a call, whose answers nobody waits for, by
/// their index in [`Service::endpoints`](crate::Service::endpoints).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mirrors {
    indexes: [u32; MAX_MIRRORS],
    count: u8,
}

impl Mirrors {
    /// One more; beyond [`MAX_MIRRORS`] nothing is added.
    pub fn push(&mut self, index: usize) {
        if let (Some(place), Ok(index)) =
            (self.indexes.get_mut(usize::from(self.count)), u32::try_from(index))
        {
            *place = index;
            self.count += 1;
        }
    }

    /// The endpoints' indexes.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.indexes.iter().take(usize::from(self.count)).map(|&index| index as usize)
    }

    /// Whether there is none, as for most calls.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Writes a duration as its milliseconds.
fn millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_u128(duration.as_millis()),
        None => serializer.serialize_none(),
    }
}

/// As [`millis`], for one that is always there.
fn plain_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_few_and_in_order() {
        let mut mirrors = Mirrors::default();
        assert!(mirrors.is_empty());
        for index in [7, 3, 9, 1, 5] {
            mirrors.push(index);
        }
        assert_eq!(mirrors.iter().collect::<Vec<_>>(), [7, 3, 9, 1]);
    }
}
