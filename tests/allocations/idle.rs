//! What a connection keeps of a worker's memory between calls.
//!
//! Bytes that were asked for, not pages: what an allocator rounds up to and never touches
//! differs by allocator. `make bench` measures the resident set.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use proxy::config::Protocol;

use crate::alone;
use crate::counting::Counts;
use crate::peers::{Server, call, connect, grpc, http, say};
use crate::wire::*;

/// So many are opened for a figure.
const CONNECTIONS: usize = 64;
/// What the hyper crate sets aside for a connection: to read into, and to write heads
/// from.
const SET_ASIDE_BY_HYPER: i64 = (8 + 8) << 10;
/// What the h2 crate does: to write from, to read into, and to decode header fields
/// into. It has no setting for it.
const SET_ASIDE_BY_H2: i64 = (16 + 8 + 4) << 10;

/// Waits until each of the connections that were opened since keeps `most` bytes or less.
#[track_caller]
fn wait_until_each_keeps(most: i64, before: Counts) {
    let deadline = Instant::now() + SOON;
    loop {
        let each = Counts::now().since(before).held / CONNECTIONS as i64;
        if each <= most {
            return;
        }
        assert!(Instant::now() < deadline, "{each} bytes, which is more than {most}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_idle_dubbo_connection_keeps_little() {
    let _alone = alone();
    let (proxy, first) = start(outbound(&[Provider::new().mirror_forever()]));
    let address = proxy.address("out").unwrap();
    let called = |mut caller: Wire| {
        caller.send(&Request::new(1).bytes());
        assert_eq!(caller.expect().status, 20);
        caller
    };
    // The worker's own, and what grows with the first ones.
    let mut open = vec![called(first)];
    open.resize_with(CONNECTIONS, || called(Wire::connect(address)));
    let before = Counts::now();
    open.resize_with(2 * CONNECTIONS, || called(Wire::connect(address)));
    wait_until_each_keeps(1500, before);
}

#[test]
fn an_idle_http1_connection_keeps_what_hyper_does() {
    let _alone = alone();
    let server = Provider::new();
    let (proxy, first) = start(http(Protocol::Http1, &[server.address()]));
    let address = proxy.address("http").unwrap();
    let mut upstream = None;
    let mut called = |mut caller: Wire| {
        caller.send(format!("GET / HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n").as_bytes());
        let upstream = upstream.get_or_insert_with(|| server.accept());
        head(upstream);
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
        assert!(head(&mut caller).starts_with("HTTP/1.1 200 "));
        assert_eq!(caller.take(4), b"pong");
        caller
    };
    let mut open = vec![called(first)];
    open.resize_with(CONNECTIONS, || called(Wire::connect(address)));
    let before = Counts::now();
    open.resize_with(2 * CONNECTIONS, || called(Wire::connect(address)));
    wait_until_each_keeps(SET_ASIDE_BY_HYPER + 6800, before);
}

/// Everything up to the empty line.
#[track_caller]
fn head(wire: &mut Wire) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(wire.take(1));
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn an_idle_http2_connection_keeps_what_h2_does() {
    let _alone = alone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (proxy, first) = runtime.block_on(async { grpc(&[Server::new().await.echo()]).await });
    let called = |caller: Option<SendRequest<Bytes>>| {
        runtime.block_on(async {
            let mut caller = match caller {
                Some(caller) => caller,
                None => connect(&proxy).await,
            };
            let answer = call(&mut caller, say(), b"\0\0\0\0\x05hello").await.unwrap();
            assert_eq!(answer.grpc().0, "0");
            caller
        })
    };
    let mut open = vec![called(Some(first))];
    open.resize_with(CONNECTIONS, || called(None));
    let before = Counts::now();
    open.resize_with(2 * CONNECTIONS, || called(None));
    wait_until_each_keeps(SET_ASIDE_BY_H2 + 7800, before);
}
