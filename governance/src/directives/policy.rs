//! What a destination rule says of the way to an endpoint.

use std::time::Duration;

use serde::Serialize;

use super::{millis, plain_millis};
use crate::settings::Balance;

/// What holds for calls to a destination: an Istio `trafficPolicy`, those of its
/// port and subset merged in, or what a Linkerd profile says for all routes.
///
/// [`decide`](crate::decide()) follows its load balancing; the rest is for
/// whoever sends the call. Equal policies of one compiled service are the same
/// `Arc`, so that state can be kept by its address. The default says nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TrafficPolicy {
    /// The rule: `DestinationRule/shop`.
    pub rule: Box<str>,
    /// How one of several endpoints is chosen.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name_of")]
    pub balance: Option<Balance>,
    /// The endpoint depends on something in the call; `balance` is then absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashPolicy>,
    /// New endpoints get few calls first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// Limits of connections and of what waits for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
    /// When an endpoint is left out for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
    /// How many retries there may be beside other calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
}

fn name_of<S: serde::Serializer>(
    balance: &Option<Balance>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    balance.map(Balance::name).serialize(serializer)
}

/// The endpoint depends on something in the call (consistent hashing).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HashPolicy {
    /// On what; a call without it goes anywhere.
    pub source: HashSource,
    /// By which table.
    pub table: HashTable,
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashSource {
    /// A header or attachment.
    Header(Box<str>),
    /// The caller's IP address.
    SourceAddress,
    /// A parameter of the query; for HTTP only.
    QueryParameter(Box<str>),
    /// A cookie; for HTTP only. One without it is given one with the response
    /// where `ttl` is there; zero means for the browser's session.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// Its path.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<Box<str>>,
        /// How long it lives.
        #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
        ttl: Option<Duration>,
    },
}

/// How hashes find their endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HashTable {
    /// A ring with at least this many places; Istio's default, with 1024.
    Ring(u32),
    /// A Maglev table of this prime size.
    Maglev(u32),
}

/// New endpoints get few calls first: Envoy's slow start. The share of an
/// endpoint's weight is `max(minimum_percent / 100, (age / duration) ^ (1 /
/// aggression))`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Warmup {
    /// How long.
    #[serde(serialize_with = "plain_millis")]
    pub duration: Duration,
    /// The share at the start, in percent; 10 where nobody says.
    pub minimum_percent: f64,
    /// How fast it grows first; 1 for evenly.
    pub aggression: f64,
}

/// Limits of connections to an endpoint, and of what waits for them. `None`
/// where the rule sets no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ConnectionPool {
    /// `tcp.maxConnections`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// `tcp.connectTimeout`.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// `tcp.maxConnectionDuration`.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub max_connection_duration: Option<Duration>,
    /// `tcp.tcpKeepalive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// `http.http1MaxPendingRequests`: calls that wait for a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_requests: Option<u32>,
    /// `http.http2MaxRequests`: calls in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// `http.maxRequestsPerConnection`; then the connection is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_connection: Option<u32>,
    /// `http.maxConcurrentStreams`: calls in flight on one connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_streams: Option<u32>,
    /// `http.maxRetries`: retries in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// `http.idleTimeout`, else `tcp.idleTimeout`: how long a connection stays
    /// open without a call.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
}

/// The system's own signs of life on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Keepalive {
    /// How many may stay unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<u32>,
    /// How long a connection must be idle for the first one.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub time: Option<Duration>,
    /// How long from one to the next.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

/// When an endpoint is left out for a while. Istio's defaults are filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlierDetection {
    /// So many failures in a row: answers with status 500 and above, and
    /// connections that fail; 0 to count none. Default 5.
    pub consecutive_5xx: u32,
    /// So many failures in a row that a gateway reports (502, 503, 504), or
    /// connections that fail; 0, the default, to count none.
    pub consecutive_gateway_errors: u32,
    /// So many connections in a row that fail; counted with
    /// `split_local_origin` only. Default 5.
    pub consecutive_local_origin_failures: u32,
    /// Whether connections that fail are counted apart from answers.
    pub split_local_origin: bool,
    /// How often endpoints are looked at. Default 10 s.
    #[serde(serialize_with = "plain_millis")]
    pub interval: Duration,
    /// How long an endpoint is left out, times how often it was. Default 30 s.
    #[serde(serialize_with = "plain_millis")]
    pub base_ejection_time: Duration,
    /// How many of a destination's endpoints may be left out at once, in
    /// percent. Default 10.
    pub max_ejection_percent: u32,
    /// Below this share of endpoints that are well, in percent, none is left
    /// out. Default 0.
    pub min_health_percent: u32,
}

/// How many retries there may be beside other calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetryBudget {
    /// Retries in percent of other calls.
    pub percent: f64,
    /// So many at once there may always be (Istio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_concurrency: Option<u32>,
    /// So many a second there may always be (Linkerd).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_per_second: Option<u32>,
    /// Over which time calls are counted; `None` for those in flight now.
    #[serde(serialize_with = "millis", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}
