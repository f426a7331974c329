//! Providers that are broken or hostile: callers get an answer all the same.

use std::time::Duration;

use crate::counters::{CALLERS, IN_FLIGHT, LATE_ANSWERS, UPSTREAMS, received, value, wait_for};
use crate::peers::{assert_exception, assert_status};
use crate::wire::*;

const DECODE_ERRORS: &str = r#"spanwire_decode_errors_total{side="upstream"}"#;

#[test]
fn an_answer_over_the_limit_fails_its_call_and_no_other() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.limits.frame = 100_000;
    let (proxy, mut caller) = start(config);
    caller.send(&(1..=3).flat_map(|id| Request::new(id).bytes()).collect::<Vec<_>>());
    let mut upstream = provider.accept();
    let requests: Vec<Frame> = (0..3).map(|_| upstream.expect()).collect();
    upstream.send(&requests[0].answer(&vec![b'x'; 200_000]).bytes());
    let says = ["the answer of 200017 bytes", "the limit of 100000", "`limits.frame`"];
    assert_exception(&caller.expect(), 1, 7, "too_large", &says);
    // The rest of the same connection is read on.
    upstream.send(&requests[2].answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 3);
    upstream.send(&requests[1].answer(&vec![b'x'; 99_000]).bytes());
    assert_eq!(caller.expect().body.len(), 99_001);
    assert_eq!((value(&proxy, IN_FLIGHT), value(&proxy, UPSTREAMS)), (0, 1));
    assert_eq!(value(&proxy, DECODE_ERRORS), 1);
}

#[test]
fn an_answer_that_claims_two_gigabytes_is_answered_for_at_once() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let mut answer = upstream.expect().answer(b"").bytes();
    answer[12..16].copy_from_slice(&(2_u32 << 30).to_be_bytes());
    upstream.send(&answer);
    assert_exception(&caller.expect(), 1, 7, "too_large", &["the answer of 2147483664 bytes"]);
}

#[test]
fn garbage_from_a_provider_ends_its_connection_and_the_calls_on_it() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&[Request::new(1).bytes(), Request::new(2).bytes()].concat());
    let mut upstream = provider.accept();
    let (first, _) = (upstream.expect(), upstream.expect());
    upstream
        .send(&[&first.answer(&string("pong")).bytes()[..], b"HTTP/1.1 400 Bad Request"].concat());
    assert_eq!(caller.expect().status, 20);
    assert_status(&caller.expect(), 2, 35, "connection_lost", &[]);
    assert_eq!((value(&proxy, DECODE_ERRORS), value(&proxy, CALLERS)), (1, 1));
    // The next call makes a new connection.
    caller.send(&Request::new(3).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 3);
}

#[test]
fn a_provider_that_closes_in_the_middle_of_an_answer_loses_the_call() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    // Within the header, within a small body, and within a large one.
    for (id, size, sent) in [(1, 10, 7), (2, 1000, 500), (3, 200_000, 100_000)] {
        caller.send(&Request::new(id).bytes());
        let mut upstream = provider.accept();
        let request = upstream.expect();
        upstream.send(&request.answer(&vec![b'x'; size]).bytes()[..sent]);
        drop(upstream);
        assert_status(&caller.expect(), id, 35, "connection_lost", &[]);
        wait_for(&proxy, UPSTREAMS, 0);
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn answers_that_nobody_waits_for_are_dropped() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&[Request::new(1).bytes(), Request::new(2).bytes()].concat());
    let mut upstream = provider.accept();
    let (first, second) = (upstream.expect(), upstream.expect());
    let answer = first.answer(&string("pong"));
    // Twice the same, and ids that were never given out.
    upstream.send(&[answer.bytes(), answer.bytes()].concat());
    for id in [0, u64::MAX, first.id ^ (1 << 40), first.id ^ (1 << 19)] {
        upstream.send(&Frame { id, ..answer.clone() }.bytes());
    }
    upstream.send(&second.answer(&string("pong")).bytes());
    assert_eq!((caller.expect().id, caller.expect().id), (1, 2));
    assert!(caller.is_quiet(Duration::from_millis(10)));
    assert_eq!(value(&proxy, LATE_ANSWERS), 5);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn an_answer_passes_whatever_its_status_and_body() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(0).bytes());
    let mut upstream = provider.accept();
    upstream.expect();
    let odd =
        [(0, vec![]), (20, vec![]), (20, vec![0xff; 40]), (77, string("?")), (255, vec![0; 3])];
    for (id, (status, body)) in odd.into_iter().enumerate() {
        let id = 10 + id as u64;
        caller.send(&Request::new(id).bytes());
        let request = upstream.expect();
        let answer = Frame { flags: RESPONSE, status, id: request.id, body };
        upstream.send(&answer.bytes());
        assert_eq!(caller.expect(), Frame { id, ..answer });
    }
}

#[test]
fn a_provider_that_hangs_up_on_everybody_is_given_up() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let mut accepted = 0;
    caller.send(&Request::new(1).bytes());
    let answer = loop {
        if let Some(wire) = provider.try_next() {
            accepted += 1;
            wire.reset();
        }
        if !caller.is_quiet(Duration::from_millis(1)) {
            break caller.expect();
        }
    };
    assert!(accepted <= 3, "{accepted} connections for one call");
    assert!(answer.text().contains("Spanwire ["), "{}", answer.text());
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn a_provider_that_pings_and_never_reads_fills_no_memory() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.limits.buffer = 100_000;
    let (proxy, mut caller) = start(config);
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let call = upstream.expect();
    let pings = Frame { flags: PING, status: 0, id: 1, body: b"N".to_vec() }.bytes().repeat(10_000);
    // 34 MB, more than all the buffers of the system between the two.
    let sent = 200 * pings.len() as i64;
    (0..200).for_each(|_| upstream.send(&pings));
    wait_for(&proxy, &received("upstream"), sent);
    let answered = value(&proxy, r#"spanwire_heartbeats_answered_total{side="upstream"}"#);
    assert!((1000..1_900_000).contains(&answered), "{answered} of 2,000,000");
    // It is slow, not gone.
    upstream.send(&call.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
}
