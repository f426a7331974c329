//! What configurators want for calls of real Java over Triple beyond one attempt: mocks
//! that its consumers read, cluster modes, limits.

use std::fs;

use harness::java::{Line, Peer};
use harness::port::{self, LOOPBACK_FOR_JAVA};
use harness::spanwire::Proxy;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{LINES, SERVICES, reference, services};
use crate::fixture::{endpoint, outbound, triple_consumer, triple_provider, unique};

/// A proxy before these endpoints, whose calls are made on these terms.
fn proxy(endpoints: &[String], parameters: &str) -> (u16, Proxy) {
    let folder = TempDir::new().expect("a temporary folder");
    for service in SERVICES {
        let rule = format!(
            "configVersion: v3.0\nscope: service\nkey: {service}\nenabled: true\nconfigs:\n\
             - {{side: consumer, parameters: {{{parameters}}}}}\n"
        );
        let file = folder.path().join(format!("{service}::.configurators.yaml"));
        fs::write(file, rule).expect("the folder is ours");
    }
    let out = port::free();
    let configuration = "rules: [.]\n".to_owned() + &services(endpoints) + &outbound(out);
    (out, Proxy::start_in(folder, &configuration))
}

/// A provider that refuses every call as its library would.
fn refusing(server: &mut Peer) -> String {
    let headers = json!({
        ":status": "200", "content-type": "application/grpc", "grpc-status": "14",
    });
    endpoint(server.script(json!({"headers": headers})).expect("the server listens"))
}

fn result(consumer: &mut Peer, reference: &str, call: Value) -> Result<String, String> {
    consumer.call(reference, call).expect("called").result
}

/// Values and exceptions are what Java's code gets, in both serializations, and of a generic
/// call too; and whatever the method returns.
#[test]
fn java_gets_what_a_mock_says() {
    let nobody = endpoint(port::free());
    for (mock, method, expected) in [
        ("force:return \"in your place\"", "string", Ok("\"in your place\"")),
        ("force:return null", "string", Ok("null")),
        ("fail:return null", "whoami", Ok("null")),
        ("force:throw java.lang.IllegalStateException", "string", Err("java.lang.IllegalState")),
        ("fail:throw", "whoami", Err("org.apache.dubbo.rpc.RpcException code=0: ")),
    ] {
        let (out, proxy) = proxy(std::slice::from_ref(&nobody), &format!("mock: '{mock}'"));
        for line in LINES {
            let mut consumer = triple_consumer(line);
            let url = format!("tri://{LOOPBACK_FOR_JAVA}:{out}?serialization=fastjson2");
            for (how, options) in [
                ("sync", json!({})),
                ("async", json!({})),
                ("generic", json!({"generic": true})),
                ("sync", json!({"url": url})),
            ] {
                let reference = reference(&mut consumer, out, options);
                let call = json!({"how": how, "method": method, "text": "x", "number": 1});
                let seen = result(&mut consumer, &reference, call);
                let what = format!("{mock}, {line:?} {how}: {seen:?}\n{}", proxy.log());
                match expected {
                    Ok(value) => assert_eq!(seen.as_deref(), Ok(value), "{what}"),
                    Err(class) => {
                        let thrown = seen.expect_err("it throws");
                        assert!(thrown.starts_with(class), "{what}");
                        assert!(thrown.contains("mocked exception for service"), "{what}");
                    }
                }
            }
        }
        let counted = proxy.metric("spanwire_calls_total", "outcome=\"degraded\"");
        assert!((counted - 8.0).abs() < 0.5, "{mock}: {counted}");
    }
}

#[test]
fn failover_repeats_calls_that_a_provider_refuses_and_failfast_does_not() {
    let mut provider = triple_provider(Line::Dubbo33);
    let name = unique("willing");
    let app = provider.export(&name, json!({})).expect("exported");
    let mut scripted = triple_consumer(Line::Dubbo32);
    let endpoints = [endpoint(app), refusing(&mut scripted)];
    let mut consumer = triple_consumer(Line::Dubbo33);
    for (parameters, fails) in [("retries: 1", false), ("cluster: failfast, retries: 1", true)] {
        let (out, proxy) = proxy(&endpoints, parameters);
        let reference = reference(&mut consumer, out, json!({"retries": 0}));
        let seen: Vec<_> = (0..30).map(|_| result(&mut consumer, &reference, json!({}))).collect();
        let failed = seen.iter().filter(|seen| seen.is_err()).count();
        assert_eq!(failed > 0, fails, "{parameters}: {seen:?}\n{}", proxy.log());
        assert_eq!(proxy.metric("spanwire_resends_total", "") > 0.5, !fails, "{parameters}");
        let own = format!("\"{name}\"");
        assert!(seen.iter().flatten().all(|seen| *seen == own), "{seen:?}");
    }
}

#[test]
fn failsafe_forking_and_broadcast_are_what_java_sees_of_them() {
    let mut providers = [triple_provider(Line::Dubbo33), triple_provider(Line::Dubbo32)];
    let names = [unique("one"), unique("two")];
    let mut endpoints = Vec::new();
    for (provider, name) in providers.iter_mut().zip(&names) {
        endpoints.push(endpoint(provider.export(name, json!({})).expect("exported")));
    }
    let mut scripted = triple_consumer(Line::Dubbo32);
    let refusing = refusing(&mut scripted);
    let with_one_refusing = [endpoints[0].clone(), refusing.clone()];
    let mut consumer = triple_consumer(Line::Dubbo33);
    for (parameters, endpoints, works) in [
        ("cluster: failsafe", std::slice::from_ref(&refusing), Some(false)),
        ("cluster: forking", &with_one_refusing, Some(true)),
        ("cluster: broadcast", &endpoints, Some(true)),
        ("cluster: broadcast", &with_one_refusing, None),
    ] {
        let (out, proxy) = proxy(endpoints, parameters);
        let reference = reference(&mut consumer, out, json!({"retries": 0}));
        for _ in 0..10 {
            let seen = result(&mut consumer, &reference, json!({}));
            let what = format!("{parameters}: {seen:?}\n{}", proxy.log());
            match works {
                Some(true) => {
                    let is_own = |name| seen.as_deref() == Ok(&format!("\"{name}\""));
                    assert!(names.iter().any(is_own), "{what}");
                }
                Some(false) => assert_eq!(seen.as_deref(), Ok("null"), "{what}"),
                None => assert!(seen.expect_err("one refused").contains("UNAVAILABLE"), "{what}"),
            }
        }
        assert!(proxy.metric("spanwire_calls_in_flight", "") < 0.5);
    }
}

/// Five calls of 300 ms, one at a time.
#[test]
fn calls_over_the_limit_come_one_after_another() {
    let mut provider = triple_provider(Line::Dubbo33);
    let name = unique("limited");
    let app = provider.export(&name, json!({})).expect("exported");
    let (out, _proxy) = proxy(&[endpoint(app)], "actives: 1");
    let mut consumer = triple_consumer(Line::Dubbo33);
    let reference = reference(&mut consumer, out, json!({"timeout": 20_000, "retries": 0}));
    let flood = json!({"cmd": "flood", "ref": reference, "count": 5, "millis": 300});
    let answer = consumer.ask(&flood).expect("every call came back");
    for text in answer["answers"].as_array().expect("a list") {
        assert_eq!(text.as_str(), Some(name.as_str()));
    }
    let millis = answer["millis"].as_u64().unwrap_or_default();
    assert!(millis >= 1500, "{millis} ms");
}
