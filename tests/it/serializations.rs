//! Bodies in other serializations than hessian2.

use crate::counters::{faults, value};
use crate::peers::assert_status;
use crate::wire::*;

/// One fastjson2 value: its length and its JSONB.
fn document(value: &[u8]) -> Vec<u8> {
    [&(value.len() as u32).to_be_bytes(), value].concat()
}

fn text(text: &str) -> Vec<u8> {
    let string = |text: &str| match text.len() {
        length @ 0..=47 => [&[0x49 + length as u8], text.as_bytes()].concat(),
        length => [&[0x79, 0x38, length as u8], text.as_bytes()].concat(),
    };
    document(&string(text))
}

/// A call in fastjson2, as Java 3.3 writes it.
fn fastjson2(id: u64, service: &str, group: Option<&str>) -> Frame {
    let mut attachments = vec![0xa6];
    for (key, value) in group.iter().map(|group| ("group", *group)).chain([("timeout", "60000")]) {
        for part in [key, value] {
            attachments.extend(&text(part)[4..]);
        }
    }
    attachments.push(0xa5);
    let body = [
        text("2.0.2"),
        text(service),
        text("0.0.0"),
        text("echo"),
        text("Ljava/lang/String;"),
        text("hello"),
        document(&attachments),
    ];
    Frame { flags: 0xc0 | 23, status: 0, id, body: body.concat() }
}

/// A call in a serialization that nobody here can read.
fn opaque(id: u64, serialization: u8) -> Frame {
    Frame { flags: 0xc0 | serialization, status: 0, id, body: vec![0xc3; 40] }
}

#[test]
fn fastjson2_calls_are_routed_by_service_and_group() {
    let (blue, green) = (Provider::new(), Provider::new());
    let mut config = outbound(&[blue.address(), green.address()]);
    config.services[0].endpoints[0].group = "blue".to_owned();
    config.services[0].endpoints[1].group = "green".to_owned();
    let (_proxy, mut caller) = start(config);
    for (id, group, provider) in [(1, "green", &green), (2, "blue", &blue)] {
        let sent = fastjson2(id, SERVICE, Some(group));
        caller.send(&sent.bytes());
        let mut upstream = provider.accept();
        let came = upstream.expect();
        assert_eq!(Frame { id, ..came.clone() }, sent);
        let answer = Frame { flags: 23, status: 20, id: came.id, body: document(&[0x92, 0]) };
        upstream.send(&answer.bytes());
        assert_eq!(caller.expect(), Frame { id, ..answer });
    }
}

#[test]
fn calls_that_cannot_be_read_go_to_the_listeners_default_service() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.listeners[0].default_service = Some(SERVICE.to_owned());
    let (_proxy, mut caller) = start(config);
    let mut upstream = None;
    for (id, serialization) in [3, 4, 6, 8, 9, 12, 21, 22, 25, 31].into_iter().enumerate() {
        let sent = opaque(id as u64, serialization);
        caller.send(&sent.bytes());
        let upstream = upstream.get_or_insert_with(|| provider.accept());
        let came = upstream.expect();
        assert_eq!(Frame { id: sent.id, ..came.clone() }, sent);
        let answer = Frame { flags: serialization, status: 20, id: came.id, body: vec![0x3c; 33] };
        upstream.send(&answer.bytes());
        assert_eq!(caller.expect(), Frame { id: sent.id, ..answer });
    }
    // What can be read goes where it says.
    caller.send(&Request { service: "lab.Unheard", ..Request::new(99) }.bytes());
    assert!(caller.expect().text().contains("[unknown_service]"));
}

#[test]
fn without_a_default_service_such_a_call_gets_a_clear_fault() {
    let (proxy, mut caller) = start(outbound(&[Provider::new().echo_forever()]));
    for serialization in [3, 8, 21, 31] {
        let id = u64::from(serialization);
        caller.send(&opaque(id, serialization).bytes());
        // An error status and a hessian2 string, which every Java can read.
        let says = ["names no service that can be read", "give the listener a `default_service`"];
        assert_status(&caller.expect(), id, 80, "unreadable", &says);
        caller.send(&Request::new(id).bytes());
        assert!(caller.expect().text().contains("pong"), "the connection goes on");
    }
    assert_eq!(value(&proxy, &faults("unreadable")), 4);
}

#[test]
fn a_generic_call_goes_to_the_service_it_names() {
    let provider = Provider::new();
    let mut config = outbound(&[]);
    config.services.push(service("lab.Other", &[provider.address()]));
    let (_proxy, mut caller) = start(config);
    for (id, method) in [(1, "$invoke"), (2, "$invokeAsync"), (3, "$echo")] {
        let attachments = vec![("generic", "true"), ("path", "lab.Other")];
        let call = Request { service: "lab.Other", method, attachments, ..Request::new(id) };
        caller.send(&call.bytes());
    }
    let mut upstream = provider.accept();
    for method in ["$invoke", "$invokeAsync", "$echo"] {
        assert!(upstream.expect().text().contains(method));
    }
}
