//! Calls that do not end as they should: deadlines, resets, broken connections.
//! Whatever happens, both sides learn of it, and nothing is left in flight.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::{Response, StatusCode};
use proxy::config::Protocol;

use super::peers::*;
use crate::counters::{IN_FLIGHT, RETRIES, faults, value, wait_for};

/// Waits until a server's stream is cut by its peer; says why.
async fn cut(respond: &mut h2::server::SendResponse<Bytes>) -> Reason {
    soon(std::future::poll_fn(|cx| respond.poll_reset(cx))).await.unwrap()
}

/// A server's connection goes on by itself.
fn drive(mut connection: Connection) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { while connection.accept().await.is_some() {} })
}

/// Some callers lose an answer to the reset that may follow it (RFC 9113, section 8.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_waits_for_the_rest_of_its_request() {
    let (proxy, mut caller) = grpc(&[]).await;
    let (answer, mut stream) = open(&mut caller, request("http://nobody.example/x")).await;
    let answer = soon(read(answer)).await.unwrap();
    assert_eq!(answer.grpc().0, "13", "{answer:?}");
    let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(stream.poll_reset(cx)));
    assert!(poll.await.is_pending());
    stream.send_data(Bytes::from_static(b"the rest"), true).unwrap();
    wait_for(&proxy, IN_FLIGHT, 0);
    // Who sends no more is told in a while.
    let (answer, mut stream) = open(&mut caller, request("http://nobody.example/x")).await;
    soon(read(answer)).await.unwrap();
    let reset = soon(std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
    assert_eq!(reset.unwrap(), Reason::NO_ERROR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_holds_before_the_answer() {
    let server = Server::new().await;
    let (proxy, mut caller) = grpc(&[server.address()]).await;
    let mut request = say();
    request.headers_mut().insert("grpc-timeout", "150m".parse().unwrap());
    let (answer, mut stream) = open(&mut caller, request).await;
    stream.send_data("x".into(), true).unwrap();
    let started = Instant::now();
    let mut connection = server.accept().await;
    let (_request, mut respond) = soon(connection.accept()).await.unwrap().unwrap();
    drive(connection);
    let answer = read(answer).await.unwrap();
    assert_eq!((answer.status, answer.grpc().0), (StatusCode::OK, "4"));
    assert!(answer.grpc().1.starts_with("Spanwire [timeout]: "), "{answer:?}");
    assert!((100..3000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!(cut(&mut respond).await, Reason::CANCEL);
    wait_for_calls(&proxy, "grpc", "Say", "timeout", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_holds_in_the_middle_of_an_answer() {
    let server = Server::new().await;
    let (proxy, mut caller) = grpc(&[server.address()]).await;
    let mut request = say();
    request.headers_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let (answer, mut stream) = open(&mut caller, request).await;
    stream.send_data("x".into(), true).unwrap();
    let mut connection = server.accept().await;
    let (_request, mut respond) = soon(connection.accept()).await.unwrap().unwrap();
    drive(connection);
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    write(&mut body, "part".into()).await.unwrap();
    let answer = read(answer).await.unwrap();
    assert_eq!((&*answer.body, answer.grpc().0), (&b"part"[..], "4"));
    let reason = soon(std::future::poll_fn(|cx| body.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, Reason::CANCEL);
    wait_for_calls(&proxy, "grpc", "Say", "timeout", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_deadline_has_the_configured_one_only_where_it_is_written() {
    let server = Server::new().await;
    let mut config = http(Protocol::Grpc, &[server.address()]);
    config.timeouts.call = Duration::from_millis(50);
    let (proxy, mut caller) = run(config.clone()).await;
    let (answer, mut stream) = open(&mut caller, say()).await;
    stream.send_data("x".into(), true).unwrap();
    let mut connection = server.accept().await;
    let (request, respond) = soon(connection.accept()).await.unwrap().unwrap();
    drive(connection);
    tokio::time::sleep(Duration::from_millis(200)).await;
    echo(request, respond).await;
    assert_eq!(read(answer).await.unwrap().body, b"x");
    drop(proxy);

    config.timeouts.call_over_http = Some(Duration::from_millis(50));
    let (_proxy, mut caller) = run(config).await;
    let answer = call(&mut caller, say(), b"x").await.unwrap();
    assert_eq!(answer.grpc().0, "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_cuts_its_call_cuts_it_everywhere() {
    let server = Server::new().await;
    let (proxy, mut caller) = grpc(&[server.address()]).await;
    // Before the answer began.
    let (answer, mut stream) = open(&mut caller, say()).await;
    write(&mut stream, "x".into()).await.unwrap();
    let mut connection = server.accept().await;
    let (_request, mut respond) = soon(connection.accept()).await.unwrap().unwrap();
    stream.send_reset(Reason::CANCEL);
    drop(answer);
    let driving = tokio::spawn(async move { (connection.accept().await, connection) });
    assert_eq!(cut(&mut respond).await, Reason::CANCEL);
    wait_for_calls(&proxy, "grpc", "Say", "cancelled", 1);
    // In the middle of it.
    let (answer, mut stream) = open(&mut caller, say()).await;
    let (accepted, connection) = soon(driving).await.unwrap();
    let (_request, mut respond) = accepted.unwrap().unwrap();
    drive(connection);
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    let answer = soon(answer).await.unwrap();
    stream.send_reset(Reason::CANCEL);
    drop(answer);
    let reason = soon(std::future::poll_fn(|cx| body.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, Reason::CANCEL);
    wait_for_calls(&proxy, "grpc", "Say", "cancelled", 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cuts_a_call_is_quoted() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        let early = request.headers().contains_key("early");
        if early {
            return respond.send_reset(Reason::ENHANCE_YOUR_CALM);
        }
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        write(&mut body, "part".into()).await.unwrap();
        body.send_reset(Reason::INADEQUATE_SECURITY);
    });
    let (proxy, mut caller) = grpc(&[server]).await;
    let mut request = say();
    request.headers_mut().insert("early", "1".parse().unwrap());
    let error = call(&mut caller, request, b"x").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    let error = call(&mut caller, say(), b"x").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INADEQUATE_SECURITY));
    wait_for_calls(&proxy, "grpc", "Say", "provider_error", 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_said_in_a_status() {
    let server = Server::new().await;
    let (proxy, mut caller) = grpc(&[server.address()]).await;
    let (unanswered, mut stream) = open(&mut caller, say()).await;
    stream.send_data("x".into(), true).unwrap();
    let (half, mut stream) = open(&mut caller, say()).await;
    stream.send_data("y".into(), true).unwrap();
    let mut connection = server.accept().await;
    let mut came = Vec::new();
    for _ in 0..2 {
        came.push(soon(connection.accept()).await.unwrap().unwrap());
    }
    let driving = drive(connection);
    // They may have come in another order.
    if soon(came[1].0.body_mut().data()).await.unwrap().unwrap() != "y" {
        came.swap(0, 1);
    }
    let mut body = came[1].1.send_response(Response::new(()), false).unwrap();
    write(&mut body, "part".into()).await.unwrap();
    let half = soon(half).await.unwrap().into_body();
    driving.abort();
    let answer = read(unanswered).await.unwrap();
    assert_eq!(answer.grpc().0, "14", "{answer:?}");
    assert!(answer.grpc().1.starts_with("Spanwire [connection_lost]: "), "{answer:?}");
    let (_, trailers) = soon(drain(half)).await.unwrap();
    assert_eq!(trailers.unwrap()["grpc-status"], "14");
    wait_for_calls(&proxy, "grpc", "Say", "connection_lost", 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_leaves_nothing_behind() {
    let server = Server::new().await;
    let (proxy, _) = grpc(&[server.address()]).await;
    let socket = tokio::net::TcpStream::connect(proxy.address("http").unwrap()).await.unwrap();
    let (mut caller, connection) = h2::client::handshake(socket).await.unwrap();
    let driving = tokio::spawn(async move { drop(connection.await) });
    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(open(&mut caller, say()).await);
    }
    let mut connection = server.accept().await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(soon(connection.accept()).await.unwrap().unwrap());
    }
    drive(connection);
    driving.abort();
    for (_, respond) in &mut held {
        assert_eq!(cut(respond).await, Reason::CANCEL);
    }
    wait_for_calls(&proxy, "grpc", "Say", "cancelled", 10);
}

/// An answer that ends before its request does is whole (gRPC's servers refuse so).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_end_before_its_request() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        let head = Response::builder().header("grpc-status", "7").body(()).unwrap();
        respond.send_response(head, true).unwrap();
        drop(request);
    });
    let (proxy, mut caller) = grpc(&[server]).await;
    let (answer, mut stream) = open(&mut caller, say()).await;
    let _ = write(&mut stream, Bytes::from(vec![1; 1000])).await;
    assert_eq!(read(answer).await.unwrap().grpc().0, "7");
    wait_for_calls(&proxy, "grpc", "Say", "business_exception", 1);
    // The caller is told to stop, and its connection is still good.
    let _ = soon(std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
    assert_eq!(call(&mut caller, say(), b"").await.unwrap().grpc().0, "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_finishes_its_calls_and_gets_no_more() {
    let server = Server::new().await;
    let (proxy, mut caller) = grpc(&[server.address()]).await;
    let (first, mut stream) = open(&mut caller, say()).await;
    stream.send_data("first".into(), true).unwrap();
    let mut old = server.accept().await;
    let (request, respond) = soon(old.accept()).await.unwrap().unwrap();
    old.graceful_shutdown();
    let driving = drive(old);
    let (mut new, second) = loop {
        let (mut second, mut stream) = open(&mut caller, say()).await;
        stream.send_data("second".into(), true).unwrap();
        // Until the news has come, calls still go there and are refused.
        tokio::select! {
            connection = server.accept() => break (connection, second),
            refused = &mut second => assert!(refused.is_err(), "{refused:?}"),
        }
    };
    let (again, answer) = soon(new.accept()).await.unwrap().unwrap();
    drive(new);
    echo(again, answer).await;
    assert_eq!(read(second).await.unwrap().body, b"second");
    echo(request, respond).await;
    assert_eq!(read(first).await.unwrap().body, b"first");
    soon(driving).await.unwrap();
    wait_for(&proxy, IN_FLIGHT, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_body_that_a_server_refused_goes_elsewhere() {
    let servers = [Server::new().await, Server::new().await];
    let refuses = servers[0].address();
    let [refusing, taking] = servers;
    refusing.serve(|_, mut respond| async move { respond.send_reset(Reason::REFUSED_STREAM) });
    let taking = taking.named("taking");
    let mut config = http(Protocol::Http2, &[refuses, taking]);
    config.services[0].name = "shop".to_owned();
    let (proxy, mut caller) = run(config).await;
    for _ in 0..20 {
        let get = http::Request::get("http://shop/").body(()).unwrap();
        let (answer, _) = caller.send_request(get, true).unwrap();
        assert_eq!(read(answer).await.unwrap().headers["name"], "taking");
    }
    assert!(value(&proxy, RETRIES) > 0);
    wait_for(&proxy, IN_FLIGHT, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_over_the_limit_is_refused() {
    let server = Server::new().await.echo();
    let mut config = http(Protocol::Grpc, &[server]);
    config.limits.body = Some(1000);
    let (proxy, mut caller) = run(config).await;
    assert_eq!(call(&mut caller, say(), &[1; 1000]).await.unwrap().grpc().0, "0");
    // One that says so at once, and one that does not.
    let mut request = say();
    request.headers_mut().insert("content-length", "1001".parse().unwrap());
    let (answer, _stream) = open(&mut caller, request).await;
    assert_eq!(read(answer).await.unwrap().grpc().0, "8");
    let (answer, mut stream) = open(&mut caller, say()).await;
    let _ = write(&mut stream, Bytes::from(vec![1; 1001])).await;
    let answer = read(answer).await;
    // The echo may have begun to answer.
    let over =
        answer.as_ref().map_or(true, |answer| answer.grpc().0 == "8" || answer.grpc().0 == "14");
    assert!(over, "{answer:?}");
    assert!(value(&proxy, &faults("too_large")) >= 1);
    wait_for(&proxy, IN_FLIGHT, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_over_the_limit_is_refused_and_the_connection_goes_on() {
    let server = Server::new().await.echo();
    let mut config = http(Protocol::Grpc, &[server]);
    config.limits.head = 8 << 10;
    let (_proxy, mut caller) = run(config).await;
    let mut request = say();
    request.headers_mut().insert("large", "x".repeat(9 << 10).parse().unwrap());
    let answer = call(&mut caller, request, b"x").await;
    let refused = match &answer {
        Ok(answer) => answer.status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Err(error) => error.is_reset(),
    };
    assert!(refused, "{answer:?}");
    assert_eq!(call(&mut caller, say(), b"x").await.unwrap().body, b"x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_answer_no_ping_are_let_go() {
    let server = crate::wire::Provider::new();
    let mut config = http(Protocol::Grpc, &[server.address()]);
    config.timeouts.heartbeat = Duration::from_millis(100);
    let (proxy, mut caller) = run(config).await;
    let (answer, mut stream) = open(&mut caller, say()).await;
    stream.send_data("x".into(), true).unwrap();
    // It says that it speaks HTTP/2, and nothing more.
    let mut silent = server.accept();
    silent.send(b"\0\0\0\x04\0\0\0\0\0");
    let answer = read(answer).await.unwrap();
    assert_eq!(answer.grpc().0, "14", "{answer:?}");
    wait_for_calls(&proxy, "grpc", "Say", "connection_lost", 1);
}
