//! What routes and destination rules order for calls beyond their endpoint, as Istio
//! writes it: what goes over the wire for each, and what the caller gets.

use std::time::{Duration, Instant};

use proxy::config::Config;
use proxy::server::Proxy;
use tempfile::TempDir;

use crate::counters::{CALLERS, IN_FLIGHT, faults, value, wait_for};
use crate::peers::{Unanswering, assert_status};
use crate::policies::{arrival, call, exception, outcome, refusal};
use crate::wire::*;

const RESENDS: &str = "spanwire_resends_total";
const EJECTIONS: &str = "spanwire_ejections_total";

/// A configuration under a VirtualService with these parts of a route, and a
/// DestinationRule with this traffic policy.
fn under(mut config: Config, route: &str, policy: &str) -> (TempDir, Proxy, Wire) {
    let route = if route.is_empty() { String::new() } else { format!(", {route}") };
    let rules = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: echo}}\n\
         spec: {{hosts: [{SERVICE}], http: [{{route: [{{destination: {{host: {SERVICE}}}}}]{route}}}]}}\n\
         ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: echo}}\n\
         spec: {{host: {SERVICE}, trafficPolicy: {{{policy}}}, subsets: \
         [{{name: gray, labels: {{env: gray}}}}]}}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("echo.yaml"), rules).unwrap();
    config.rules = vec![folder.path().to_owned()];
    let (proxy, caller) = start(config);
    (folder, proxy, caller)
}

/// Some providers, and calls to them by these orders.
fn providers<const N: usize>(route: &str, policy: &str) -> ([Provider; N], TempDir, Proxy, Wire) {
    let providers = [(); N].map(|()| Provider::new());
    let config = outbound(&providers.each_ref().map(Provider::address));
    let (folder, proxy, caller) = under(config, route, policy);
    (providers, folder, proxy, caller)
}

#[test]
fn a_routes_timeout_counts_before_the_callers() {
    let ([provider], _folder, proxy, mut caller) = providers("timeout: 60ms", "");
    call(&mut caller, 1);
    let mut upstream = provider.accept();
    upstream.expect();
    // The caller would have waited for a second.
    let answer = caller.expect();
    assert_status(&answer, 1, 31, "timeout", &["no answer from"]);
    let text = answer.text();
    let waited = text.split_once("within ").and_then(|(_, rest)| rest.split_once(" ms"));
    let waited: u64 = waited.and_then(|(ms, _)| ms.parse().ok()).expect("how long it waited");
    assert!((60..1000).contains(&waited), "{text}");
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn only_failures_that_a_route_names_are_repeated() {
    let retries = "retries: {attempts: 2, retryOn: '5xx', backoff: 1ms}";
    let (both, _folder, proxy, mut caller) = providers::<2>(retries, "");
    call(&mut caller, 5);
    let (first, mut upstream, came) = arrival(&both);
    upstream.send(&refusal(&came).bytes());
    let mut other = both[1 - first].accept();
    let again = other.expect();
    assert_eq!(Frame { id: 0, ..again.clone() }, Frame { id: 0, ..came });
    other.send(&again.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
    assert_eq!((value(&proxy, RESENDS), value(&proxy, &outcome("success"))), (1, 1));

    let retries = "retries: {attempts: 2, retryOn: 'connect-failure,gateway-error'}";
    let (both, _folder, proxy, mut caller) = providers::<2>(retries, "");
    call(&mut caller, 5);
    let (first, mut upstream, came) = arrival(&both);
    upstream.send(&refusal(&came).bytes());
    assert_eq!(caller.expect().status, 80);
    assert!(both[1 - first].is_left_alone(Duration::from_millis(20)));
    assert_eq!(value(&proxy, RESENDS), 0);
}

#[test]
fn an_exception_of_the_providers_code_is_not_repeated() {
    let retries = "retries: {attempts: 2, retryOn: '5xx,internal,reset'}";
    let (both, _folder, proxy, mut caller) = providers::<2>(retries, "");
    call(&mut caller, 1);
    let (_, mut upstream, came) = arrival(&both);
    upstream.send(&exception(&came).bytes());
    assert_eq!(caller.expect().body, exception(&came).body);
    assert_eq!(value(&proxy, RESENDS), 0);
}

#[test]
fn each_attempt_may_have_a_deadline_of_its_own() {
    let retries = "retries: {attempts: 1, perTryTimeout: 60ms, retryOn: reset, backoff: 1ms}";
    let (both, _folder, proxy, mut caller) = providers::<2>(retries, "");
    call(&mut caller, 1);
    let (first, mut late, came) = arrival(&both);
    let mut other = both[1 - first].accept();
    let again = other.expect();
    other.send(&again.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
    late.send(&came.answer(&string("too late")).bytes());
    wait_for(&proxy, "spanwire_late_answers_total", 1);
    assert!(caller.is_quiet(Duration::from_millis(20)));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn retries_stay_within_their_budget() {
    for policy in [
        "connectionPool: {http: {maxRetries: 0}}",
        "retryBudget: {percent: 10, minRetryConcurrency: 0}",
    ] {
        let retries = "retries: {attempts: 3, retryOn: '5xx', backoff: 1ms}";
        let (both, _folder, proxy, mut caller) = providers::<2>(retries, policy);
        call(&mut caller, 1);
        let (first, mut upstream, came) = arrival(&both);
        upstream.send(&refusal(&came).bytes());
        assert_eq!(caller.expect().status, 80, "{policy}");
        assert!(both[1 - first].is_left_alone(Duration::from_millis(20)), "{policy}");
        assert_eq!(value(&proxy, RESENDS), 0, "{policy}");
    }
}

/// A call that is repeated once more needs no second place for it.
#[test]
fn a_call_is_repeated_twice_where_one_may_be_repeated() {
    for policy in [
        "connectionPool: {http: {maxRetries: 1}}",
        "retryBudget: {percent: 0, minRetryConcurrency: 1}",
    ] {
        let retries = "retries: {attempts: 2, retryOn: '5xx', backoff: 1ms}";
        let ([provider], _folder, proxy, mut caller) = providers(retries, policy);
        call(&mut caller, 1);
        let mut upstream = provider.accept();
        for _ in 0..3 {
            let came = upstream.expect();
            upstream.send(&refusal(&came).bytes());
        }
        assert_eq!(caller.expect().status, 80, "{policy}");
        assert_eq!(value(&proxy, RESENDS), 2, "{policy}");
    }
}

#[test]
fn a_call_that_is_delayed_goes_out_later() {
    let fault = "fault: {delay: {fixedDelay: 80ms, percentage: {value: 100}}}";
    let ([provider], _folder, proxy, mut caller) = providers(fault, "");
    let began = Instant::now();
    call(&mut caller, 1);
    let mut upstream = provider.accept();
    let came = upstream.expect();
    assert!(began.elapsed() >= Duration::from_millis(80), "{:?}", began.elapsed());
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
    upstream.send(&came.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
    // A call that cannot wait so long is told so.
    caller.send(&Request { attachments: vec![("timeout", "40")], ..Request::new(2) }.bytes());
    assert_status(&caller.expect(), 2, 31, "timeout", &["a rule delays the call by 80 ms"]);
    // And one whose caller leaves is forgotten.
    call(&mut caller, 3);
    wait_for(&proxy, IN_FLIGHT, 1);
    caller.reset();
    wait_for(&proxy, CALLERS, 0);
    wait_for(&proxy, IN_FLIGHT, 0);
    assert!(upstream.is_quiet(Duration::from_millis(20)));
    assert_eq!(value(&proxy, &outcome("cancelled")), 1);
}

#[test]
fn a_call_that_is_aborted_is_sent_nowhere() {
    let abort = "abort: {httpStatus: 503, percentage: {value: 100}}";
    let ([provider], _folder, proxy, mut caller) = providers(&format!("fault: {{{abort}}}"), "");
    call(&mut caller, 1);
    let answer = caller.expect();
    assert_eq!((answer.id, answer.status), (1, 20));
    assert!(answer.text().contains("injects status 503"), "{}", answer.text());
    assert!(provider.is_left_alone(Duration::from_millis(20)));
    assert_eq!(value(&proxy, &faults("injected")), 1);
    // A delay comes before it.
    let delay = "delay: {fixedDelay: 80ms, percentage: {value: 100}}";
    let fault = format!("fault: {{{delay}, {abort}}}");
    let ([_provider], _folder, proxy, mut caller) = providers(&fault, "");
    let began = Instant::now();
    call(&mut caller, 2);
    assert!(caller.expect().text().contains("injects status 503"));
    assert!(began.elapsed() >= Duration::from_millis(80), "{:?}", began.elapsed());
    assert_eq!((value(&proxy, &faults("injected")), value(&proxy, IN_FLIGHT)), (1, 0));
}

#[test]
fn a_mirror_gets_a_copy_and_nobody_waits_for_its_answer() {
    let (all, mirror) = ([(); 2].map(|()| Provider::new()), Provider::new());
    let mut config = outbound(&[all[0].address(), mirror.address()]);
    config.services[0].endpoints[0].labels.insert("env".to_owned(), "stable".to_owned());
    config.services[0].endpoints[1].labels.insert("env".to_owned(), "gray".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let rules = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: echo}}\n\
         spec: {{hosts: [{SERVICE}], http: [{{route: [{{destination: {{host: {SERVICE}, subset: \
         stable}}}}], mirror: {{host: {SERVICE}, subset: gray}}, mirrorPercentage: {{value: 100}}, \
         headers: {{request: {{set: {{seen: 'yes'}}}}}}}}]}}\n\
         ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: echo}}\n\
         spec: {{host: {SERVICE}, subsets: [{{name: gray, labels: {{env: gray}}}}, \
         {{name: stable, labels: {{env: stable}}}}]}}\n"
    );
    std::fs::write(folder.path().join("echo.yaml"), rules).unwrap();
    config.rules = vec![folder.path().to_owned()];
    let (proxy, mut caller) = start(config);
    call(&mut caller, 1);
    let (mut main, mut copy) = (all[0].accept(), mirror.accept());
    let (came, copied) = (main.expect(), copy.expect());
    assert_eq!(copied.body, came.body);
    assert!(copied.text().contains("seen"), "{}", copied.text());
    copy.send(&copied.answer(&string("copy")).bytes());
    assert!(caller.is_quiet(Duration::from_millis(20)));
    main.send(&came.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
    // One-way calls are copied, too.
    caller.send(&Request { flags: ONE_WAY, ..Request::new(2) }.bytes());
    assert_eq!((main.expect().flags, copy.expect().flags), (ONE_WAY, ONE_WAY));
    assert_eq!(value(&proxy, "spanwire_mirrored_calls_total"), 2);
    assert_eq!((value(&proxy, &outcome("success")), value(&proxy, &outcome("sent"))), (1, 1));
    // Nor is a mirror that is gone anybody's trouble.
    drop((copy, mirror));
    call(&mut caller, 3);
    let came = main.expect();
    main.send(&came.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn attachments_are_changed_as_a_route_says() {
    let headers = "headers: {request: {set: {team: blue}, add: {trail: b, fresh: x}, \
                   remove: [secret]}}";
    let ([provider], _folder, _proxy, mut caller) = providers(headers, "");
    let attachments = vec![("team", "red"), ("secret", "s"), ("trail", "a"), ("timeout", "60000")];
    let sent = Request { attachments, ..Request::new(1) };
    caller.send(&sent.bytes());
    let came = provider.accept().expect();
    let changed = Request {
        attachments: vec![("team", "blue"), ("trail", "a,b"), ("timeout", "60000"), ("fresh", "x")],
        ..Request::new(came.id)
    };
    assert_eq!(came.text(), changed.frame().text());
}

#[test]
fn an_endpoint_that_fails_too_often_is_left_out() {
    let outliers = "outlierDetection: {consecutive5xxErrors: 3, baseEjectionTime: 300ms, \
                    interval: 10s, maxEjectionPercent: 50}, loadBalancer: {simple: ROUND_ROBIN}";
    let (both, _folder, proxy, mut caller) = providers::<2>("", outliers);
    let mut wires: [Option<Wire>; 2] = [None, None];
    let mut answered = [0; 2];
    let mut ejected = None;
    let began = Instant::now();
    let mut id = 0;
    // The first provider refuses every call until it is left out, and one call after.
    loop {
        assert!(began.elapsed() < SOON, "{answered:?}");
        id += 1;
        call(&mut caller, id);
        let (who, came) = loop {
            let found = both.iter().zip(&mut wires).enumerate().find_map(|(at, (one, wire))| {
                if wire.is_none() {
                    *wire = one.try_next();
                }
                let wire = wire.as_mut()?;
                (!wire.is_quiet(Duration::from_millis(1))).then(|| (at, wire.expect()))
            });
            if let Some(found) = found {
                break found;
            }
        };
        answered[who] += 1;
        let wire = wires[who].as_mut().unwrap();
        if who == 0 && ejected.is_some_and(|since: Instant| since.elapsed().as_millis() >= 250) {
            break;
        }
        assert!(who == 1 || ejected.is_none(), "it is called while it is left out");
        if who == 0 {
            wire.send(&refusal(&came).bytes());
            assert_eq!(caller.expect().status, 80);
        } else {
            wire.send(&came.answer(&string("pong")).bytes());
            assert!(caller.expect().text().contains("pong"));
        }
        if ejected.is_none() && value(&proxy, EJECTIONS) == 1 {
            assert_eq!(answered[0], 3);
            ejected = Some(Instant::now());
        }
    }
    assert_eq!(value(&proxy, EJECTIONS), 1);
}

#[test]
fn no_more_calls_are_in_flight_than_a_pool_takes() {
    let pool = "connectionPool: {http: {http2MaxRequests: 2}}";
    let ([provider], _folder, proxy, mut caller) = providers("", pool);
    for id in 0..3 {
        call(&mut caller, id);
    }
    let says = ["2 calls are in flight", "DestinationRule/echo", "http2MaxRequests"];
    assert_status(&caller.expect(), 2, 100, "overloaded", &says);
    let mut upstream = provider.accept();
    let came = upstream.expect();
    upstream.send(&came.answer(&string("pong")).bytes());
    caller.expect();
    call(&mut caller, 4);
    let (second, fourth) = (upstream.expect(), upstream.expect());
    for came in [second, fourth] {
        upstream.send(&came.answer(&string("pong")).bytes());
        caller.expect();
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn no_more_calls_wait_for_a_connection_than_a_pool_takes() {
    let slow = Unanswering::new();
    let pool = "connectionPool: {http: {http1MaxPendingRequests: 2}}";
    let (_folder, proxy, mut caller) = under(outbound(&[slow.address()]), "", pool);
    for id in 0..3 {
        call(&mut caller, id);
    }
    let says = ["2 calls wait for a connection", "http1MaxPendingRequests"];
    assert_status(&caller.expect(), 2, 100, "overloaded", &says);
    // Once it is open none waits.
    let provider = slow.answer();
    let mut upstream = provider.accept();
    upstream.expect();
    for id in 4..8 {
        call(&mut caller, id);
    }
    for _ in 0..5 {
        upstream.expect();
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 6);
}

#[test]
fn connecting_takes_no_longer_than_a_pool_says() {
    let slow = Unanswering::new();
    let pool = "connectionPool: {tcp: {connectTimeout: 50ms}}";
    let mut config = outbound(&[slow.address()]);
    config.timeouts.connect = Duration::from_secs(60);
    let (_folder, _proxy, mut caller) = under(config, "", pool);
    let began = Instant::now();
    call(&mut caller, 1);
    let answer = caller.expect();
    assert!(answer.text().contains("unreachable"), "{}", answer.text());
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
}
