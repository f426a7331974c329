//! gRPC's interoperability tests: what a client of grpc-go or grpc-java can do at a
//! server of either, it can do through one proxy and through two.

use std::process::Command;
use std::time::Duration;

use harness::go::{GrpcServer, program};
use harness::java::GrpcJava;
use harness::{port, wait_until};

use super::before;

/// The cases of both clients that need nothing but a server.
const CASES: [&str; 16] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
];

/// Those of grpc-java's alone.
const OF_JAVA: [&str; 3] =
    ["server_compressed_unary", "server_compressed_streaming", "pick_first_unary"];

/// Those that only its own server passes: it takes compressed messages, and large ones.
const OF_JAVA_AT_JAVA: [&str; 3] = [
    "client_compressed_unary_noprobe",
    "client_compressed_streaming_noprobe",
    "very_large_request",
];

/// Few iterations, and time enough for a busy machine.
const SOAK: [&str; 3] = [
    "--soak_iterations=5",
    "--soak_overall_timeout_seconds=60",
    "--soak_per_iteration_max_acceptable_latency_ms=30000",
];

/// Has grpc-go's client run one case.
fn go(case: &str, port: u16) -> Result<(), String> {
    let output = Command::new("timeout")
        .arg("90")
        .arg(program("client"))
        .arg("--server_host=127.0.0.1")
        .args([format!("--server_port={port}"), format!("--test_case={case}")])
        .args(SOAK)
        .output()
        .expect("it was built");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Runs each case against a server, directly and through proxies.
fn every_case<'a>(
    server: u16,
    cases: impl IntoIterator<Item = &'a str>,
    mut client: impl FnMut(&str, u16) -> Result<(), String>,
) {
    let (first, second) = (port::free(), port::free());
    let services = ["grpc.testing.TestService", "grpc.testing.UnimplementedService"];
    let proxies =
        [before(server, first, "grpc", &services), before(first, second, "grpc", &services)];
    let mut passed = 0;
    for case in cases {
        for (port, by) in [(server, "directly"), (first, "one proxy"), (second, "two")] {
            if let Err(failure) = client(case, port) {
                panic!("{case}, {by}: {failure}\n{}", proxies[0].log());
            }
        }
        passed += 1;
    }
    for proxy in &proxies {
        let calls = proxy.metric("spanwire_calls_total", "protocol=\"grpc\"");
        assert!(calls >= f64::from(passed), "{calls}");
        let ended = || proxy.metric("spanwire_calls_in_flight", "") == 0.0;
        assert!(wait_until(Duration::from_secs(5), ended), "calls are left in flight");
    }
}

#[test]
fn every_case_of_grpc_go_passes_through_one_proxy_and_through_two() {
    let server = GrpcServer::start();
    every_case(server.port(), CASES, go);
}

#[test]
fn every_case_of_grpc_java_passes_at_grpc_go_through_one_proxy_and_through_two() {
    let server = GrpcServer::start();
    let mut client = GrpcJava::start().unwrap_or_else(|error| panic!("{error}"));
    let cases = CASES.into_iter().chain(OF_JAVA);
    every_case(server.port(), cases, |case, port| client.call(case, port, &SOAK));
}

#[test]
fn every_case_passes_at_grpc_java_through_one_proxy_and_through_two() {
    let mut server = GrpcJava::start().unwrap_or_else(|error| panic!("{error}"));
    let port = server.serve().expect("grpc-java's server starts");
    every_case(port, CASES, go);
    let mut client = GrpcJava::start().unwrap_or_else(|error| panic!("{error}"));
    let cases = CASES.into_iter().chain(OF_JAVA).chain(OF_JAVA_AT_JAVA);
    every_case(port, cases, |case, port| client.call(case, port, &SOAK));
}
