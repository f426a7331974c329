//! Every kind of call and value in all four shapes: what the caller sees through one
//! and through two sidecars must be what it sees without.

use std::collections::BTreeMap;

use harness::java::{Line, Peer};
use harness::port::{self, LOOPBACK_FOR_JAVA};
use harness::spanwire::Proxy;
use serde_json::{Value, json};

use super::{SERVICES, services};
use crate::fixture::{endpoint, inbound, outbound, triple_consumer, triple_provider, unique};

/// Calls every suite by way of `port`. The references stay: 3.2 makes none for a while
/// after its last one is gone.
pub(super) fn seen(
    consumer: &mut Peer,
    port: u16,
    query: &str,
    options: &Value,
) -> BTreeMap<String, String> {
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
        let kind = if generic { " generic" } else { "" };
        all.extend(seen.into_iter().map(|(case, seen)| (format!("{service}{kind} {case}"), seen)));
        // It fails before it is sent, in one text or another.
        all.entry(format!("{service} callback")).and_modify(|seen| seen.truncate("threw ".len()));
    }
    all
}

/// What works without a sidecar: two equal failures would prove nothing.
pub(super) fn assert_works(from: Line, to: Line, seen: &BTreeMap<String, String>) {
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

/// Fails with every case that differs, not only the first.
pub(super) fn assert_same(
    what: &str,
    direct: &BTreeMap<String, String>,
    through: &BTreeMap<String, String>,
) {
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

fn same_with_and_without(from: Line, to: Line, query: &str, options: &Value) {
    let mut provider = triple_provider(to);
    let mut consumer = triple_consumer(from);
    let app = provider.export(&unique("provider"), options.clone()).expect("exported");
    let direct = seen(&mut consumer, app, query, options);
    assert_works(from, to, &direct);

    let (out, single, inward) = (port::free(), port::free(), port::free());
    let facts = |port| match options.get("group") {
        Some(group) => format!(
            "{{address: \"127.0.0.1:{port}\", group: {group}, version: {}}}",
            options["version"]
        ),
        None => endpoint(port),
    };
    let one = Proxy::start(&(services(&[facts(app)]) + &outbound(single)));
    let _in = Proxy::start(&inbound(inward, app));
    let _out = Proxy::start(&(services(&[facts(inward)]) + &outbound(out)));
    assert_same("one sidecar", &direct, &seen(&mut consumer, single, query, options));
    assert_same("two sidecars", &direct, &seen(&mut consumer, out, query, options));
    assert!(one.metric("spanwire_calls_total", "protocol=\"triple\"") > 100.0);
}

#[test]
fn from_3_3_to_3_3() {
    same_with_and_without(Line::Dubbo33, Line::Dubbo33, "", &json!({}));
}

#[test]
fn from_3_3_to_3_2() {
    same_with_and_without(Line::Dubbo33, Line::Dubbo32, "", &json!({}));
}

#[test]
fn from_3_2_to_3_3() {
    same_with_and_without(Line::Dubbo32, Line::Dubbo33, "", &json!({}));
}

#[test]
fn from_3_2_to_3_2() {
    same_with_and_without(Line::Dubbo32, Line::Dubbo32, "", &json!({}));
}

#[test]
fn from_3_3_to_3_3_in_fastjson2() {
    let options = json!({"serialization": "fastjson2", "group": "g", "version": "1.0.0"});
    same_with_and_without(Line::Dubbo33, Line::Dubbo33, "?serialization=fastjson2", &options);
}
