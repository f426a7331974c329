//! Calls that cannot be delivered: who is told, in which form and in what words.

use std::net::SocketAddr;
use std::time::Duration;

use crate::counters::{CONNECT_FAILURES, IN_FLIGHT, RETRIES, faults, value, wait_for};
use crate::peers::{Refusing, Unanswering, assert_exception, assert_status};
use crate::wire::*;

const NO_INVOKER: u8 = 6;
const NETWORK: u8 = 1;

#[test]
fn an_unknown_service_is_answered_at_once_and_not_to_be_repeated() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request { service: "lab.Unheard", ..Request::new(77) }.bytes());
    let says = ["no service named lab.Unheard is configured", "check the interface name"];
    assert_exception(&caller.expect(), 77, NO_INVOKER, "unknown_service", &says);
    assert_eq!(value(&proxy, &faults("unknown_service")), 1);
    assert!(provider.is_left_alone(Duration::from_millis(30)));
}

#[test]
fn a_made_up_service_makes_no_series() {
    let (proxy, mut caller) = start(outbound(&[]));
    for id in 0..50 {
        let service = format!("lab.MadeUp{id}");
        caller.send(&Request { service: &service, ..Request::new(id) }.bytes());
        caller.expect();
    }
    assert!(!proxy.metrics().render().contains("MadeUp"));
}

#[test]
fn a_group_or_version_that_nobody_has_is_named_in_the_answer() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.services[0].endpoints[0].group = "sun".to_owned();
    let (proxy, mut caller) = start(config);
    let attachments = vec![("group", "sun")];
    caller.send(&Request { version: Some("9.9.9"), attachments, ..Request::new(1) }.bytes());
    let says = [SERVICE, "9.9.9"];
    assert_exception(&caller.expect(), 1, NO_INVOKER, "no_endpoint", &says);
    caller.send(&Request { attachments: vec![("group", "moon")], ..Request::new(2) }.bytes());
    assert_exception(&caller.expect(), 2, NO_INVOKER, "no_endpoint", &[SERVICE, "moon"]);
    assert_eq!(value(&proxy, &faults("no_endpoint")), 2);
}

#[test]
fn a_service_without_endpoints_is_unknown() {
    let (_proxy, mut caller) = start(outbound(&[]));
    caller.send(&Request::new(5).bytes());
    assert_exception(&caller.expect(), 5, NO_INVOKER, "unknown_service", &[SERVICE]);
}

#[test]
fn one_way_calls_are_never_answered_not_even_with_a_fault() {
    let (proxy, mut caller) = start(outbound(&[]));
    caller.send(&Request { flags: ONE_WAY, service: "lab.Unheard", ..Request::new(1) }.bytes());
    wait_for(&proxy, &faults("unknown_service"), 1);
    // The next answer on the wire is the next call's.
    caller.send(&Request { service: "lab.Unheard", ..Request::new(2) }.bytes());
    assert_eq!(caller.expect().id, 2);
    assert!(caller.is_quiet(Duration::from_millis(30)));
}

#[test]
fn a_refused_connection_sends_the_call_elsewhere_and_nobody_notices() {
    let refusing: Vec<Refusing> = (0..3).map(|_| Refusing::new()).collect();
    let mut addresses: Vec<SocketAddr> = refusing.iter().map(Refusing::address).collect();
    addresses.push(Provider::new().echo_forever());
    let (proxy, mut caller) = start(outbound(&addresses));
    let burst: Vec<u8> = (0..200).flat_map(|id| Request::new(id).bytes()).collect();
    caller.send(&burst);
    let mut ids: Vec<u64> = (0..200)
        .map(|_| {
            let answer = caller.expect();
            assert_eq!(answer.status, 20);
            assert!(answer.text().contains("pong"), "{}", answer.text());
            answer.id
        })
        .collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..200));
    assert!(value(&proxy, RETRIES) > 0, "some went to a refusing endpoint first");
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn when_every_endpoint_refuses_the_caller_is_told_so_at_once() {
    let refusing: Vec<Refusing> = (0..3).map(|_| Refusing::new()).collect();
    let addresses: Vec<SocketAddr> = refusing.iter().map(Refusing::address).collect();
    let (proxy, mut caller) = start(outbound(&addresses));
    caller.send(&Request::new(9).bytes());
    let says = ["3 endpoint(s) tried", "was not sent", "check that the providers are up"];
    assert_exception(&caller.expect(), 9, NETWORK, "unreachable", &says);
    assert_eq!(value(&proxy, CONNECT_FAILURES), 3);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    // The connection to the caller is as good as before.
    caller.send(&Request::new(10).bytes());
    assert_eq!(caller.expect().id, 10);
}

#[test]
fn a_one_way_call_that_every_endpoint_refuses_is_given_up() {
    let refusing: Vec<Refusing> = (0..2).map(|_| Refusing::new()).collect();
    let addresses: Vec<SocketAddr> = refusing.iter().map(Refusing::address).collect();
    let (proxy, mut caller) = start(outbound(&addresses));
    caller.send(&Request { flags: ONE_WAY, ..Request::new(9) }.bytes());
    wait_for(&proxy, &faults("unreachable"), 1);
    assert!(value(&proxy, CONNECT_FAILURES) <= 5);
    let counted: Vec<_> = (proxy.metrics().render().lines())
        .filter(|line| line.starts_with("spanwire_calls_total{") && !line.ends_with(" 0"))
        .map(str::to_owned)
        .collect();
    assert!(matches!(&*counted, [one] if one.ends_with(" 1")), "one call: {counted:?}");
}

#[test]
fn an_endpoint_that_leaves_a_connection_unanswered_is_passed_over() {
    let (silent, good) = (Unanswering::new(), Provider::new());
    let good = good.echo_forever();
    let mut config = outbound(&[silent.address(), good]);
    config.timeouts.connect = Duration::from_millis(50);
    let (proxy, mut caller) = start(config);
    for id in 0..20 {
        caller.send(&Request::new(id).bytes());
        let answer = caller.expect();
        assert_eq!((answer.id, answer.status), (id, 20));
        assert!(answer.text().contains("pong"));
    }
    let failures = value(&proxy, CONNECT_FAILURES);
    assert!(failures <= 6, "left alone for a while after it failed: {failures}");
}

#[test]
fn a_call_whose_time_is_up_while_it_waits_for_a_connection_was_not_sent() {
    let silent = Unanswering::new();
    let (proxy, mut caller) = start(outbound(&[silent.address()]));
    caller.send(&Request { attachments: vec![("timeout", "60")], ..Request::new(3) }.bytes());
    let says = ["no connection to", "was not sent"];
    assert_exception(&caller.expect(), 3, NETWORK, "unreachable", &says);
    wait_for(&proxy, IN_FLIGHT, 0);
}

#[test]
fn what_a_caller_was_told_was_not_sent_is_not_sent_later() {
    let silent = Unanswering::new();
    let (_proxy, mut caller) = start(outbound(&[silent.address()]));
    let hurried = vec![("timeout", "60")];
    caller.send(&Request { attachments: hurried, ..Request::new(1) }.bytes());
    caller.send(&Request { argument: "patient", ..Request::new(2) }.bytes());
    assert_exception(&caller.expect(), 1, NETWORK, "unreachable", &["was not sent"]);
    let mut upstream = silent.answer().accept();
    let call = upstream.expect();
    assert!(call.text().contains("patient"), "{}", call.text());
    upstream.send(&call.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 2);
    assert!(upstream.is_quiet(Duration::from_millis(10)));
}

#[test]
fn a_call_to_a_dead_application_is_answered_by_the_inbound_side() {
    let app = Refusing::new();
    let (_proxy, mut caller) = start(inbound(app.address()));
    caller.send(&Request::new(4).bytes());
    // Another instance may take it: the caller's failover shall go there.
    let says = ["1 endpoint(s) tried", "application behind this proxy"];
    assert_status(&caller.expect(), 4, 35, "app_unreachable", &says);
}

#[test]
fn more_calls_than_may_wait_for_one_endpoint_are_refused_and_may_be_repeated() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.limits.pending = 3;
    let (proxy, mut caller) = start(config);
    let burst: Vec<u8> = (0..5).flat_map(|id| Request::new(id).bytes()).collect();
    caller.send(&burst);
    for id in 3..5 {
        let says = ["3 calls wait for its answers", "was not sent", "`limits`"];
        assert_status(&caller.expect(), id, 100, "overloaded", &says);
    }
    let mut upstream = provider.accept();
    for _ in 0..3 {
        let request = upstream.expect();
        upstream.send(&request.answer(&string("pong")).bytes());
        assert_eq!(caller.expect().status, 20);
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    caller.send(&Request::new(6).bytes());
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 6);
}

#[test]
fn a_provider_that_reads_nothing_fills_its_own_buffer_and_no_other() {
    let (stuck, good) = (Provider::new(), Provider::new());
    let mut config = outbound(&[stuck.address()]);
    config.services.push(service("lab.Other", &[good.echo_forever()]));
    config.limits.buffer = 1 << 20;
    let (proxy, mut caller) = start(config);
    let large = "x".repeat(60_000);
    let request = |id| Request { argument: &large, ..Request::new(id) }.bytes();
    let mut sent = 0;
    while value(&proxy, &faults("overloaded")) == 0 {
        assert!(sent < 2000, "120 MB went somewhere");
        caller.send(&request(sent));
        sent += 1;
    }
    let says = ["does not keep up", "bytes wait to be written", "was not sent"];
    let refused = caller.expect();
    assert_status(&refused, refused.id, 100, "overloaded", &says);
    let mut other = Wire::connect(proxy.address("out").unwrap());
    other.send(&Request { service: "lab.Other", ..Request::new(1) }.bytes());
    assert!(other.expect().text().contains("pong"));
}

#[test]
fn faults_are_told_in_fastjson2_to_callers_who_speak_it() {
    let (_proxy, mut caller) = start(outbound(&[]));
    let document = |value: &[u8]| [&(value.len() as u32).to_be_bytes(), value].concat();
    let text = |text: &str| document(&[&[0x49 + text.len() as u8], text.as_bytes()].concat());
    let body = [text("2.0.2"), text("lab.Unheard"), text("0.0.0"), text("echo"), text("")].concat();
    let body = [body, document(&[0xa6, 0xa5])].concat();
    caller.send(&Frame { flags: 0xc0 | 23, status: 0, id: 8, body }.bytes());
    let answer = caller.expect();
    assert_eq!((answer.flags, answer.status, answer.id), (23, 20, 8), "{}", answer.text());
    assert!(answer.body.starts_with(&[0, 0, 0, 1, 0]), "type 0: {:02x?}", answer.body);
    assert!(answer.text().contains("org.apache.dubbo.rpc.RpcException"));
    assert!(answer.text().contains("Spanwire [unknown_service]: no service named lab.Unheard"));
}
