//! HTTP/1.1 in bytes.

use std::time::Duration;

use proxy::config::{Config, Protocol};
use proxy::server::Proxy;

use super::peers::{http, wait_for_calls};
use crate::counters::{IN_FLIGHT, UPSTREAMS, faults, value, wait_for};
use crate::wire::{Provider, SERVICE, Wire, start};

/// Everything up to the empty line.
#[track_caller]
pub fn head(wire: &mut Wire) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(wire.take(1));
    }
    String::from_utf8(head).unwrap()
}

/// What comes, to the end of the connection.
pub fn answers(wire: &mut Wire) -> String {
    let mut all = Vec::new();
    while let Ok(byte) = wire.try_take() {
        all.push(byte);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A head and as much body as it says.
#[track_caller]
pub fn message(wire: &mut Wire) -> (String, String) {
    let head = head(wire);
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let body = wire.take(length.map_or(0, |length| length.parse().unwrap()));
    (head, String::from_utf8(body).unwrap())
}

/// A server, a proxy before it, and a caller's connection.
pub fn before(server: &Provider) -> (Proxy, Wire) {
    start(http(Protocol::Http1, &[server.address()]))
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n").into_bytes()
}

pub const PONG: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

#[test]
fn what_is_for_the_next_hop_is_changed_and_nothing_else() {
    let server = Provider::new();
    let (proxy, mut caller) = before(&server);
    caller.send(
        format!(
            "PUT /a%20b?c=%C3 HTTP/1.1\r\nhOsT: {SERVICE}\r\nX-Twice: 1\r\nx-twice: 2\r\nConnection: x-mine, keep-alive\r\n\
             X-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\nContent-Length: 2\r\n\r\nhi"
        )
        .as_bytes(),
    );
    let mut upstream = server.accept();
    let (request, body) = message(&mut upstream);
    assert_eq!(
        request,
        format!(
            "PUT /a%20b?c=%C3 HTTP/1.1\r\nhOsT: {SERVICE}\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 2\r\nTE: trailers\r\nConnection: te\r\n\r\n"
        )
    );
    assert_eq!(body, "hi");
    upstream.send(b"HTTP/1.1 299 Very Fine\r\nX-Case: v\r\nConnection: x-own\r\nX-Own: 1\r\nContent-Length: 4\r\n\r\npong");
    let (answer, body) = message(&mut caller);
    assert_eq!(answer, "HTTP/1.1 299 Very Fine\r\nX-Case: v\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(body, "pong");
    wait_for_calls(&proxy, "http1", "PUT", "success", 1);
}

#[test]
fn connections_are_kept_on_both_sides() {
    let server = Provider::new();
    let (proxy, mut caller) = before(&server);
    caller.send(&get("/0"));
    let mut upstream = server.accept();
    for number in 0..20 {
        assert!(message(&mut upstream).0.starts_with(&format!("GET /{number} ")));
        upstream.send(PONG);
        assert_eq!(message(&mut caller).1, "pong");
        if number % 2 == 1 {
            caller = Wire::connect(proxy.address("http").unwrap());
        }
        caller.send(&get(&format!("/{}", number + 1)));
    }
    message(&mut upstream);
    assert_eq!(value(&proxy, UPSTREAMS), 1);
    assert!(server.is_left_alone(Duration::ZERO));
}

#[test]
fn who_is_refused_may_end_its_request_and_ask_again() {
    let server = Provider::new();
    let (_proxy, mut caller) = before(&server);
    for _ in 0..2 {
        caller.send(b"POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 5\r\n\r\n");
        assert!(caller.is_quiet(Duration::from_millis(50)), "its body is waited for");
        caller.send(b"hello");
        assert!(message(&mut caller).0.starts_with("HTTP/1.1 404 "));
    }
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let server = Provider::new();
    let (_proxy, mut caller) = before(&server);
    caller.send(&[get("/1"), get("/2"), get("/3")].concat());
    let mut upstream = server.accept();
    for number in 1..=3 {
        assert!(message(&mut upstream).0.starts_with(&format!("GET /{number} ")));
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}").as_bytes());
        assert_eq!(message(&mut caller).1, number.to_string());
    }
}

#[test]
fn chunks_and_their_trailers_pass_as_they_come() {
    let server = Provider::new();
    let (_proxy, mut caller) = before(&server);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {SERVICE}\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    caller.send(head.as_bytes());
    caller.send(b"3;ext=1\r\nabc\r\n");
    let mut upstream = server.accept();
    let request = self::head(&mut upstream).to_ascii_lowercase();
    assert!(request.contains("transfer-encoding: chunked\r\n"), "{request}");
    assert_eq!(upstream.take(8), b"3\r\nabc\r\n", "before the rest is sent");
    caller.send(b"2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n");
    assert_eq!(upstream.take(7), b"2\r\nde\r\n");
    assert_eq!(upstream.take(3), b"0\r\n");
    assert_eq!(self::head(&mut upstream).to_ascii_lowercase(), "x-sum: 5\r\n\r\n");
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    let answer = self::head(&mut caller).to_ascii_lowercase();
    assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
    assert_eq!(caller.take(6), b"1\r\nx\r\n", "before the rest is there");
    upstream.send(b"0\r\n\r\n");
    assert_eq!(caller.take(5), b"0\r\n\r\n");
}

#[test]
fn a_body_that_is_announced_is_asked_for() {
    let server = Provider::new();
    let (_proxy, mut caller) = before(&server);
    let announced = |host: &str| {
        format!(
            "PUT / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
    };
    caller.send(announced(SERVICE).as_bytes());
    let mut upstream = server.accept();
    assert_eq!(head(&mut caller), "HTTP/1.1 100 Continue\r\n\r\n");
    caller.send(b"hi");
    let (request, body) = message(&mut upstream);
    assert!(!request.to_ascii_lowercase().contains("expect"), "{request}");
    assert_eq!(body, "hi");
    upstream.send(PONG);
    assert_eq!(message(&mut caller).1, "pong");
    // Where nobody wants it, it is not.
    caller.send(announced("nobody").as_bytes());
    let (answer, problem) = message(&mut caller);
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(problem.contains("unknown_service"), "{problem}");
}

#[test]
fn a_caller_of_http_1_0_is_served() {
    let server = Provider::new();
    let (_proxy, mut caller) = before(&server);
    caller.send(format!("GET / HTTP/1.0\r\nHost: {SERVICE}\r\n\r\n").as_bytes());
    let mut upstream = server.accept();
    assert!(message(&mut upstream).0.starts_with("GET / HTTP/1.1\r\n"));
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n");
    let answer = head(&mut caller).to_ascii_lowercase();
    assert!(!answer.contains("chunked"), "{answer}");
    assert_eq!(caller.take(4), b"pong");
    assert!(caller.is_closed());
}

#[test]
fn a_server_that_closes_gets_a_new_connection() {
    let server = Provider::new();
    let (proxy, mut caller) = before(&server);
    for _ in 0..3 {
        caller.send(&get("/"));
        let mut upstream = server.accept();
        message(&mut upstream);
        upstream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end");
        drop(upstream);
        let answer = head(&mut caller).to_ascii_lowercase();
        assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
        assert_eq!(caller.take(20), b"A\r\nto the end\r\n0\r\n\r\n");
    }
    wait_for_calls(&proxy, "http1", "GET", "success", 3);
    wait_for(&proxy, UPSTREAMS, 0);
}

#[test]
fn a_head_request_has_no_body_whoever_answers() {
    let server = Provider::new();
    let (_proxy, mut caller) = before(&server);
    caller.send(format!("HEAD / HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n").as_bytes());
    let mut upstream = server.accept();
    message(&mut upstream);
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    assert!(head(&mut caller).contains("Content-Length: 4\r\n"));
    caller.send(b"HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n");
    assert!(head(&mut caller).starts_with("HTTP/1.1 404 "));
    assert!(caller.is_quiet(Duration::from_millis(20)));
}

#[test]
fn what_breaks_on_one_side_breaks_on_the_other() {
    let server = Provider::new();
    let (proxy, mut caller) = before(&server);
    // The server, before its answer and in the middle of it.
    caller.send(&get("/"));
    let mut upstream = server.accept();
    message(&mut upstream);
    drop(upstream);
    let (answer, problem) = message(&mut caller);
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && problem.contains("connection_lost"),
        "{answer}{problem}"
    );
    caller.send(&get("/"));
    let mut upstream = server.accept();
    message(&mut upstream);
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    drop(upstream);
    head(&mut caller);
    assert_eq!(caller.take(4), b"half");
    assert!(caller.is_closed(), "a body that is not whole must not look so");
    wait_for_calls(&proxy, "http1", "GET", "connection_lost", 2);
    // The caller, while it waits and in the middle of its body.
    for (request, method) in [
        (get("/"), "GET"),
        (
            format!("PUT / HTTP/1.1\r\nHost: {SERVICE}\r\nContent-Length: 9\r\n\r\nhalf")
                .into_bytes(),
            "PUT",
        ),
    ] {
        let mut caller = Wire::connect(proxy.address("http").unwrap());
        caller.send(&request);
        let mut upstream = server.accept();
        head(&mut upstream);
        if method == "PUT" {
            assert_eq!(upstream.take(4), b"half");
        }
        caller.hang_up();
        assert!(upstream.is_closed());
        wait_for_calls(&proxy, "http1", method, "cancelled", 1);
    }
}

#[test]
fn a_drain_ends_connections_after_their_answers() {
    let server = Provider::new();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.timeouts.drain = Duration::from_secs(60);
    let (proxy, mut busy) = start(config);
    let mut idle = Wire::connect(proxy.address("http").unwrap());
    idle.send(&get("/"));
    let mut upstream = server.accept();
    message(&mut upstream);
    upstream.send(PONG);
    message(&mut idle);
    busy.send(&get("/"));
    message(&mut upstream);
    let drained = std::thread::spawn(move || proxy.drain());
    assert!(idle.is_closed());
    upstream.send(PONG);
    let (answer, body) = message(&mut busy);
    assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer}");
    assert_eq!(body, "pong");
    assert!(busy.is_closed());
    drained.join().unwrap().unwrap();
}

#[test]
fn deadlines_and_limits_hold() {
    let server = Provider::new();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.timeouts.call_over_http = Some(Duration::from_millis(100));
    config.limits.body = Some(10);
    config.limits.head = 8 << 10;
    let (proxy, mut caller) = start(config);
    caller.send(&get("/"));
    let (answer, problem) = message(&mut caller);
    assert!(
        answer.starts_with("HTTP/1.1 504 ") && problem.contains("timeout"),
        "{answer}{problem}"
    );
    assert!(server.accept().take(5) == b"GET /");
    caller.send(
        format!("PUT / HTTP/1.1\r\nHost: {SERVICE}\r\nContent-Length: 11\r\n\r\nhello world")
            .as_bytes(),
    );
    let (answer, problem) = message(&mut caller);
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && problem.contains("too_large"),
        "{answer}{problem}"
    );
    wait_for(&proxy, &faults("too_large"), 1);
    let mut caller = Wire::connect(proxy.address("http").unwrap());
    caller.send(format!("PUT / HTTP/1.1\r\nHost: {SERVICE}\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n").as_bytes());
    let (answer, _) = message(&mut caller);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    wait_for(&proxy, &faults("too_large"), 2);
    let mut caller = Wire::connect(proxy.address("http").unwrap());
    let large = "x".repeat(9 << 10);
    caller.send(format!("GET / HTTP/1.1\r\nHost: {SERVICE}\r\nA: {large}\r\n\r\n").as_bytes());
    // What it sent in vain may cut the answer off (TCP's reset).
    let answer = answers(&mut caller);
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    wait_for(&proxy, IN_FLIGHT, 0);
}

/// Who speaks what to whom.
fn between(to: Protocol) -> Config {
    http(to, &[])
}

#[test]
fn a_way_to_anywhere_is_refused() {
    let (_proxy, mut caller) = start(between(Protocol::Http1));
    caller.send(b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n");
    let (answer, problem) = message(&mut caller);
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("allow: get"), "{answer}");
    assert!(problem.contains("CONNECT is not served here"), "{problem}");
}

#[test]
fn grpc_over_http_1_is_told_what_it_needs() {
    let (_proxy, mut caller) = start(between(Protocol::Grpc));
    caller.send(format!("POST /{SERVICE}/Say HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n").as_bytes());
    let answer = head(&mut caller);
    assert!(answer.contains("gRPC needs HTTP/2"), "{answer}");
}
