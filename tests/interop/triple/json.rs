//! Calls in JSON over plain HTTP, which providers of 3.3 take on the same port.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use harness::java::Line;
use harness::port;
use harness::spanwire::Proxy;
use http::Request;
use serde_json::json;

use super::services;
use crate::fixture::{inbound, outbound, triple_provider, unique, wait};

/// The status and the body that a request is answered with.
fn post(port: u16, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has a clock");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\
         content-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it is read");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer comes, and the end");
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    // Each in one chunk: its size, and itself.
    let body = match (chunked, body.split_once("\r\n")) {
        (true, Some((_, chunk))) => chunk.split("\r\n").next().unwrap_or_default(),
        _ => body,
    };
    (status.expect("a status"), body.to_owned())
}

/// The same over HTTP/2, of which it is known before that it is spoken.
fn post_h2(port: u16, path: &str, body: &str) -> (u16, String) {
    let request = Request::post(format!("http://127.0.0.1:{port}{path}"))
        .header("content-type", "application/json")
        .body(())
        .expect("a request");
    wait(async {
        let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let (caller, connection) = h2::client::handshake(socket).await?;
        let driver = tokio::spawn(connection);
        let (response, mut stream) = caller.ready().await?.send_request(request, false)?;
        stream.send_data(body.to_owned().into(), true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut answer = Vec::new();
        while let Some(data) = body.data().await {
            answer.extend_from_slice(&data?);
        }
        driver.abort();
        Ok((head.status.as_u16(), String::from_utf8(answer)?))
    })
}

#[test]
fn calls_in_json_find_their_provider() {
    let mut provider = triple_provider(Line::Dubbo33);
    let (one, two) = (unique("one"), unique("two"));
    let plain = provider.export(&one, json!({})).expect("exported");
    let grouped =
        provider.export(&two, json!({"group": "g", "version": "2.0.0"})).expect("exported");
    let (out, inward) = (port::free(), port::free());
    let endpoints = [
        format!("{{address: \"127.0.0.1:{plain}\"}}"),
        format!("{{address: \"127.0.0.1:{grouped}\", group: g, version: 2.0.0}}"),
    ];
    let proxy = Proxy::start(&(services(&endpoints) + &outbound(out)));
    let _in = Proxy::start(&inbound(inward, plain));
    for (path, headers, body) in [
        ("/interop.EchoService/string", "", r#"["tom"]"#),
        ("/interop.EchoService/string", "", "\"\u{e4}rger\""),
        ("/interop.EchoService/whoami", "", "[]"),
        ("/interop.EchoService/fail", "", r#"["runtime"]"#),
        ("/interop.EchoService/attachments", "user: u7\r\n", r#"[""]"#),
        ("/interop.EchoService/nope", "", "[]"),
        ("/interop.GreeterService/greet", "", r#"{"name": "Ann"}"#),
        ("/interop.EchoService/sleep", "tri-service-timeout: 200\r\n", "[1000]"),
    ] {
        let direct = post(plain, path, headers, body);
        for port in [inward, out] {
            let through = post(port, path, headers, body);
            if headers.is_empty() {
                assert_eq!(post_h2(port, path, body), direct, "HTTP/2 {path} {body}");
            }
            if path.ends_with("sleep") {
                // Whoever's clock is first.
                assert_eq!(direct.0, 408);
                assert!([408, 504].contains(&through.0), "{through:?}");
            } else {
                assert_eq!(through, direct, "{path} {body}\n{}", proxy.log());
            }
        }
    }
    let headers = "tri-service-group: g\r\ntri-service-version: 2.0.0\r\n";
    let (status, body) = post(out, "/interop.EchoService/whoami", headers, "[]");
    assert_eq!((status, body), (200, format!("\"{two}\"")), "{}", proxy.log());

    let headers = "tri-service-version: 9.9.9\r\n";
    let (status, body) = post(out, "/interop.EchoService/whoami", headers, "[]");
    assert_eq!(status, 503);
    assert!(body.contains("Spanwire [no_endpoint]"), "{body}");
}
