//! Every kind of call and value: what the caller sees through one and through two
//! sidecars must be what it sees without.

use std::collections::BTreeMap;
use std::thread;

use harness::java::{Line, Peer};
use harness::port;
use harness::spanwire::Proxy;
use serde_json::{Value, json};

use crate::fixture::{consumer, endpoint, inbound, outbound, provider, services, unique, url};

/// Calls the suite by way of `port`; the reference is gone again afterwards.
fn seen(consumer: &mut Peer, port: u16, query: &str, generic: bool) -> BTreeMap<String, String> {
    let reference = unique("suite");
    let url = format!("{}{query}", url(port));
    consumer
        .refer(&reference, json!({"url": url, "timeout": 20_000, "retries": 0, "generic": generic}))
        .expect("the reference is made");
    let seen = consumer.suite(&reference).expect("the suite runs");
    consumer.ask(&json!({"cmd": "destroy", "ref": reference})).expect("the reference goes");
    seen
}

/// Fails with every case that differs, not only the first.
fn assert_same(what: &str, direct: &BTreeMap<String, String>, through: &BTreeMap<String, String>) {
    let mut differences = String::new();
    for (case, seen) in direct {
        let other = through.get(case).map_or("nothing", String::as_str);
        if other != seen {
            differences.push_str(&format!("  {case}\n    direct:  {seen}\n    through: {other}\n"));
        }
    }
    assert_eq!(direct.len(), through.len(), "{what}: not the same cases");
    assert!(differences.is_empty(), "{what}:\n{differences}");
}

/// The direct calls must work too: two equal failures would prove nothing.
fn assert_works(seen: &BTreeMap<String, String>) {
    for (case, text) in seen {
        let fails_on_purpose = case.starts_with("fail ")
            || ["checked", "runtime", "no such method"].contains(&case.as_str());
        assert!(fails_on_purpose || !text.starts_with("threw "), "{case}: {text}");
    }
}

fn same_with_and_without(from: Line, to: Line, query: &str, options: Value) {
    let mut provider = provider(to);
    let mut consumer = consumer(from);
    let app = provider.export(&unique("provider"), options).expect("the service is exported");

    let (out, single, inward) = (port::free(), port::free(), port::free());
    let _one = Proxy::start(&(services(&[endpoint(app)]) + &outbound(single)));
    let _in = Proxy::start(&inbound(inward, app));
    let _out = Proxy::start(&(services(&[endpoint(inward)]) + &outbound(out)));
    for generic in [false, true] {
        let direct = seen(&mut consumer, app, query, generic);
        assert_works(&direct);
        assert_same("one sidecar", &direct, &seen(&mut consumer, single, query, generic));
        assert_same("two sidecars", &direct, &seen(&mut consumer, out, query, generic));
    }
}

#[test]
fn from_3_3_to_3_3() {
    same_with_and_without(Line::Dubbo33, Line::Dubbo33, "", json!({}));
}

#[test]
fn from_3_3_to_2_7() {
    same_with_and_without(Line::Dubbo33, Line::Dubbo27, "", json!({}));
}

#[test]
fn from_2_7_to_3_3() {
    same_with_and_without(Line::Dubbo27, Line::Dubbo33, "", json!({}));
}

#[test]
fn from_2_7_to_2_7() {
    same_with_and_without(Line::Dubbo27, Line::Dubbo27, "", json!({}));
}

#[test]
fn from_3_2_to_3_2() {
    same_with_and_without(Line::Dubbo32, Line::Dubbo32, "", json!({}));
}

#[test]
fn from_3_3_to_3_3_in_fastjson2() {
    let options = json!({"serialization": "fastjson2"});
    same_with_and_without(Line::Dubbo33, Line::Dubbo33, "?serialization=fastjson2", options);
}

/// Their request ids collide, their callbacks must not: they share the connections
/// to the provider.
#[test]
fn two_consumers_at_once_do_not_mix() {
    let mut provider = provider(Line::Dubbo33);
    let app = provider.export(&unique("shared"), json!({})).expect("exported");
    let out = port::free();
    let _proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
    let mut consumers = [consumer(Line::Dubbo27), consumer(Line::Dubbo27)];
    let direct = consumers.each_mut().map(|consumer| seen(consumer, app, "", false));
    let through = thread::scope(|scope| {
        consumers
            .each_mut()
            .map(|consumer| scope.spawn(move || seen(consumer, out, "", false)))
            .map(|running| running.join().expect("the suite runs"))
    });
    for (direct, through) in direct.iter().zip(&through) {
        assert_works(direct);
        assert_same("at once", direct, through);
    }
}

#[test]
fn a_reference_can_be_async_and_wait_for_sending() {
    let mut provider = provider(Line::Dubbo33);
    let app = provider.export(&unique("async"), json!({})).expect("exported");
    let out = port::free();
    let _proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = consumer(line);
        let reference = unique("async");
        let options = json!({"url": url(out), "async": true, "sent": true});
        consumer.refer(&reference, options).expect("made");
        let call = json!({"how": "async-config", "method": "string", "text": "later"});
        let seen = consumer.call(&reference, call).expect("called");
        assert_eq!(seen.result, Ok("\"later\"".to_owned()), "{line:?}");
    }
}

#[test]
fn group_and_version_choose_the_provider() {
    let mut provider = provider(Line::Dubbo33);
    let (one, two) = (unique("one"), unique("two"));
    let first = provider.export(&one, json!({"group": "g", "version": "1.0.0"})).expect("exported");
    let second = provider.export(&two, json!({"version": "2.0.0"})).expect("exported");

    let out = port::free();
    let _proxy = Proxy::start(
        &(services(&[
            format!("{{address: \"127.0.0.1:{first}\", group: g, version: 1.0.0}}"),
            format!("{{address: \"127.0.0.1:{second}\", version: 2.0.0}}"),
        ]) + &outbound(out)),
    );
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = consumer(line);
        let (grouped, versioned, wrong) = (unique("g"), unique("v"), unique("w"));
        let options = json!({"url": url(out), "group": "g", "version": "1.0.0"});
        consumer.refer(&grouped, options).expect("the reference is made");
        let options = json!({"url": url(out), "version": "2.0.0"});
        consumer.refer(&versioned, options).expect("the reference is made");
        let options = json!({"url": url(out), "group": "g", "version": "2.0.0"});
        consumer.refer(&wrong, options).expect("the reference is made");
        for _ in 0..5 {
            let seen = consumer.call(&grouped, json!({})).expect("called");
            assert_eq!(seen.result, Ok(format!("\"{one}\"")));
            let seen = consumer.call(&versioned, json!({})).expect("called");
            assert_eq!(seen.result, Ok(format!("\"{two}\"")));
        }
        let failure =
            consumer.call(&wrong, json!({})).expect("called").result.expect_err("g:2.0.0");
        assert!(failure.contains("Spanwire [no_endpoint]"), "{failure}");
    }
}

#[test]
fn a_provider_with_a_token_is_called_by_those_who_do_not_know_it() {
    let mut provider = provider(Line::Dubbo27);
    let mut consumer = consumer(Line::Dubbo33);
    let name = unique("token");
    let app = provider.export(&name, json!({"token": "sesame"})).expect("exported");
    let out = port::free();
    let endpoint = format!("{{address: \"127.0.0.1:{app}\", labels: {{token: sesame}}}}");
    let _proxy = Proxy::start(&(services(&[endpoint]) + &outbound(out)));
    let reference = unique("token");

    consumer.refer(&reference, json!({"url": url(app), "retries": 0})).expect("made");
    let refused = consumer.call(&reference, json!({})).expect("called").result;
    assert!(refused.expect_err("the token is missing").contains("Invalid token"));

    let reference = unique("token");
    consumer.refer(&reference, json!({"url": url(out)})).expect("made");
    assert_eq!(
        consumer.call(&reference, json!({})).expect("called").result,
        Ok(format!("\"{name}\""))
    );
}

/// 2.7 does not send its timeout; 3.3 does. Neither may be cut off early.
#[test]
fn a_slow_call_ends_by_the_callers_own_timeout() {
    let mut provider = provider(Line::Dubbo33);
    let name = unique("slow");
    let app = provider.export(&name, json!({})).expect("exported");
    let out = port::free();
    let _proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
    for line in [Line::Dubbo27, Line::Dubbo33] {
        let mut consumer = consumer(line);
        let (patient, hasty) = (unique("patient"), unique("hasty"));
        let options = json!({"url": url(out), "timeout": 5000, "retries": 0});
        consumer.refer(&patient, options).expect("made");
        let slow = json!({"method": "sleep", "number": 1500});
        let seen = consumer.call(&patient, slow.clone()).expect("called");
        assert_eq!(seen.result, Ok(format!("\"{name}\"")), "{line:?}");

        let options = json!({"url": url(out), "timeout": 400, "retries": 0});
        consumer.refer(&hasty, options).expect("made");
        let seen = consumer.call(&hasty, slow).expect("called");
        let failure = seen.result.expect_err("400 ms are over");
        assert!(failure.contains("RpcException code=2"), "{line:?}: {failure}");
        assert!((390..1200).contains(&seen.millis), "{line:?}: {} ms", seen.millis);
        // The late answer must not be taken for that of a later call.
        for _ in 0..20 {
            let seen = consumer.call(&hasty, json!({"method": "string", "text": "next"}));
            assert_eq!(seen.expect("called").result, Ok("\"next\"".to_owned()));
        }
    }
}
