//! How long a call may take, and what becomes of answers that come too late.

use std::time::{Duration, Instant};

use crate::counters::{IN_FLIGHT, LATE_ANSWERS, faults, value, wait_for};
use crate::peers::assert_status;
use crate::wire::*;

/// A call with this `timeout` attachment.
fn within(id: u64, timeout: &str) -> Vec<u8> {
    Request { attachments: vec![("timeout", timeout)], ..Request::new(id) }.bytes()
}

#[test]
fn the_callers_own_timeout_is_kept_and_the_late_answer_dropped() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let sent = Instant::now();
    caller.send(&within(1, "60"));
    let mut upstream = provider.accept();
    let request = upstream.expect();
    let answer = caller.expect();
    let took = sent.elapsed();
    assert!((60..900).contains(&took.as_millis()), "{took:?}");
    let at = provider.address().to_string();
    let says = [at.as_str(), "it may still act on the call", "raise the caller's timeout"];
    assert_status(&answer, 1, 31, "timeout", &says);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    assert_eq!(value(&proxy, &faults("timeout")), 1);

    upstream.send(&request.answer(&string("too late")).bytes());
    wait_for(&proxy, LATE_ANSWERS, 1);
    assert!(caller.is_quiet(Duration::from_millis(20)));
    // The connection to the provider serves on.
    caller.send(&Request::new(2).bytes());
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
}

#[test]
fn a_call_that_names_no_timeout_gets_the_configured_one() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.timeouts.call = Duration::from_millis(80);
    let (_proxy, mut caller) = start(config);
    for (id, attachments) in
        [(1, vec![]), (2, vec![("timeout", "soon")]), (3, vec![("timeout", "-5")])]
    {
        let sent = Instant::now();
        caller.send(&Request { attachments, ..Request::new(id) }.bytes());
        assert_status(&caller.expect(), id, 31, "timeout", &[]);
        let took = sent.elapsed();
        assert!((80..900).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn the_providers_own_timeout_comes_before_the_configured_one() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.timeouts.call = Duration::from_secs(60);
    config.services[0].endpoints[0].labels.insert("timeout".to_owned(), "70".to_owned());
    let (_proxy, mut caller) = start(config);
    caller.send(&Request { attachments: vec![], ..Request::new(1) }.bytes());
    assert_status(&caller.expect(), 1, 31, "timeout", &[]);
}

#[test]
fn an_inbound_listener_leaves_the_clock_to_the_caller() {
    let app = Provider::new();
    let mut config = inbound(app.address());
    config.timeouts.call = Duration::from_millis(30);
    let (_proxy, mut caller) = start(config);
    caller.send(&Request { attachments: vec![], ..Request::new(1) }.bytes());
    let mut upstream = app.accept();
    let request = upstream.expect();
    assert!(caller.is_quiet(Duration::from_millis(150)), "five times the configured timeout");
    upstream.send(&request.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
}

#[test]
fn a_short_deadline_is_kept_behind_a_long_one_and_the_other_way_round() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let sent = Instant::now();
    caller
        .send(&[within(1, "60000"), within(2, "300"), within(3, "40"), within(4, "170")].concat());
    let mut ids = [(); 3].map(|()| {
        let (id, took) = (caller.expect().id, sent.elapsed().as_millis());
        let least = [300, 40, 170][id as usize - 2];
        assert!((least..least + 4000).contains(&took), "call {id} after {took} ms");
        id
    });
    ids.sort_unstable();
    assert_eq!(ids, [2, 3, 4]);
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
}

#[test]
fn the_longest_timeout_there_is_does_no_harm() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let longest = i64::MAX.to_string();
    caller
        .send(&[within(1, &longest), within(2, "99999999999999999999"), within(3, "40")].concat());
    let mut upstream = provider.accept();
    let requests: Vec<Frame> = (0..3).map(|_| upstream.expect()).collect();
    assert_eq!(caller.expect().id, 3);
    for request in &requests[..2] {
        upstream.send(&request.answer(&string("pong")).bytes());
    }
    assert!(caller.expect().text().contains("pong"));
    assert!(caller.expect().text().contains("pong"));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn a_thousand_calls_that_time_out_together_leave_nothing_behind() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let burst: Vec<u8> = (0..1000).flat_map(|id| within(id, "50")).collect();
    caller.send(&burst);
    let mut ids: Vec<u64> = (0..1000)
        .map(|_| {
            let answer = caller.expect();
            assert_eq!(answer.status, 31);
            answer.id
        })
        .collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..1000));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    assert_eq!(value(&proxy, &faults("timeout")), 1000);
}

#[test]
fn a_late_answer_is_not_mistaken_for_the_next_calls() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    // One place to wait: the second call takes over the first one's.
    config.limits.pending = 1;
    let (proxy, mut caller) = start(config);
    caller.send(&within(1, "40"));
    let mut upstream = provider.accept();
    let first = upstream.expect();
    assert_eq!(caller.expect().status, 31);
    caller.send(&Request::new(2).bytes());
    let second = upstream.expect();
    upstream.send(&first.answer(&string("too late")).bytes());
    wait_for(&proxy, LATE_ANSWERS, 1);
    upstream.send(&second.answer(&string("in time")).bytes());
    let answer = caller.expect();
    assert_eq!(answer.id, 2);
    assert!(answer.text().contains("in time"));
}
