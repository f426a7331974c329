//! `http[].retries`.

use crate::directives::{BY_STATUS, DEFAULT_BACKOFF, RetryCondition, RetryPolicy};
use crate::document::{Mapping, Report};
use crate::rules::resource::value;

/// What Istio repeats where `retryOn` does not say.
const DEFAULT: [RetryCondition; 4] = [
    RetryCondition::ConnectFailure,
    RetryCondition::RefusedStream,
    RetryCondition::Unavailable,
    RetryCondition::Cancelled,
];

pub(super) fn read(mut map: Mapping<'_>, report: &mut Report) -> Option<RetryPolicy> {
    let attempts = value::count(&mut map, "attempts", report).unwrap_or(0);
    let per_try_timeout = value::positive_duration(&mut map, "perTryTimeout", report);
    let backoff = value::positive_duration(&mut map, "backoff", report);
    let avoid_tried = map.boolean("retryIgnorePreviousHosts", report);
    if map.boolean("retryRemoteLocalities", report) == Some(true) {
        let at = map.peek("retryRemoteLocalities").map(|node| node.position).unwrap_or_default();
        report.error(
            at,
            "remote-localities-not-honoured",
            "retryRemoteLocalities is not honoured: a retry goes to any endpoint that was not tried",
            "remove it",
        );
    }
    let on = match map.text("retryOn", report) {
        Some(text) => read_conditions(text, &map, report),
        None => DEFAULT.into(),
    };
    map.finish(report);
    Some(RetryPolicy {
        attempts,
        per_try_timeout,
        on,
        avoid_tried: avoid_tried.unwrap_or(true),
        backoff: backoff.unwrap_or(DEFAULT_BACKOFF),
    })
}

fn read_conditions(text: &str, map: &Mapping<'_>, report: &mut Report) -> Box<[RetryCondition]> {
    let at = map.peek("retryOn").map(|node| node.position).unwrap_or_default();
    let mut conditions = Vec::new();
    let mut by_status = false;
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if name == BY_STATUS {
            by_status = true;
            continue;
        }
        let status = name.parse().ok().filter(|status| (100..600).contains(status));
        let condition = status.map(RetryCondition::Status);
        match condition.or_else(|| RetryCondition::from_name(name)) {
            Some(condition) => conditions.push(condition),
            None => report.error(
                at,
                "retry-on-not-honoured",
                format!("retryOn {name:?} is not known here"),
                "write 5xx, gateway-error, reset, reset-before-request, connect-failure, \
                 refused-stream, retriable-4xx, cancelled, deadline-exceeded, internal, \
                 resource-exhausted, unavailable, or HTTP statuses",
            ),
        }
        if report.is_full() {
            break;
        }
    }
    if by_status && !conditions.iter().any(|one| matches!(one, RetryCondition::Status(_))) {
        report.error(
            at,
            "retry-on-not-honoured",
            "retriable-status-codes repeats nothing without a status",
            "write the statuses, too: retriable-status-codes,503",
        );
    }
    conditions.into()
}
