//! Connections that go on with another protocol than HTTP.

use std::time::Duration;

use proxy::config::{AccessLog, Protocol};

use super::http1::{PONG, before, head, message};
use super::peers::{http, wait_for_calls};
use crate::counters::{CALLERS, IN_FLIGHT, UPSTREAMS, value, wait_for};
use crate::wire::{Provider, SERVICE, Wire, start};

/// Has a caller's connection go on with the protocol `x`: the server's end of it.
fn upgraded(caller: &mut Wire, server: &Provider) -> Wire {
    caller.send(
        format!("GET / HTTP/1.1\r\nHost: {SERVICE}\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .as_bytes(),
    );
    let mut upstream = server.accept();
    head(&mut upstream);
    upstream.send(b"HTTP/1.1 101 On\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    head(caller);
    upstream
}

#[test]
fn a_websocket_passes_after_it_was_routed() {
    let server = Provider::new();
    let (proxy, mut caller) = before(&server);
    let ask = format!(
        "GET /chat HTTP/1.1\r\nHost: {SERVICE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
    );
    // A server may decline, and the connection goes on.
    caller.send(ask.as_bytes());
    let mut upstream = server.accept();
    let request = head(&mut upstream).to_ascii_lowercase();
    assert!(
        request.contains("connection: upgrade\r\n") && request.contains("upgrade: websocket\r\n"),
        "{request}"
    );
    upstream.send(PONG);
    assert_eq!(message(&mut caller).1, "pong");

    caller.send(ask.as_bytes());
    head(&mut upstream);
    // Bytes right behind the answer belong to the new protocol.
    upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    let answer = head(&mut caller).to_ascii_lowercase();
    assert!(
        answer.starts_with("http/1.1 101 ") && answer.contains("upgrade: websocket\r\n"),
        "{answer}"
    );
    assert_eq!(caller.take(5), b"hello");
    // No HTTP any more: what would be refused as such passes.
    caller.send(b"\x81\n\n\0 anything");
    assert_eq!(upstream.take(13), b"\x81\n\n\0 anything");
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
    assert_eq!((value(&proxy, CALLERS), value(&proxy, UPSTREAMS)), (1, 1), "a tunnel is two");
    caller.finish();
    assert!(upstream.is_closed());
    upstream.send(b"bye");
    assert_eq!(caller.take(3), b"bye");
    drop(upstream);
    assert!(caller.is_closed());
    wait_for_calls(&proxy, "http1", "GET", "success", 2);
    drop(caller);
    wait_for(&proxy, CALLERS, 0);
    wait_for(&proxy, UPSTREAMS, 0);
}

#[test]
fn a_tunnel_that_its_endpoint_breaks_is_lost_and_counted() {
    let server = Provider::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.access_log = Some(AccessLog::File(path.clone()));
    let (proxy, mut caller) = start(config);
    let mut upstream = upgraded(&mut caller, &server);
    upstream.send(b"hello");
    assert_eq!(caller.take(5), b"hello");
    caller.send(b"you");
    assert_eq!(upstream.take(3), b"you");
    upstream.reset();
    assert!(caller.is_closed());
    wait_for_calls(&proxy, "http1", "GET", "connection_lost", 1);
    proxy.drain().unwrap();
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(log.contains(r#""bytes_in":3,"bytes_out":5"#), "{log}");
}

#[test]
fn a_drain_lets_a_tunnel_go_on() {
    let server = Provider::new();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.timeouts.drain = Duration::from_secs(60);
    let (proxy, mut caller) = start(config);
    let mut upstream = upgraded(&mut caller, &server);
    let drained = std::thread::spawn(move || proxy.drain());
    for _ in 0..10 {
        caller.send(b"ping");
        assert_eq!(upstream.take(4), b"ping");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!drained.is_finished());
    drop((caller, upstream));
    drained.join().unwrap().unwrap();
}
