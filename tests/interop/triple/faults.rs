//! What a caller sees of calls that Spanwire cannot deliver, and what calls are counted as.

use std::fs;
use std::thread;
use std::time::Duration;

use harness::java::{Line, Role};
use harness::port;
use harness::spanwire::Proxy;
use harness::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{LINES, reference, services};
use crate::faults::{drained, killed};
use crate::fixture::{
    SERVICE, endpoint, outbound, start, triple_consumer, triple_provider, unique,
};

/// Java's default failover (two retries) must not repeat what cannot succeed.
fn one_clear_answer(proxy: &Proxy, out: u16, reason: &str, status: &str, options: &Value) {
    let mut calls = 0.0;
    for line in LINES {
        let mut consumer = triple_consumer(line);
        for (how, generic) in [("sync", false), ("async", false), ("generic", true)] {
            let mut options = options.clone();
            options["generic"] = json!(generic);
            let reference = reference(&mut consumer, out, options);
            let call = json!({"how": how, "method": "string", "text": "x".repeat(2000)});
            let seen = consumer.call(&reference, call).expect("called");
            let failure = seen.result.expect_err("nobody can answer");
            calls += 1.0;
            // The code of Dubbo's own exception is below.
            assert!(failure.starts_with("org.apache.dubbo.rpc."), "{failure}");
            assert!(failure.contains("RpcException code="), "{line:?} {how}: {failure}");
            let told = format!(": {status} : Spanwire [{reason}]: ");
            let of_dubbo = match status {
                "UNIMPLEMENTED" => 11,
                "UNAVAILABLE" => 1,
                "DEADLINE_EXCEEDED" => 2,
                "PERMISSION_DENIED" => 4,
                _ => 0,
            };
            let told = format!("StatusRpcException code={of_dubbo}{told}");
            assert!(failure.contains(&told), "{line:?} {how}: {failure}, not {told}");
            assert!(seen.millis < 3900, "{line:?} {how}: {} ms", seen.millis);
            let counted = proxy.metric("spanwire_faults_total", &format!("\"{reason}\""));
            assert!((counted - calls).abs() < 0.5, "{line:?} {how}: {counted} for {calls}");
        }
    }
}

#[test]
fn an_unknown_service_is_one_clear_answer() {
    let out = port::free();
    let other = "services:\n- {name: interop.Other, protocol: triple, endpoints: []}\n";
    let proxy = Proxy::start(&(other.to_owned() + &outbound(out)));
    one_clear_answer(&proxy, out, "unknown_service", "UNIMPLEMENTED", &json!({}));
}

/// Calls over Triple go to those who speak it.
#[test]
fn a_service_of_another_protocol_is_one_clear_answer() {
    let out = port::free();
    let configuration = crate::fixture::services(&[endpoint(port::free())]) + &outbound(out);
    let proxy = Proxy::start(&configuration);
    one_clear_answer(&proxy, out, "unknown_service", "UNIMPLEMENTED", &json!({}));
}

#[test]
fn an_unreachable_provider_is_one_clear_answer() {
    let out = port::free();
    let proxy = Proxy::start(&(services(&[endpoint(port::free())]) + &outbound(out)));
    one_clear_answer(&proxy, out, "unreachable", "UNAVAILABLE", &json!({}));
}

#[test]
fn a_version_that_nobody_has_is_one_clear_answer() {
    let out = port::free();
    let proxy = Proxy::start(&(services(&[endpoint(port::free())]) + &outbound(out)));
    one_clear_answer(&proxy, out, "no_endpoint", "UNAVAILABLE", &json!({"version": "9.9.9"}));
}

#[test]
fn a_request_that_is_too_large_is_one_clear_answer() {
    let mut provider = triple_provider(Line::Dubbo33);
    let app = provider.export(&unique("small"), json!({})).expect("exported");
    let out = port::free();
    let limits = "limits: {body: 1KiB}\n".to_owned();
    let proxy = Proxy::start(&(limits + &services(&[endpoint(app)]) + &outbound(out)));
    one_clear_answer(&proxy, out, "too_large", "RESOURCE_EXHAUSTED", &json!({}));
}

/// The rule's deadline, not the caller's, which is longer.
#[test]
fn a_deadline_that_a_rule_sets_is_one_clear_answer() {
    let mut consumer = triple_consumer(Line::Dubbo33);
    // It takes the call and says nothing.
    let silent = consumer.script(json!({"silent": true})).expect("the server listens");
    let out = port::free();
    let configuration = "rules: [.]\n".to_owned() + &services(&[endpoint(silent)]) + &outbound(out);
    let proxy = Proxy::start_in(ordered_timeout(SERVICE), &configuration);
    one_clear_answer(&proxy, out, "timeout", "DEADLINE_EXCEEDED", &json!({}));
}

#[test]
fn a_killed_provider_leaves_no_call_unanswered() {
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let mut provider = start(Line::Dubbo33, Role::TripleProvider);
        let app = provider.export("mortal", json!({})).expect("exported");
        let out = port::free();
        let _proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
        let reference = reference(&mut consumer, out, json!({"timeout": 20_000, "retries": 0}));
        consumer.call(&reference, json!({})).expect("called").result.expect("it works so far");

        killed(&mut consumer, &reference, provider, app, (Line::Dubbo33, Role::TripleProvider));
    }
}

/// What a rule orders for a service, as a folder with its file.
fn ordered_timeout(service: &str) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let rule = format!(
        "configVersion: v2.7\nscope: service\nkey: {service}\nenabled: true\nconfigs:\n\
         - {{side: consumer, addresses: [\"0.0.0.0\"], parameters: {{timeout: 300}}}}\n"
    );
    let file = folder.path().join(format!("{service}::.configurators.yaml"));
    fs::write(file, rule).expect("the folder is ours");
    folder
}

/// Its head and some messages were passed on; the reason comes in the trailers. Until then
/// no deadline ends it: Java gives streams none.
#[test]
fn a_stream_whose_provider_is_killed_ends_with_the_reason() {
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let mut provider = start(Line::Dubbo33, Role::TripleProvider);
        let app = provider.export("mortal", json!({})).expect("exported");
        let out = port::free();
        let configuration = services(&[endpoint(app)]) + &outbound(out);
        let configuration = "rules: [.]\n".to_owned() + &configuration.replace("60s", "300ms");
        let folder = ordered_timeout("interop.StreamService");
        let proxy = Proxy::start_in(folder, &configuration);
        let options = json!({"interface": "interop.StreamService"});
        let reference = reference(&mut consumer, out, options);
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(3000));
            provider.kill();
        });
        let told = consumer.ask(&json!({"cmd": "tick", "ref": reference})).expect("it ended");
        killer.join().expect("it was killed");
        let told = told["told"].as_str().unwrap_or_default();
        let messages = told.split(' ').next().and_then(|count| count.parse().ok());
        assert!(messages.is_some_and(|count: u32| count > 12), "{line:?}: {told}");
        let reason = "StatusRpcException code=1: UNAVAILABLE : Spanwire [connection_lost]: ";
        assert!(told.contains(reason), "{line:?}: {told}");
        assert!(wait_until(Duration::from_secs(5), || {
            proxy.metric("spanwire_calls_in_flight", "") < 0.5
        }));
    }
}

#[test]
fn a_draining_proxy_answers_what_is_in_flight() {
    let mut provider = triple_provider(Line::Dubbo33);
    let name = unique("drained");
    let app = provider.export(&name, json!({})).expect("exported");
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let out = port::free();
        let proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
        let reference = reference(&mut consumer, out, json!({"timeout": 20_000, "retries": 0}));
        consumer.call(&reference, json!({})).expect("called").result.expect("it works so far");

        drained(&mut consumer, &reference, proxy, &name);
    }
}

/// An exception of the provider's code is an answer; what its library refuses is a failure.
#[test]
fn calls_are_counted_by_what_they_came_to() {
    let mut provider = triple_provider(Line::Dubbo33);
    let app = provider.export(&unique("counted"), json!({})).expect("exported");
    let out = port::free();
    let mut consumer = triple_consumer(Line::Dubbo33);
    let headers = json!({
        ":status": "200", "content-type": "application/grpc", "grpc-status": "14",
    });
    let refusing = consumer.script(json!({"headers": headers})).expect("the server listens");
    let refusing = format!("{{address: \"127.0.0.1:{refusing}\", version: 14.0.0}}");
    let proxy = Proxy::start(&(services(&[endpoint(app), refusing]) + &outbound(out)));
    let plain = reference(&mut consumer, out, json!({}));
    let unavailable = reference(&mut consumer, out, json!({"version": "14.0.0"}));
    let counted =
        |outcome: &str| proxy.metric("spanwire_calls_total", &format!("outcome=\"{outcome}\""));
    let mut expected = [("success", 0.0), ("business_exception", 0.0), ("provider_error", 0.0)];
    for (call, outcome) in [
        (json!({"method": "whoami"}), 0),
        (json!({"method": "fail", "text": "checked"}), 1),
        (json!({"method": "fail", "text": "runtime"}), 1),
        (json!({"method": "fail", "text": "custom"}), 1),
        (json!({"method": "whoami", "ref": unavailable}), 2),
    ] {
        let reference = call["ref"].as_str().unwrap_or(&plain).to_owned();
        let seen = consumer.call(&reference, call.clone()).expect("called").result;
        assert_eq!(seen.is_ok(), outcome == 0, "{call}: {seen:?}");
        expected[outcome].1 += 1.0;
        for (name, count) in expected {
            assert!((counted(name) - count).abs() < 0.5, "{call}: {} of {name}", counted(name));
        }
    }
    assert!(proxy.metric("spanwire_calls_in_flight", "") < 0.5);
}
