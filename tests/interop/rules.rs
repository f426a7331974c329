//! A rule as Dubbo writes it, put into a folder by hand, or into etcd by `spanwire
//! rule`, moves the calls of real Java; taken out, they move back.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::etcd::{Etcd, etcdctl};
use harness::java::{Line, Peer};
use harness::port;
use harness::spanwire::{Proxy, binary};
use harness::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{
    SERVICE, consumer, endpoint, outbound, provider, services, unique, url, wait,
};

/// Makes 20 calls at a time until each of `names`, and nobody else, has answered.
fn answered_by(consumer: &mut Peer, reference: &str, call: &Value, names: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut seen: Vec<String> = (0..20)
            .map(|_| match consumer.call(reference, call.clone()).expect("called").result {
                Ok(name) | Err(name) => name.trim_matches('"').to_owned(),
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        if seen == names {
            return;
        }
        assert!(Instant::now() < deadline, "{call} answered by {seen:?}, not {names:?}");
    }
}

#[test]
fn a_rule_file_moves_the_calls_of_java() {
    let (mut new, mut old) = (provider(Line::Dubbo33), provider(Line::Dubbo27));
    let (in_berlin, in_tokyo) = (unique("berlin"), unique("tokyo"));
    let (in_berlin, in_tokyo) = (&*in_berlin, &*in_tokyo);
    let berlin = new.export(in_berlin, json!({})).expect("exported");
    let tokyo = old.export(in_tokyo, json!({})).expect("exported");
    let out = port::free();
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("rules")).expect("the folder is ours");
    let endpoints = [
        format!("{{address: \"127.0.0.1:{berlin}\", labels: {{city: berlin}}}}"),
        format!("{{address: \"127.0.0.1:{tokyo}\", labels: {{city: tokyo}}}}"),
    ];
    let configuration = "rules: [rules/]\n".to_owned() + &services(&endpoints) + &outbound(out);
    let proxy = Proxy::start_in(folder, &configuration);
    let file = proxy.folder().join(format!("rules/{SERVICE}::.condition-router.yaml"));
    let rule = format!(
        "configVersion: v3.0\nscope: service\nkey: {SERVICE}\nenabled: true\nforce: true\n\
         conditions:\n  - method=whoami => city=tokyo\n"
    );

    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = consumer(line);
        let (plain, generic) = (unique("plain"), unique("generic"));
        consumer.refer(&plain, json!({"url": url(out)})).expect("made");
        consumer.refer(&generic, json!({"url": url(out), "generic": true})).expect("made");
        let who = json!({"method": "whoami"});
        let who_generic = json!({"method": "whoami", "how": "generic"});
        // Another method, which answers with the provider's name too.
        let other = json!({"method": "sleep", "number": 0});
        answered_by(&mut consumer, &plain, &who, &[in_berlin, in_tokyo]);

        fs::write(&file, &rule).expect("the folder is ours");
        answered_by(&mut consumer, &plain, &who, &[in_tokyo]);
        answered_by(&mut consumer, &generic, &who_generic, &[in_tokyo]);
        answered_by(&mut consumer, &plain, &other, &[in_berlin, in_tokyo]);

        fs::remove_file(&file).expect("it is there");
        answered_by(&mut consumer, &plain, &who, &[in_berlin, in_tokyo]);
    }
}

/// `spanwire rule` with these arguments: exit status and standard output.
fn rule(store: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.arg("rule").args(arguments).env("SPANWIRE_STORE", store);
    let ran = command.output().expect("the binary runs");
    (ran.status.code(), String::from_utf8(ran.stdout).expect("text"))
}

#[test]
fn a_rule_in_etcd_moves_the_calls_of_java() {
    let etcd = wait(Etcd::start());
    let store = etcd.url();
    let (mut new, mut old) = (provider(Line::Dubbo33), provider(Line::Dubbo27));
    let (in_berlin, in_tokyo) = (unique("berlin"), unique("tokyo"));
    let (in_berlin, in_tokyo) = (&*in_berlin, &*in_tokyo);
    let berlin = new.export(in_berlin, json!({})).expect("exported");
    let tokyo = old.export(in_tokyo, json!({})).expect("exported");
    let endpoints = [
        format!("{{address: \"127.0.0.1:{berlin}\", labels: {{city: berlin}}}}"),
        format!("{{address: \"127.0.0.1:{tokyo}\", labels: {{city: tokyo}}}}"),
    ];
    let out = port::free();
    let proxy =
        Proxy::start(&(format!("store: {store}\n") + &services(&endpoints) + &outbound(out)));
    let mut consumer = consumer(Line::Dubbo33);
    let plain = unique("stored");
    consumer.refer(&plain, json!({"url": url(out)})).expect("made");
    let who = json!({"method": "whoami"});
    answered_by(&mut consumer, &plain, &who, &[in_berlin, in_tokyo]);

    let folder = TempDir::new().expect("a temporary folder");
    let key = format!("{SERVICE}::.condition-router");
    let file = folder.path().join(format!("{key}.yaml"));
    let text = "configVersion: v3.0\nforce: true\nconditions:\n  - method=whoami => city=tokyo\n";
    fs::write(&file, text).expect("the folder is ours");
    let path = file.to_str().expect("UTF-8");
    let apply = ["apply", "-f", path, "-m", "tokyo only"];
    assert_eq!(rule(&store, &apply).0, Some(0));
    answered_by(&mut consumer, &plain, &who, &[in_tokyo]);
    assert_eq!(rule(&store, &["get", &key]), (Some(0), text.to_owned()));

    // Somebody else puts a mistake there: it changes nothing, and is told.
    let place = format!("/dubbo/config/dubbo/{key}");
    etcdctl(&store, &["put", &place, "conditions: ['a!!b']"]).expect("put");
    let told = || proxy.metric("spanwire_rule_documents", "last_good") as usize == 1;
    assert!(wait_until(Duration::from_secs(10), told), "{}", proxy.log());
    answered_by(&mut consumer, &plain, &who, &[in_tokyo]);
    let (_, page) = proxy.get("/rules").expect("the admin address answers");
    assert!(page.contains("the last good one stays in force"), "{page}");

    assert_eq!(rule(&store, &["rollback", &key]).0, Some(0));
    assert_eq!(rule(&store, &["get", &key]), (Some(0), text.to_owned()));
    let mended = || proxy.metric("spanwire_rule_documents", "in_force") as usize == 1;
    assert!(wait_until(Duration::from_secs(10), mended), "{}", proxy.log());
    assert_eq!(rule(&store, &["delete", &key]).0, Some(0));
    answered_by(&mut consumer, &plain, &who, &[in_berlin, in_tokyo]);
}

/// Puts a configurator for consumers into force.
fn configure(proxy: &Proxy, parameters: &str) {
    let file = proxy.folder().join(format!("rules/{SERVICE}::.configurators.yaml"));
    let rule = format!(
        "configVersion: v3.0\nscope: service\nkey: {SERVICE}\nconfigs:\n\
         - {{side: consumer, parameters: {{{parameters}}}}}\n"
    );
    fs::write(file, rule).expect("the folder is ours");
}

/// Calls until the result is as wanted.
fn comes_to(consumer: &mut Peer, call: &Value, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = consumer.call("sut", call.clone()).expect("called").result;
        let (Ok(text) | Err(text)) = &seen;
        if text.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{call} came to {seen:?}, not {wanted}");
    }
}

#[test]
fn java_gets_what_mocks_and_cluster_modes_make_of_its_calls() {
    let mut provider = provider(Line::Dubbo33);
    let here = unique("here");
    let live = provider.export(&here, json!({})).expect("exported");
    let (out, dead) = (port::free(), port::free());
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("rules")).expect("the folder is ours");
    let endpoints = [live, dead].map(endpoint);
    let configuration = "rules: [rules/]\n".to_owned() + &services(&endpoints) + &outbound(out);
    let proxy = Proxy::start_in(folder, &configuration);
    let who = json!({"method": "whoami"});
    let count = json!({"method": "oneWayCount", "text": "a"});
    let business = json!({"method": "fail", "text": "checked"});
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = consumer(line);
        let options = json!({"url": url(out), "retries": 0});
        consumer.refer("sut", options).expect("made");
        configure(&proxy, "mock: 'force:return \"in its place\"'");
        comes_to(&mut consumer, &who, "in its place");
        configure(&proxy, "oneWayCount.mock: 'force:return 42'");
        comes_to(&mut consumer, &count, "42");
        comes_to(&mut consumer, &who, &here);
        configure(&proxy, "mock: 'force:throw java.lang.IllegalStateException'");
        comes_to(&mut consumer, &who, "IllegalStateException");
        // Where its own code fails, that is an answer.
        configure(&proxy, "mock: 'fail:return \"never\"', retries: 2");
        comes_to(&mut consumer, &business, "CheckedFailure");
        // One of the two takes no connection: the other one answers first.
        configure(&proxy, "cluster: forking, forks: 2");
        comes_to(&mut consumer, &who, &here);
        // A broadcast needs both.
        configure(&proxy, "cluster: broadcast");
        comes_to(&mut consumer, &who, "Spanwire [unreachable]");
        configure(&proxy, "cluster: broadcast, mock: 'fail:return \"in both places\"'");
        comes_to(&mut consumer, &who, "in both places");
        consumer.ask(&json!({"cmd": "destroy", "ref": "sut"})).expect("gone");
    }
    // Without any provider.
    let out = port::free();
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("rules")).expect("the folder is ours");
    let configuration =
        "rules: [rules/]\n".to_owned() + &services(&[endpoint(dead)]) + &outbound(out);
    let proxy = Proxy::start_in(folder, &configuration);
    let mut consumer = consumer(Line::Dubbo33);
    consumer.refer("sut", json!({"url": url(out), "retries": 0})).expect("made");
    configure(&proxy, "cluster: failsafe");
    comes_to(&mut consumer, &who, "null");
    configure(&proxy, "cluster: failfast");
    comes_to(&mut consumer, &who, "Spanwire [unreachable]");
    consumer.ask(&json!({"cmd": "destroy", "ref": "sut"})).expect("gone");
}
