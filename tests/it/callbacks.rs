//! Callback arguments: a provider that calls its caller back.

use std::time::Duration;

use proxy::server::Proxy;

use crate::counters::{IN_FLIGHT, UPSTREAMS, faults, value, wait_for};
use crate::peers::{Unanswering, assert_status};
use crate::wire::*;

const LISTENER: &str = "lab.EchoService$Listener";

/// A call with a callback argument, as Java writes it.
fn subscribe(id: u64) -> Request<'static> {
    let attachments = vec![("timeout", "60000"), ("sys_callback_arg-1", "1993366729")];
    Request { method: "subscribe", attachments, ..Request::new(id) }
}

/// What the provider sends to the callback.
fn notice(id: u64, text: &'static str) -> Frame {
    let attachments = vec![("callback.service.instid", "1993366729"), ("path", LISTENER)];
    let request = Request {
        service: LISTENER,
        version: None,
        method: "changed",
        argument: text,
        attachments,
        ..Request::new(id)
    };
    request.frame()
}

/// One callback there and back.
#[track_caller]
fn call_back(provider: &mut Wire, caller: &mut Wire, id: u64, text: &'static str) {
    let sent = notice(id, text);
    provider.send(&sent.bytes());
    let received = caller.expect();
    assert_eq!(Frame { id, ..received.clone() }, sent);
    let answer = received.answer(&string("noted"));
    caller.send(&answer.bytes());
    assert_eq!(provider.expect(), Frame { id, ..answer });
}

#[test]
fn a_provider_calls_back_before_and_after_it_answers() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&subscribe(1).bytes());
    let mut private = provider.accept();
    let request = private.expect();
    // Ids of both directions are unrelated: even equal ones do not meet.
    call_back(&mut private, &mut caller, request.id, "first");
    private.send(&request.answer(&string("subscribed")).bytes());
    assert_eq!(caller.expect().id, 1);
    call_back(&mut private, &mut caller, 2, "second");
    call_back(&mut private, &mut caller, u64::MAX, "third");
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn each_caller_gets_its_own_callbacks_by_a_connection_of_its_own() {
    let provider = Provider::new();
    let (proxy, mut first) = start(outbound(&[provider.address()]));
    let mut second = Wire::connect(proxy.address("out").unwrap());
    first.send(&Request::new(1).bytes());
    let mut shared = provider.accept();
    assert_eq!(shared.expect().body, Request::new(1).frame().body);
    // Two consumer processes may well have listeners with equal ids.
    first.send(&subscribe(2).bytes());
    let mut to_first = provider.accept();
    to_first.expect();
    second.send(&subscribe(2).bytes());
    let mut to_second = provider.accept();
    to_second.expect();
    call_back(&mut to_second, &mut second, 5, "for the second");
    call_back(&mut to_first, &mut first, 5, "for the first");
    assert!(shared.is_quiet(Duration::from_millis(10)));
    assert!(first.is_quiet(Duration::from_millis(1)));
}

#[test]
fn what_takes_a_callback_back_goes_the_way_it_was_given() {
    let providers: Vec<Provider> = (0..4).map(|_| Provider::new()).collect();
    let addresses: Vec<_> = providers.iter().map(Provider::address).collect();
    let (_proxy, mut caller) = start(outbound(&addresses));
    caller.send(&subscribe(1).bytes());
    let mut private = accept_any(&providers);
    private.expect();
    for id in 2..20 {
        caller.send(&Request { method: "unsubscribe", ..subscribe(id) }.bytes());
        assert!(private.expect().text().contains("unsubscribe"));
    }
}

fn accept_any(providers: &[Provider]) -> Wire {
    let mut found = None;
    crate::counters::wait_until("a connection to one of the providers", || {
        found = providers.iter().find_map(Provider::try_next);
        found.as_ref().map(|_| ()).ok_or_else(|| "there is none".to_owned())
    });
    found.unwrap()
}

#[test]
fn callbacks_pass_through_two_proxies() {
    let provider = Provider::new();
    let (inner, _unused) = start(inbound(provider.address()));
    let (_outer, mut caller) = start(outbound(&[inner.address("in").unwrap()]));
    caller.send(&subscribe(9).bytes());
    let mut private = provider.accept();
    let request = private.expect();
    call_back(&mut private, &mut caller, 70, "first");
    private.send(&request.answer(&string("subscribed")).bytes());
    assert_eq!(caller.expect().id, 9);
    call_back(&mut private, &mut caller, 71, "second");
    drop(caller);
    assert!(private.is_closed());
}

#[test]
fn a_callers_private_connection_ends_with_it() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let mut other = Wire::connect(proxy.address("out").unwrap());
    other.send(&Request::new(1).bytes());
    let mut shared = provider.accept();
    shared.expect();
    caller.send(&subscribe(1).bytes());
    let mut private = provider.accept();
    let request = private.expect();
    private.send(&notice(3, "never answered").bytes());
    caller.expect();
    private.send(&request.answer(&string("subscribed")).bytes());
    caller.expect();
    drop(caller);
    // The callback in flight is answered, or cut off with the connection.
    while let Some(answer) = private.next() {
        assert_status(&answer, 3, 35, "connection_lost", &[]);
    }
    wait_for(&proxy, UPSTREAMS, 1);
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
    assert!(shared.is_quiet(Duration::from_millis(10)));
}

#[test]
fn a_caller_that_leaves_before_its_private_connection_is_made_leaves_none() {
    let provider = Unanswering::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&subscribe(1).bytes());
    wait_for(&proxy, IN_FLIGHT, 1);
    caller.reset();
    wait_for(&proxy, crate::counters::CALLERS, 0);
    let provider = provider.answer();
    wait_for(&proxy, IN_FLIGHT, 0);
    // Whatever was made for it is hung up again.
    while let Some(mut wire) = provider.try_next() {
        while wire.next().is_some() {}
    }
    wait_for(&proxy, UPSTREAMS, 0);
}

#[test]
fn when_the_provider_dies_the_subscriber_may_subscribe_again() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&subscribe(1).bytes());
    let mut private = provider.accept();
    private.expect();
    private.send(&notice(3, "in flight").bytes());
    let unanswered = caller.expect();
    drop(private);
    assert_status(&caller.expect(), 1, 35, "connection_lost", &[]);
    // An answer that has nowhere to go does no harm.
    caller.send(&unanswered.answer(&string("noted")).bytes());
    caller.send(&subscribe(2).bytes());
    let mut private = provider.accept();
    private.expect();
    call_back(&mut private, &mut caller, 1, "again");
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
}

#[test]
fn a_providers_call_that_can_be_meant_for_nobody_is_answered() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(1).bytes());
    let mut shared = provider.accept();
    let request = shared.expect();
    shared.send(&notice(44, "for whom").bytes());
    let answer = shared.expect();
    assert_eq!(answer.id, 44);
    assert!(answer.text().contains("Spanwire [no_endpoint]: a provider called back"));
    shared.send(&Frame { flags: ONE_WAY, ..notice(45, "for nobody") }.bytes());
    shared.send(&request.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 1);
    assert!(shared.is_quiet(Duration::from_millis(10)));
}

#[test]
fn a_one_way_callback_is_not_answered() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&subscribe(1).bytes());
    let mut private = provider.accept();
    private.expect();
    private.send(&Frame { flags: ONE_WAY, ..notice(8, "just so you know") }.bytes());
    let received = caller.expect();
    assert_eq!((received.flags, received.body), (ONE_WAY, notice(0, "just so you know").body));
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
}

#[test]
fn a_subscriber_keeps_its_callbacks_while_others_come_and_go() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&subscribe(1).bytes());
    let mut private = provider.accept();
    private.expect();
    for round in 0..10 {
        come_and_go(&proxy, &provider);
        call_back(&mut private, &mut caller, round, "still here");
    }
    wait_for(&proxy, UPSTREAMS, 1);
}

fn come_and_go(proxy: &Proxy, provider: &Provider) {
    let mut other = Wire::connect(proxy.address("out").unwrap());
    other.send(&subscribe(1).bytes());
    let mut private = provider.accept();
    let request = private.expect();
    private.send(&request.answer(&string("subscribed")).bytes());
    other.expect();
    drop(other);
    assert!(private.is_closed());
}

#[test]
fn a_caller_that_reads_no_callbacks_fills_no_memory() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.limits.buffer = 1 << 20;
    let (proxy, mut caller) = start(config);
    caller.send(&subscribe(1).bytes());
    let mut private = provider.accept();
    private.expect();
    // An unread tail after the attachments.
    let mut large = notice(2, "");
    large.body.resize(60_000, b'x');
    let two_way = large.bytes();
    let one_way = Frame { flags: ONE_WAY, ..large }.bytes();
    let mut sent = 0;
    while value(&proxy, &faults("overloaded")) < 10 {
        assert!(sent < 2000, "120 MB went somewhere");
        private.send(if sent % 2 == 0 { &two_way } else { &one_way });
        sent += 1;
    }
    let says = ["does not keep up", "bytes wait to be written", "was not sent"];
    assert_status(&private.expect(), 2, 100, "overloaded", &says);
    // Whoever begins to read gets what was taken.
    assert_eq!(caller.expect().body.len(), 60_000);
}
