//! Pages that call gRPC by gRPC-Web: the clients of npm's `grpc-web` and of Connect in
//! Node.js, and its `fetch` as a browser uses it, at grpc-go's server, which knows nothing
//! of gRPC-Web.

use harness::go::GrpcServer;
use harness::port;
use harness::spanwire::Proxy;
use harness::web;

use super::assert_nothing_in_flight;

const SERVICE: &str = "grpc.testing.TestService";

/// What `grpc_web.js` prints: what comes is of the lengths that it asks for, with the words
/// that it sends, and where the server fails it says with which status.
const GRPC_WEB: &str = r#"unary data [100000]
unary metadata first words bGFzdCB3b3Jkcw
unary status 0 ""
empty data [0]
empty metadata first words bGFzdCB3b3Jkcw
empty status 0 ""
fails data []
fails metadata first words bGFzdCB3b3Jkcw
fails status 9 "not ready: 50%, grüße ☺\n"
fails error 9 "not ready: 50%, grüße ☺\n"
stream data [1,2,3,70000,0]
stream metadata undefined undefined
stream status 0 ""
breaks data [7]
breaks metadata undefined undefined
breaks status 2 "requested a response with invalid length -1"
breaks error 2 "requested a response with invalid length -1"
"#;

/// What `connect.js` prints, of the same calls.
const CONNECT: &str = r#"unary header first words
unary trailer bGFzdCB3b3Jkcw
unary data 100000
unary end
empty header first words
empty trailer bGFzdCB3b3Jkcw
empty data 0
empty end
fails error 9 "not ready: 50%, grüße ☺\n" bGFzdCB3b3Jkcw
stream header null
stream data 1
stream data 2
stream data 3
stream data 70000
stream data 0
stream trailer null
stream end
breaks header null
breaks data 7
breaks error 2 "requested a response with invalid length -1" null
"#;

/// What `page.js` prints: what a page that may call is told, what another is (its question is
/// passed on, and grpc-go does not know it), and the call.
const PAGE: &str = r#"200 http://shop.example | POST | content-type,x-grpc-web | 60
415 - | - | - | -
200 application/grpc-web-text | http://shop.example
0 1
0 2
0 3
0 70000
0 0
128 "grpc-status: 0\r\ngrpc-message: \r\n"
"#;

/// What a page of http://shop.example may do.
const RULE: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pages}
spec:
  hosts: [grpc.testing.TestService]
  http:
  - route: [{destination: {host: grpc.testing.TestService}}]
    corsPolicy:
      allowOrigins: [{exact: 'http://shop.example'}]
      allowMethods: [POST]
      allowHeaders: [content-type, x-grpc-web]
      maxAge: 60s
";

/// A proxy before the server at one port, and the port that it listens on.
fn before(server: u16) -> (Proxy, u16) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    std::fs::create_dir(folder.path().join("rules")).expect("the folder is ours");
    std::fs::write(folder.path().join("rules/pages.yaml"), RULE).expect("the folder is ours");
    let listen = port::free();
    let configuration = format!(
        "workers: 1
rules: [rules/]
services: [{{name: {SERVICE}, protocol: grpc, endpoints: [{{address: \"127.0.0.1:{server}\"}}]}}]
listeners: [{{name: out, bind: \"127.0.0.1:{listen}\", direction: outbound}}]
"
    );
    (Proxy::start_in(folder, &configuration), listen)
}

/// Has the script print what it sees through one proxy and through two, which must be
/// this, and these many calls of gRPC, each time.
#[track_caller]
fn sees(script: &str, ways: &[&str], expected: &str, calls: u32) {
    let server = GrpcServer::start();
    let (first, through_one) = before(server.port());
    let (second, through_two) = before(through_one);
    for way in ways {
        for (port, proxies) in [(through_one, "one proxy"), (through_two, "two")] {
            let mut command = web::node(script);
            let output = command.arg(port.to_string()).arg(way).output().expect("it can be run");
            let errors = String::from_utf8_lossy(&output.stderr);
            let seen = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && seen == expected,
                "{way}, {proxies}: {seen}{errors}{}",
                first.log()
            );
        }
    }
    for proxy in [&first, &second] {
        assert_nothing_in_flight(proxy);
    }
    let calls = f64::from(calls) * ways.len() as f64;
    let counted = |proxy: &Proxy| proxy.metric("spanwire_calls_total", "protocol=\"grpc\"");
    // The first proxy was passed twice.
    assert_eq!((counted(&first), counted(&second)), (2.0 * calls, calls));
}

#[test]
fn grpc_webs_own_client_calls_grpc_go_in_both_forms() {
    sees("grpc_web.js", &["text", "binary"], GRPC_WEB, 5);
}

#[test]
fn connects_client_calls_grpc_go_by_grpc_web_in_both_versions() {
    sees("connect.js", &["1.1", "2"], CONNECT, 5);
}

#[test]
fn a_browser_that_asks_first_may_call_grpc_go() {
    sees("page.js", &[""], PAGE, 1);
}
