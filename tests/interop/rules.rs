//! A rule as Dubbo writes it, put into a folder by hand, moves the calls of real
//! Java; taken out, they move back.

use std::fs;
use std::time::{Duration, Instant};

use harness::java::{Line, Peer};
use harness::port;
use harness::spanwire::Proxy;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{SERVICE, consumer, outbound, provider, services, unique, url};

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
