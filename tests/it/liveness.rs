//! Heartbeats, both ways and on both sides.

use std::time::{Duration, Instant};

use proxy::config::Config;

use crate::counters::{CALLERS, IN_FLIGHT, UPSTREAMS, value, wait_for};
use crate::peers::assert_status;
use crate::wire::*;

/// One minute, scaled down.
const HEARTBEAT: Duration = Duration::from_millis(400);

fn scaled_down(mut config: Config) -> Config {
    config.timeouts.heartbeat = HEARTBEAT;
    config
}

/// A heartbeat's answer, as Java writes it.
fn pong(ping: &Frame) -> Frame {
    Frame { flags: PONG, status: 20, id: ping.id, body: b"N".to_vec() }
}

#[test]
fn idle_peers_get_heartbeats_and_stay_connected_while_they_answer() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(scaled_down(outbound(&[provider.address()])));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    caller.expect();
    let began = Instant::now();
    for _ in 0..4 {
        for peer in [&mut caller, &mut upstream] {
            let ping = peer.expect();
            assert_eq!((ping.flags, ping.status, &*ping.body), (PING, 0, &b"N"[..]));
            peer.send(&pong(&ping).bytes());
        }
    }
    assert!(began.elapsed() >= HEARTBEAT * 3, "not more often than that");
    assert_eq!((value(&proxy, CALLERS), value(&proxy, UPSTREAMS)), (1, 1));
    caller.send(&Request::new(2).bytes());
    while upstream.expect().flags != TWO_WAY {}
}

#[test]
fn a_provider_that_gives_no_sign_of_life_is_cut_off_after_three_heartbeats() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(scaled_down(outbound(&[provider.address()])));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    upstream.expect();
    let began = Instant::now();
    // The caller lives.
    let answer = loop {
        let frame = caller.expect();
        if frame.flags != PING {
            break frame;
        }
        caller.send(&pong(&frame).bytes());
    };
    let took = began.elapsed();
    assert_status(&answer, 1, 35, "connection_lost", &[]);
    assert!((HEARTBEAT * 2..HEARTBEAT * 10).contains(&took), "{took:?}");
    let mut pings = 0;
    while let Some(frame) = upstream.next() {
        assert_eq!(frame.flags, PING);
        pings += 1;
    }
    assert!((1..=3).contains(&pings), "{pings}");
    assert_eq!((value(&proxy, IN_FLIGHT), value(&proxy, CALLERS)), (0, 1));
}

#[test]
fn a_caller_that_gives_no_sign_of_life_is_cut_off() {
    let (proxy, mut caller) = start(scaled_down(outbound(&[])));
    wait_for(&proxy, CALLERS, 1);
    while let Some(frame) = caller.next() {
        assert_eq!(frame.flags, PING);
    }
    wait_for(&proxy, CALLERS, 0);
}

#[test]
fn heartbeats_are_answered_where_they_arrive() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    // hessian2; fastjson2; nothing, as some gateways send; a serialization
    // unknown here, whose null is the one that came.
    let pings = [
        (0xe2, &b"N"[..], 0x22, &b"N"[..]),
        (0xf7, b"\0\0\0\x01\xaf", 0x37, b"\0\0\0\x01\xaf"),
        (0xe2, b"", 0x22, b"N"),
        (0xe8, b"\x01", 0x28, b"\x01"),
    ];
    for peer in [&mut caller, &mut upstream] {
        for (id, (flags, body, answer_flags, answer_body)) in pings.into_iter().enumerate() {
            let id = u64::MAX - id as u64;
            peer.send(&Frame { flags, status: 0, id, body: body.to_vec() }.bytes());
            let answer = Frame { flags: answer_flags, status: 20, id, body: answer_body.to_vec() };
            assert_eq!(peer.expect(), answer);
        }
    }
    // Nothing of it reached the other side, and the connections go on.
    upstream.send(&request.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
    assert!(upstream.is_quiet(Duration::from_millis(20)));
}

#[test]
fn a_heartbeat_that_wants_no_answer_gets_none() {
    let (_proxy, mut caller) = start(outbound(&[]));
    caller.send(&Frame { flags: 0xa2, status: 0, id: 1, body: b"N".to_vec() }.bytes());
    caller.send(&Frame { flags: PING, status: 0, id: 2, body: b"N".to_vec() }.bytes());
    assert_eq!(caller.expect().id, 2);
}

#[test]
fn heartbeats_are_answered_while_a_provider_is_swamped() {
    let stuck = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[stuck.address()]));
    let large = "x".repeat(60_000);
    // 18 MB for a provider that reads none of it.
    for id in 0..300 {
        caller.send(&Request { argument: &large, ..Request::new(id) }.bytes());
    }
    let _upstream = stuck.accept();
    let began = Instant::now();
    caller.send(&Frame { flags: PING, status: 0, id: 9999, body: b"N".to_vec() }.bytes());
    assert_eq!(caller.expect().id, 9999);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn an_unknown_event_is_no_reason_to_part() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    for peer in [&mut caller, &mut upstream] {
        // An event of this name is yet to be invented; and answers to nothing.
        peer.send(&Frame { flags: 0xa2, status: 0, id: 5, body: string("W") }.bytes());
        peer.send(&Frame { flags: PONG, status: 20, id: 6, body: b"N".to_vec() }.bytes());
        peer.send(&Frame { flags: 0x37, status: 77, id: 7, body: vec![0xff; 9] }.bytes());
    }
    upstream.send(&request.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
}
