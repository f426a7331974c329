//! Health checks and reflection, asked by the programs that people ask them with:
//! grpc-health-probe and grpcurl.

use std::process::Command;

use harness::go::{GrpcServer, program};
use harness::port;
use harness::spanwire::Proxy;

use super::before;

const SERVICE: &str = "grpc.testing.TestService";

/// A proxy with one listener before an application.
fn inbound(app: u16, listen: u16) -> Proxy {
    Proxy::start(&format!(
        "workers: 1\nlisteners:\n  - {{name: in, bind: \"127.0.0.1:{listen}\", direction: inbound, \
         app: \"127.0.0.1:{app}\"}}\n"
    ))
}

/// What a program prints, or its exit status and what it says of that.
fn run(name: &str, arguments: &[&str]) -> Result<String, (Option<i32>, String)> {
    let ran = Command::new("timeout").arg("60").arg(program(name)).args(arguments).output();
    let ran = ran.expect("it was built");
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => Err((ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())),
    }
}

/// What grpcurl prints of a server; `arguments` come before its address, `asked` behind.
fn grpcurl(port: u16, arguments: &[&str], asked: &[&str]) -> Result<String, (Option<i32>, String)> {
    let address = format!("127.0.0.1:{port}");
    let all = [&["-plaintext", "-max-time", "30"], arguments, &[address.as_str()], asked].concat();
    run("grpcurl", &all)
}

/// The status by which grpc-health-probe says how a server is: 0 for well, 3 where the
/// call fails, 4 for ill.
fn probe(port: u16, service: &str) -> i32 {
    let (address, service) = (format!("-addr=127.0.0.1:{port}"), format!("-service={service}"));
    let patience = ["-connect-timeout=30s", "-rpc-timeout=30s"];
    match run("grpc-health-probe", &[&address, &service, patience[0], patience[1]]) {
        Ok(_) => 0,
        Err((status, said)) => status.unwrap_or_else(|| panic!("{said}")),
    }
}

#[test]
fn grpcurl_learns_through_proxies_what_it_learns_directly() {
    let server = GrpcServer::with_health(&[]);
    let (first, second) = (port::free(), port::free());
    let _inbound = inbound(server.port(), first);
    let outbound = before(first, second, "grpc", &[SERVICE]);
    let in_health = "grpc.health.v1.Health/Check";
    for asked in [
        &["list"][..],
        &["describe", SERVICE],
        &["describe", "grpc.testing.SimpleRequest"],
        &[&format!("{SERVICE}/EmptyCall")],
        &[in_health],
    ] {
        let directly = grpcurl(server.port(), &[], asked).expect("the server tells");
        assert_eq!(grpcurl(first, &[], asked).as_ref(), Ok(&directly), "{asked:?}, inbound");
        let through_both = grpcurl(second, &["-authority", SERVICE], asked);
        assert_eq!(through_both.as_ref(), Ok(&directly), "{asked:?}\n{}", outbound.log());
    }
    // Whom it is about has to be said.
    let (_, said) = grpcurl(second, &[], &["list"]).expect_err("nobody is asked");
    assert!(said.contains("does not support the reflection API"), "{said}");
    let method = "method=\"grpc.reflection.v1.ServerReflection/ServerReflectionInfo\"";
    assert!(outbound.metric("spanwire_calls_total", method) >= 5.0);
}

#[test]
fn probes_ask_the_application_or_else_the_proxy() {
    let server = GrpcServer::with_health(&[&format!("{SERVICE}=NOT_SERVING")]);
    let (first, second, third) = (port::free(), port::free(), port::free());
    let _inbound = inbound(server.port(), first);
    let outbound = before(first, second, "grpc", &[SERVICE, "lab.Other"]);
    let for_all = Proxy::start(&format!(
        "workers: 1\nservices:\n  - {{name: {SERVICE}, protocol: grpc, endpoints: [{{address: \
         \"127.0.0.1:{first}\"}}]}}\nlisteners:\n  - {{name: out, bind: \"127.0.0.1:{third}\", \
         direction: outbound, default_service: {SERVICE}}}\n"
    ));
    // The application's own health, directly, behind its proxy, and as the service that
    // a listener means by default.
    for port in [server.port(), first, third] {
        let seen = [probe(port, ""), probe(port, SERVICE), probe(port, "lab.Other")];
        assert_eq!(seen, [0, 4, 3], "{}", for_all.log());
    }
    // The proxy's own, and what it knows of services.
    let seen = [probe(second, ""), probe(second, SERVICE), probe(second, "lab.None")];
    assert_eq!(seen, [0, 0, 3], "{}", outbound.log());
    let own = "service=\"grpc.health.v1.Health\",method=\"Check\"";
    assert_eq!(outbound.metric("spanwire_calls_total", own), 3.0);
}

/// What grpcurl has to know of a server that does not tell it.
const LIST: &str = r#"syntax = "proto3";
package grpc.health.v1;
message HealthListRequest {}
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; }
  ServingStatus status = 1;
}
message HealthListResponse { map<string, HealthCheckResponse> statuses = 1; }
service Health { rpc List(HealthListRequest) returns (HealthListResponse); }
"#;

#[test]
fn a_list_of_the_proxy_is_one_to_grpcurl() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("list.proto"), LIST).unwrap();
    let outbound = port::free();
    let _proxy = before(port::free(), outbound, "grpc", &[SERVICE]);
    let options = ["-import-path", folder.path().to_str().unwrap(), "-proto", "list.proto"];
    let list = grpcurl(outbound, &options, &["grpc.health.v1.Health/List"]).unwrap();
    let list = list.split_whitespace().collect::<String>();
    let expected = format!(
        r#"{{"statuses":{{"":{{"status":"SERVING"}},"{SERVICE}":{{"status":"SERVING"}}}}}}"#
    );
    assert_eq!(list, expected);
}
