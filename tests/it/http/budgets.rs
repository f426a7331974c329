//! How many calls are repeated at once (`retryBudget` of a destination rule), counted on the
//! wire: a share of those in flight, whole ones only, and a few always.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::Response;
use proxy::config::Protocol;
use proxy::server::Proxy;
use tempfile::TempDir;

use super::http1::{head, message};
use super::orders::{NO, all, ok, routed};
use super::peers::{self, Server, call, drain, say};
use crate::counters::{IN_FLIGHT, value, wait_for};
use crate::wire::{Provider, SERVICE, SOON, Wire};

/// What a call that has arrived waits for: whether it is served.
type Arrival = Box<dyn FnOnce(bool) + Send>;

enum Event {
    Arrived(Arrival),
    /// A caller is told whether it was served.
    Answered(bool),
}

/// A proxy before a server, whose answers are the test's.
struct Stage {
    protocol: Protocol,
    proxy: Proxy,
    tells: SyncSender<Event>,
    events: Receiver<Event>,
    _folder: TempDir,
}

fn serve_http1(tells: SyncSender<Event>) -> std::net::SocketAddr {
    let provider = Provider::new();
    let address = provider.address();
    std::thread::spawn(move || {
        while let Some(mut wire) = provider.try_accept_within(Duration::from_secs(60)) {
            let tells = tells.clone();
            std::thread::spawn(move || {
                while wire.try_take().is_ok() {
                    head(&mut wire);
                    let (answers, answer) = sync_channel(1);
                    let arrival = Box::new(move |is_served| answers.send(is_served).unwrap());
                    let _ = tells.send(Event::Arrived(arrival));
                    let Ok(is_served) = answer.recv() else { return };
                    wire.send(if is_served { ok("x") } else { NO.to_owned() }.as_bytes());
                }
            });
        }
    });
    address
}

async fn serve_grpc(tells: SyncSender<Event>) -> std::net::SocketAddr {
    Server::new().await.serve(move |request, mut respond: SendResponse<Bytes>| {
        let tells = tells.clone();
        async move {
            let Ok(_) = drain(request.into_body()).await else { return };
            let arrival = Box::new(move |is_served| {
                let answer = Response::builder().header("content-type", "application/grpc");
                let answer = answer.header("grpc-status", if is_served { "0" } else { "14" });
                respond.send_response(answer.body(()).unwrap(), true).unwrap();
            });
            let _ = tells.send(Event::Arrived(arrival));
        }
    })
}

impl Stage {
    async fn new(protocol: Protocol, budget: &str) -> Stage {
        let (tells, events) = sync_channel(100);
        let server = match protocol {
            Protocol::Http1 => serve_http1(tells.clone()),
            _ => serve_grpc(tells.clone()).await,
        };
        let retries = "retries: {attempts: 2, retryOn: '5xx,unavailable', backoff: 1ms}";
        let routes = format!("{{{}, {retries}}}", all());
        let policy = format!("retryBudget: {{{budget}}}");
        let (folder, proxy) = routed(protocol, &[server], &routes, &policy);
        Stage { protocol, proxy, tells, events, _folder: folder }
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(SOON).expect("an event in time")
    }

    fn arrival(&self) -> Arrival {
        match self.next() {
            Event::Arrived(arrival) => arrival,
            Event::Answered(is_served) => panic!("answered (served: {is_served}), not sent"),
        }
    }

    /// Makes a call that arrives.
    fn call(&self) -> Arrival {
        let (address, tells) = (self.proxy.address("http").unwrap(), self.tells.clone());
        if self.protocol == Protocol::Http1 {
            std::thread::spawn(move || {
                let mut caller = Wire::connect(address);
                caller.send(format!("GET / HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n").as_bytes());
                let is_served = message(&mut caller).0.starts_with("HTTP/1.1 200 ");
                let _ = tells.send(Event::Answered(is_served));
            });
        } else {
            tokio::spawn(async move {
                let mut caller = peers::connect_to(address).await;
                let answer = call(&mut caller, say(), b"x").await.unwrap();
                let _ = tells.send(Event::Answered(answer.grpc().0 == "0"));
            });
        }
        self.arrival()
    }

    /// Lets an attempt fail: the one that follows, or `None` where the caller is told.
    fn refuse(&self, arrival: Arrival) -> Option<Arrival> {
        arrival(false);
        match self.next() {
            Event::Arrived(again) => Some(again),
            Event::Answered(is_served) => {
                assert!(!is_served);
                None
            }
        }
    }

    fn answer(&self, arrival: Arrival) {
        arrival(true);
        assert!(matches!(self.next(), Event::Answered(true)));
    }

    fn resends(&self) -> i64 {
        value(&self.proxy, "spanwire_resends_total")
    }
}

const SPOKEN: [Protocol; 2] = [Protocol::Http1, Protocol::Grpc];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_the_calls_in_flight_is_repeated_and_one_always() {
    for protocol in SPOKEN {
        let stage = Stage::new(protocol, "percent: 30, minRetryConcurrency: 1").await;
        let in_flight = |count| wait_for(&stage.proxy, IN_FLIGHT, count);
        let mut first: Vec<_> = (0..10).map(|_| stage.call()).collect();
        let mut refuse = || stage.refuse(first.pop().unwrap());

        // Of ten calls in flight three are repeated, of eight no third one.
        let mut again = Vec::new();
        for _ in 0..3 {
            again.push(refuse().expect("it is sent again"));
        }
        for left in [9, 8] {
            assert!(refuse().is_none());
            in_flight(left);
        }
        assert_eq!(stage.resends(), 3);

        // Of seven it is two, and two there are.
        stage.answer(again.pop().unwrap());
        in_flight(7);
        assert!(refuse().is_none());
        in_flight(6);

        // What has ended makes room.
        while let Some(arrival) = again.pop() {
            stage.answer(arrival);
        }
        in_flight(4);
        let another = refuse().expect("it is sent again");
        assert!(refuse().is_none());
        in_flight(3);
        stage.answer(another);
        in_flight(2);

        // One of two is more than the share, and is the one that may always be.
        let another = refuse().expect("it is sent again");
        assert!(refuse().is_none());
        stage.answer(another);
        in_flight(0);
        assert_eq!(stage.resends(), 5);
    }
}

/// Calls that have ended count, too, and the one that may always be is not forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_the_calls_lately_is_repeated_and_one_always() {
    for protocol in SPOKEN {
        let of =
            |percent| format!("percent: {percent}, minRetryConcurrency: 1, budgetInterval: 1h");
        let stage = Stage::new(protocol, &of(50)).await;
        for _ in 0..2 {
            let call = stage.call();
            stage.answer(call);
        }
        // Of five calls it is two at once.
        let first: Vec<_> = (0..3).map(|_| stage.call()).collect();
        let again: Vec<_> = first.into_iter().map(|call| stage.refuse(call)).collect();
        assert_eq!(again.iter().flatten().count(), 2);
        again.into_iter().flatten().for_each(|again| stage.answer(again));
        // Those that have ended are no retries any more.
        let call = stage.call();
        assert!(stage.refuse(call).is_some());

        let stage = Stage::new(protocol, &of(0)).await;
        let (one, other) = (stage.call(), stage.call());
        let again = stage.refuse(one).expect("it is sent again");
        assert!(stage.refuse(other).is_none());
        stage.answer(again);
    }
}

/// A call that is repeated once more needs no second place for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_repeated_twice_where_one_may_be_repeated() {
    for protocol in SPOKEN {
        let stage = Stage::new(protocol, "percent: 0, minRetryConcurrency: 1").await;
        let (one, other) = (stage.call(), stage.call());
        let again = stage.refuse(one).expect("it is sent again");
        assert!(stage.refuse(other).is_none());
        let again = stage.refuse(again).expect("it is sent again, with the same place");
        assert!(stage.refuse(again).is_none(), "it was repeated as often as its route says");
        assert_eq!(stage.resends(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_repeated_where_nothing_may_be() {
    for protocol in SPOKEN {
        let stage = Stage::new(protocol, "percent: 0, minRetryConcurrency: 0").await;
        let call = stage.call();
        assert!(stage.refuse(call).is_none());
        assert_eq!(stage.resends(), 0);
    }
}
