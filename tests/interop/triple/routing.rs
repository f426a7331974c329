//! Rules as Dubbo writes them, for calls over Triple: by attachments, which are headers,
//! and by arguments, which stand in the first message.

use std::fs;
use std::time::{Duration, Instant};

use harness::java::{Line, Peer};
use harness::port;
use harness::spanwire::Proxy;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{LINES, SERVICES, battery, reference, services};
use crate::fixture::{Lent, SERVICE, outbound, triple_consumer, triple_provider, unique};

/// A condition, a call, and whether it goes to Tokyo alone or to whoever there is.
const CONDITIONS: &[(&str, &str, bool)] = &[
    ("method=greet", r#"{"text": "tom", "number": 1}"#, true),
    ("method=whoami", r#"{"text": "tom", "number": 1}"#, false),
    ("arguments[0]=tom", r#"{"text": "tom", "number": 1}"#, true),
    ("arguments[0]=tom", r#"{"text": "bob", "number": 1}"#, false),
    ("arguments[1]=40~50", r#"{"text": "tom", "number": 45}"#, true),
    ("arguments[1]=40~50", r#"{"text": "tom", "number": 51}"#, false),
    ("attachments[user]=u7", r#"{"text": "tom", "attachments": {"user": "u7"}}"#, true),
    ("attachments[user]=u7", r#"{"text": "tom", "attachments": {"user": "u8"}}"#, false),
    ("attachments[Mixed-Case]=x", r#"{"text": "tom", "attachments": {"Mixed-Case": "x"}}"#, true),
    ("attachments[remote.application]=interop-consumer", r#"{"text": "tom"}"#, true),
];

/// Providers in Berlin and in Tokyo, and a proxy before them.
struct Stage {
    proxy: Proxy,
    out: u16,
    berlin: String,
    tokyo: String,
    /// Two processes: one has one implementation of a service, on all its ports.
    _providers: [Lent; 2],
}

impl Stage {
    fn start(label: &str) -> Stage {
        let mut providers = [triple_provider(Line::Dubbo33), triple_provider(Line::Dubbo32)];
        let (berlin, tokyo) = (unique("berlin"), unique("tokyo"));
        let mut endpoint = |at: usize, name: &str, label: &str| {
            let app = providers[at].export(name, json!({})).expect("exported");
            format!("{{address: \"127.0.0.1:{app}\", labels: {{{label}}}}}")
        };
        let endpoints = [endpoint(0, &berlin, ""), endpoint(1, &tokyo, label)];
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("rules")).expect("the folder is ours");
        let out = port::free();
        let configuration = "rules: [rules/]\n".to_owned() + &services(&endpoints) + &outbound(out);
        let proxy = Proxy::start_in(folder, &configuration);
        Stage { proxy, out, berlin, tokyo, _providers: providers }
    }

    /// Puts a condition in force for every service.
    fn set(&self, condition: &str) {
        for service in SERVICES {
            let file = format!("rules/{service}::.condition-router.yaml");
            let rule = format!(
                "configVersion: v3.0\nscope: service\nkey: {service}\nenabled: true\nforce: true\n\
                 conditions:\n  - {condition} => city=tokyo\n"
            );
            fs::write(self.proxy.folder().join(file), rule).expect("the folder is ours");
        }
    }

    /// Makes 20 calls at a time until those who shall answer, and nobody else, do.
    fn expect(
        &self,
        consumer: &mut Peer,
        reference: &str,
        call: &str,
        only_tokyo: bool,
        why: &str,
    ) {
        let mut reach: Value = serde_json::from_str(call).expect("JSON");
        (reach["cmd"], reach["ref"]) = (json!("reach"), json!(reference));
        if reach.get("method").is_none() {
            reach["method"] = json!("greet");
        }
        let names = [&*self.berlin, &*self.tokyo];
        let names = if only_tokyo { &names[1..] } else { &names[..] };
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let seen = consumer.ask(&reach).expect("called");
            let answers = seen["answers"].as_object().expect("counts");
            if answers.keys().eq(names)
                && seen["failures"].as_object().is_some_and(|f| f.is_empty())
            {
                return;
            }
            let log = self.proxy.log();
            assert!(Instant::now() < deadline, "{why}, {call}: {seen}, not {names:?}\n{log}");
        }
    }
}

#[test]
fn conditions_move_the_calls_of_java() {
    let stage = Stage::start("city: tokyo");
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let plain = reference(&mut consumer, stage.out, json!({}));
        for (condition, call, only_tokyo) in CONDITIONS {
            stage.set(condition);
            stage.expect(&mut consumer, &plain, call, *only_tokyo, condition);
        }
        // So much of a first message is waited for, and no more.
        for (length, only_tokyo) in [(60_000, true), (70_000, false)] {
            stage.set("arguments[1]=45");
            let call = json!({"text": "x".repeat(length), "number": 45}).to_string();
            stage.expect(&mut consumer, &plain, &call, only_tokyo, "a long first argument");
        }
    }
}

/// Its first argument names the method that is meant.
#[test]
fn a_generic_call_is_routed_and_counted_by_what_it_calls() {
    let stage = Stage::start("city: tokyo");
    let mut consumer = triple_consumer(Line::Dubbo33);
    let generic = reference(&mut consumer, stage.out, json!({"generic": true}));
    stage.set("method=whoami");
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut in_a_row = 0;
    while in_a_row < 20 {
        let call = json!({"method": "whoami", "how": "generic"});
        let seen = consumer.call(&generic, call).expect("called").result;
        in_a_row = if seen == Ok(format!("\"{}\"", stage.tokyo)) { in_a_row + 1 } else { 0 };
        assert!(Instant::now() < deadline, "{seen:?}\n{}", stage.proxy.log());
    }
    let calls =
        |method: &str| stage.proxy.metric("spanwire_calls_total", &format!("method=\"{method}\""));
    assert!(calls("whoami") >= 20.0);
    assert!(calls("$invoke") < 0.5);
}

#[test]
fn a_tag_in_a_header_chooses_the_provider() {
    let stage = Stage::start("dubbo.tag: gray");
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let plain = reference(&mut consumer, stage.out, json!({}));
        let gray = r#"{"text": "x", "attachments": {"dubbo.tag": "gray"}}"#;
        stage.expect(&mut consumer, &plain, gray, true, "gray");
    }
}

/// Where a rule asks every call for an argument, whatever it is: nothing is lost or held up
/// that was waited for.
#[test]
fn a_rule_that_asks_for_an_argument_changes_no_call() {
    let mut provider = triple_provider(Line::Dubbo33);
    let name = unique("asked");
    let app = provider.export(&name, json!({})).expect("exported");
    let folder = TempDir::new().expect("a temporary folder");
    for service in SERVICES {
        let rule = format!(
            "configVersion: v3.0\nscope: service\nkey: {service}\nenabled: true\nforce: true\n\
             conditions:\n  - arguments[0]=never => host=192.0.2.1\n"
        );
        let file = folder.path().join(format!("{service}::.condition-router.yaml"));
        fs::write(file, rule).expect("the folder is ours");
    }
    let out = port::free();
    let endpoint = format!("{{address: \"127.0.0.1:{app}\"}}");
    let configuration = "rules: [.]\n".to_owned() + &services(&[endpoint]) + &outbound(out);
    let _proxy = Proxy::start_in(folder, &configuration);
    let mut consumer = triple_consumer(Line::Dubbo33);
    let direct = battery::seen(&mut consumer, app, "", &json!({}));
    battery::assert_works(Line::Dubbo33, Line::Dubbo33, &direct);
    let through = battery::seen(&mut consumer, out, "", &json!({}));
    battery::assert_same("a rule for arguments", &direct, &through);
}

#[test]
fn group_and_version_choose_the_provider() {
    let mut provider = triple_provider(Line::Dubbo33);
    let (one, two) = (unique("one"), unique("two"));
    // Of their own: other tests use the same process, which has each pair once.
    let grouped = json!({"group": "chosen", "version": "1.0.0"});
    let first = provider.export(&one, grouped.clone()).expect("exported");
    let second = provider.export(&two, json!({"version": "2.1.0"})).expect("exported");
    let out = port::free();
    let endpoints = [
        format!("{{address: \"127.0.0.1:{first}\", group: chosen, version: 1.0.0}}"),
        format!("{{address: \"127.0.0.1:{second}\", version: 2.1.0}}"),
    ];
    let proxy = Proxy::start(&(services(&endpoints) + &outbound(out)));
    for line in LINES {
        let mut consumer = triple_consumer(line);
        let grouped = reference(&mut consumer, out, grouped.clone());
        let versioned = reference(&mut consumer, out, json!({"version": "2.1.0"}));
        let wrong = reference(&mut consumer, out, json!({"group": "chosen", "version": "2.1.0"}));
        for _ in 0..5 {
            for (reference, name) in [(&grouped, &one), (&versioned, &two)] {
                let seen = consumer.call(reference, json!({})).expect("called");
                assert_eq!(seen.result, Ok(format!("\"{name}\"")), "{line:?}\n{}", proxy.log());
            }
        }
        let failure = consumer.call(&wrong, json!({})).expect("called").result;
        let failure = failure.expect_err("nobody has both");
        assert!(failure.contains("Spanwire [no_endpoint]"), "{line:?}: {failure}");
    }
    assert!(proxy.metric("spanwire_calls_total", SERVICE) > 10.0);
}

#[test]
fn a_provider_with_a_token_is_called_by_those_who_do_not_know_it() {
    let mut provider = triple_provider(Line::Dubbo33);
    let mut consumer = triple_consumer(Line::Dubbo33);
    let name = unique("token");
    // Of a version of its own: other tests use the same process.
    let options = json!({"token": "sesame", "version": "7.0.0"});
    let app = provider.export(&name, options).expect("exported");
    let out = port::free();
    let facts = "version: 7.0.0, labels: {token: sesame}";
    let endpoint = format!("{{address: \"127.0.0.1:{app}\", {facts}}}");
    let _proxy = Proxy::start(&(services(&[endpoint]) + &outbound(out)));
    let options = json!({"version": "7.0.0", "retries": 0});

    let direct = reference(&mut consumer, app, options.clone());
    let refused = consumer.call(&direct, json!({})).expect("called").result;
    let refused = refused.expect_err("the token is missing");
    assert!(refused.contains("incorrect token"), "{refused}");
    let through = reference(&mut consumer, out, options);
    let seen = consumer.call(&through, json!({})).expect("called").result;
    assert_eq!(seen, Ok(format!("\"{name}\"")));
}
