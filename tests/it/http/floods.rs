//! Callers that wear a server out within the protocol's letter.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use h2::Reason;

use super::peers::*;
use crate::counters::{CALLERS, IN_FLIGHT, value, wait_for};

/// CVE-2023-44487: streams opened and cut at once are never more than the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_opens_and_cuts_streams_without_end_is_shut_out() {
    let server = Server::new().await.echo();
    let (proxy, mut caller) = grpc(&[server]).await;
    let mut cut = 0;
    let error = loop {
        let opened = std::future::poll_fn(|cx| caller.poll_ready(cx)).await;
        let opened = opened.and_then(|()| caller.send_request(say(), false));
        match opened {
            Ok((answer, mut stream)) => {
                // Some servers never get to see it, some have begun.
                if cut % 16 == 0 {
                    tokio::task::yield_now().await;
                }
                stream.send_reset(Reason::CANCEL);
                drop(answer);
            }
            Err(error) => break error,
        }
        cut += 1;
        assert!(cut < 200_000, "nobody stops it");
    };
    assert!(error.reason() == Some(Reason::ENHANCE_YOUR_CALM) || error.is_io(), "{error:?}");
    wait_for(&proxy, CALLERS, 0);
    wait_for(&proxy, IN_FLIGHT, 0);
    let mut other = connect(&proxy).await;
    assert_eq!(call(&mut other, say(), b"x").await.unwrap().body, b"x");
}

/// Many callers of another proxy may come by one connection, and give up together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_hundred_cut_streams_end_no_connection() {
    let server = Server::new().await.echo();
    let (proxy, mut caller) = grpc(&[server]).await;
    for _ in 0..3 {
        // Nothing is written before all of them are cut.
        let mut cut = Vec::new();
        for _ in 0..100 {
            let (answer, stream) = caller.send_request(say(), false).unwrap();
            cut.push((answer, stream));
        }
        for (_, stream) in &mut cut {
            stream.send_reset(Reason::CANCEL);
        }
        drop(cut);
        assert_eq!(call(&mut caller, say(), b"x").await.unwrap().body, b"x");
    }
    wait_for(&proxy, IN_FLIGHT, 0);
    assert_eq!(value(&proxy, CALLERS), 1);
}

/// Sends until it is shut out, or the proxy reads no more of it.
#[track_caller]
fn flood(proxy: &proxy::server::Proxy, first: &[u8], then: &[u8]) {
    let mut caller = TcpStream::connect(proxy.address("http").unwrap()).unwrap();
    caller.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    caller.write_all(&[PREFACE, first].concat()).unwrap();
    let mut sent = 0;
    while caller.write_all(then).is_ok() {
        sent += then.len();
        assert!(sent < 64 << 20, "nobody stops it");
    }
    drop(caller);
    wait_for(proxy, CALLERS, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_frames_without_end_are_not_taken() {
    let server = Server::new().await.echo();
    let (proxy, caller) = grpc(&[server]).await;
    drop(caller);
    wait_for(&proxy, CALLERS, 0);
    // A head that is continued and never ends (VU#421644), with and without content.
    let part = frame(9, 0, 1, &[0x40, 1, b'a', 1, b'b'].repeat(1000));
    flood(&proxy, &frame(1, 0, 1, &[0x82]), &part);
    flood(&proxy, &frame(1, 0, 1, &[0x82]), &frame(9, 0, 1, &[]).repeat(1000));
    // Settings that must each be acknowledged (CVE-2019-9515), to one who never reads.
    flood(&proxy, &[], &frame(4, 0, 0, &[]).repeat(1000));
    // Pings likewise (CVE-2019-9512).
    flood(&proxy, &[], &frame(6, 0, 0, &[0; 8]).repeat(1000));
}
