//! Providers over Triple that are found in etcd, beside those over Dubbo.

use std::thread;
use std::time::{Duration, Instant};

use harness::etcd::{Etcd, etcdctl};
use harness::java::{Line, Peer, Role};
use harness::port;
use harness::spanwire::Proxy;
use harness::wait_until;
use serde_json::json;

use super::{LINES, reference};
use crate::fixture::{
    SERVICE, consumer, inbound, outbound, start, triple_consumer, unique, url, wait,
};

/// Calls until `name` answers, and then ten times more: nobody else does.
fn answered_by(consumer: &mut Peer, reference: &str, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut in_a_row = 0;
    while in_a_row < 10 {
        let seen = consumer.call(reference, json!({})).expect("called").result;
        assert!(Instant::now() < deadline, "{seen:?}, not {name}");
        if seen == Ok(format!("\"{name}\"")) {
            in_a_row += 1;
        } else {
            in_a_row = 0;
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_sidecar_registers_an_application_that_speaks_triple() {
    let etcd = wait(Etcd::start());
    let store = etcd.url();
    let (app, inward, out) = (port::free(), port::free(), port::free());
    let mut provider = start(Line::Dubbo33, Role::TripleProvider);
    provider.export_at("quiet", app, json!({})).expect("exported");
    let register = format!(
        ", register: {{advertise: \"127.0.0.1:{inward}\", urls: [\"tri://0.0.0.0:0/{SERVICE}\"]}}}}\n"
    );
    let configuration = inbound(inward, app).replace("}\n", &register);
    let _sidecar = Proxy::start(&format!("store: {store}\n{configuration}"));
    let _proxy = Proxy::start(&format!("store: {store}\n{}", outbound(out)));
    let mut consumer = triple_consumer(Line::Dubbo33);
    let reference = reference(&mut consumer, out, json!({"timeout": 10_000}));
    answered_by(&mut consumer, &reference, "quiet");

    provider.kill();
    let keys = || etcdctl(&store, &["get", "--prefix", "--keys-only", "/dubbo"]).expect("listed");
    let gone = wait_until(Duration::from_secs(20), || !keys().contains("/providers/"));
    assert!(gone, "the dead application is still registered:\n{}", keys());
}

/// One service over two protocols: whoever calls over one is answered by those who speak it,
/// through the same port.
#[test]
fn each_caller_reaches_those_who_speak_its_protocol() {
    let etcd = wait(Etcd::start());
    let registry = json!({"registry": etcd.url().replace("http://", "etcd3://")});
    let mut dubbo = start(Line::Dubbo33, Role::Provider);
    let mut triple = start(Line::Dubbo33, Role::TripleProvider);
    dubbo.export("over-dubbo", registry.clone()).expect("exported");
    triple.export("over-triple", registry).expect("exported");
    let out = port::free();
    let _proxy = Proxy::start(&format!("store: {}\n{}", etcd.url(), outbound(out)));
    for line in LINES {
        let mut over_triple = triple_consumer(line);
        let reference = reference(&mut over_triple, out, json!({"timeout": 10_000}));
        answered_by(&mut over_triple, &reference, "over-triple");

        let mut over_dubbo = consumer(line);
        let reference = unique("registry");
        let options = json!({"url": url(out), "timeout": 10_000, "retries": 0});
        over_dubbo.refer(&reference, options).expect("made");
        answered_by(&mut over_dubbo, &reference, "over-dubbo");
    }
}
