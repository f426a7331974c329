//! Rule documents in a store: what they do to calls, and what `/rules`, `/metrics`
//! and `/explain` say of them. Against the embedded store and a real etcd.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use etcd_client::{Client, Txn, TxnOp};
use harness::embedded::Embedded;
use harness::etcd::Etcd;
use proxy::admin::client::{Explained, explain};
use proxy::config::Config;
use proxy::server::Proxy;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::counters::{value, wait_for, wait_until};
use crate::wire::*;

const KEY: &str = "lab.EchoService::.condition-router";
const DUBBO: &str = "/dubbo/config/dubbo/lab.EchoService::.condition-router";
const OWN: &str = "/spanwire/rules/lab.EchoService::.condition-router";
const BAD: &str = "configVersion: v3.0\nforce: true\nconditions: ['a!!b']\n";

fn to(region: &str) -> String {
    format!("configVersion: v3.0\nforce: true\nconditions: ['=> region={region}']\n")
}

/// A proxy that knows its services and rules from a store, and a caller.
struct Stage {
    runtime: Runtime,
    client: Client,
    proxy: Proxy,
    caller: Wire,
    calls: u64,
}

impl Stage {
    /// `before` stands in the store before the proxy starts.
    fn start(url: &str, runtime: Runtime, before: &[(&str, &str)]) -> Stage {
        let mut client = runtime.block_on(Client::connect([url], None)).unwrap();
        for (key, text) in before {
            runtime.block_on(client.put(*key, *text, None)).unwrap();
        }
        let admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let store = vec![url.to_owned()];
        let config = Config { store, admin, services: Vec::new(), ..outbound(&[]) };
        let (proxy, caller) = start(config);
        Stage { runtime, client, proxy, caller, calls: 0 }
    }

    fn put(&mut self, key: &str, text: &str) -> i64 {
        let put = self.runtime.block_on(self.client.put(key, text, None)).unwrap();
        put.header().unwrap().revision()
    }

    fn delete(&mut self, key: &str) {
        self.runtime.block_on(self.client.delete(key, None)).unwrap();
    }

    /// Registers a provider as Java would.
    fn register(&mut self, provider: SocketAddr, region: &str) {
        let url = format!("dubbo://{provider}/{SERVICE}?interface={SERVICE}&region={region}");
        let key = registry::key::registration_key("/dubbo", &url).unwrap();
        self.put(&key, "1");
    }

    /// The answer to one call.
    fn call(&mut self) -> String {
        self.calls += 1;
        self.caller.send(&Request::new(self.calls).bytes());
        self.caller.expect().text()
    }

    /// Calls until 20 answers in a row hold `wanted`. Whoever answers before, somebody
    /// does: no call fails.
    fn answered_by(&mut self, wanted: &str) {
        let mut in_a_row = 0;
        wait_until(wanted, || {
            let text = self.call();
            assert!(text.contains("pong") || text.contains("hello"), "a call failed: {text}");
            in_a_row = if text.contains(wanted) { in_a_row + 1 } else { 0 };
            if in_a_row == 20 { Ok(()) } else { Err(text) }
        });
    }

    fn page(&self, path: &str) -> String {
        let admin = self.proxy.admin().expect("it has admin pages");
        let mut socket = TcpStream::connect(admin).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        body.to_owned()
    }

    /// Waits until `/rules` lists exactly these: where from, state, what counts instead
    /// (`-` for nothing), code of the first finding (`-` for none).
    fn listed(&self, wanted: &[&str]) -> Value {
        let mut page = Value::Null;
        wait_until(&format!("/rules to list {wanted:?}"), || {
            page = serde_json::from_str(&self.page("/rules?output=json")).unwrap();
            let row = |row: &Value| {
                let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
                let code = text(&row["findings"][0]["code"]);
                assert_eq!(row["key"], KEY);
                assert_eq!(row["services"], serde_json::json!([SERVICE]));
                format!(
                    "{} {} {} {code}",
                    text(&row["from"]),
                    text(&row["state"]),
                    text(&row["in_force"])
                )
            };
            let found: Vec<String> =
                page["documents"].as_array().unwrap().iter().map(row).collect();
            if found == wanted { Ok(()) } else { Err(page.to_string()) }
        });
        page
    }

    fn documents(&self, state: &str) -> i64 {
        value(&self.proxy, &format!("spanwire_rule_documents{{state=\"{state}\"}}"))
    }

    fn explain(&self) -> Value {
        let admin = self.proxy.admin().expect("it has admin pages").to_string();
        let case = format!("call: {{service: {SERVICE}, method: echo}}");
        match self.runtime.block_on(explain(&admin, &case, true)).unwrap() {
            Explained::Decided { text, .. } => serde_json::from_str(&text).unwrap(),
            Explained::Refused(text) => panic!("{text}"),
        }
    }
}

/// The whole life of a rule.
fn a_rule_lives(url: &str, runtime: Runtime) {
    let mut stage = Stage::start(url, runtime, &[(DUBBO, &to("hz"))]);
    // Nobody provides the service yet, and nobody called it.
    let page = stage.listed(&[&format!("{DUBBO}@2 in_force {DUBBO}@2 -")]);
    assert_eq!(page["places"][0]["applied_revision"], 2, "{page}");
    let (in_hz, in_bj) = (Provider::new().echo_forever(), Provider::new().mirror_forever());
    stage.register(in_hz, "hz");
    stage.register(in_bj, "bj");
    wait_until("the service to be known", || {
        let text = stage.call();
        if text.contains("pong") { Ok(()) } else { Err(text) }
    });
    stage.answered_by("pong");

    let bad = stage.put(DUBBO, BAD);
    stage.listed(&[&format!("{DUBBO}@{bad} last_good {DUBBO}@2 bad-condition")]);
    stage.answered_by("pong");
    assert_eq!((stage.documents("last_good"), stage.documents("in_force")), (1, 0));
    wait_for(&stage.proxy, r#"spanwire_rule_changes_total{result="refused"}"#, 1);
    assert_eq!(stage.page(&format!("/rules/{KEY}")), to("hz"));
    let text = stage.page("/rules");
    let kept = format!("state  refused; the last good one stays in force, from {DUBBO}@2\n");
    for part in ["0 in force, 1 last good\n", &kept, "error  3:14: [bad-condition] "] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let explained = stage.explain();
    assert_eq!(explained["picked"], in_hz.to_string(), "{explained}");
    assert_eq!(explained["steps"][0]["origin"], format!("{DUBBO}@2"), "{explained}");
    assert_eq!(explained["findings"][0]["code"], "bad-condition", "{explained}");

    let mended = stage.put(DUBBO, &to("bj"));
    stage.answered_by("hello");
    stage.listed(&[&format!("{DUBBO}@{mended} in_force {DUBBO}@{mended} -")]);

    // Spanwire's own place comes first.
    let own = stage.put(OWN, &to("hz"));
    stage.answered_by("pong");
    stage.listed(&[
        &format!("{OWN}@{own} in_force {OWN}@{own} -"),
        &format!("{DUBBO}@{mended} hidden - -"),
    ]);
    stage.delete(OWN);
    stage.answered_by("hello");
    stage.delete(DUBBO);
    stage.listed(&[]);
    wait_for(&stage.proxy, r#"spanwire_rule_changes_total{result="removed"}"#, 1);
    assert_eq!(stage.explain()["endpoints"].as_array().unwrap().len(), 2);
}

#[test]
fn a_rule_lives_in_the_embedded_store() {
    let embedded = Embedded::start().unwrap();
    a_rule_lives(&embedded.url(), Runtime::new().unwrap());
}

#[test]
fn a_rule_lives_in_etcd() {
    let runtime = Runtime::new().unwrap();
    let etcd = runtime.block_on(Etcd::start()).unwrap();
    a_rule_lives(&etcd.url(), runtime);
}

/// Two rules that are changed together, under load: each alone would leave nobody.
#[test]
fn no_call_sees_half_of_a_change() {
    const APPLICATION: &str = "/dubbo/config/dubbo/web.condition-router";
    let embedded = Embedded::start().unwrap();
    let before = [(DUBBO, &*to("hz")), (APPLICATION, &to("hz"))];
    let mut stage = Stage::start(&embedded.url(), Runtime::new().unwrap(), &before);
    let (in_hz, in_bj) = (Provider::new().echo_forever(), Provider::new().mirror_forever());
    stage.register(in_hz, "hz");
    stage.register(in_bj, "bj");
    wait_until("the service to be known", || {
        let text = stage.call();
        if text.contains("pong") { Ok(()) } else { Err(text) }
    });
    let mut seen = [0; 2];
    for round in 0..40 {
        let text = to(if round % 2 == 0 { "bj" } else { "hz" });
        let both = [DUBBO, APPLICATION].map(|key| TxnOp::put(key, &*text, None));
        stage.runtime.block_on(stage.client.txn(Txn::new().and_then(both))).unwrap();
        for _ in 0..50 {
            let text = stage.call();
            let who = [text.contains("pong"), text.contains("hello")];
            assert!(who[0] != who[1], "a call failed in round {round}: {text}");
            seen[usize::from(who[1])] += 1;
        }
    }
    assert!(seen.iter().all(|calls| *calls > 100), "calls did not move: {seen:?}");
}
