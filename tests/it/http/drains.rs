//! The end of a proxy with HTTP/2 callers.

use std::time::Duration;

use bytes::Bytes;

use super::peers::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_told_and_calls_in_flight_end_as_they_would() {
    let server = Server::new().await.echo();
    let (proxy, mut caller) = grpc(&[server]).await;
    let mut idle = connect(&proxy).await;
    assert_eq!(call(&mut idle, say(), b"x").await.unwrap().body, b"x");
    let (answer, mut stream) = open(&mut caller, say()).await;
    let body = soon(answer).await.unwrap().into_body();
    let drained = tokio::task::spawn_blocking(move || proxy.drain());
    // GOAWAY has come where no more calls are taken.
    for told in [&mut idle, &mut caller] {
        let wait = std::future::poll_fn(|cx| match told.poll_ready(cx) {
            std::task::Poll::Ready(Err(error)) => std::task::Poll::Ready(error),
            _ => {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        });
        let error = soon(wait).await;
        assert!(error.is_go_away() || error.is_io(), "{error:?}");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!drained.is_finished());
    write(&mut stream, "still here".into()).await.unwrap();
    stream.send_data(Bytes::new(), true).unwrap();
    let (body, trailers) = soon(drain(body)).await.unwrap();
    assert_eq!(
        (&*body, &trailers.unwrap()["grpc-status"]),
        (&b"still here"[..], &"0".parse().unwrap())
    );
    soon(drained).await.unwrap().unwrap();
}
