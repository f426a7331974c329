//! Providers found through a store, which may be etcd or our own, and may die.

use std::thread;
use std::time::{Duration, Instant};

use harness::etcd::{Etcd, etcdctl};
use harness::java::{Line, Peer, Role};
use harness::port;
use harness::spanwire::{Control, Proxy};
use harness::wait_until;
use serde_json::{Value, json};

use crate::fixture::{SERVICE, consumer, inbound, outbound, start, unique, url, wait};

/// How Java writes the address of an etcd server.
fn etcd3(store: &str) -> String {
    store.replace("http://", "etcd3://")
}

fn registered(store: &str) -> Value {
    json!({"registry": etcd3(store)})
}

/// An outbound sidecar that knows nothing but its store.
fn from_store(store: &str, out: u16) -> Proxy {
    Proxy::start(&format!("store: {store}\n{}", outbound(out)))
}

fn refer(consumer: &mut Peer, out: u16) -> String {
    let reference = unique("registry");
    let options = json!({"url": url(out), "timeout": 10_000, "retries": 0});
    consumer.refer(&reference, options).expect("made");
    reference
}

/// Calls until each of `names` has answered, and nobody else did lately.
fn answered_by(consumer: &mut Peer, reference: &str, names: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut seen: Vec<String> = (0..24)
            .map(|_| match consumer.call(reference, json!({})).expect("called").result {
                Ok(name) | Err(name) => name.trim_matches('"').to_owned(),
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        if seen == names {
            return;
        }
        assert!(Instant::now() < deadline, "answered by {seen:?}, not {names:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Both lines of Dubbo register in the store, the sidecar finds both.
fn providers_of_both_lines_are_found(store: &str) {
    let out = port::free();
    let _proxy = from_store(store, out);
    let mut consumer = consumer(Line::Dubbo27);
    let reference = refer(&mut consumer, out);
    let mut new = start(Line::Dubbo33, Role::Provider);
    new.export("new", registered(store)).expect("exported");
    answered_by(&mut consumer, &reference, &["new"]);
    let mut old = start(Line::Dubbo27, Role::Provider);
    old.export("old", registered(store)).expect("exported");
    answered_by(&mut consumer, &reference, &["new", "old"]);
    new.stop().expect("it stops");
    answered_by(&mut consumer, &reference, &["old"]);
}

#[test]
fn providers_are_found_in_etcd() {
    let etcd = wait(Etcd::start());
    providers_of_both_lines_are_found(&etcd.url());
}

/// The clients that Java uses (jetcd) cannot tell our store from etcd.
#[test]
fn providers_are_found_in_the_embedded_store() {
    let control = Control::start();
    providers_of_both_lines_are_found(&format!("http://127.0.0.1:{}", control.port()));
}

/// Consumers that go on using the registry themselves can use our store too.
#[test]
fn java_alone_can_use_the_embedded_store() {
    let control = Control::start();
    let store = format!("http://127.0.0.1:{}", control.port());
    let mut provider = start(Line::Dubbo27, Role::Provider);
    provider.export("alone", registered(&store)).expect("exported");
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = start(line, Role::Consumer);
        let options = json!({"registry": etcd3(&store), "retries": 0, "check": true});
        consumer.refer("alone", options).expect("made");
        let seen = consumer.call("alone", json!({})).expect("called");
        assert_eq!(seen.result, Ok("\"alone\"".to_owned()), "{line:?}");
    }
}

#[test]
fn scaling_up_and_down_loses_no_call() {
    let etcd = wait(Etcd::start());
    let store = etcd.url();
    let out = port::free();
    let _proxy = from_store(&store, out);
    let mut first = start(Line::Dubbo33, Role::Provider);
    first.export("first", registered(&store)).expect("exported");
    let mut consumer = consumer(Line::Dubbo33);
    let reference = refer(&mut consumer, out);
    answered_by(&mut consumer, &reference, &["first"]);

    let load = json!({"cmd": "load-start", "ref": reference, "threads": 6, "millis": 20});
    consumer.ask(&load).expect("the load runs");
    let mut second = start(Line::Dubbo27, Role::Provider);
    second.export("second", registered(&store)).expect("exported");
    let mut third = start(Line::Dubbo33, Role::Provider);
    third.export("third", registered(&store)).expect("exported");
    thread::sleep(Duration::from_secs(2));
    second.stop().expect("it stops");
    third.stop().expect("it stops");
    assert!(second.is_gone(Duration::from_secs(30)) && third.is_gone(Duration::from_secs(30)));
    let seen = consumer.ask(&json!({"cmd": "load-stop"})).expect("the load ends");
    assert_eq!(seen["failed"], 0, "{seen}");
    for name in ["first", "second", "third"] {
        assert!(seen["answers"][name].as_u64() > Some(0), "{name} had no call: {seen}");
    }
    answered_by(&mut consumer, &reference, &["first"]);
}

#[test]
fn calls_go_on_while_etcd_is_gone() {
    let mut etcd = wait(Etcd::start());
    let store = etcd.url();
    let out = port::free();
    let _proxy = from_store(&store, out);
    let mut first = start(Line::Dubbo33, Role::Provider);
    first.export("before", registered(&store)).expect("exported");
    let mut consumer = consumer(Line::Dubbo27);
    let reference = refer(&mut consumer, out);
    answered_by(&mut consumer, &reference, &["before"]);

    let load = json!({"cmd": "load-start", "ref": reference, "threads": 2, "millis": 5});
    consumer.ask(&load).expect("the load runs");
    etcd.kill().expect("it was alive");
    thread::sleep(Duration::from_secs(3));
    wait(etcd.restart());
    let seen = consumer.ask(&json!({"cmd": "load-stop"})).expect("the load ends");
    assert_eq!(seen["failed"], 0, "{seen}");
    let mut second = start(Line::Dubbo27, Role::Provider);
    second.export("after", registered(&store)).expect("exported");
    answered_by(&mut consumer, &reference, &["after", "before"]);
}

/// The environment by which 3.x registers its sidecar's address instead of its own.
#[test]
fn a_provider_can_register_its_sidecars_address() {
    let etcd = wait(Etcd::start());
    let store = etcd.url();
    let own = port::own_address().to_string();
    for line in [Line::Dubbo33, Line::Dubbo32] {
        let (app, inward, out) = (port::free(), port::free(), port::free());
        let (to_registry, to_bind) = (inward.to_string(), app.to_string());
        // Without the last one 3.2 listens on 20880.
        let environment = [
            ("DUBBO_IP_TO_REGISTRY", &*own),
            ("DUBBO_PORT_TO_REGISTRY", &*to_registry),
            ("DUBBO_PORT_TO_BIND", &*to_bind),
        ];
        let mut provider = Peer::start(line, Role::Provider, &[], &environment)
            .unwrap_or_else(|error| panic!("{error}"));
        let on_all_addresses =
            inbound(inward, app).replace("bind: \"127.0.0.1:", "bind: \"0.0.0.0:");
        let sidecar = Proxy::start(&on_all_addresses);
        provider.export_at("behind", app, registered(&store)).expect("exported");
        let encoded = format!("dubbo%3A%2F%2F{own}%3A{inward}%2F{SERVICE}");
        let keys = keys(&store);
        assert!(keys.contains(&encoded), "{line:?}: {encoded} is not in\n{keys}");

        let _proxy = from_store(&store, out);
        let mut consumer = consumer(Line::Dubbo33);
        let reference = refer(&mut consumer, out);
        answered_by(&mut consumer, &reference, &["behind"]);
        let calls = sidecar.metric("spanwire_calls_total", SERVICE);
        assert!(calls >= 24.0, "{line:?}: {calls} calls by way of the sidecar");
    }
}

/// 2.7 takes the port to register for the one to listen on, so that a sidecar on
/// the same address must register for it.
#[test]
fn dubbo_2_7_listens_on_the_port_it_registers() {
    let etcd = wait(Etcd::start());
    let (other, registered_port) = (port::free().to_string(), port::free());
    let port = registered_port.to_string();
    let environment = [("DUBBO_PORT_TO_REGISTRY", &*port), ("DUBBO_PORT_TO_BIND", &*other)];
    let mut provider = Peer::start(Line::Dubbo27, Role::Provider, &[], &environment)
        .unwrap_or_else(|error| panic!("{error}"));
    // Fails unless the provider listens on this port.
    provider.export_at("trap", registered_port, registered(&etcd.url())).expect("exported");
}

/// The names of all that is registered.
fn keys(store: &str) -> String {
    etcdctl(store, &["get", "--prefix", "--keys-only", "/dubbo"]).expect("listed")
}

/// The sidecar registers the application, which was told not to, for as long as
/// the application's port answers.
#[test]
fn a_sidecar_can_register_its_application() {
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let etcd = wait(Etcd::start());
        let store = etcd.url();
        let (app, inward, out) = (port::free(), port::free(), port::free());
        let quiet = [("dubbo.provider.register", "false")];
        let mut provider = Peer::start(line, Role::Provider, &quiet, &[])
            .unwrap_or_else(|error| panic!("{error}"));
        provider.export_at("quiet", app, registered(&store)).expect("exported");
        assert!(!keys(&store).contains("/providers/"), "{line:?} registered itself");

        let _sidecar = Proxy::start(&registering(&store, inward, app));
        let _proxy = from_store(&store, out);
        let mut consumer = consumer(Line::Dubbo33);
        let reference = refer(&mut consumer, out);
        answered_by(&mut consumer, &reference, &["quiet"]);

        provider.kill();
        let gone = wait_until(Duration::from_secs(20), || !keys(&store).contains("/providers/"));
        assert!(gone, "the dead application is still registered:\n{}", keys(&store));
    }
}

/// Application-level discovery tells no interfaces to etcd; one key does.
#[test]
fn instances_of_an_application_are_found_by_its_mapping() {
    let etcd = wait(Etcd::start());
    let store = etcd.url();
    let out = port::free();
    let _proxy = from_store(&store, out);
    let mut provider = start(Line::Dubbo33, Role::Provider);
    // The extension has this half under another name than the rest.
    let options = json!({
        "registry": store.replace("http://", "etcd://"), "mode": "instance", "application": "shop",
    });
    provider.export("instance", options).expect("exported");
    let mapping = format!("/dubbo/mapping/{SERVICE}");
    etcdctl(&store, &["put", &mapping, "shop"]).expect("written");
    let mut consumer = consumer(Line::Dubbo27);
    let reference = refer(&mut consumer, out);
    answered_by(&mut consumer, &reference, &["instance"]);
    assert!(!keys(&store).contains("/providers/"), "it is registered by interface too");
}

/// A provider behind its sidecar, stopped as operators do it: those who call learn
/// of it before their calls could fail.
#[test]
fn a_provider_stopped_gracefully_behind_its_sidecar_loses_no_call() {
    let etcd = wait(Etcd::start());
    let store = etcd.url();
    let out = port::free();
    let _proxy = from_store(&store, out);
    let mut consumer = consumer(Line::Dubbo33);
    let reference = refer(&mut consumer, out);
    let mut stays = start(Line::Dubbo27, Role::Provider);
    stays.export("stays", registered(&store)).expect("exported");
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut goes = start(line, Role::Provider);
        let app = goes.export("goes", json!({})).expect("exported");
        let inward = port::free();
        let _sidecar = Proxy::start(&registering(&store, inward, app));
        answered_by(&mut consumer, &reference, &["goes", "stays"]);

        let load = json!({"cmd": "load-start", "ref": reference, "threads": 8, "millis": 30});
        consumer.ask(&load).expect("the load runs");
        thread::sleep(Duration::from_secs(1));
        goes.stop().expect("it is stopping");
        assert!(goes.is_gone(Duration::from_secs(30)), "{line:?} does not end");
        answered_by(&mut consumer, &reference, &["stays"]);
        let seen = consumer.ask(&json!({"cmd": "load-stop"})).expect("the load ends");
        assert_eq!(seen["failed"], 0, "{line:?}: {seen}");
    }
}

/// An inbound sidecar that registers its application.
fn registering(store: &str, inward: u16, app: u16) -> String {
    let register = format!(
        ", register: {{advertise: \"127.0.0.1:{inward}\", urls: [\"dubbo://0.0.0.0:0/{SERVICE}\"]}}}}\n"
    );
    format!("store: {store}\n{}", inbound(inward, app).replace("}\n", &register))
}
