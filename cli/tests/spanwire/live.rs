//! `spanwire explain` by what is live: a store, or a running proxy.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::running::{Running, get};
use super::stored_rules::Store;
use super::*;

const KEY: &str = "lab.EchoService::.condition-router";
const FROM: &str = "/dubbo/config/dubbo/lab.EchoService::.condition-router";
const TEXT: &str = "configVersion: v3.0\nforce: true\nconditions: ['=> region=$region']\n";
const CALL: &str = "call: {service: lab.EchoService, method: sayHello, consumer: {application: web, labels: {region: hz}}}\n";
const PROVIDERS: [&str; 2] = [
    "dubbo://10.0.0.1:20880/lab.EchoService?application=shop&interface=lab.EchoService&region=hz",
    "dubbo://10.0.0.2:20880/lab.EchoService?application=shop&interface=lab.EchoService&region=bj",
];

/// `spanwire explain` of a call.
fn explain(folder: &Path, call: &str, arguments: &[&str]) -> Ran {
    let file = folder.join("call.yaml");
    fs::write(&file, call).expect("the folder is ours");
    let file = file.to_str().expect("UTF-8");
    ran(command(&["explain", "-f", file]).args(arguments))
}

#[test]
fn the_store_decides() {
    let store = Store::start();
    let _providers = store.register(&PROVIDERS);
    store.write(&format!("{KEY}.yaml"), TEXT);
    let applied = store.rule(&["apply", "-f", &format!("{KEY}.yaml"), "-o", "json"]);
    let applied: Value = serde_json::from_str(&applied.stdout).expect("JSON");
    let revision = &applied["documents"][0]["revision"];
    let ran = explain(store.folder.path(), CALL, &["--store", &store.url]);
    let text = format!(
        "   2 -> 1    {KEY}:3  ({FROM}@{revision})
             applies

left     10.0.0.1:20880
picked   10.0.0.1:20880
timeout  1000 ms, 2 retries
assumed  every endpoint is available and idle
"
    );
    assert_eq!(ran, Ran { status: 0, stdout: text, stderr: String::new() });
    let nobody = CALL.replace("hz", "sh");
    let ran = explain(store.folder.path(), &nobody, &["--store", &store.url, "-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.status, &answer["fault"]), (1, &Value::from("no_endpoint")));
    let unknown = CALL.replace("EchoService", "NoService");
    let ran = explain(store.folder.path(), &unknown, &["--store", &store.url]);
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("nobody provides lab.NoService"), "{}", ran.stdout);
    // A case brings no rules of its own here, and a store that is gone is told.
    let ran = explain(store.folder.path(), &format!("{CALL}rules: []\n"), &["--store", &store.url]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("call.yaml:2:8: rules of a case do not count"), "{}", ran.stderr);
    let ran = explain(store.folder.path(), CALL, &["--store", "http://127.0.0.1:1"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.starts_with("error: the store at http://127.0.0.1:1 "), "{}", ran.stderr);
}

#[test]
fn a_proxy_decides_by_the_rules_that_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).expect("a new folder");
    let rule = rules.join(format!("{KEY}.yaml"));
    fs::write(&rule, TEXT).expect("a new file");
    let configuration = format!(
        "admin: 127.0.0.1:0
workers: 1
application: web
labels: {{region: bj}}
rules: [{}]
services:
  - name: lab.EchoService
    protocol: dubbo
    endpoints:
      - {{address: \"10.0.0.1:20880\", labels: {{region: hz}}}}
      - {{address: \"10.0.0.2:20880\", labels: {{region: bj}}}}
listeners: [{{name: out, bind: \"127.0.0.1:0\", direction: outbound}}]
timeouts: {{call: 3s}}
",
        rules.display()
    );
    let file = folder.path().join("proxy.yaml");
    fs::write(&file, configuration).expect("a new file");
    let mut proxy = Running::start(&["proxy", "-c", file.to_str().expect("UTF-8")]);
    let admin = proxy.logged("admin pages", "address");
    // Nobody says who calls: the proxy's own application does.
    let call = "call: {service: lab.EchoService, method: sayHello}\n";
    let wanted = format!(
        "   2 -> 1    {KEY}:3  ({})
             applies

left     10.0.0.2:20880
picked   10.0.0.2:20880
timeout  3000 ms, 2 retries
assumed  every endpoint is available and idle
",
        rule.display()
    );
    let ran = explain(folder.path(), call, &["--admin", &admin]);
    assert_eq!(ran, Ran { status: 0, stdout: wanted, stderr: String::new() });
    // The labels that the call brings count instead.
    let ran = explain(folder.path(), CALL, &["--admin", &format!("http://{admin}"), "-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.status, &answer["picked"]), (0, &Value::from("10.0.0.1:20880")));

    fs::write(&rule, "conditions: ['a!!b']\n").expect("the folder is ours");
    let soon = Instant::now() + Duration::from_secs(20);
    while !get(&admin, "/rules").contains("the last good one stays in force") {
        assert!(Instant::now() < soon, "{}", get(&admin, "/rules"));
        std::thread::sleep(Duration::from_millis(10));
    }
    let ran = explain(folder.path(), call, &["--admin", &admin, "-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(answer["picked"], "10.0.0.2:20880");
    assert_eq!(answer["findings"][0]["code"], "bad-condition");

    let other = CALL.replace("web", "shop");
    let ran = explain(folder.path(), &other, &["--admin", &admin]);
    let refused = "error: the caller is shop, but this proxy calls as web\n\nhint: ask the caller's own proxy, or decide by the store\n";
    assert_eq!(ran, Ran { status: 2, stdout: String::new(), stderr: refused.to_owned() });
    let ran = explain(folder.path(), call, &["--admin", "127.0.0.1:1"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.starts_with("error: no proxy answers at 127.0.0.1:1: "), "{}", ran.stderr);
    let ran = explain(folder.path(), call, &["--admin", &admin, "--store", "http://127.0.0.1:1"]);
    assert_eq!(ran.status, 2);
}

#[test]
fn a_service_over_triple_is_decided_as_one_over_dubbo() {
    let store = Store::start();
    let urls = PROVIDERS.map(|url| url.replace("dubbo://", "tri://"));
    let _providers = store.register(&urls.each_ref().map(String::as_str));
    let file = format!("{KEY}.yaml");
    store.write(&file, TEXT);
    store.rule(&["apply", "-f", &file]);
    let picked = |arguments: &[&str]| {
        let ran = explain(store.folder.path(), CALL, &[arguments, &["-o", "json"]].concat());
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        answer["picked"].clone()
    };
    assert_eq!(picked(&["--store", &store.url]), "10.0.0.1:20880");
    let endpoints =
        "[{address: \"10.0.0.1:20880\", labels: {region: hz}}, {address: \"10.0.0.2:20880\"}]";
    let configuration = format!(
        "admin: 127.0.0.1:0\nworkers: 1\napplication: web\nrules: [{file}]\n\
         services: [{{name: lab.EchoService, protocol: triple, endpoints: {endpoints}}}]\n\
         listeners: [{{name: out, bind: \"127.0.0.1:0\", direction: outbound}}]\n"
    );
    store.write("proxy.yaml", &configuration);
    let file = store.folder.path().join("proxy.yaml");
    let mut proxy = Running::start(&["proxy", "-c", file.to_str().expect("UTF-8")]);
    let admin = proxy.logged("admin pages", "address");
    assert_eq!(picked(&["--admin", &admin]), "10.0.0.1:20880");
}

#[test]
fn a_plan_shows_which_calls_a_change_moves() {
    let store = Store::start();
    let urls = PROVIDERS.map(|url| format!("{url}&methods=sayHello,add"));
    let _providers = store.register(&urls.each_ref().map(String::as_str));
    let file = format!("{KEY}.yaml");
    let plan = |arguments: &[&str]| store.rule(&[&["plan"], arguments].concat());
    store.write(
        &file,
        "configVersion: v3.0\nforce: true\nconditions: ['method=sayHello => region=hz']\n",
    );
    let shown = format!(
        "added      {KEY}
services   lab.EchoService

lab.EchoService/sayHello
  10.0.0.1:20880   50.0 % -> 100.0 %
  10.0.0.2:20880   50.0 % ->   0.0 %

1 of 2 calls change
"
    );
    let ran = plan(&["-f", &file]);
    assert_eq!(ran, Ran { status: 0, stdout: shown, stderr: String::new() });
    // Nothing was written.
    assert_eq!(store.rule(&["list"]).stdout, "");
    store.rule(&["apply", "-f", &file]);
    let same = format!("unchanged  {KEY}\nservices   lab.EchoService\n\n0 of 2 calls change\n");
    assert_eq!(plan(&["-f", &file]), Ran { status: 0, stdout: same, stderr: String::new() });

    // Calls that somebody names, and one that would find nobody.
    store.write(
        &file,
        "configVersion: v3.0\nforce: true\nconditions: ['attachments[user]=u7 => region=sh']\n",
    );
    let call = "call: {service: lab.EchoService, method: add, attachments: {user: USER}}\n";
    let calls = format!("{}---\n{}", call.replace("USER", "u7"), call.replace("USER", "u8"));
    store.write("calls.yaml", calls);
    let ran = plan(&["-f", &file, "--calls", "calls.yaml", "-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.status, &answer["unchanged"]), (1, &Value::from(1)), "{answer}");
    assert_eq!(answer["documents"], serde_json::json!([{"key": KEY, "change": "changed"}]));
    let after = serde_json::json!({"endpoints": {}, "faults": {"no_endpoint": 1.0}, "timeout_ms": 0, "retries": 0});
    assert_eq!(answer["calls"][0]["after"], after);

    // An application's rule is about all that it provides, and about all that it calls.
    store.write("web.configurators.yaml", "configVersion: v3.0\nscope: application\nkey: web\nconfigs: [{side: consumer, parameters: {timeout: 300}}]\n");
    let ran = plan(&["-f", "web.configurators.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let moved = "lab.EchoService/add, called by web\n  10.0.0.1:20880   50.0 % ->  50.0 %\n";
    for part in [moved, "  timeout  1000 ms -> 300 ms\n", "\n2 of 2 calls change\n"] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    let ran = plan(&["--delete", KEY]);
    assert!(ran.stdout.starts_with(&format!("deleted    {KEY}\n")), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("\n1 of 2 calls change\n"), "{}", ran.stdout);
    assert_eq!(plan(&["--delete", "nope.tag-router"]).status, 1);
    assert_eq!(plan(&[]).status, 2);
    store.write(&file, "conditions: ['a!!b']\n");
    assert_eq!(plan(&["-f", &file]).status, 1);
}
