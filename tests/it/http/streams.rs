//! Bodies as streams: they go on as they come, and no faster than they are read.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use proxy::server::Proxy;

use super::peers::*;
use crate::counters::{IN_FLIGHT, received, sent, value, wait_for};

/// What a stream may keep in a proxy: its window, and what the sockets' buffers
/// and frames add.
const KEPT: i64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_goes_to_and_fro() {
    let server = Server::new().await.echo();
    let (proxy, mut caller) = grpc(&[server]).await;
    let (answer, mut stream) = open(&mut caller, say()).await;
    let mut body = soon(answer).await.unwrap().into_body();
    for number in 0..50 {
        let message = Bytes::from(format!("message {number}"));
        write(&mut stream, message.clone()).await.unwrap();
        assert_eq!(soon(body.data()).await.unwrap().unwrap(), message);
        body.flow_control().release_capacity(message.len()).unwrap();
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
    stream.send_data(Bytes::new(), true).unwrap();
    let (rest, trailers) = soon(drain(body)).await.unwrap();
    assert_eq!((rest.len(), trailers), (0, Some(status("0"))));
    wait_for_calls(&proxy, "grpc", "Say", "success", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_of_a_request_arrive() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        let (body, trailers) = drain(request.into_body()).await.unwrap();
        let said = trailers.unwrap()["checksum"].clone();
        let answer = Response::builder().header("said", said).header("length", body.len());
        respond.send_response(answer.body(()).unwrap(), true).unwrap();
    });
    let (_proxy, mut caller) = grpc(&[server]).await;
    let (answer, mut stream) = open(&mut caller, say()).await;
    write(&mut stream, "body".into()).await.unwrap();
    let trailers = [("checksum".parse().unwrap(), "abc".parse().unwrap())];
    stream.send_trailers(trailers.into_iter().collect()).unwrap();
    let answer = read(answer).await.unwrap();
    assert_eq!(
        (&answer.headers["said"], &answer.headers["length"]),
        (&"abc".parse().unwrap(), &"4".parse().unwrap())
    );
}

/// Waits until nothing more is taken from one side; says how much was.
fn settled(proxy: &Proxy, series: &str) -> i64 {
    let mut last = (value(proxy, series), Instant::now());
    while last.1.elapsed() < Duration::from_millis(300) {
        let now = value(proxy, series);
        if now != last.0 {
            last = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    last.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reads_slowly_slows_its_caller_down() {
    const LENGTH: usize = 32 << 20;
    let server = Server::new().await;
    let (proxy, mut caller) = grpc(&[server.address()]).await;
    let (answer, mut stream) = open(&mut caller, say()).await;
    let writing = tokio::spawn(async move {
        for _ in 0..LENGTH >> 16 {
            write(&mut stream, Bytes::from(vec![7; 1 << 16])).await.unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
    });
    let mut connection = server.accept().await;
    let (request, respond) = soon(connection.accept()).await.unwrap().unwrap();
    tokio::spawn(async move { while connection.accept().await.is_some() {} });
    let taken = settled(&proxy, &received("downstream"));
    assert!(taken < KEPT + WINDOW as i64, "{taken} bytes were taken in for nobody");
    assert!(!writing.is_finished());
    let answering = tokio::spawn(async move {
        let (body, _) = drain(request.into_body()).await.unwrap();
        let mut respond = respond;
        let head = Response::builder().header("grpc-status", "0").body(()).unwrap();
        respond.send_response(head, true).unwrap();
        body
    });
    assert_eq!(read(answer).await.unwrap().grpc().0, "0");
    let body = answering.await.unwrap();
    assert!(body.len() == LENGTH && body.iter().all(|byte| *byte == 7));
    wait_for_calls(&proxy, "grpc", "Say", "success", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_reads_slowly_slows_its_server_down_and_nobody_else() {
    const LENGTH: usize = 32 << 20;
    let server = Server::new().await.serve(|request, mut respond| async move {
        let (body, _) = drain(request.into_body()).await.unwrap();
        let mut answer = respond.send_response(Response::new(()), false).unwrap();
        let length = if body == b"short" { 1 } else { LENGTH >> 16 };
        for _ in 0..length {
            if write(&mut answer, Bytes::from(vec![7; 1 << 16])).await.is_err() {
                return;
            }
        }
        answer.send_trailers(status("0")).unwrap();
    });
    let (proxy, mut slow) = grpc(&[server]).await;
    let (answer, mut stream) = open(&mut slow, say()).await;
    stream.send_data("long".into(), true).unwrap();
    let body = soon(answer).await.unwrap().into_body();
    let taken = settled(&proxy, &received("upstream"));
    assert!(taken < KEPT + WINDOW as i64, "{taken} bytes were taken in for nobody");
    // The connections are shared, and others use them.
    for _ in 0..20 {
        let mut other = connect(&proxy).await;
        assert_eq!(call(&mut other, say(), b"short").await.unwrap().body.len(), 1 << 16);
    }
    let (body, _) = soon(drain(body)).await.unwrap();
    assert!(body.len() == LENGTH && body.iter().all(|byte| *byte == 7));
    wait_for_calls(&proxy, "grpc", "Say", "success", 21);
    assert!(value(&proxy, &sent("downstream")) >= LENGTH as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_do_not_stop_the_others() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        let (body, _) = drain(request.into_body()).await.unwrap();
        let mut answer = respond.send_response(Response::new(()), false).unwrap();
        let length = if body == b"short" { 1 } else { 1 << 20 };
        if write(&mut answer, Bytes::from(vec![7; length])).await.is_ok() {
            let _ = answer.send_trailers(status("0"));
        }
    });
    let (proxy, _) = grpc(&[server]).await;
    let mut unread = Vec::new();
    for _ in 0..40 {
        let mut caller = connect(&proxy).await;
        let (answer, mut stream) = open(&mut caller, say()).await;
        stream.send_data("long".into(), true).unwrap();
        unread.push((soon(answer).await.unwrap().into_body(), caller));
    }
    settled(&proxy, &received("upstream"));
    let mut other = connect(&proxy).await;
    assert_eq!(call(&mut other, say(), b"short").await.unwrap().body.len(), 1);
    drop(unread);
    wait_for(&proxy, IN_FLIGHT, 0);
}
