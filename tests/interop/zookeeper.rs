//! A real consumer that routes by itself, with the rules in ZooKeeper, and Spanwire
//! with the same rules in files send calls to the same providers.
//!
//! Java 3.3 reads rules from where `dubbo.config-center.address` points, and from
//! nowhere if that is not set. Its rules work with interface-level discovery, which
//! is what is used here: of every family that Java has, none needs
//! `register-mode=instance`. Configurators that name a provider need `configVersion`
//! v3.0 and `providerAddress`, or v2.7 and `providerAddresses`; `addresses` are the
//! consumer's own. Mesh labels are compared with the consumer's parameters first, so
//! that no label of a subset may be one of the consumer's. Affinity rules are never read.
//!
//! The rules are in `conditions.rs`, `other_rules.rs` and `cases.rs`; how each kind is decided is compared with Dubbo's
//! own classes in `governance/tests/differential`, over many more than run here.

mod cases;
mod conditions;
mod other_rules;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use governance::{Compat, Origin, RuleSet};
use harness::java::{Line, Peer, Role};
use harness::port;
use harness::spanwire::Proxy;
use harness::wait_until;
use harness::zookeeper::ZooKeeper;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::SERVICE;
use cases::{Call, Case, DIFFERENT, SERVICE_CONDITIONS, WHOAMI};
use conditions::CONDITIONS;
use other_rules::OTHER_RULES;

/// Providers by name, with the parameters of their URLs. T is in no answer to a
/// call without a tag.
const PROVIDERS: &[(&str, &[(&str, &str)])] = &[
    ("A", &[("region", "hz"), ("env", "prod")]),
    ("B", &[("region", "bj"), ("env", "prod"), ("tier", "1")]),
    ("C", &[("region", "hz"), ("env", "gray"), ("tier", "2")]),
    ("D", &[("env", "gray"), ("tier", "3")]),
    ("T", &[("region", "hz"), ("env", "prod"), ("dubbo.tag", "gray")]),
];

/// The same service in another version: rules of one version are not the other's.
const VERSIONED: &[(&str, &[(&str, &str)])] =
    &[("V", &[("region", "hz")]), ("W", &[("region", "bj")])];

/// How long what was written may take to show.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both consumers and what they have in common.
struct Stage {
    consumer: Peer,
    proxy: Proxy,
    ports: Vec<(&'static str, u16)>,
    _provider: Peer,
    _zookeeper: ZooKeeper,
}

impl Stage {
    fn start() -> Stage {
        let zookeeper = ZooKeeper::start();
        let mut provider = peer(Role::Provider, &[]);
        let mut ports = Vec::new();
        let mut services =
            format!("services:\n- name: {SERVICE}\n  protocol: dubbo\n  endpoints:\n");
        for (version, providers) in [("", PROVIDERS), ("2.0.0", VERSIONED)] {
            for (name, parameters) in providers {
                let parameters: Value = parameters
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), json!(value)))
                    .collect();
                let mut options = json!({
                    "registry": zookeeper.url(), "application": "shop", "mode": "interface",
                    "parameters": parameters,
                });
                if !version.is_empty() {
                    options["version"] = json!(version);
                }
                let port = provider.export(name, options).expect("exported");
                ports.push((*name, port));
                let mut labels = parameters;
                labels["application"] = json!("shop");
                services.push_str(&format!(
                    "  - {{address: \"{}:{port}\", version: \"{version}\", labels: {labels}}}\n",
                    port::own_address()
                ));
            }
        }

        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("rules")).expect("the folder is ours");
        let out = port::free();
        let configuration = format!(
            "application: web\nlabels: {{region: hz}}\nrules: [rules/]\n{services}listeners:\n\
             - {{name: out, bind: \"0.0.0.0:{out}\", direction: outbound}}\n"
        );
        let proxy = Proxy::start_in(folder, &configuration);

        let mut consumer = peer(
            Role::Consumer,
            &[
                ("dubbo.config-center.address", &zookeeper.url()),
                ("dubbo.application.service-discovery.migration", "FORCE_INTERFACE"),
            ],
        );
        // Called at the same address as the providers, so that `host` is the same for both.
        let sidecar = format!("dubbo://{}:{out}", port::own_address());
        for version in ["", "2.0.0"] {
            for (reference, place) in [("java", "registry"), ("mesh", "url")] {
                let address = if place == "url" { sidecar.clone() } else { zookeeper.url() };
                let mut options = json!({
                    place: address, "application": "web", "retries": 0, "check": true,
                    "loadbalance": "roundrobin", "parameters": {"region": "hz"},
                });
                if !version.is_empty() {
                    options["version"] = json!(version);
                }
                consumer.refer(&format!("{reference}{version}"), options).expect("made");
            }
        }
        Stage { consumer, proxy, ports, _provider: provider, _zookeeper: zookeeper }
    }

    /// `$PORT_A` in a rule is the port of A, `$OWN` the address of this machine.
    fn filled(&self, text: &str) -> String {
        let text = text.replace("$OWN", &port::own_address().to_string());
        self.ports.iter().fold(text, |text, (name, port)| {
            text.replace(&format!("$PORT_{name}"), &port.to_string())
        })
    }

    /// Puts rules in force on both sides.
    fn put(&mut self, rules: &[(&str, impl AsRef<str>)]) {
        for (key, text) in rules {
            let command = json!({"cmd": "rule", "key": key, "text": text.as_ref()});
            self.consumer.ask(&command).expect("java knows the rule");
            let file = self.proxy.folder().join("rules").join(format!("{key}.yaml"));
            fs::write(file, text.as_ref()).expect("the folder is ours");
        }
        self.expect_documents(rules.len());
    }

    fn take_out(&mut self, rules: &[(&str, impl AsRef<str>)]) {
        for (key, _) in rules {
            let command = json!({"cmd": "rule", "key": key});
            self.consumer.ask(&command).expect("java knows that the rule is gone");
            let file = self.proxy.folder().join("rules").join(format!("{key}.yaml"));
            fs::remove_file(file).expect("it is there");
        }
        self.expect_documents(0);
    }

    fn expect_documents(&self, count: usize) {
        let stand = || self.proxy.metric("spanwire_rule_documents", "in_force") as usize == count;
        assert!(wait_until(PATIENCE, stand), "{count} rules do not stand:\n{}", self.proxy.log());
    }

    /// Makes calls until exactly the providers that are named in `expected` answer;
    /// of nobody is what a failed call is.
    fn check(&mut self, who: &str, call: &Call, expected: &str, about: &str) {
        let expected: BTreeSet<String> = expected.chars().map(String::from).collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.reach(who, call);
            let names: BTreeSet<String> = object_keys(&seen["answers"]);
            let failed = seen["failures"].as_object().is_some_and(|failures| !failures.is_empty());
            if names == expected && failed == expected.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{about}: {who}, {call:?}: expected {expected:?}, seen {seen}"
            );
        }
    }

    fn reach(&mut self, who: &str, call: &Call) -> Value {
        let attachments: Value =
            call.attachments.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let (method, text, number) = match call.greet {
            Some((name, number)) => ("greet", name, number),
            None => ("whoami", "", 0),
        };
        let command = json!({
            "cmd": "reach", "ref": format!("{who}{}", call.version), "method": method, "text": text,
            "number": number, "attachments": attachments, "count": call.count,
        });
        self.consumer.ask(&command).expect("called")
    }

    fn filled_rules<'c>(&self, case: &Case<'c>) -> Vec<(&'c str, String)> {
        case.rules.iter().map(|(key, text)| (*key, self.filled(text))).collect()
    }
}

/// A split whose weights are large enough for Java to get it right.
const SPLIT: (&str, &str) = (
    SERVICE_CONDITIONS,
    "configVersion: v3.1\nconditions: [{to: [{match: region=bj, weight: 9000}, {match: region=hz, weight: 1000}]}]\n",
);

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = self.consumer.errors();
            // What it says of calls that were to fail, says nothing.
            let is_noise = |line: &str| line.starts_with(['\t', ' ']) || line.contains("[main]");
            let lines: Vec<&str> = errors.lines().filter(|line| !is_noise(line)).collect();
            let newest = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- the consumer said:\n{}", newest.join("\n"));
        }
    }
}

fn peer(role: Role, properties: &[(&str, &str)]) -> Peer {
    Peer::start(Line::Dubbo33, role, properties, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn object_keys(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

#[test]
fn java_that_routes_by_itself_and_spanwire_reach_the_same_providers() {
    let mut stage = Stage::start();
    for case in CONDITIONS.iter().chain(OTHER_RULES) {
        let rules = stage.filled_rules(case);
        stage.put(&rules);
        for (call, expected) in case.calls {
            for who in ["java", "mesh"] {
                stage.check(who, call, expected, case.about);
            }
        }
        stage.take_out(&rules);
    }
    // Nothing of them stays.
    for who in ["java", "mesh"] {
        stage.check(who, &WHOAMI, "ABCD", "no rule");
    }

    stage.put(&[SPLIT]);
    for who in ["java", "mesh"] {
        let seen = stage.reach(who, &Call { count: 1000, ..WHOAMI });
        let share = seen["answers"]["B"].as_u64().unwrap_or(0);
        // Nine standard deviations to each side.
        assert!(
            (815..=985).contains(&share),
            "{who}: {share} of 1000 calls instead of 900: {seen}"
        );
    }
    stage.take_out(&[SPLIT]);

    for (case, code, in_java) in DIFFERENT {
        let rules = stage.filled_rules(case);
        let mut found = RuleSet::new(Compat::Documented).with_notes();
        let named = rules.iter().any(|(key, text)| {
            let applied = found.apply(key, Some(text), Origin::Store { revision: 1 });
            applied.findings.iter().any(|finding| finding.code == *code)
        });
        assert!(named, "{}: lint does not say {code}", case.about);
        stage.put(&rules);
        for (call, expected) in case.calls {
            stage.check("java", call, in_java, case.about);
            stage.check("mesh", call, expected, case.about);
        }
        stage.take_out(&rules);
    }
}
