//! Calls to services that the store was asked about and says nothing of yet.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use proxy::config::Config;
use proxy::server::Proxy;

use crate::counters::{faults, received, value, wait_for};
use crate::peers::{assert_exception, assert_status};
use crate::wire::*;

/// A proxy whose store takes connections and says nothing.
fn with_silent_store(change: impl FnOnce(&mut Config)) -> (TcpListener, Proxy, Wire) {
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = outbound(&[Provider::new().echo_forever()]);
    config.store = vec![format!("http://{}", store.local_addr().unwrap())];
    change(&mut config);
    let (proxy, caller) = start(config);
    (store, proxy, caller)
}

fn unlisted(id: u64, timeout: &'static str) -> Request<'static> {
    let attachments = vec![("timeout", timeout)];
    Request { service: "lab.Unlisted", attachments, ..Request::new(id) }
}

#[test]
fn a_call_waits_for_the_store_until_its_time_is_up() {
    let (_store, proxy, mut caller) = with_silent_store(|_| ());
    let sent = Instant::now();
    caller.send(&unlisted(7, "100").bytes());
    let says = ["no provider of lab.Unlisted is known", "store", "check the store's address"];
    assert_exception(&caller.expect(), 7, 6, "unknown_service", &says);
    assert!(sent.elapsed() >= Duration::from_millis(100), "{:?}", sent.elapsed());
    assert_eq!(value(&proxy, &faults("unknown_service")), 1);
}

#[test]
fn a_one_way_call_that_waited_in_vain_is_not_answered() {
    let (_store, proxy, mut caller) = with_silent_store(|_| ());
    caller.send(&Request { flags: ONE_WAY, ..unlisted(7, "50") }.bytes());
    wait_for(&proxy, &faults("unknown_service"), 1);
    assert!(caller.is_quiet(Duration::from_millis(20)));
}

#[test]
fn calls_to_configured_services_pass_while_others_wait() {
    let (_store, _proxy, mut caller) = with_silent_store(|_| ());
    caller.send(&[unlisted(1, "60000").bytes(), Request::new(2).bytes()].concat());
    let answer = caller.expect();
    assert_eq!(answer.id, 2);
    assert!(answer.text().contains("pong"));
}

#[test]
fn only_so_many_calls_may_wait_for_the_store() {
    let (_store, proxy, mut caller) = with_silent_store(|config| config.limits.pending = 3);
    for id in 0..5 {
        caller.send(&unlisted(id, "1500").bytes());
    }
    for id in 3..5 {
        let says = ["3 calls wait for the store", "was not sent"];
        assert_status(&caller.expect(), id, 100, "overloaded", &says);
    }
    for id in 0..3 {
        assert_eq!(caller.expect().id, id);
    }
    // There is room again.
    caller.send(&unlisted(6, "20").bytes());
    assert_exception(&caller.expect(), 6, 6, "unknown_service", &[]);
    assert_eq!(value(&proxy, &faults("overloaded")), 2);
}

#[test]
fn only_so_many_bytes_may_wait_for_the_store() {
    let (_store, _proxy, mut caller) = with_silent_store(|config| config.limits.buffer = 100_000);
    let large = "x".repeat(60_000);
    caller.send(&Request { argument: &large, ..unlisted(1, "1500") }.bytes());
    caller.send(&Request { argument: &large, ..unlisted(2, "1500") }.bytes());
    assert_status(&caller.expect(), 2, 100, "overloaded", &["wait for the store"]);
    assert_eq!(caller.expect().id, 1);
}

#[test]
fn a_caller_that_sends_no_more_still_gets_the_answer_to_a_waiting_call() {
    let (_store, _proxy, mut caller) = with_silent_store(|_| ());
    caller.send(&unlisted(3, "100").bytes());
    caller.finish();
    assert_exception(&caller.expect(), 3, 6, "unknown_service", &[]);
    assert!(caller.is_closed());
}

#[test]
fn a_drain_waits_for_calls_that_wait_for_the_store() {
    let (_store, proxy, mut caller) = with_silent_store(|_| ());
    caller.send(&unlisted(3, "2000").bytes());
    wait_for(&proxy, &received("downstream"), unlisted(3, "2000").bytes().len() as i64);
    let drained = std::thread::spawn(move || proxy.drain());
    assert_eq!(caller.expect().flags, READ_ONLY);
    assert_exception(&caller.expect(), 3, 6, "unknown_service", &[]);
    assert!(caller.is_closed());
    drop(caller);
    drained.join().unwrap().unwrap();
}
