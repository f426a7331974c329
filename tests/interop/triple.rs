//! Triple: what real Java makes of every answer, and that what it writes is what
//! the codec's vectors say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use harness::java::{Line, Peer, output_of};
use harness::port::LOOPBACK_FOR_JAVA;
use serde_json::{Value, json};

use crate::fixture::{triple_consumer, unique};

mod battery;
mod faults;
mod json;
mod policies;
mod registry;
mod routing;

/// What the peers call on each other over Triple: Java values, Java values in streams,
/// messages in protobuf.
const SERVICES: [&str; 3] =
    ["interop.EchoService", "interop.StreamService", "interop.GreeterService"];

/// The services at the given endpoints, each as in a configuration.
fn services(endpoints: &[String]) -> String {
    let mut text = "services:\n".to_owned();
    for service in SERVICES {
        text.push_str(&format!("- name: {service}\n  protocol: triple\n  endpoints:\n"));
        for endpoint in endpoints {
            text.push_str(&format!("  - {endpoint}\n"));
        }
    }
    text
}

/// A consumer's reference of the first service by way of a port, or of what the options
/// say.
fn reference(consumer: &mut Peer, port: u16, options: Value) -> String {
    let reference = unique("triple");
    let mut all = json!({"url": format!("tri://{LOOPBACK_FOR_JAVA}:{port}"), "timeout": 4000});
    for (key, value) in options.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    consumer.refer(&reference, all).expect("the reference is made");
    reference
}

/// Lines that have Triple.
const LINES: [Line; 2] = [Line::Dubbo33, Line::Dubbo32];

/// What a consumer's program saw of a call that was answered as the script says, and
/// how often the call was made for it.
fn answered(consumer: &mut Peer, reference: &str, how: &str, script: Value) -> (String, u64) {
    consumer.script(script).expect("the server is told");
    let call = json!({"method": "string", "text": "x", "how": how});
    let seen = consumer.call(reference, call).expect("called");
    (seen.result.expect_err("no answer has a value"), consumer.asked().expect("it counts"))
}

/// A consumer with a reference of its scripted server.
fn consumer_of_the_script(consumer: &mut Peer, timeout: u32) -> String {
    let port = consumer.script(json!({})).expect("the server listens");
    let reference = unique("scripted");
    let url = format!("tri://{LOOPBACK_FOR_JAVA}:{port}");
    consumer.refer(&reference, json!({"url": url, "timeout": timeout})).expect("made");
    reference
}

/// Java asks once, whatever the status is, and shows its user the text and a code.
/// This is why Triple's faults have one form, and why they have no details.
#[test]
fn java_repeats_no_call_that_was_answered() {
    // The codes of RpcException that are not 0, UNKNOWN.
    let codes = BTreeMap::from([(4, 2), (7, 4), (12, 11), (14, 1)]);
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let reference = consumer_of_the_script(&mut consumer, 20_000);
        for status in 1..=16 {
            let headers = json!({
                ":status": "200", "content-type": "application/grpc", "grpc-status": status.to_string(),
                "grpc-message": "the%20text: 1%2B1 f%C3%BCr",
            });
            let code = codes.get(&status).unwrap_or(&0);
            let told = format!("StatusRpcException code={code}: ");
            let (failure, asked) =
                answered(&mut consumer, &reference, "sync", json!({"headers": headers}));
            assert_eq!(asked, 1, "{line:?} {status}");
            assert!(failure.starts_with("org.apache.dubbo.rpc.RpcException code=0: "), "{failure}");
            assert!(failure.contains(&told), "{line:?} {status}: {failure}");
            assert!(failure.contains(" : the text: 1+1 f\u{fc}r"), "{line:?} {status}: {failure}");
            let (failure, asked) =
                answered(&mut consumer, &reference, "async", json!({"headers": headers}));
            assert_eq!(asked, 1, "{line:?} {status}");
            assert!(failure.starts_with(&format!("org.apache.dubbo.rpc.{told}")), "{failure}");
        }
        // As something else on the way would answer.
        for (status, code, name) in
            [(403, 4, "PERMISSION_DENIED"), (404, 11, "UNIMPLEMENTED"), (503, 1, "UNAVAILABLE")]
        {
            let headers =
                json!({":status": status.to_string(), "content-type": "application/problem+json"});
            let (failure, asked) = answered(
                &mut consumer,
                &reference,
                "sync",
                json!({"headers": headers, "data": "7b7d"}),
            );
            assert_eq!(asked, 1, "{line:?} {status}");
            let told = format!("StatusRpcException code={code}: {name} : ");
            assert!(failure.contains(&told), "{line:?} {status}: {failure}");
            assert!(!failure.contains("{}"), "the body is not shown: {failure}");
        }
        let (failure, asked) = answered(&mut consumer, &reference, "sync", json!({"reset": 7}));
        assert_eq!(asked, 1, "{line:?} {failure}");
        assert!(failure.contains("CANCELLED : Canceled by remote peer, errorCode=7"), "{failure}");
    }
}

/// What a text must not have, and where it must not stand.
#[test]
fn java_decodes_texts_in_its_own_way() {
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let reference = consumer_of_the_script(&mut consumer, 8000);
        for (message, details, shown) in [
            ("a+b", None, Some("UNAVAILABLE : a b")),
            // The call is cancelled, or, in 3.2, forgotten.
            ("100 %", None, None),
            // google.rpc.Status {code: 14, message: "a+b %41"}: shown in place of the other.
            ("text", Some("CA4SB2ErYiAlNDE"), Some("UNAVAILABLE : a b A")),
        ] {
            let mut headers = json!({
                ":status": "200", "content-type": "application/grpc",
                "grpc-status": "14", "grpc-message": message,
            });
            if let Some(details) = details {
                headers["grpc-status-details-bin"] = json!(details);
            }
            let (failure, _) =
                answered(&mut consumer, &reference, "async", json!({"headers": headers}));
            let is_shown = shown.is_some_and(|shown| failure.ends_with(shown));
            assert_eq!(is_shown, shown.is_some(), "{line:?} {message}: {failure}");
            assert!(shown.is_some() || !failure.contains("UNAVAILABLE"), "{failure}");
        }
    }
}

/// Only what the caller's own clock ends is made again.
/// Of Java's two clocks, only the one that waits in the caller's thread has it repeated.
#[test]
fn java_repeats_a_call_that_it_gives_up_itself() {
    for line in LINES {
        let mut consumer = triple_consumer(line);
        // Once it is connected, calls leave at once, and not when the next test counts.
        let patient = consumer_of_the_script(&mut consumer, 20_000);
        let refusal = json!({"headers": {
            ":status": "200", "content-type": "application/grpc", "grpc-status": "14",
        }});
        answered(&mut consumer, &patient, "sync", refusal);
        let reference = consumer_of_the_script(&mut consumer, 300);
        let (failure, asked) = answered(&mut consumer, &reference, "sync", json!({"silent": true}));
        assert!((1..=3).contains(&asked), "{line:?} {asked}: {failure}");
        if failure.starts_with("org.apache.dubbo.rpc.RpcException code=2: ") {
            assert!(failure.contains("Tried 3 times"), "{line:?}: {failure}");
        } else {
            let clock = "DEADLINE_EXCEEDED : Waiting server-side response timeout";
            assert!(failure.contains(clock), "{line:?}: {failure}");
        }
    }
}

/// What does not depend on ports, on the time, or on where a Java stack was.
fn lasting(call: &Value) -> Value {
    let threw = call["seen"].as_str().is_some_and(|seen| seen.starts_with("threw "));
    let (mut frames, mut sent, mut got) = (Vec::new(), String::new(), String::new());
    for frame in call["frames"].as_array().expect("frames") {
        let from_server = frame["from"] == "server";
        if let Some(data) = frame["data"].as_str() {
            // One write may be one frame or two.
            if from_server {
                got.push_str(data)
            } else {
                sent.push_str(data)
            }
            continue;
        }
        let mut lines: Vec<&Value> = frame["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|line| line[0] != ":authority")
            .collect();
        // Attachments come as a hash map has them.
        lines.sort_by_key(|line| line.to_string());
        frames.push(json!([frame["from"], lines]));
    }
    let got = if threw { String::new() } else { got };
    json!({"name": call["name"], "frames": frames, "sent": sent, "got": got})
}

/// Writes them anew where `SPANWIRE_CAPTURE` names a file.
#[test]
fn java_still_writes_what_the_vectors_say() {
    let written = output_of(Line::Dubbo33, "interop.TripleCapture").expect("it runs");
    if let Some(file) = std::env::var_os("SPANWIRE_CAPTURE") {
        fs::write(file, &written).expect("the file can be written");
    }
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/testdata/triple_calls.jsonl");
    let known = fs::read_to_string(known).expect("the vectors are there");
    assert_eq!(written.lines().count(), known.lines().count());
    for (written, known) in written.lines().zip(known.lines()) {
        let read = |line| serde_json::from_str(line).expect("JSON");
        let (written, known): (Value, Value) = (read(written), read(known));
        // The consumer may go before its cancellation has.
        if known["name"] != "timed out" {
            assert_eq!(lasting(&written), lasting(&known));
        }
    }
}
