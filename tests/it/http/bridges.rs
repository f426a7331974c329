//! Callers and servers of different versions of HTTP.

use bytes::Bytes;
use http::{Request, Response};
use proxy::config::{Config, Protocol};

use super::http1;
use super::peers::{self, Server, call, drain, run, soon, write};
use crate::counters::wait_until;
use crate::wire::{Provider, Wire};

fn shop(protocol: Protocol, server: std::net::SocketAddr) -> Config {
    let mut config = peers::http(protocol, &[server]);
    config.services[0].name = "shop".to_owned();
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_of_http_1_reaches_a_server_of_http_2() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        let (parts, body) = request.into_parts();
        let (body, _) = drain(body).await.unwrap();
        let head = Response::builder()
            .header("uri", parts.uri.to_string())
            .header("trailer", "x-sum")
            .header(
                "names",
                parts.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
            );
        let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
        write(&mut answer, Bytes::from(body)).await.unwrap();
        let sum = [("x-sum".parse().unwrap(), "5".parse().unwrap())];
        answer.send_trailers(sum.into_iter().collect()).unwrap();
    });
    let (proxy, _) = run(shop(Protocol::Http2, server)).await;
    let mut caller = Wire::connect(proxy.address("http").unwrap());
    for _ in 0..3 {
        caller.send(
            b"PUT /a?b HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\nTE: trailers\r\n\
              Cookie: a=1\r\nContent-Length: 5\r\n\r\nhello",
        );
        let answer = http1::head(&mut caller);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("uri: http://shop/a?b\r\n"), "{answer}");
        assert!(
            answer.contains("names: te cookie content-length\r\n")
                || answer.contains("names: cookie content-length te\r\n"),
            "{answer}"
        );
        assert_eq!(caller.take(10), b"5\r\nhello\r\n");
        assert_eq!(caller.take(3), b"0\r\n");
        assert_eq!(http1::head(&mut caller), "x-sum: 5\r\n\r\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_length_is_told_is_whole_with_its_last_byte() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        drain(request.into_body()).await.unwrap();
        let head = Response::builder().header("content-length", "5");
        let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
        write(&mut answer, Bytes::from_static(b"hello")).await.unwrap();
        answer.send_data(Bytes::new(), true).unwrap();
    });
    let (proxy, _) = run(shop(Protocol::Http2, server)).await;
    let mut caller = Wire::connect(proxy.address("http").unwrap());
    for _ in 0..3 {
        caller.send(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
        assert_eq!(http1::message(&mut caller).1, "hello");
    }
    tokio::task::block_in_place(|| {
        wait_until("three calls", || {
            let text = proxy.metrics().render();
            let is_told = text.contains(r#"method="GET",outcome="success"} 3"#);
            if is_told { Ok(()) } else { Err(text) }
        })
    });
}

#[test]
fn a_server_of_http_1_gets_every_body_and_tells_its_own_as_it_is_cut() {
    let server = Provider::new();
    let (_proxy, mut caller) = crate::wire::start(shop(Protocol::Http1, server.address()));
    caller.send(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: TE\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let mut upstream = server.accept();
    let head = http1::head(&mut upstream).to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert!(head.contains("te: trailers\r\n") && head.contains("connection: te\r\n"), "{head}");
    assert_eq!(upstream.take(13), b"3\r\nabc\r\n0\r\n\r\n");
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let head = http1::head(&mut caller).to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    assert_eq!(caller.take(15), b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_of_http_2_reaches_a_server_of_http_1() {
    let server = Provider::new();
    let (_proxy, mut caller) = run(shop(Protocol::Http1, server.address())).await;
    let answering = tokio::task::spawn_blocking(move || {
        let mut upstream = server.accept();
        let (head, body) = http1::message(&mut upstream);
        upstream.send(b"HTTP/1.1 201 Made\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n");
        let without_body = http1::head(&mut upstream);
        upstream.send(b"HTTP/1.1 204 None\r\n\r\n");
        (head, body, without_body)
    });
    let put = Request::put("http://shop/a?b")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("content-length", "2");
    let answer = call(&mut caller, put.body(()).unwrap(), b"hi").await.unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.body), (201, &b"pong"[..]));
    assert!(answer.headers.is_empty(), "{:?}", answer.headers);
    let (answer, _) =
        caller.send_request(Request::get("http://shop/").body(()).unwrap(), true).unwrap();
    assert_eq!(peers::read(answer).await.unwrap().status.as_u16(), 204);
    let (head, body, without_body) = soon(answering).await.unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    lines.sort_unstable();
    let expected = [
        "PUT /a?b HTTP/1.1",
        "connection: te",
        "content-length: 2",
        "cookie: a=1; b=2",
        "host: shop",
        "te: trailers",
    ];
    assert_eq!((lines, &*body), (expected.to_vec(), "hi"));
    assert_eq!(without_body, "GET / HTTP/1.1\r\nhost: shop\r\n\r\n");
}
