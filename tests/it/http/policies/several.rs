//! Calls that go to several servers: at once (forking), or one after another (broadcast);
//! and what becomes of streams.

use h2::SendStream;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forks_ask_several_and_the_first_answer_counts() {
    let mut stage = Stage::new(3, "cluster: forking, forks: 2").await;
    let calling = stage.call(b"kept");
    let (one, two) = (stage.arrival().await, stage.arrival().await);
    assert_ne!(one.at, two.at);
    assert_eq!((&*one.body, &*two.body), (&b"kept"[..], &b"kept"[..]));
    assert!(stage.is_quiet().await);
    // A failure does not count while another may still answer.
    one.refuse("14");
    assert!(stage.is_quiet().await && !calling.is_finished());
    two.echo();
    assert_eq!(calling.await.unwrap().body, b"kept");
    wait_for_calls(&stage.proxy, "grpc", "Say", "success", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_that_lost_is_cut() {
    let mut stage = Stage::new(2, "cluster: forking, forks: 0").await;
    for _ in 0..20 {
        let calling = stage.call(b"x");
        let (one, mut two) = (stage.arrival().await, stage.arrival().await);
        one.echo();
        assert_eq!(calling.await.unwrap().body, b"x");
        let cut = soon(std::future::poll_fn(|cx| two.respond.poll_reset(cx))).await.unwrap();
        assert_eq!(cut, h2::Reason::CANCEL);
    }
    wait_for_calls(&stage.proxy, "grpc", "Say", "success", 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forks_that_all_fail_fail_and_those_that_find_nobody_go_elsewhere() {
    let mut stage = Stage::new(2, "cluster: forking").await;
    let calling = stage.call(b"x");
    for _ in 0..2 {
        stage.arrival().await.refuse("14");
    }
    assert_eq!(calling.await.unwrap().grpc().0, "14");
    wait_for_calls(&stage.proxy, "grpc", "Say", "provider_error", 1);

    let refusing = Refusing::new();
    let servers = [Server::new().await.echo(), Server::new().await.echo(), refusing.address()];
    let config = http(Protocol::Grpc, &servers);
    let (_folder, _proxy, mut caller) = on_terms(config, "cluster: forking, forks: 2").await;
    for _ in 0..20 {
        assert_eq!(call(&mut caller, say(), b"x").await.unwrap().body, b"x");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_asks_everyone_in_turn_with_the_same_body() {
    let mut stage = Stage::new(3, "cluster: broadcast").await;
    let calling = stage.call(b"kept");
    for at in 0..3 {
        let came = stage.arrival().await;
        assert_eq!((came.at, &*came.body), (at, &b"kept"[..]));
        assert!(stage.is_quiet().await && !calling.is_finished());
        came.echo();
    }
    assert_eq!(calling.await.unwrap().body, b"kept");
    wait_for_calls(&stage.proxy, "grpc", "Say", "success", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failure_of_a_broadcast_is_the_answer_an_exception_too() {
    for failure in ["14", "5"] {
        let mut stage = Stage::new(3, "cluster: broadcast").await;
        for failing in 0..3 {
            let calling = stage.call(b"x");
            for at in 0..3 {
                let came = stage.arrival().await;
                if at == failing {
                    came.refuse(failure)
                } else {
                    came.echo()
                };
            }
            assert_eq!(calling.await.unwrap().grpc().0, failure);
        }
        wait_for(&stage.proxy, IN_FLIGHT, 0);
    }
}

/// The status stands behind a body, as a provider may have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_sees_failures_at_the_end_of_answers() {
    let mut stage = Stage::new(2, "cluster: broadcast").await;
    let calling = stage.call(b"x");
    let mut first = stage.arrival().await;
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = first.respond.send_response(head, false).unwrap();
    stream.send_data(Bytes::from_static(b"in vain"), false).unwrap();
    stream.send_trailers(status("13")).unwrap();
    stage.arrival().await.echo();
    let answer = calling.await.unwrap();
    assert_eq!((answer.grpc().0, &*answer.body), ("13", &b""[..]), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_failures_ends_a_broadcast() {
    let mut stage = Stage::new(3, "cluster: broadcast, broadcast.fail.percent: 30").await;
    let calling = stage.call(b"x");
    stage.arrival().await.refuse("14");
    assert_eq!(calling.await.unwrap().grpc().0, "14");
    assert!(stage.is_quiet().await);
}

/// What is said and answered in turn cannot be said to several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_goes_on_whatever_the_mode() {
    let modes = ["cluster: broadcast", "cluster: forking", "retries: 2", "cluster: failback"];
    for parameters in modes {
        let servers = [Server::new().await.echo(), Server::new().await.echo()];
        let config = http(Protocol::Grpc, &servers);
        let (_folder, proxy, mut caller) = on_terms(config, parameters).await;
        let (answer, mut stream): (_, SendStream<Bytes>) = open(&mut caller, say()).await;
        write(&mut stream, Bytes::from_static(b"one")).await.unwrap();
        let mut body = soon(answer).await.unwrap().into_body();
        for next in ["two", "three"] {
            soon(body.data()).await.unwrap().unwrap();
            write(&mut stream, Bytes::from(next)).await.unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
        let (rest, trailers) = soon(drain(body)).await.unwrap();
        assert_eq!(
            (&*rest, trailers.unwrap()["grpc-status"].to_str().unwrap()),
            (&b"three"[..], "0")
        );
        wait_for_calls(&proxy, "grpc", "Say", "success", 1);
    }
}

/// The fork that is ahead goes on alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_outgrows_what_is_kept() {
    let servers = [Server::new().await.echo(), Server::new().await.echo()];
    let config = http(Protocol::Grpc, &servers);
    let (_folder, proxy, mut caller) = on_terms(config, "cluster: forking").await;
    const LARGE: usize = 3 << 20;
    let (answer, mut stream) = open(&mut caller, say()).await;
    tokio::spawn(async move {
        write(&mut stream, Bytes::from(vec![b'x'; LARGE])).await.unwrap();
        stream.send_data(Bytes::new(), true).unwrap();
    });
    let answer = read(answer).await.unwrap();
    assert_eq!((answer.body.len(), answer.grpc().0), (LARGE, "0"));
    wait_for_calls(&proxy, "grpc", "Say", "success", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_when_the_caller_goes_away() {
    for parameters in ["retries: 3", "cluster: forking", "cluster: broadcast", "actives: 1"] {
        let mut stage = Stage::new(2, parameters).await;
        let (answer, mut stream) = open(&mut stage.caller, say()).await;
        stream.send_data(Bytes::from_static(b"x"), true).unwrap();
        let came = stage.arrival().await;
        drop((answer, stream));
        wait_for_calls(&stage.proxy, "grpc", "Say", "cancelled", 1);
        drop(came);
        assert_eq!(value(&stage.proxy, RESENDS), 0, "{parameters}");
    }
}
