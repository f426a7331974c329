//! What the `connectionPool` of a destination rule says of the connections themselves, on the
//! wire. How many calls it lets through is in [`super::destinations`].

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response};
use proxy::config::Protocol;
use tokio::sync::mpsc;

use super::http1::{head, message};
use super::orders::{all, ask, caller, ok, routed, server};
use super::peers::{self, Server, call, http, say, soon};
use crate::counters::{IN_FLIGHT, UPSTREAMS, value, wait_for, wait_until};
use crate::wire::{Provider, SERVICE};

/// The answers that a server of HTTP/2 owes, each with the number of the connection that its
/// call came by.
type Owed = mpsc::Receiver<(usize, SendResponse<Bytes>)>;

async fn holding() -> (SocketAddr, Owed) {
    let server = Server::new().await;
    let address = server.address();
    let (tells, owed) = mpsc::channel(16);
    tokio::spawn(async move {
        for number in 0.. {
            let mut connection = server.accept_next().await;
            let tells = tells.clone();
            tokio::spawn(async move {
                while let Some(Ok((_, respond))) = connection.accept().await {
                    let _ = tells.send((number, respond)).await;
                }
            });
        }
    });
    (address, owed)
}

fn answer(mut respond: SendResponse<Bytes>) {
    let answer = Response::builder().header("grpc-status", "0").body(()).unwrap();
    respond.send_response(answer, true).unwrap();
}

/// A call of gRPC in a task of its own: its status.
fn calling(proxy: &proxy::server::Proxy) -> tokio::task::JoinHandle<String> {
    let address = proxy.address("http").unwrap();
    tokio::spawn(async move {
        let mut caller = peers::connect_to(address).await;
        call(&mut caller, say(), b"x").await.unwrap().grpc().0.to_owned()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_so_many_streams_and_no_more() {
    let (address, mut owed) = holding().await;
    let pool = "connectionPool: {http: {maxConcurrentStreams: 2}}";
    let (_folder, proxy) = routed(Protocol::Grpc, &[address], &format!("{{{}}}", all()), pool);
    let calls: Vec<_> = (0..5).map(|_| calling(&proxy)).collect();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(soon(owed.recv()).await.unwrap());
    }
    let on = |number| held.iter().filter(|(of, _)| *of == number).count();
    assert_eq!([on(0), on(1), on(2)], [2, 2, 1]);
    assert_eq!(value(&proxy, UPSTREAMS), 3);
    // Where a stream has ended there is room again.
    let (freed, respond) = held.swap_remove(0);
    answer(respond);
    tokio::task::block_in_place(|| wait_for(&proxy, IN_FLIGHT, 4));
    let more = [calling(&proxy), calling(&proxy)];
    for _ in 0..2 {
        held.push(soon(owed.recv()).await.unwrap());
    }
    let mut took: Vec<_> = held.iter().rev().take(2).map(|(number, _)| *number).collect();
    took.sort_unstable();
    let mut expected = [freed, 2];
    expected.sort_unstable();
    assert_eq!(took, expected);
    for (_, respond) in held {
        answer(respond);
    }
    for called in calls.into_iter().chain(more) {
        assert_eq!(soon(called).await.unwrap(), "0");
    }
    assert_eq!(value(&proxy, UPSTREAMS), 3);
}

#[test]
fn a_connection_whose_request_still_comes_is_for_no_other_call() {
    let server = Provider::new();
    let (proxy, mut slow) = crate::wire::start(http(Protocol::Http1, &[server.address()]));
    slow.send(
        format!(
            "POST / HTTP/1.1\r\nHost: {SERVICE}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        )
        .as_bytes(),
    );
    let mut busy = server.accept();
    head(&mut busy);
    busy.send(ok("early").as_bytes());
    assert_eq!(message(&mut slow).1, "early");
    let mut other = caller(&proxy);
    other.send(format!("GET / HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n").as_bytes());
    let mut free = server.accept();
    head(&mut free);
    free.send(ok("mine").as_bytes());
    assert_eq!(message(&mut other).1, "mine");
}

/// Calls go on past its time, and new ones go elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lasts_so_long_and_ends_with_its_last_call() {
    let (address, mut owed) = holding().await;
    let longest = Duration::from_millis(300);
    let pool = "connectionPool: {tcp: {maxConnectionDuration: 300ms}}";
    let (_folder, proxy) = routed(Protocol::Grpc, &[address], &format!("{{{}}}", all()), pool);
    let first = calling(&proxy);
    let (number, respond) = soon(owed.recv()).await.unwrap();
    assert_eq!(number, 0);
    tokio::time::sleep(longest).await;
    let second = calling(&proxy);
    let (number, other) = soon(owed.recv()).await.unwrap();
    assert_eq!(number, 1, "one that is over takes no call");
    answer(respond);
    assert_eq!(soon(first).await.unwrap(), "0");
    answer(other);
    assert_eq!(soon(second).await.unwrap(), "0");
    // Nor is one kept that has no calls, although it is not idle for a minute.
    tokio::task::block_in_place(|| wait_for(&proxy, UPSTREAMS, 0));
}

#[test]
fn a_connection_of_http_1_lasts_so_long() {
    let (address, told) = server(|_, _| ok("x"));
    let pool = "connectionPool: {tcp: {maxConnectionDuration: 300ms}}";
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &format!("{{{}}}", all()), pool);
    ask(&mut caller(&proxy), "GET /", "", "");
    wait_for(&proxy, UPSTREAMS, 0);
    ask(&mut caller(&proxy), "GET /", "", "");
    assert_eq!(told.try_iter().count(), 2);
}

/// The system's timer of this process's connection to an address, as it tells of it: its
/// kind, and how long until it goes off.
fn timer(to: SocketAddr) -> Result<(u8, Duration), String> {
    let SocketAddr::V4(to) = to else { panic!("{to} is no address of IPv4") };
    // As the system writes it: the address as a number of this machine.
    let to = format!("{:08X}:{:04X}", u32::from_ne_bytes(to.ip().octets()), to.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let row = table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields.get(2) == Some(&&*to) && fields.get(3) == Some(&"01")).then(|| fields[5].to_owned())
    });
    let row = row.ok_or_else(|| format!("no connection to {to} in\n{table}"))?;
    let (kind, ticks) = row.split_once(':').unwrap();
    let ticks = u64::from_str_radix(ticks, 16).unwrap();
    // A hundred in a second, whatever the system's own (USER_HZ).
    Ok((u8::from_str_radix(kind, 16).unwrap(), Duration::from_millis(ticks * 10)))
}

/// `tcpKeepalive` is set where the system counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_system_probes_connections_where_a_rule_says_so() {
    const KEEPALIVE: u8 = 2;
    let time = Duration::from_secs(5000);
    let probed = "connectionPool: {tcp: {tcpKeepalive: {time: 5000s}}}";
    for (policy, is_probed) in [(probed, true), ("", false)] {
        let routes = format!("{{{}}}", all());
        let (one, _told) = server(|_, _| ok("x"));
        let (_folder, first) = routed(Protocol::Http1, &[one], &routes, policy);
        tokio::task::block_in_place(|| ask(&mut caller(&first), "GET /", "", ""));
        let two = Server::new().await.named("two");
        let (_other, second) = routed(Protocol::Http2, &[two], &routes, policy);
        let mut caller = peers::connect(&second).await;
        let request = Request::get(format!("http://{SERVICE}/")).body(()).unwrap();
        call(&mut caller, request, b"").await.unwrap();
        for (what, endpoint) in [("HTTP/1.1", one), ("HTTP/2", two)] {
            let looks_right = || match timer(endpoint)? {
                (KEEPALIVE, left) if is_probed && left > time / 2 && left <= time => Ok(()),
                (0, _) if !is_probed => Ok(()),
                other => Err(format!("{what}: {other:?}")),
            };
            tokio::task::block_in_place(|| wait_until("the timer", looks_right));
        }
    }
}
