//! What of the resources is honoured, and what is refused: the one list.
//!
//! A field is in one of three states:
//!
//! * **decided here**, by [`crate::route`]: hosts, matches, weights, subsets,
//!   ports, delegates, timeouts, how many retries, `fault`, `redirect`,
//!   `directResponse`, which endpoints mirrors are, load balancing, consistent
//!   hashing, warm-up;
//! * **handed on** to whoever sends the call, in
//!   [`Directives`](crate::Directives), [`TrafficPolicy`](crate::TrafficPolicy)
//!   and [`Decision`](crate::Decision): changes of headers, rewrites, CORS, when
//!   and how attempts are repeated, response classes, the delay, the copies,
//!   connection pools, outlier detection, retry budgets;
//! * **refused** with a code, if a row below has it. To refuse one more, add a
//!   row; to honour one, take its row out and read the key where its mapping is
//!   read. What no list knows is an `unknown-key`.
//!
//! Some values of honoured keys are refused where they are read: `gateways` other
//! than `mesh`, `exportTo` other than `*`, `tls` other than `DISABLE`,
//! `PASSTHROUGH`, filters, kinds of parents and backends.

use crate::document::{Mapping, Report};

/// The mappings in which keys are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    VirtualService,
    Match,
    Delegate,
    Delay,
    Abort,
    Body,
    DestinationRule,
    TrafficPolicy,
    LoadBalancer,
    Cookie,
    HttpPool,
    Parent,
    RouteRule,
    ServiceProfile,
}

/// Keys that would not be acted on.
struct Refused {
    at: Place,
    keys: &'static [&'static str],
    code: &'static str,
    why: &'static str,
    hint: &'static str,
}

const fn row(
    at: Place,
    keys: &'static [&'static str],
    code: &'static str,
    why: &'static str,
    hint: &'static str,
) -> Refused {
    Refused { at, keys, code, why, hint }
}

const REFUSED: [Refused; 23] = [
    row(
        Place::VirtualService,
        &["tcp"],
        "tcp-route-not-honoured",
        "a connection without calls goes where its listener says",
        "remove it, and configure a listener for them",
    ),
    row(
        Place::VirtualService,
        &["tls"],
        "tls-route-not-honoured",
        "calls are routed, not the connections around them",
        "remove it",
    ),
    row(
        Place::Match,
        &["port"],
        "port-match-not-honoured",
        "callers ask for a service, not for a port of it",
        "match uri, method or headers",
    ),
    row(
        Place::Match,
        &["sourceNamespace"],
        "source-namespace-not-honoured",
        "a caller has no namespace here",
        "match its labels with sourceLabels",
    ),
    row(
        Place::Match,
        &["statPrefix"],
        "stat-prefix-not-honoured",
        "metrics are by service and method",
        "remove it",
    ),
    row(
        Place::Delegate,
        &[
            "route",
            "redirect",
            "directResponse",
            "timeout",
            "retries",
            "fault",
            "mirror",
            "mirrors",
            "mirrorPercentage",
            "corsPolicy",
            "headers",
            "rewrite",
        ],
        "beside-delegate",
        "the delegate says everything but the match",
        "move it to the routes of the delegate",
    ),
    row(
        Place::Delay,
        &["exponentialDelay"],
        "exponential-delay-not-honoured",
        "nothing says where it ends",
        "write fixedDelay: 1s",
    ),
    row(
        Place::Delay,
        &["percent"],
        "percent-not-honoured",
        "Istio has given it up",
        "write percentage: {value: 10}",
    ),
    row(
        Place::Abort,
        &["http2Error"],
        "http2-error-not-honoured",
        "a failure has an HTTP or a gRPC status",
        "write httpStatus: 503 or grpcStatus: UNAVAILABLE",
    ),
    row(
        Place::Abort,
        &["percent"],
        "percent-not-honoured",
        "Istio has given it up",
        "write percentage: {value: 10}",
    ),
    row(Place::Body, &["bytes"], "bytes-body-not-honoured", "a body is a text", "write string: …"),
    row(
        Place::DestinationRule,
        &["workloadSelector"],
        "workload-selector-not-honoured",
        "a rule holds for every caller",
        "remove it; a VirtualService matches callers with sourceLabels",
    ),
    row(
        Place::TrafficPolicy,
        &["tunnel"],
        "tunnel-not-honoured",
        "connections go straight to the endpoint",
        "remove it",
    ),
    row(
        Place::TrafficPolicy,
        &["proxyProtocol"],
        "proxy-protocol-not-honoured",
        "many callers share a connection to an endpoint",
        "remove it",
    ),
    row(
        Place::LoadBalancer,
        &["localityLbSetting", "zoneAwareLbSetting"],
        "locality-not-honoured",
        "endpoints are taken wherever they are",
        "use an affinity rule, or subsets and sourceLabels",
    ),
    row(
        Place::LoadBalancer,
        &["warmupDurationSecs"],
        "warmup-seconds-not-honoured",
        "Istio has given it up",
        "write warmup: {duration: 60s}",
    ),
    row(
        Place::Cookie,
        &["attributes"],
        "cookie-attributes-not-honoured",
        "a cookie has a name, a path and a life",
        "remove it",
    ),
    row(
        Place::HttpPool,
        &["h2UpgradePolicy", "useClientProtocol"],
        "protocol-change-not-honoured",
        "a service's protocol says what its endpoints speak",
        "remove it",
    ),
    row(
        Place::HttpPool,
        &["http2KeepAlive"],
        "http2-keepalive-not-honoured",
        "connections have a heartbeat of their own",
        "remove it, or write tcp: {tcpKeepalive: {time: 30s}}",
    ),
    row(
        Place::Parent,
        &["sectionName", "port"],
        "section-not-honoured",
        "the route is for all of the service",
        "remove it",
    ),
    row(
        Place::RouteRule,
        &["sessionPersistence"],
        "session-persistence-not-honoured",
        "sessions are not remembered",
        "write a consistentHash in a DestinationRule",
    ),
    row(
        Place::ServiceProfile,
        &["opaquePorts"],
        "opaque-ports-not-honoured",
        "what a connection speaks is told by its first bytes, or its listener",
        "remove it",
    ),
    row(
        Place::VirtualService,
        &["workloadSelector"],
        "workload-selector-not-honoured",
        "a rule holds for every caller",
        "remove it; a VirtualService matches callers with sourceLabels",
    ),
];

/// Refuses the keys that are there but would not be acted on.
pub(crate) fn refuse(map: &mut Mapping<'_>, at: Place, report: &mut Report) {
    for Refused { keys, code, why, hint, .. } in REFUSED.iter().filter(|refused| refused.at == at) {
        for key in *keys {
            if let Some(node) = map.value(key) {
                let message = format!("{key} is not honoured: {why}");
                report.error(node.position, code, message, *hint);
            }
        }
    }
}
