//! What a call looks like on both sides of a proxy.

use std::time::Duration;

use crate::wire::*;

#[test]
fn a_call_and_its_answer_change_nothing_but_their_ids() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    let sent = Request::new(0xfedc_ba98_7654_3210).frame();
    caller.send(&sent.bytes());
    let mut upstream = provider.accept();
    let received = upstream.expect();
    assert_eq!(Frame { id: sent.id, ..received.clone() }, sent);
    let answer = received.answer(&string("hi"));
    upstream.send(&answer.bytes());
    assert_eq!(caller.expect(), Frame { id: sent.id, ..answer });
}

#[test]
fn callers_share_one_connection_and_answers_find_their_way_in_any_order() {
    let provider = Provider::new();
    let (proxy, mut first) = start(outbound(&[provider.address()]));
    let mut second = Wire::connect(proxy.address("out").unwrap());
    // Two consumers that both count from 0, as Java 2.7 does.
    first.send(&Request { argument: "first", ..Request::new(0) }.bytes());
    let mut upstream = provider.accept();
    let one = upstream.expect();
    second.send(&Request { argument: "second", ..Request::new(0) }.bytes());
    let two = upstream.expect();
    assert_ne!(one.id, two.id);
    upstream.send(&two.answer(&string("to the second")).bytes());
    upstream.send(&one.answer(&string("to the first")).bytes());
    let (to_first, to_second) = (first.expect(), second.expect());
    assert_eq!((to_first.id, to_second.id), (0, 0));
    assert!(to_first.text().contains("to the first"));
    assert!(to_second.text().contains("to the second"));
    assert!(provider.is_left_alone(Duration::from_millis(50)));
}

#[test]
fn a_thousand_calls_at_once_need_one_connection() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    let burst: Vec<u8> = (0..1000).flat_map(|id| Request::new(id).bytes()).collect();
    caller.send(&burst);
    let mut upstream = provider.accept();
    for _ in 0..1000 {
        let request = upstream.expect();
        upstream.send(&request.answer(&string("pong")).bytes());
    }
    let mut ids: Vec<u64> = (0..1000).map(|_| caller.expect().id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..1000));
    assert!(provider.is_left_alone(Duration::from_millis(50)));
}

#[test]
fn one_way_calls_pass_without_an_answer_over_the_shared_connection() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    for id in 0..200 {
        caller.send(&Request { flags: ONE_WAY, ..Request::new(id) }.bytes());
    }
    let mut upstream = provider.accept();
    for _ in 0..200 {
        assert_eq!(upstream.expect().flags, ONE_WAY);
    }
    assert!(caller.is_quiet(Duration::from_millis(50)));
    assert!(provider.is_left_alone(Duration::from_millis(50)));
}

#[test]
fn answers_of_several_megabytes_arrive() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(7).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    let large: Vec<u8> = (0..20 << 20).map(|at| (at % 251) as u8).collect();
    let answer = request.answer(&large);
    let sender = {
        let bytes = answer.bytes();
        std::thread::spawn(move || {
            upstream.send(&bytes);
            upstream
        })
    };
    assert_eq!(caller.expect(), Frame { id: 7, ..answer });
    drop(sender.join());
}

#[test]
fn requests_over_eight_megabytes_arrive() {
    let provider = Provider::new();
    let (_proxy, mut caller) = start(outbound(&[provider.address()]));
    let mut sent = Request::new(9).frame();
    let large = vec![b'x'; 17 << 20];
    // An unread tail after the attachments does: the body passes as it is.
    sent.body.extend(&large);
    let bytes = sent.bytes();
    let sender = std::thread::spawn(move || {
        caller.send(&bytes);
        caller
    });
    let received = provider.accept().expect();
    assert_eq!(received.body.len(), sent.body.len());
    assert_eq!(received.body, sent.body);
    drop(sender.join());
}

#[test]
fn an_inbound_listener_sends_everything_to_the_application() {
    let app = Provider::new();
    let (_proxy, mut caller) = start(inbound(app.address()));
    caller.send(&Request { service: "never.Heard", version: None, ..Request::new(3) }.bytes());
    let mut upstream = app.accept();
    let request = upstream.expect();
    upstream.send(&request.answer(&string("hi")).bytes());
    assert_eq!(caller.expect().id, 3);
    // The application knows itself which groups and versions it has.
    let versioned = Request {
        version: Some("1.0.0"),
        attachments: vec![("group", "g"), ("version", "1.0.0")],
        ..Request::new(4)
    };
    caller.send(&versioned.bytes());
    let request = upstream.expect();
    upstream.send(&request.answer(&string("hi")).bytes());
    assert_eq!(caller.expect().id, 4);
}

#[test]
fn a_body_that_cannot_be_read_passes_to_the_application() {
    let app = Provider::new();
    let (_proxy, mut caller) = start(inbound(app.address()));
    for serialization in [3, 8, 9, 21, 31] {
        let sent = Frame {
            flags: 0xc0 | serialization,
            status: 0,
            id: 40 + u64::from(serialization),
            body: vec![0xff; 99],
        };
        caller.send(&sent.bytes());
    }
    let mut upstream = app.accept();
    for serialization in [3, 8, 9, 21, 31_u8] {
        let received = upstream.expect();
        assert_eq!((received.flags, received.body), (0xc0 | serialization, vec![0xff; 99]));
    }
}

#[test]
fn a_null_service_version_is_no_version() {
    let address = Provider::new().echo_forever();
    let (_proxy, mut caller) = start(outbound(&[address]));
    caller.send(&Request { version: None, ..Request::new(5) }.bytes());
    assert_eq!(caller.expect().status, 20);
}

#[test]
fn an_endpoint_that_demands_a_token_gets_it_and_nothing_else_changes() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.services[0].endpoints[0].labels.insert("token".to_owned(), "sesame".to_owned());
    let (_proxy, mut caller) = start(config);
    let mut sent = Request::new(5);
    caller.send(&sent.bytes());
    let received = provider.accept().expect();
    sent.attachments.push(("token", "sesame"));
    assert_eq!(received.body, sent.frame().body);
}
