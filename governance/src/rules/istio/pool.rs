//! `connectionPool` and `outlierDetection`.

use std::time::Duration;

use crate::directives::{ConnectionPool, Keepalive, OutlierDetection};
use crate::document::{Mapping, Report};
use crate::rules::resource::honoured::{Place, refuse};
use crate::rules::resource::value;

/// A limit; 0 is Istio's word for none.
fn limit(map: &mut Mapping<'_>, key: &'static str, report: &mut Report) -> Option<u32> {
    value::count(map, key, report).filter(|&limit| limit > 0)
}

pub(super) fn read(mut map: Mapping<'_>, report: &mut Report) -> ConnectionPool {
    let mut pool = ConnectionPool::default();
    if let Some(mut tcp) = map.mapping("tcp", report) {
        pool.max_connections = limit(&mut tcp, "maxConnections", report);
        pool.connect_timeout = value::positive_duration(&mut tcp, "connectTimeout", report);
        pool.max_connection_duration =
            value::positive_duration(&mut tcp, "maxConnectionDuration", report);
        pool.idle_timeout = value::positive_duration(&mut tcp, "idleTimeout", report);
        pool.keepalive = tcp.mapping("tcpKeepalive", report).map(|mut inside| {
            let keepalive = Keepalive {
                probes: limit(&mut inside, "probes", report),
                time: value::positive_duration(&mut inside, "time", report),
                interval: value::positive_duration(&mut inside, "interval", report),
            };
            inside.finish(report);
            keepalive
        });
        tcp.finish(report);
    }
    if let Some(mut http) = map.mapping("http", report) {
        pool.max_pending_requests = limit(&mut http, "http1MaxPendingRequests", report);
        pool.max_requests = limit(&mut http, "http2MaxRequests", report);
        pool.max_requests_per_connection = limit(&mut http, "maxRequestsPerConnection", report);
        pool.max_concurrent_streams = limit(&mut http, "maxConcurrentStreams", report);
        // No retries at all is a limit, too.
        pool.max_retries = value::count(&mut http, "maxRetries", report);
        if let Some(idle) = value::positive_duration(&mut http, "idleTimeout", report) {
            pool.idle_timeout = Some(idle);
        }
        refuse(&mut http, Place::HttpPool, report);
        http.finish(report);
    }
    map.finish(report);
    pool
}

pub(super) fn read_outliers(mut map: Mapping<'_>, report: &mut Report) -> OutlierDetection {
    let percent = |map: &mut Mapping<'_>, key, default, report: &mut Report| {
        let read =
            map.integer(key, 0..=100, report).and_then(|percent| u32::try_from(percent).ok());
        read.unwrap_or(default)
    };
    let outliers = OutlierDetection {
        consecutive_5xx: value::count(&mut map, "consecutive5xxErrors", report).unwrap_or(5),
        consecutive_gateway_errors: value::count(&mut map, "consecutiveGatewayErrors", report)
            .unwrap_or(0),
        consecutive_local_origin_failures: value::count(
            &mut map,
            "consecutiveLocalOriginFailures",
            report,
        )
        .unwrap_or(5),
        split_local_origin: map.boolean("splitExternalLocalOriginErrors", report).unwrap_or(false),
        interval: value::positive_duration(&mut map, "interval", report)
            .unwrap_or(Duration::from_secs(10)),
        base_ejection_time: value::positive_duration(&mut map, "baseEjectionTime", report)
            .unwrap_or(Duration::from_secs(30)),
        max_ejection_percent: percent(&mut map, "maxEjectionPercent", 10, report),
        min_health_percent: percent(&mut map, "minHealthPercent", 0, report),
    };
    map.finish(report);
    outliers
}
