//! Upgrades from HTTP/1.1 to HTTP/2 without TLS, in bytes.
//!
//! The same with curl and nghttp is in `tests/interop`.

use std::time::Duration;

use proxy::config::Protocol;

use super::http1::{answers, head, message};
use super::peers::http;
use crate::counters::{CALLERS, IN_FLIGHT, wait_for};
use crate::wire::{Provider, SERVICE, Wire, run};

/// Good settings: a stream's window of 64 KiB less one.
const SETTINGS: &str = "HTTP2-Settings: AAQAAP__\r\n";

const PONG: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

/// An endpoint that took an upgrade to HTTP/2 would be given requests by its caller that no
/// rule has seen ("h2c smuggling"): it is never asked, and gets no chance to offer it.
#[test]
fn no_upgrade_to_http_2_reaches_an_endpoint() {
    let server = Provider::new();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.listeners[0].protocols = vec![Protocol::Http1];
    let proxy = run(config);
    let mut upstream = None;
    for asked in [
        format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{SETTINGS}"),
        format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{SETTINGS}"),
        "Connection: Upgrade\r\nUpgrade: h2c\r\n".to_owned(),
        "Connection: Upgrade\r\nUpgrade: h2\r\n".to_owned(),
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n".to_owned(),
        "Connection: Upgrade\r\nUpgrade: h2c, h2c-16\r\n".to_owned(),
        format!("Connection: keep-alive\r\nUpgrade: h2c\r\n{SETTINGS}"),
        format!("connection: HTTP2-SETTINGS\r\nconnection: UPGRADE\r\nupgrade: H2C\r\n{SETTINGS}"),
        format!("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n{SETTINGS}"),
        format!("Connection: Upgrade\r\nUpgrade: h2c,websocket\r\n{SETTINGS}"),
        format!("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n{SETTINGS}"),
        format!("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n{SETTINGS}"),
    ] {
        let mut caller = Wire::connect(proxy.address("http").unwrap());
        let request = format!("GET /a HTTP/1.1\r\nHost: {SERVICE}\r\n{asked}\r\n");
        caller.send(request.as_bytes());
        let upstream = upstream.get_or_insert_with(|| server.accept());
        let came = head(upstream).to_ascii_lowercase();
        assert!(came.starts_with("get /a http/1.1\r\n"), "{asked}: {came}");
        for word in ["h2", "http2", "http/2"] {
            assert!(!came.contains(word), "{asked}: {came}");
        }
        assert_eq!(came.contains("upgrade"), asked.contains("websocket"), "{asked}: {came}");
        upstream.send(PONG);
        assert_eq!(message(&mut caller).1, "pong", "{asked}");
    }
    // One that goes on with it unasked is not followed.
    let mut caller = Wire::connect(proxy.address("http").unwrap());
    let request = format!(
        "GET /a HTTP/1.1\r\nHost: {SERVICE}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{SETTINGS}\r\n"
    );
    caller.send(request.as_bytes());
    let mut upstream = upstream.unwrap();
    head(&mut upstream);
    upstream.send(b"HTTP/1.1 101 On\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nsmuggled");
    let answer = answers(&mut caller);
    assert!(answer.starts_with("HTTP/1.1 502 ") && !answer.contains("smuggled"), "{answer}");
    assert!(server.is_left_alone(Duration::ZERO));
    drop((caller, upstream));
    wait_for(&proxy, IN_FLIGHT, 0);
    wait_for(&proxy, CALLERS, 0);
}
