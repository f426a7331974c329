//! The read-only event, by which a provider that stops asks for no more calls.

use std::time::Duration;

use crate::counters::{IN_FLIGHT, UPSTREAMS, value, wait_for, wait_until};
use crate::wire::*;

const RECEIVED: &str = r#"spanwire_go_aways_received_total{side="upstream"}"#;

/// The event, as Java 2.7 (id 0) and 3.3 (twice, any id) send it.
fn read_only(id: u64) -> Frame {
    Frame { flags: READ_ONLY, status: 0, id, body: b"\x01R".to_vec() }
}

/// Sends calls until each of two providers has a connection with one.
fn one_call_each(caller: &mut Wire, providers: &[Provider; 2]) -> [(Wire, Frame); 2] {
    let mut found = [None, None];
    let mut id = 0;
    wait_until("both providers to be called", || {
        caller.send(&Request::new(id).bytes());
        id += 1;
        for (found, provider) in found.iter_mut().zip(providers) {
            if found.is_none() {
                *found = provider.try_next();
            }
        }
        if found.iter().all(Option::is_some) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    found.map(|wire| {
        let mut wire = wire.unwrap();
        let first = wire.expect();
        (wire, first)
    })
}

#[test]
fn a_provider_that_stops_gets_no_more_calls_and_finishes_those_it_has() {
    let providers = [Provider::new(), Provider::new()];
    let (proxy, mut caller) = start(outbound(&providers.each_ref().map(Provider::address)));
    let [(mut stopping, in_flight), (mut staying, _)] = one_call_each(&mut caller, &providers);
    // 3.3 says it twice.
    stopping.send(&[read_only(77).bytes(), read_only(u64::MAX).bytes()].concat());
    wait_for(&proxy, RECEIVED, 2);
    while !stopping.is_quiet(Duration::from_millis(1)) {
        stopping.expect();
    }
    let after = |id| Request { argument: "after the event", ..Request::new(id) }.bytes();
    caller.send(&(1000..1100).flat_map(after).collect::<Vec<_>>());
    let mut came = 0;
    while came < 100 {
        let request = staying.expect();
        came += u32::from(request.text().contains("after the event"));
        staying.send(&request.answer(&string("pong")).bytes());
    }
    assert!(stopping.is_quiet(Duration::from_millis(10)));
    stopping.send(&in_flight.answer(&string("finished")).bytes());
    // The caller sees answers alone, the stopping provider's among them.
    let mut finished = false;
    while !finished {
        let answer = caller.expect();
        assert_eq!((answer.flags, answer.status), (RESPONSE, 20), "{}", answer.text());
        finished = answer.text().contains("finished");
    }
}

#[test]
fn the_last_provider_is_called_although_it_stops() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let first = upstream.expect();
    upstream.send(&read_only(0).bytes());
    wait_for(&proxy, RECEIVED, 1);
    // It answers whatever comes before it closes: better than a fault.
    caller.send(&Request::new(2).bytes());
    let second = upstream.expect();
    upstream.send(&second.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 2);
    upstream.send(&first.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 1);
    assert_eq!(value(&proxy, UPSTREAMS), 1);
}

#[test]
fn a_provider_that_came_back_is_called_again() {
    let provider = Provider::new();
    let address = provider.address();
    let (proxy, mut caller) = start(outbound(&[address]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    upstream.send(&read_only(0).bytes());
    upstream.send(&request.answer(&string("pong")).bytes());
    caller.expect();
    drop((upstream, provider));
    wait_for(&proxy, UPSTREAMS, 0);
    let back = Provider::at(address);
    caller.send(&Request::new(2).bytes());
    let mut upstream = back.accept();
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 2);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn fastjson2_says_it_in_other_bytes() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    upstream.expect();
    let body = b"\0\0\0\x02\x4aR".to_vec();
    upstream.send(&Frame { flags: 0xa0 | 23, status: 0, id: 3, body }.bytes());
    wait_for(&proxy, RECEIVED, 1);
    assert!(caller.is_quiet(Duration::from_millis(10)));
}

#[test]
fn a_caller_that_says_it_is_not_obeyed() {
    let (_proxy, mut caller) = start(outbound(&[Provider::new().echo_forever()]));
    caller.send(&read_only(1).bytes());
    caller.send(&Request::new(2).bytes());
    assert!(caller.expect().text().contains("pong"));
}
