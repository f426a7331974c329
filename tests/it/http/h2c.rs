//! Upgrades from HTTP/1.1 to HTTP/2 without TLS, in bytes.
//!
//! The same with curl and nghttp is in `tests/interop`.

use std::time::Duration;

use harness::attacks::SMUGGLED;
use proxy::config::Protocol;

use super::http1::{answers, head, message};
use super::peers::{PREFACE, frame, http, wait_for_calls};
use crate::counters::{CALLERS, IN_FLIGHT, value, wait_for, wait_until};
use crate::wire::{Provider, SERVICE, Wire, inbound, run, start};

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
    let (answer, body) = message(&mut caller);
    assert!(answer.starts_with("HTTP/1.1 502 ") && !body.contains("smuggled"), "{answer}{body}");
    assert!(server.is_left_alone(Duration::ZERO));
    drop((caller, upstream));
    wait_for(&proxy, IN_FLIGHT, 0);
    wait_for(&proxy, CALLERS, 0);
}

/// A request for `path` that asks to go on with HTTP/2.
fn upgrade(path: &str, more: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {SERVICE}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{more}\r\n"
    )
    .into_bytes()
}

/// A frame of HTTP/2: kind, flags, stream, payload.
type Frame = (u8, u8, u32, Vec<u8>);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS_FRAME: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

fn next_frame(wire: &mut Wire) -> Frame {
    let head = wire.take(9);
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    (head[3], head[4], stream, wire.take(length))
}

/// The next frame of a stream.
fn next_of(wire: &mut Wire, stream: u32) -> Frame {
    loop {
        let frame = next_frame(wire);
        if frame.2 == stream {
            return frame;
        }
        assert!(frame.2 == 0 && frame.0 != GOAWAY, "{frame:?}");
    }
}

/// Reads an answer with status 200, and says its body.
fn answer_of(wire: &mut Wire, stream: u32) -> String {
    let (kind, flags, _, head) = next_of(wire, stream);
    assert_eq!((kind, flags), (HEADERS, 4), "a head, with a body behind it");
    assert_eq!(head[0], 0x88, ":status 200 stands first");
    let mut body = Vec::new();
    loop {
        let (kind, flags, _, piece) = next_of(wire, stream);
        assert_eq!(kind, DATA);
        body.extend(piece);
        if flags & 1 != 0 {
            return String::from_utf8(body).unwrap();
        }
    }
}

#[track_caller]
fn is_switched(caller: &mut Wire) {
    let answer = head(caller);
    assert_eq!(
        answer,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    );
}

#[test]
fn a_request_that_asks_for_http_2_is_answered_as_its_first_stream() {
    let server = Provider::new();
    let proxy = run(http(Protocol::Http1, &[server.address()]));
    let mut caller = Wire::connect(proxy.address("http").unwrap());
    // Not its first request.
    caller.send(format!("GET /before HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n").as_bytes());
    let mut upstream = server.accept();
    head(&mut upstream);
    upstream.send(PONG);
    assert_eq!(message(&mut caller).1, "pong");

    caller.send(&upgrade("/a%20b?c", &format!("X-User: tom\r\nTE: trailers\r\n{SETTINGS}")));
    is_switched(&mut caller);
    // The server's preface waits for nobody, and the request for the client's.
    let (kind, flags, ..) = next_frame(&mut caller);
    assert_eq!((kind, flags), (SETTINGS_FRAME, 0));
    for byte in PREFACE {
        assert!(server.is_left_alone(Duration::ZERO));
        caller.send(&[*byte]);
    }
    assert_eq!(
        head(&mut upstream),
        format!(
            "GET /a%20b?c HTTP/1.1\r\nte: trailers\r\nx-user: tom\r\nconnection: te\r\nhost: {SERVICE}\r\n\r\n"
        )
    );
    upstream.send(PONG);
    assert_eq!(answer_of(&mut caller, 1), "pong");
    // :method GET, :scheme http, :path /, and a literal :authority.
    let name = [&[0x82, 0x86, 0x84, 0x41, SERVICE.len() as u8], SERVICE.as_bytes()].concat();
    for stream in [3, 5] {
        caller.send(&frame(HEADERS, 5, stream, &name));
        assert!(head(&mut upstream).starts_with("GET / HTTP/1.1\r\n"));
        upstream.send(PONG);
        assert_eq!(answer_of(&mut caller, stream), "pong");
    }
    // It is one connection, which began with HTTP/1.1.
    wait_for_calls(&proxy, "http1", "GET", "success", 1);
    wait_for_calls(&proxy, "http2", "GET", "success", 3);
    let detected = r#"spanwire_connections_detected_total{listener="http",protocol="#;
    assert_eq!(value(&proxy, &format!(r#"{detected}"http1"}}"#)), 1);
    assert_eq!(value(&proxy, &format!(r#"{detected}"http2"}}"#)), 0);
    assert_eq!(value(&proxy, "spanwire_connections_upgraded_total"), 1);
    assert_eq!(value(&proxy, CALLERS), 1);
    drop(caller);
    wait_for(&proxy, CALLERS, 0);
}

#[test]
fn what_the_upgrade_sets_holds_and_is_acknowledged_by_it() {
    let server = Provider::new();
    let proxy = run(http(Protocol::Http1, &[server.address()]));
    // A stream's window of 3; the client's frame says nothing of it, or 1 more.
    for (own, first) in [(PREFACE.to_vec(), "pon"), (settings(4, 2), "po")] {
        let mut caller = Wire::connect(proxy.address("http").unwrap());
        caller.send(&upgrade("/", "HTTP2-Settings: AAQAAAAD\r\n"));
        is_switched(&mut caller);
        caller.send(&own);
        let mut upstream = server.accept();
        head(&mut upstream);
        // So that none of its connections is used twice.
        upstream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npong");
        let (mut body, mut acknowledged) = (String::new(), 0);
        while body.len() < first.len() {
            match next_frame(&mut caller) {
                (SETTINGS_FRAME, 1, 0, _) => acknowledged += 1,
                (DATA, 0, 1, piece) => body += &String::from_utf8(piece).unwrap(),
                (SETTINGS_FRAME | HEADERS | WINDOW_UPDATE, ..) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((&*body, acknowledged), (first, 1));
        assert!(caller.is_quiet(Duration::from_millis(50)), "more than its window");
        caller.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]));
        let (kind, flags, _, rest) = next_of(&mut caller, 1);
        assert_eq!((kind, flags, rest), (DATA, 1, b"pong"[first.len()..].to_vec()));
    }
}

/// A preface with one setting.
fn settings(name: u16, value: u32) -> Vec<u8> {
    let setting = [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    [&PREFACE[..24], &frame(SETTINGS_FRAME, 0, 0, &setting)].concat()
}

/// Only a preface may follow an upgrade: whatever else does was written for somebody who has
/// not switched.
#[test]
fn what_follows_an_upgrade_is_http_2_or_for_nobody() {
    let server = Provider::new();
    let proxy = run(http(Protocol::Http1, &[server.address()]));
    let magic = &PREFACE[..24];
    let request = upgrade("/first", SETTINGS);
    let mut failed = 0;
    for (what, ahead, then) in [
        ("a request sent ahead", SMUGGLED.as_bytes(), vec![]),
        ("half a request sent ahead", b"GET /smug", b"gled HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a request", b"", SMUGGLED.as_bytes().to_vec()),
        ("an upgrade", b"", request.clone()),
        ("a preface sent ahead", PREFACE, vec![]),
        ("no settings", b"", [magic, &frame(HEADERS, 5, 3, &[0x82, 0x86, 0x84])].concat()),
        ("an acknowledgement", b"", [magic, &frame(SETTINGS_FRAME, 1, 0, &[])].concat()),
        ("settings of a stream", b"", [magic, &frame(SETTINGS_FRAME, 0, 1, &[])].concat()),
        ("half a setting", b"", [magic, &frame(SETTINGS_FRAME, 0, 0, &[0; 3])].concat()),
        ("more settings than a frame", b"", [magic, b"\x00\x45\x06\x04\0\0\0\0\0"].concat()),
    ] {
        let mut caller = Wire::connect(proxy.address("http").unwrap());
        caller.send(&[&request[..], ahead].concat());
        if !then.is_empty() {
            is_switched(&mut caller);
            caller.send(&then);
        }
        let answer = answers(&mut caller);
        assert_eq!(answer.matches("HTTP/1.").count(), usize::from(then.is_empty()), "{what}");
        assert!(server.is_left_alone(Duration::ZERO), "{what}");
        failed += 1;
        let errors = r#"spanwire_decode_errors_total{side="downstream"}"#;
        wait_until(what, || match value(&proxy, errors) >= failed {
            true => Ok(()),
            false => Err(format!("{} errors", value(&proxy, errors))),
        });
        // One that is refused by its line already is counted twice.
        failed = value(&proxy, errors);
    }
    // And one that says nothing more has called nobody.
    let mut caller = Wire::connect(proxy.address("http").unwrap());
    caller.send(&request);
    is_switched(&mut caller);
    caller.send(&PREFACE[..30]);
    drop(caller);
    wait_for(&proxy, CALLERS, 0);
    wait_for(&proxy, IN_FLIGHT, 0);
    assert!(server.is_left_alone(Duration::ZERO));
}

#[test]
fn an_upgrade_that_is_not_taken_up_leaves_a_request_of_http_1() {
    let server = Provider::new();
    let all = [Protocol::Http1, Protocol::Http2];
    let good = || String::from_utf8(upgrade("/", SETTINGS)).unwrap();
    let mut upstream = None;
    // Each field counts 32 bytes more there.
    let field = "b".repeat(65);
    let many: String = (10..99).map(|number| format!("a{number}: {field}\r\n")).collect();
    for (what, protocols, request) in [
        ("a listener of HTTP/1.1", &[Protocol::Http1][..], good()),
        ("HTTP/2 for gRPC alone", &[Protocol::Http1, Protocol::Grpc], good()),
        ("HTTP/1.0", &all, good().replace("HTTP/1.1", "HTTP/1.0")),
        ("a body", &all, good().replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi")),
        ("no settings", &all, good().replace(SETTINGS, "")),
        ("two of them", &all, good().replace(SETTINGS, &SETTINGS.repeat(2))),
        ("bad ones", &all, good().replace("AAQAAP__", "AAQAAP//")),
        ("unmarked ones", &all, good().replace(", HTTP2-Settings\r\n", "\r\n")),
        (
            "a head too large for HTTP/2",
            &all,
            good().replace("\r\n\r\n", &format!("\r\n{many}\r\n")),
        ),
    ] {
        let mut config = http(Protocol::Http1, &[server.address()]);
        config.listeners[0].protocols = protocols.to_vec();
        config.limits.head = 8 << 10;
        let (proxy, mut caller) = start(config);
        caller.send(request.as_bytes());
        let mut there = upstream.take().unwrap_or_else(|| server.accept());
        let came = head(&mut there).to_ascii_lowercase();
        assert!(!came.contains("h2c") && !came.contains("http2"), "{what}: {came}");
        there.send(PONG);
        let (answer, body) = message(&mut caller);
        assert!(
            answer.starts_with("HTTP/1.") && answer.contains(" 200 OK\r\n"),
            "{what}: {answer}"
        );
        assert_eq!(body, "pong", "{what}");
        assert_eq!(value(&proxy, "spanwire_connections_upgraded_total"), 0, "{what}");
    }
}

/// Heads that take more than one frame are said whole.
#[test]
fn an_upgrade_with_a_long_head_is_taken_up() {
    let server = Provider::new();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.limits.head = 300 << 10;
    let (_proxy, mut caller) = start(config);
    let long = "x".repeat(200 << 10);
    caller.send(&upgrade("/", &format!("long: {long}\r\n{SETTINGS}")));
    is_switched(&mut caller);
    caller.send(PREFACE);
    let mut upstream = server.accept();
    assert!(head(&mut upstream).contains(&format!("\r\nlong: {long}\r\n")));
    upstream.send(PONG);
    assert_eq!(answer_of(&mut caller, 1), "pong");
}

/// It was asked for of the proxy. The application is spoken to as its callers began.
#[test]
fn an_application_does_not_notice_an_upgrade() {
    let app = Provider::new();
    let mut config = inbound(app.address());
    config.listeners[0].protocols = vec![Protocol::Http1, Protocol::Http2];
    let (_proxy, mut caller) = start(config);
    caller.send(&upgrade("/a", SETTINGS));
    is_switched(&mut caller);
    caller.send(PREFACE);
    let mut upstream = app.accept();
    assert_eq!(head(&mut upstream), format!("GET /a HTTP/1.1\r\nhost: {SERVICE}\r\n\r\n"));
    upstream.send(PONG);
    assert_eq!(answer_of(&mut caller, 1), "pong");
}

#[test]
fn a_drain_asks_an_upgraded_caller_for_no_more_calls() {
    let server = Provider::new();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.timeouts.drain = Duration::from_secs(60);
    let (proxy, mut caller) = start(config);
    caller.send(&upgrade("/", SETTINGS));
    is_switched(&mut caller);
    caller.send(PREFACE);
    let mut upstream = server.accept();
    head(&mut upstream);
    let drained = std::thread::spawn(move || proxy.drain());
    while next_frame(&mut caller).0 != GOAWAY {}
    upstream.send(PONG);
    let answer = next_of(&mut caller, 1);
    assert_eq!((answer.0, answer.3[0]), (HEADERS, 0x88));
    drop(caller);
    drained.join().unwrap().unwrap();
}
