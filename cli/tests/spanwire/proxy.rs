//! `spanwire proxy`: its configuration, and its life from start to signal.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::running::{Running, get};
use super::*;

/// A folder with a configuration in it.
fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proxy.yaml");
    fs::write(&file, text).expect("a new file");
    (folder, file)
}

const GOOD: &str = "admin: 127.0.0.1:0
workers: 1
listeners: [{name: gw, bind: \"127.0.0.1:0\", direction: gateway}]
timeouts: {drain: 1s}
";

#[test]
fn every_mistake_is_told_at_once() {
    let (_folder, file) = write("listener: []\nworkers: none\ntimeouts: {call: soon}\n");
    let file = file.to_str().expect("a path in UTF-8");
    check(
        &["proxy", "-c", file, "--check"],
        2,
        "",
        &format!(
            "error: {file}:1:1: listeners is missing

error: {file}:1:1: unknown key \"listener\"

hint: did you mean listeners?

error: {file}:2:10: workers must be a whole number, but is \"none\"

error: {file}:3:18: call \"soon\" is not a duration

hint: write a number and a unit: us, ms, s, m or h, e.g. 500ms or 1.5s
"
        ),
    );
    check(
        &["proxy", "-c", file, "--check", "-o", "json"],
        2,
        &format!(
            r#"[{{"file":"{file}","line":1,"column":1,"code":"missing-key","severity":"error","message":"listeners is missing","hint":""}},{{"file":"{file}","line":1,"column":1,"code":"unknown-key","severity":"error","message":"unknown key \"listener\"","hint":"did you mean listeners?"}},{{"file":"{file}","line":2,"column":10,"code":"wrong-type","severity":"error","message":"workers must be a whole number, but is \"none\"","hint":""}},{{"file":"{file}","line":3,"column":18,"code":"bad-duration","severity":"error","message":"call \"soon\" is not a duration","hint":"write a number and a unit: us, ms, s, m or h, e.g. 500ms or 1.5s"}}]
"#
        ),
        "",
    );
    // Without --check as well: nothing is started.
    assert_eq!(run(&["proxy", "-c", file]).status, 2);
}

#[test]
fn a_good_configuration_checks_in_silence() {
    let (_folder, file) = write(GOOD);
    let file = file.to_str().expect("UTF-8");
    check(&["proxy", "-c", file, "--check"], 0, "", "");
    check(&["proxy", "-c", file, "--check", "-o", "json"], 0, "[]\n", "");
}

#[test]
fn a_missing_configuration_is_told() {
    check(
        &["proxy", "-c", "no/such.yaml"],
        2,
        "",
        "error: no/such.yaml: the configuration cannot be read: No such file or directory (os error 2)\n",
    );
}

#[test]
fn it_serves_until_sigterm() {
    let (_folder, file) = write(GOOD);
    let mut proxy = Running::start(&["proxy", "-c", file.to_str().expect("UTF-8")]);
    let admin = proxy.logged("admin pages", "address");
    let gateway = proxy.logged("listening", "bound");
    assert!(get(&admin, "/livez").starts_with("HTTP/1.1 200 "));
    wait_until_ready(&admin);
    assert!(get(&admin, "/metrics").contains("spanwire_workers 1\n"));
    TcpStream::connect(gateway).expect("the listener is open");
    proxy.signal("TERM");
    assert_eq!(proxy.status(), Some(0));
}

fn wait_until_ready(admin: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !get(admin, "/readyz").starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < deadline, "not ready: {}", get(admin, "/readyz"));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `docs/observability.md` lists exactly the metrics that a proxy shows.
#[test]
fn every_metric_is_documented() {
    let transparent = "direction: gateway, protocols: [tcp], use_original_dst: true}";
    let good = GOOD.replace("direction: gateway}", transparent);
    let (folder, file) = write(&format!("{good}access_log: access.log\n"));
    let mut proxy = Running::start(&["proxy", "-c", file.to_str().expect("UTF-8")]);
    let admin = proxy.logged("admin pages", "address");
    wait_until_ready(&admin);
    let page = get(&admin, "/metrics");
    let mut shown = Vec::new();
    let mut help = "";
    for line in page.lines() {
        if let Some(named) = line.strip_prefix("# HELP ") {
            help = named;
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').expect("a name and a type");
            let about = help.strip_prefix(name).expect("HELP comes before TYPE").trim();
            shown.push(format!("{name} | {kind} | {about}"));
        }
    }
    let document = include_str!("../../../docs/observability.md");
    let documented: Vec<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter(|row| row.starts_with("spanwire_") || row.starts_with("process_"))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [name, kind, labels, about, _] = cells[..] else { panic!("four cells: {row}") };
            let name = name.trim_end_matches('`');
            // What is shown before the first call has all of its labels.
            if let Some(line) = page.lines().find(|line| line.starts_with(&format!("{name}{{"))) {
                for label in labels.split(", ").map(|label| label.trim_matches('`')) {
                    assert!(line.contains(&format!("{label}=\"")), "{label} is not in {line}");
                }
            }
            format!("{name} | {kind} | {about}")
        })
        .collect();
    assert_eq!(documented, shown, "docs/observability.md is not what /metrics shows");
    drop(folder);
}

#[test]
fn sigint_ends_it_at_once() {
    let (_folder, file) = write(&GOOD.replace("1s", "1h"));
    let mut proxy = Running::start(&["proxy", "-c", file.to_str().expect("UTF-8")]);
    proxy.logged("listening", "bound");
    proxy.signal("INT");
    assert_eq!(proxy.status(), Some(0));
}
