//! One port for several protocols: told by the first bytes, or by silence.

use std::time::{Duration, Instant};

use proxy::config::Protocol;

use crate::counters::{CALLERS, value, wait_for};
use crate::raw::*;
use crate::wire::*;

/// How long a part of a caller's first bytes is alone.
const ALONE: Duration = Duration::from_millis(5);
/// Longer than any test takes.
const FOREVER: Duration = Duration::from_secs(10);

#[test]
fn dubbo_and_plain_tcp_share_a_port() {
    let (provider, database) = (Provider::new(), Provider::new());
    let (proxy, mut caller) = start(shared(&[provider.address()], &[database.address()]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let call = upstream.expect();
    upstream.send(&call.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 1);

    let address = proxy.address("shared").unwrap();
    let mut client = Wire::connect(address);
    client.send(b"anything");
    let mut server = database.accept();
    assert_eq!(server.take(8), b"anything");
    server.send(b"an answer");
    assert_eq!(client.take(9), b"an answer");
    for (protocol, count) in [("dubbo", 1), ("tcp", 1), ("timeout", 0), ("unknown", 0)] {
        assert_eq!(value(&proxy, &detected("shared", protocol)), count, "{protocol}");
    }
}

#[test]
fn a_first_call_may_be_cut_at_every_byte() {
    let (provider, database) = (Provider::new(), Provider::new());
    let mut config = shared(&[provider.address()], &[database.address()]);
    config.timeouts.detect = FOREVER;
    let (proxy, _silent) = start(config);
    let address = proxy.address("shared").unwrap();
    let mut upstream = None;
    let sent = Request::new(7).frame();
    let bytes = sent.bytes();
    for at in 1..bytes.len() {
        let mut caller = Wire::connect(address);
        caller.send(&bytes[..at]);
        std::thread::sleep(ALONE);
        caller.send(&bytes[at..]);
        let came = upstream.get_or_insert_with(|| provider.accept()).expect();
        assert_eq!(Frame { id: 7, ..came }, sent, "cut after {at} bytes");
    }
    assert!(database.is_left_alone(Duration::ZERO));
}

#[test]
fn what_only_begins_like_a_call_is_plain_tcp() {
    let (provider, database) = (Provider::new(), Provider::new());
    let mut config = shared(&[provider.address()], &[database.address()]);
    config.timeouts.detect = FOREVER;
    let (proxy, _silent) = start(config);
    let address = proxy.address("shared").unwrap();
    for (first, rest) in
        [(&b"\xda"[..], &b"\xba\xc2"[..]), (b"G", b"ET / HTTP/1.1"), (b"\x16", b"\x03\x01")]
    {
        let mut client = Wire::connect(address);
        client.send(first);
        std::thread::sleep(ALONE);
        client.send(rest);
        let mut server = database.accept();
        assert_eq!(server.take(first.len() + rest.len()), [first, rest].concat());
    }
    // One that ends after half a magic has sent all that it has.
    let mut client = Wire::connect(address);
    client.send(b"\xda");
    client.finish();
    let mut server = database.accept();
    assert_eq!(server.take(1), b"\xda");
    assert!(server.is_closed());
    assert_eq!(value(&proxy, &detected("shared", "tcp")), 4);
    assert!(provider.is_left_alone(Duration::ZERO));
}

#[test]
fn a_server_that_speaks_first_does_so_after_the_deadline() {
    let database = Provider::new();
    let mut config = shared(&[], &[database.address()]);
    config.timeouts.detect = Duration::from_millis(150);
    let started = Instant::now();
    let (proxy, mut client) = start(config);
    let mut server = database.accept();
    assert!(started.elapsed() >= Duration::from_millis(150), "{:?}", started.elapsed());
    server.send(b"220 ready");
    assert_eq!(client.take(9), b"220 ready");
    client.send(b"EHLO client");
    assert_eq!(server.take(11), b"EHLO client");
    assert_eq!(value(&proxy, &detected("shared", "timeout")), 1);
}

#[test]
fn what_came_before_the_deadline_is_passed_on_behind_it() {
    let database = Provider::new();
    let mut config = shared(&[], &[database.address()]);
    config.timeouts.detect = Duration::from_millis(150);
    let (proxy, mut client) = start(config);
    client.send(b"\xda");
    let mut server = database.accept();
    assert_eq!(server.take(1), b"\xda");
    server.send(b"what?");
    assert_eq!(client.take(5), b"what?");
    assert_eq!(value(&proxy, &detected("shared", "timeout")), 1);
}

#[test]
fn a_server_that_speaks_first_does_so_at_once_where_nothing_else_is_taken() {
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    config.timeouts.detect = FOREVER;
    let (proxy, mut client) = start(config);
    let mut server = database.accept();
    server.send(b"220 ready");
    assert_eq!(client.take(9), b"220 ready");
    assert_eq!(value(&proxy, &detected("tcp", "tcp")), 1);
}

#[test]
fn a_slow_first_byte_is_waited_for() {
    let provider = Provider::new();
    let mut config = shared(&[provider.address()], &[Provider::new().address()]);
    config.timeouts.detect = FOREVER;
    let (proxy, mut caller) = start(config);
    wait_for(&proxy, CALLERS, 1);
    assert!(caller.is_quiet(Duration::from_millis(150)));
    caller.send(&Request::new(1).bytes());
    provider.accept().expect();
}

#[test]
fn a_caller_that_goes_away_before_it_is_told_leaves_nothing_behind() {
    let mut config = shared(&[], &[Provider::new().address()]);
    config.timeouts.detect = FOREVER;
    let (proxy, caller) = start(config);
    wait_for(&proxy, CALLERS, 1);
    caller.reset();
    wait_for(&proxy, CALLERS, 0);
    assert_eq!(value(&proxy, &detected("shared", "closed")), 1);
}

#[test]
fn callers_that_are_not_told_yet_are_let_go_by_a_drain() {
    let database = Provider::new();
    let mut config = shared(&[], &[database.address()]);
    config.timeouts.detect = Duration::from_secs(60);
    config.timeouts.drain = Duration::from_secs(60);
    let (proxy, mut silent) = start(config);
    let mut client = Wire::connect(proxy.address("shared").unwrap());
    client.send(b"busy");
    let server = database.accept();
    wait_for(&proxy, CALLERS, 2);
    let drained = std::thread::spawn(move || proxy.drain());
    assert!(silent.is_closed());
    assert!(!drained.is_finished(), "the other one goes on");
    drop((client, server));
    drained.join().unwrap().unwrap();
}

#[test]
fn a_call_does_not_go_to_a_service_of_plain_tcp() {
    let database = Provider::new();
    let (_proxy, mut caller) = start(shared(&[], &[database.address()]));
    caller.send(&Request { service: DATABASE, ..Request::new(1) }.bytes());
    let answer = caller.expect();
    assert!(answer.text().contains("Spanwire [no_endpoint]: db is not provided over dubbo"));
    assert!(database.is_left_alone(Duration::ZERO));
}

#[test]
fn an_inbound_port_takes_both_for_its_application() {
    let app = Provider::new();
    let mut config = inbound(app.address());
    config.listeners[0].protocols.push(Protocol::Tcp);
    let (proxy, mut client) = start(config);
    client.send(b"bytes");
    assert_eq!(app.accept().take(5), b"bytes");
    let mut caller = Wire::connect(proxy.address("in").unwrap());
    caller.send(&Request::new(1).bytes());
    assert_eq!(app.accept().expect().body, Request::new(1).frame().body);
}
