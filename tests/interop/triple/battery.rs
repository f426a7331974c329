//! Every kind of call and value in all four shapes: what Java's programs see of each other.

use std::collections::BTreeMap;

use harness::java::{Line, Peer};
use harness::port::LOOPBACK_FOR_JAVA;
use serde_json::{Value, json};

use crate::fixture::{triple_consumer, triple_provider, unique};

/// What the peers call on each other over Triple: Java values, Java values in streams,
/// messages in protobuf.
pub(super) const SERVICES: [&str; 3] =
    ["interop.EchoService", "interop.StreamService", "interop.GreeterService"];

/// Calls every suite by way of `port`; the references are gone again afterwards.
fn seen(consumer: &mut Peer, port: u16, query: &str, options: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (service, generic) in
        SERVICES.map(|name| (name, false)).into_iter().chain([(SERVICES[0], true)])
    {
        let reference = unique("suite");
        let mut reference_options = json!({
            "url": format!("tri://{LOOPBACK_FOR_JAVA}:{port}{query}"), "interface": service,
            "timeout": 20_000, "retries": 0, "generic": generic,
        });
        for key in ["group", "version"] {
            reference_options[key] = options[key].clone();
        }
        consumer.refer(&reference, reference_options).expect("the reference is made");
        let seen = consumer.suite(&reference).expect("the suite runs");
        consumer.ask(&json!({"cmd": "destroy", "ref": reference})).expect("the reference goes");
        let kind = if generic { " generic" } else { "" };
        all.extend(seen.into_iter().map(|(case, seen)| (format!("{service}{kind} {case}"), seen)));
    }
    all
}

/// What works without a sidecar: two equal failures would prove nothing.
fn assert_works(from: Line, to: Line, seen: &BTreeMap<String, String>) {
    for (name, text) in seen {
        let (_, case) = name.split_once(' ').expect("the service, and the case");
        let throws = match case {
            "fail checked" | "fail custom" | "fail error" | "fail runtime" => true,
            "generic checked" | "generic no such method" | "generic runtime" => true,
            // Triple has no callbacks.
            "callback" => true,
            // A server of 3.3 answers 8 MiB at most.
            "bytes 9 MiB" => to == Line::Dubbo33,
            // 3.2 does not know its own method.
            "echo" => from == Line::Dubbo32,
            _ => false,
        };
        assert_eq!(text.starts_with("threw "), throws, "{name}: {text}");
        let fails = case.starts_with("server stream that fails");
        assert_eq!(
            text.contains("; failed ") || text.contains(": failed "),
            fails,
            "{name}: {text}"
        );
        assert!(!text.contains("nothing for") && !text.contains("never learned"), "{name}: {text}");
    }
}

fn works(from: Line, to: Line, query: &str, options: &Value) {
    let mut provider = triple_provider(to);
    let mut consumer = triple_consumer(from);
    let app = provider.export(&unique("provider"), options.clone()).expect("exported");
    let direct = seen(&mut consumer, app, query, options);
    assert_works(from, to, &direct);
}

#[test]
fn from_3_3_to_3_3() {
    works(Line::Dubbo33, Line::Dubbo33, "", &json!({}));
}

#[test]
fn from_3_3_to_3_2() {
    works(Line::Dubbo33, Line::Dubbo32, "", &json!({}));
}

#[test]
fn from_3_2_to_3_3() {
    works(Line::Dubbo32, Line::Dubbo33, "", &json!({}));
}

#[test]
fn from_3_2_to_3_2() {
    works(Line::Dubbo32, Line::Dubbo32, "", &json!({}));
}

#[test]
fn from_3_3_to_3_3_in_fastjson2() {
    let options = json!({"serialization": "fastjson2", "group": "g", "version": "1.0.0"});
    works(Line::Dubbo33, Line::Dubbo33, "?serialization=fastjson2", &options);
}
