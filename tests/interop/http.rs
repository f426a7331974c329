//! HTTP/2 and gRPC with programs that others wrote: the interoperability clients and
//! servers of grpc-go and grpc-java in [`grpc`], their health checks and reflection in
//! [`health`], and h2spec.

mod grpc;
mod health;
mod server;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use harness::go::program;
use harness::port;
use harness::spanwire::Proxy;
use harness::wait_until;

/// What h2spec finds in this proxy's HTTP/2 and not in the `h2` crate's server with
/// its settings left alone, and why.
const EXCEPTIONS: [(&str, &str); 2] = [
    (
        "Sends invalid connection preface",
        "a port that takes several protocols closes what begins like none of them, and the rest of its bytes make TCP say reset",
    ),
    (
        "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE",
        "h2spec sends a little over 16 KiB, whatever the settings say; here they allow 64 KiB",
    ),
];

/// A proxy with one listener on `listen` before services at one address.
fn before(to: u16, listen: u16, protocol: &str, services: &[&str]) -> Proxy {
    let services: String = services
        .iter()
        .map(|name| format!("  - {{name: {name}, protocol: {protocol}, endpoints: [{{address: \"127.0.0.1:{to}\"}}]}}\n"))
        .collect();
    Proxy::start(&format!(
        "workers: 1\nservices:\n{services}listeners:\n  - {{name: out, bind: \"127.0.0.1:{listen}\", direction: outbound}}\n"
    ))
}

/// The titles of the tests that failed, and how many passed.
fn h2spec(port: u16) -> (BTreeSet<String>, u32) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let report = folder.path().join("report.xml");
    let output = Command::new("timeout")
        .arg("300")
        .arg(program("h2spec"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-S", "-o", "5", "-j"])
        .arg(&report)
        .output()
        .expect("it was built");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let passed = text.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(" tests, ")?;
        rest.split_once(" passed")?.0.parse().ok()
    });
    let failed = text
        .split("Failures:")
        .nth(1)
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.trim().strip_prefix("× ")?.split_once(": "))
        .map(|(_, title)| title.to_owned());
    (failed.collect(), passed.unwrap_or_else(|| panic!("h2spec did not finish:\n{text}")))
}

#[test]
fn h2spec_finds_nothing_but_what_is_named() {
    let server = server::start();
    let listen = port::free();
    let proxy = before(server, listen, "http2", &["127.0.0.1"]);
    let (alone, _) = h2spec(server);
    let named: BTreeSet<&str> = EXCEPTIONS.iter().map(|(title, _)| *title).collect();
    let is_known = |title: &String| alone.contains(title) || named.contains(title.as_str());
    let (mut failed, mut passed) = h2spec(listen);
    if !failed.iter().all(is_known) {
        // It gives up on a machine that is slow at the moment: what is wrong fails again.
        let again = h2spec(listen);
        failed.retain(|title| again.0.contains(title));
        passed = again.1;
    }
    let unnamed: Vec<_> = failed.iter().filter(|title| !is_known(title)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}\n{}", proxy.log());
    let needless: Vec<_> = named.iter().filter(|title| !failed.contains(**title)).collect();
    assert!(needless.is_empty(), "these pass by now: {needless:?}");
    assert!(passed >= 138, "{passed} passed, {failed:?} failed");
}

/// The most memory that a process has had, in KiB.
fn peak(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("alive");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_gibibyte_each_way_passes_in_little_memory() {
    let server = server::start();
    let listen = port::free();
    let proxy = before(server, listen, "grpc", &["lab.Echo"]);
    server::echo_through(listen, 1 << 20);
    let before = peak(&proxy);
    let passed = server::echo_through(listen, 1 << 30);
    assert_eq!(passed, 1 << 30);
    let grown = peak(&proxy) - before;
    assert!(grown <= 16 << 10, "{grown} KiB more than before");
    let ended = || proxy.metric("spanwire_calls_in_flight", "") == 0.0;
    assert!(wait_until(Duration::from_secs(5), ended));
}
