//! What Java sees when the mesh must answer itself, and that what dies takes no
//! call with it unanswered.

use std::thread;
use std::time::{Duration, Instant};

use harness::java::{Line, Peer, Role};
use harness::port;
use harness::spanwire::Proxy;
use serde_json::json;

use crate::fixture::{Lent, consumer, endpoint, outbound, provider, services, start, unique, url};

/// Calls that the proxy answered itself for `reason`.
fn faults(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric("spanwire_faults_total", &format!("\"{reason}\""))
}

/// Default failover (two retries) must not repeat what cannot succeed, in any way
/// of calling and in any serialization that Java and we can read.
fn one_clear_answer(configuration: &str, out: u16, reason: &str) {
    let proxy = Proxy::start(configuration);
    let mut calls = 0.0;
    for (line, query) in [
        (Line::Dubbo33, ""),
        (Line::Dubbo33, "?serialization=fastjson2"),
        (Line::Dubbo32, ""),
        (Line::Dubbo27, ""),
    ] {
        let mut consumer = consumer(line);
        for (how, generic) in
            [("sync", false), ("async", false), ("generic", true), ("generic-async", true)]
        {
            let reference = unique("faults");
            let url = format!("{}{query}", url(out));
            let options = json!({"url": url, "generic": generic, "timeout": 4000});
            consumer.refer(&reference, options).expect("made");
            let call = json!({"how": how, "method": "string", "text": "x"});
            let seen = consumer.call(&reference, call).expect("called");
            let failure = seen.result.expect_err("nobody can answer");
            calls += 1.0;
            let told = format!("Spanwire [{reason}]");
            assert!(failure.contains(&told), "{line:?} {how} {query}: {failure}");
            assert!(failure.starts_with("org.apache.dubbo.rpc.RpcException"), "{failure}");
            assert!(seen.millis < 3900, "{line:?} {how}: {} ms", seen.millis);
            let counted = faults(&proxy, reason);
            assert!((counted - calls).abs() < 0.5, "{line:?} {how} {query}: {counted} for {calls}");
            consumer.ask(&json!({"cmd": "destroy", "ref": reference})).expect("gone");
        }
    }
}

#[test]
fn an_unknown_service_is_one_clear_answer() {
    let out = port::free();
    let other = "services:\n- {name: interop.Other, protocol: dubbo, endpoints: []}\n";
    one_clear_answer(&(other.to_owned() + &outbound(out)), out, "unknown_service");
}

#[test]
fn an_unreachable_provider_is_one_clear_answer() {
    let out = port::free();
    let nobody = port::free();
    one_clear_answer(&(services(&[endpoint(nobody)]) + &outbound(out)), out, "unreachable");
}

#[test]
fn a_killed_provider_leaves_no_call_unanswered() {
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = consumer(line);
        let mut provider = start(Line::Dubbo33, Role::Provider);
        let app = provider.export("mortal", json!({})).expect("exported");
        let out = port::free();
        let _proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
        let reference = unique("killed");
        let options = json!({"url": url(out), "timeout": 20_000, "retries": 0});
        consumer.refer(&reference, options).expect("made");
        consumer.call(&reference, json!({})).expect("called").result.expect("it works so far");

        killed(&mut consumer, &reference, provider, app, (Line::Dubbo27, Role::Provider));
    }
}

/// Kills the provider at the port `app` in the midst of calls: each is answered, and soon.
/// The next provider there is used at once.
pub(crate) fn killed(
    consumer: &mut Lent,
    reference: &str,
    mut provider: Peer,
    app: u16,
    next: (Line, Role),
) {
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(700));
        provider.kill();
    });
    let flood = json!({"cmd": "flood", "ref": reference, "count": 25, "millis": 15_000});
    let answer = consumer.ask(&flood).expect("every call came back");
    killer.join().expect("it was killed");
    let answers = answer["answers"].as_array().expect("a list");
    assert_eq!(answers.len(), 25);
    for text in answers {
        let text = text.as_str().unwrap_or_default();
        assert!(text.contains("Spanwire [connection_lost]"), "{reference}: {text}");
    }
    let millis = answer["millis"].as_u64().unwrap_or(u64::MAX);
    assert!(millis < 5000, "{reference}: the answers took {millis} ms");

    // The consumer's own connection is whole.
    let mut next = start(next.0, next.1);
    next.export_at("next", app, json!({})).expect("exported");
    let deadline = Instant::now() + Duration::from_secs(8);
    loop {
        let seen = consumer.call(reference, json!({})).expect("called");
        if seen.result == Ok("\"next\"".to_owned()) {
            break;
        }
        assert!(Instant::now() < deadline, "{reference}: still {:?}", seen.result);
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_draining_proxy_answers_what_is_in_flight() {
    let mut provider = provider(Line::Dubbo33);
    let name = unique("drained");
    let app = provider.export(&name, json!({})).expect("exported");
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = consumer(line);
        let out = port::free();
        let proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
        let reference = unique("drain");
        let options = json!({"url": url(out), "timeout": 20_000, "retries": 0});
        consumer.refer(&reference, options).expect("made");
        consumer.call(&reference, json!({})).expect("called").result.expect("it works so far");

        drained(&mut consumer, &reference, proxy, &name);
    }
}

/// Ends the proxy in the midst of calls to the provider of this name: each is answered first.
pub(crate) fn drained(consumer: &mut Lent, reference: &str, mut proxy: Proxy, name: &str) {
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(600));
        proxy.terminate();
        proxy.wait(Duration::from_secs(20))
    });
    let flood = json!({"cmd": "flood", "ref": reference, "count": 20, "millis": 2500});
    let answer = consumer.ask(&flood).expect("every call came back");
    let status = stopper.join().expect("it was stopped");
    for text in answer["answers"].as_array().expect("a list") {
        assert_eq!(text.as_str(), Some(name), "{reference}");
    }
    let status = status.expect("it ends once nothing is in flight");
    assert!(status.success(), "{status}");
}

/// A provider that is stopped as operators do it loses no call.
#[test]
fn a_provider_stopped_gracefully_loses_no_call() {
    let mut stays = provider(Line::Dubbo27);
    let mut consumer = consumer(Line::Dubbo33);
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let stays_at = stays.export(&unique("stays"), json!({})).expect("exported");
        let mut goes = start(line, Role::Provider);
        let goes_at = goes.export("goes", json!({})).expect("exported");
        let out = port::free();
        let endpoints = [endpoint(stays_at), endpoint(goes_at)];
        let _proxy = Proxy::start(&(services(&endpoints) + &outbound(out)));
        let reference = unique("stop");
        let options = json!({"url": url(out), "timeout": 10_000, "retries": 0});
        consumer.refer(&reference, options).expect("made");
        let load = json!({"cmd": "load-start", "ref": reference, "threads": 8, "millis": 30});
        consumer.ask(&load).expect("the load runs");
        thread::sleep(Duration::from_secs(1));
        goes.stop().expect("it is stopping");
        assert!(goes.is_gone(Duration::from_secs(30)), "{line:?} does not end");
        thread::sleep(Duration::from_secs(1));
        let seen = consumer.ask(&json!({"cmd": "load-stop"})).expect("the load ends");
        assert_eq!(seen["failed"], 0, "{line:?}: {seen}");
        assert!(seen["answers"]["goes"].as_u64() > Some(0), "{line:?}: {seen}");
    }
}
