//! Requests that two servers could cut at different places: whoever gets one
//! through puts words into another caller's mouth. None gets through.
//!
//! What they are is in [`harness::attacks`]; the same in front of real servers is in
//! `tests/interop`.

use std::time::Duration;

use harness::attacks::{BODIES, HEADS, SMUGGLED};
use proxy::config::Protocol;

use super::http1::{answers, head};
use super::peers::http;
use crate::counters::{IN_FLIGHT, wait_for};
use crate::wire::{Provider, SERVICE, Wire, run};

#[test]
fn no_ambiguous_head_is_passed_on() {
    let server = Provider::new();
    let proxy = run(http(Protocol::Http1, &[server.address()]));
    for (what, attack) in HEADS {
        let mut caller = Wire::connect(proxy.address("http").unwrap());
        let attack = attack.replace("HOST", &format!("Host: {SERVICE}"));
        // The caller may be shut out before all is sent.
        let _ = caller.try_send(&[attack.as_bytes(), SMUGGLED.as_bytes()].concat());
        let answer = answers(&mut caller);
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{what}: {answer:?}");
        assert_eq!(
            answer.matches("HTTP/1.").count(),
            usize::from(!answer.is_empty()),
            "{what}: {answer}"
        );
        assert!(server.is_left_alone(Duration::ZERO), "{what}");
    }
    wait_for(&proxy, IN_FLIGHT, 0);
}

#[test]
fn no_ambiguous_body_is_passed_on() {
    let server = Provider::new();
    let proxy = run(http(Protocol::Http1, &[server.address()]));
    for (what, attack) in BODIES {
        let mut caller = Wire::connect(proxy.address("http").unwrap());
        let start =
            format!("POST / HTTP/1.1\r\nHost: {SERVICE}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let _ =
            caller.try_send(&[start.as_bytes(), attack.as_bytes(), SMUGGLED.as_bytes()].concat());
        // What came before it may be on its way; it must not end as if whole.
        if let Some(mut upstream) = server.try_accept_within(Duration::from_millis(300)) {
            let came = answers(&mut upstream);
            assert!(!came.contains("smuggled"), "{what}: {came:?}");
            assert!(!came.ends_with("\r\n0\r\n\r\n"), "{what}: {came:?}");
        }
        let answer = answers(&mut caller);
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{what}: {answer:?}");
    }
    wait_for(&proxy, IN_FLIGHT, 0);
}

#[test]
fn what_is_strict_but_unusual_passes() {
    let server = Provider::new();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.listeners[0].protocols = vec![Protocol::Http1];
    let proxy = run(config);
    let mut upstream = None;
    for good in [
        "\r\nGET / HTTP/1.1\r\nHOST\r\n\r\n",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length:3 \r\n\r\nabc",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;a=\"b;c\"\r\nabc\r\n000\r\n\r\n",
        "GET http://lab.EchoService/a HTTP/1.1\r\nHOST\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHOST\r\n\r\n",
        "M-SEARCH / HTTP/1.1\r\nHOST\r\nX:\r\n\r\n",
    ] {
        let mut caller = Wire::connect(proxy.address("http").unwrap());
        caller.send(good.replace("HOST", &format!("Host: {SERVICE}")).as_bytes());
        let upstream = upstream.get_or_insert_with(|| server.accept());
        let came = head(upstream);
        let body = if came.to_ascii_lowercase().contains("chunked") { 13 } else { 3 };
        if came.starts_with("POST") {
            upstream.take(body);
        }
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(head(&mut caller).starts_with("HTTP/1.1 200 "), "{good:?}");
    }
}
