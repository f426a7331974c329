//! A provider dies: each call has exactly one end, and callers stay connected.

use std::time::Duration;

use crate::counters::{IN_FLIGHT, RETRIES, UPSTREAMS, faults, value, wait_for, wait_until};
use crate::peers::assert_status;
use crate::wire::*;

#[test]
fn calls_on_a_connection_that_breaks_are_answered_once_each() {
    let provider = Provider::new();
    let (proxy, mut first) = start(outbound(&[provider.address()]));
    let mut second = Wire::connect(proxy.address("out").unwrap());
    first.send(&[Request::new(1).bytes(), Request::new(2).bytes()].concat());
    let mut upstream = provider.accept();
    let answered = upstream.expect();
    upstream.expect();
    second.send(&Request::new(1).bytes());
    upstream.expect();
    upstream.send(&answered.answer(&string("pong")).bytes());
    assert!(first.expect().text().contains("pong"));
    drop(upstream);

    let at = provider.address().to_string();
    let says = [at.as_str(), "broke before the answer came", "may have acted on the call"];
    assert_status(&first.expect(), 2, 35, "connection_lost", &says);
    assert_status(&second.expect(), 1, 35, "connection_lost", &says);
    assert!(first.is_quiet(Duration::from_millis(30)));
    assert!(second.is_quiet(Duration::from_millis(1)));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    assert_eq!(value(&proxy, &faults("connection_lost")), 2);
}

#[test]
fn a_callers_connection_works_again_as_soon_as_the_provider_is_back() {
    let provider = Provider::new();
    let address = provider.address();
    let (proxy, mut caller) = start(outbound(&[address]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    upstream.expect();
    drop((upstream, provider));
    assert_eq!(caller.expect().status, 35);
    wait_for(&proxy, UPSTREAMS, 0);
    caller.send(&Request::new(2).bytes());
    assert!(caller.expect().text().contains("Spanwire [unreachable]"));
    // It has nobody else to go to: no wait stands between it and the provider.
    Provider::at(address).echo_forever();
    caller.send(&Request::new(3).bytes());
    assert!(caller.expect().text().contains("pong"));
}

#[test]
fn what_was_never_sent_goes_to_another_provider() {
    let (stuck, other) = (Provider::new(), Provider::new());
    // A second provider is known, but asked only when the first is gone.
    let mut config = outbound(&[stuck.address(), other.address()]);
    config.services[0].endpoints[1].weight = 1;
    config.services[0].endpoints[0].weight = 1_000_000;
    let (proxy, mut caller) = start(config);
    let mut second = Wire::connect(proxy.address("out").unwrap());
    // The provider reads nothing: what its socket does not take stays unsent.
    let large = "x".repeat(60_000);
    let calls = 400;
    let sender = std::thread::spawn(move || {
        for id in 0..calls {
            let request = Request {
                argument: &large,
                attachments: vec![("timeout", "20000")],
                ..Request::new(id)
            };
            caller.send(&request.bytes());
        }
        caller
    });
    let upstream = stuck.accept();
    let mut caller = sender.join().unwrap();
    wait_for(&proxy, IN_FLIGHT, calls as i64);
    let address = other.echo_forever();
    drop(upstream);
    drop(stuck);

    let (mut lost, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..calls {
        let answer = caller.expect();
        match answer.status {
            20 => answered.push(answer.id),
            35 => lost.push(answer.id),
            other => panic!("status {other}: {}", answer.text()),
        }
    }
    lost.sort_unstable();
    answered.sort_unstable();
    // The first ones went out, the rest did not; and nothing was both.
    assert!(!lost.is_empty() && !answered.is_empty(), "{} lost", lost.len());
    assert!(lost.iter().chain(&answered).copied().eq(0..calls), "{lost:?} {answered:?}");
    assert_eq!(value(&proxy, RETRIES), answered.len() as i64);
    wait_for(&proxy, IN_FLIGHT, 0);
    second.send(&Request::new(1).bytes());
    assert!(second.expect().text().contains("pong"), "{address} serves everybody");
}

#[test]
fn a_provider_that_dies_takes_no_other_providers_calls_with_it() {
    let (dying, living) = (Provider::new(), Provider::new());
    let mut config = outbound(&[dying.address()]);
    config.services.push(service("lab.Other", &[living.address()]));
    let (_proxy, mut caller) = start(config);
    caller.send(&Request { service: "lab.Other", ..Request::new(1) }.bytes());
    let mut alive = living.accept();
    let request = alive.expect();
    caller.send(&Request::new(2).bytes());
    let mut dead = dying.accept();
    dead.expect();
    drop(dead);
    assert_status(&caller.expect(), 2, 35, "connection_lost", &[]);
    alive.send(&request.answer(&string("pong")).bytes());
    assert_eq!((caller.expect().id, caller.is_quiet(Duration::from_millis(20))), (1, true));
}

#[test]
fn an_endpoint_that_failed_is_left_alone_and_then_tried_again() {
    let (failing, good) = (Provider::new(), Provider::new());
    let address = failing.address();
    let (proxy, mut caller) = start(outbound(&[address, good.echo_forever()]));
    drop(failing);
    let mut call = |id| {
        caller.send(&Request::new(id).bytes());
        let answer = caller.expect();
        assert_eq!((answer.status, answer.id), (20, id));
        assert!(answer.text().contains("pong"));
    };
    let mut id = 0;
    wait_until("the failing endpoint to be tried", || {
        call(id);
        id += 1;
        if value(&proxy, RETRIES) > 0 { Ok(()) } else { Err("never".to_owned()) }
    });
    // While it is left alone nobody waits for it.
    let tried = value(&proxy, RETRIES);
    for more in 0..20 {
        call(id + more);
    }
    assert!(value(&proxy, RETRIES) <= tried + 1);
    let back = Provider::at(address);
    let mut id = id + 20;
    let mut upstream = None;
    wait_until("a call to the provider that is back", || {
        if let Some(wire) = back.try_next() {
            upstream = Some(wire);
            return Ok(());
        }
        caller.send(&Request::new(id).bytes());
        id += 1;
        Err("none yet".to_owned())
    });
    let mut upstream = upstream.unwrap();
    let request = upstream.expect();
    upstream.send(&request.answer(&string("back")).bytes());
    while !caller.expect().text().contains("back") {}
}

#[test]
fn a_caller_that_is_gone_leaves_nothing_behind() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let mut staying = Wire::connect(proxy.address("out").unwrap());
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    caller.reset();
    wait_for(&proxy, crate::counters::CALLERS, 1);
    upstream.send(&request.answer(&string("too late")).bytes());
    wait_for(&proxy, IN_FLIGHT, 0);
    staying.send(&Request::new(2).bytes());
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    assert!(staying.expect().text().contains("pong"));
}
