//! Callers that are broken, hostile or slow: each harms itself alone.

use std::time::Duration;

use proxy::server::Proxy;

use crate::counters::{CALLERS, IN_FLIGHT, received, value, wait_for, wait_until};
use crate::peers::assert_exception;
use crate::wire::*;

const DECODE_ERRORS: &str = r#"spanwire_decode_errors_total{side="downstream"}"#;

/// A proxy with an echoing provider, a caller to misbehave and one that does not.
fn with_echo() -> (Proxy, Wire, Wire) {
    let (proxy, bad) = start(outbound(&[Provider::new().echo_forever()]));
    let good = Wire::connect(proxy.address("out").unwrap());
    (proxy, bad, good)
}

#[track_caller]
fn assert_served(caller: &mut Wire, id: u64) {
    caller.send(&Request::new(id).bytes());
    let answer = caller.expect();
    assert_eq!((answer.id, answer.status), (id, 20), "{}", answer.text());
}

#[test]
fn garbage_ends_the_connection_it_came_by_and_no_other() {
    for garbage in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0; 16], &[0xff; 300], &[0xda; 40]]
    {
        let (proxy, mut bad, mut good) = with_echo();
        bad.send(garbage);
        assert!(bad.is_closed(), "after {garbage:?}");
        assert_served(&mut good, 1);
        assert_eq!(value(&proxy, DECODE_ERRORS), 1);
        wait_for(&proxy, CALLERS, 1);
    }
}

#[test]
fn garbage_after_a_good_call_leaves_no_call_behind() {
    let provider = Provider::new();
    let (proxy, mut bad) = start(outbound(&[provider.address()]));
    let mut good = Wire::connect(proxy.address("out").unwrap());
    let attachments = vec![("timeout", "60000")];
    let call = Request { attachments, ..Request::new(1) }.bytes();
    bad.send(&[&call[..], &[0x13; 64]].concat());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    assert!(bad.is_closed());
    good.send(&Request::new(1).bytes());
    let other = upstream.expect();
    upstream.send(&request.answer(&string("for nobody")).bytes());
    upstream.send(&other.answer(&string("pong")).bytes());
    assert!(good.expect().text().contains("pong"));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn half_a_call_is_no_call() {
    let provider = Provider::new();
    let whole = Request::new(1).bytes();
    for half in [1, 2, 15, 16, 17, whole.len() - 1] {
        let (proxy, mut bad) = start(outbound(&[provider.address()]));
        bad.send(&whole[..half]);
        bad.finish();
        assert!(bad.is_closed(), "after {half} bytes");
        wait_for(&proxy, CALLERS, 0);
        assert_eq!(value(&proxy, IN_FLIGHT), 0);
    }
    assert!(provider.is_left_alone(Duration::from_millis(20)));
}

#[test]
fn a_call_over_the_limit_is_answered_and_only_its_caller_is_shut_out() {
    let (_proxy, mut bad, mut good) = with_echo();
    let mut header = Request::new(0x1234).bytes();
    header.truncate(16);
    header[12..].copy_from_slice(&(2_u32 << 30).to_be_bytes());
    bad.send(&header);
    let says = ["2147483664 bytes", "the limit of 67108864", "`limits.frame`"];
    assert_exception(&bad.expect(), 0x1234, 7, "too_large", &says);
    assert!(bad.is_closed());
    assert_served(&mut good, 1);
}

#[test]
fn calls_in_flight_are_answered_although_a_later_one_is_over_the_limit() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.limits.frame = 1000;
    let (proxy, mut caller) = start(config);
    let large = "x".repeat(2000);
    let oversized = Request { argument: &large, ..Request::new(2) }.bytes();
    caller.send(&[Request::new(1).bytes(), oversized].concat());
    assert_exception(&caller.expect(), 2, 7, "too_large", &["the limit of 1000"]);
    let mut upstream = provider.accept();
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 1);
    assert!(caller.is_closed());
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn a_one_way_call_over_the_limit_is_not_answered() {
    let (_proxy, mut bad, mut good) = with_echo();
    let mut header = Request { flags: ONE_WAY, ..Request::new(1) }.bytes();
    header.truncate(16);
    header[12..].copy_from_slice(&u32::MAX.to_be_bytes());
    bad.send(&header);
    assert!(bad.is_closed());
    assert_served(&mut good, 1);
}

#[test]
fn a_call_that_cannot_be_read_is_answered_and_its_caller_goes_on() {
    let (_proxy, mut caller, _) = with_echo();
    let good = Request::new(1).frame();
    let bodies = [
        vec![],
        vec![0xff; 50],
        good.body[..10].to_vec(),
        // A string of 64 KiB that is not there, a list that contains itself.
        vec![b'S', 0xff, 0xff],
        [string("2.0.2"), vec![0x57; 100]].concat(),
    ];
    for (id, body) in bodies.into_iter().enumerate() {
        let id = 100 + id as u64;
        caller.send(&Frame { id, body, ..good.clone() }.bytes());
        assert_exception(&caller.expect(), id, 5, "unreadable", &["names no service"]);
        assert_served(&mut caller, id + 1000);
    }
}

#[test]
fn two_calls_with_one_id_both_get_their_answer() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&[Request::new(7).bytes(), Request::new(7).bytes()].concat());
    let mut upstream = provider.accept();
    let (first, second) = (upstream.expect(), upstream.expect());
    assert_ne!(first.id, second.id);
    upstream.send(&second.answer(&string("second")).bytes());
    upstream.send(&first.answer(&string("first")).bytes());
    let answers = [caller.expect(), caller.expect()];
    assert_eq!(answers.each_ref().map(|answer| answer.id), [7, 7]);
    assert!(answers[0].text().contains("second") && answers[1].text().contains("first"));
}

#[test]
fn an_answer_that_nobody_asked_a_caller_for_is_dropped() {
    let (proxy, mut caller, _) = with_echo();
    for id in [0, 1, u64::MAX, 1 << 20] {
        caller.send(&Frame { flags: RESPONSE, status: 20, id, body: vec![0x94] }.bytes());
    }
    assert_served(&mut caller, 1);
    assert_eq!(value(&proxy, crate::counters::LATE_ANSWERS), 4);
}

#[test]
fn a_caller_that_sends_byte_by_byte_delays_nobody_else() {
    let (proxy, mut slow, mut fast) = with_echo();
    let request = Request::new(1).bytes();
    for (sent, byte) in request.iter().enumerate() {
        let before = value(&proxy, &received("downstream"));
        slow.send(&[*byte]);
        wait_until("the byte to arrive", || {
            let after = value(&proxy, &received("downstream"));
            if after > before { Ok(()) } else { Err("nothing came".to_owned()) }
        });
        if sent % 10 == 0 {
            assert_served(&mut fast, sent as u64);
        }
    }
    assert_eq!(slow.expect().id, 1);
}

#[test]
fn a_caller_that_never_reads_is_cut_off_before_it_costs_too_much() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.limits.buffer = 2 << 20;
    let (proxy, mut deaf) = start(config);
    let mut good = Wire::connect(proxy.address("out").unwrap());
    let calls = 200;
    for id in 0..calls {
        deaf.send(&Request::new(id).bytes());
    }
    let mut upstream = provider.accept();
    let large = vec![b'x'; 100_000];
    let requests: Vec<Frame> = (0..calls).map(|_| upstream.expect()).collect();
    good.send(&Request::new(5).bytes());
    let other = upstream.expect();
    for request in &requests {
        upstream.send(&request.answer(&large).bytes());
    }
    upstream.send(&other.answer(&string("pong")).bytes());
    assert!(good.expect().text().contains("pong"));
    wait_for(&proxy, CALLERS, 1);
    wait_for(&proxy, IN_FLIGHT, 0);
    // What it finds when it looks at last is the end.
    while deaf.try_next().is_ok_and(|frame| frame.is_some()) {}
}

#[test]
fn a_caller_that_sends_no_more_still_gets_its_answers() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&[Request::new(1).bytes(), Request::new(2).bytes()].concat());
    caller.finish();
    let mut upstream = provider.accept();
    for id in [1, 2] {
        let request = upstream.expect();
        assert!(caller.is_quiet(Duration::from_millis(20)));
        upstream.send(&request.answer(&string("pong")).bytes());
        assert_eq!(caller.expect().id, id);
    }
    assert!(caller.is_closed());
    wait_for(&proxy, CALLERS, 0);
}
