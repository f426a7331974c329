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
}

const fn row(
    at: Place,
    keys: &'static [&'static str],
    code: &'static str,
    why: &'static str,
) -> Refused {
    Refused { at, keys, code, why }
}

const REFUSED: [Refused; 23] = [
    row(
        Place::VirtualService,
        &["tcp"],
        "tcp-route-not-honoured",
        "connections without requests are not routed",
    ),
    row(
        Place::VirtualService,
        &["tls"],
        "tls-route-not-honoured",
        "connections without requests are not routed",
    ),
    row(
        Place::Match,
        &["port"],
        "port-match-not-honoured",
        "a route does not know the listener's port",
    ),
    row(
        Place::Match,
        &["sourceNamespace"],
        "source-namespace-not-honoured",
        "a caller has no namespace here; match its labels with sourceLabels",
    ),
    row(
        Place::Match,
        &["statPrefix"],
        "stat-prefix-not-honoured",
        "metrics are by service and method",
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
        "the routes that are delegated to say everything but the match",
    ),
    row(
        Place::Delay,
        &["exponentialDelay"],
        "exponential-delay-not-honoured",
        "it grows without a limit",
    ),
    row(
        Place::Delay,
        &["percent"],
        "percent-not-honoured",
        "it is a whole number that Istio has given up",
    ),
    row(
        Place::Abort,
        &["http2Error"],
        "http2-error-not-honoured",
        "a failure has an HTTP or a gRPC status",
    ),
    row(
        Place::Abort,
        &["percent"],
        "percent-not-honoured",
        "it is a whole number that Istio has given up",
    ),
    row(Place::Body, &["bytes"], "bytes-body-not-honoured", "a body is a text"),
    row(
        Place::DestinationRule,
        &["workloadSelector"],
        "workload-selector-not-honoured",
        "it holds for every caller",
    ),
    row(
        Place::TrafficPolicy,
        &["tunnel"],
        "tunnel-not-honoured",
        "connections go straight to the endpoint",
    ),
    row(
        Place::TrafficPolicy,
        &["proxyProtocol"],
        "proxy-protocol-not-honoured",
        "connections go straight to the endpoint",
    ),
    row(
        Place::LoadBalancer,
        &["localityLbSetting", "zoneAwareLbSetting"],
        "locality-not-honoured",
        "endpoints are taken wherever they are; use subsets or an affinity rule",
    ),
    row(
        Place::LoadBalancer,
        &["warmupDurationSecs"],
        "warmup-seconds-not-honoured",
        "Istio has given it up; warmup: {duration: …} says the same",
    ),
    row(
        Place::Cookie,
        &["attributes"],
        "cookie-attributes-not-honoured",
        "a cookie has a name, a path and a life",
    ),
    row(
        Place::HttpPool,
        &["h2UpgradePolicy", "useClientProtocol"],
        "protocol-change-not-honoured",
        "calls leave in the protocol in which they came",
    ),
    row(
        Place::HttpPool,
        &["http2KeepAlive"],
        "http2-keepalive-not-honoured",
        "connections have a heartbeat of their own",
    ),
    row(
        Place::Parent,
        &["sectionName", "port"],
        "section-not-honoured",
        "the route is for all of the service",
    ),
    row(
        Place::RouteRule,
        &["sessionPersistence"],
        "session-persistence-not-honoured",
        "a consistentHash of a DestinationRule does that",
    ),
    row(
        Place::ServiceProfile,
        &["opaquePorts"],
        "opaque-ports-not-honoured",
        "what a connection speaks is found out, or said by the listener",
    ),
    row(
        Place::VirtualService,
        &["workloadSelector"],
        "workload-selector-not-honoured",
        "it holds for every caller",
    ),
];

/// Refuses the keys that are there but would not be acted on.
pub(crate) fn refuse(map: &mut Mapping<'_>, at: Place, report: &mut Report) {
    for Refused { keys, code, why, .. } in REFUSED.iter().filter(|refused| refused.at == at) {
        for key in *keys {
            if let Some(node) = map.value(key) {
                let message = format!("{key} is not honoured: {why}");
                report.error(node.position, code, message, "remove it");
            }
        }
    }
}
