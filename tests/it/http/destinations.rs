//! What destination rules order of the way to endpoints, on the wire of HTTP.

use std::time::Duration;

use http::Request;
use proxy::config::Protocol;

use super::http1::{head, message};
use super::orders::{NO, all, ask, caller, ok, routed, server};
use super::peers::{self, Server, call};
use crate::counters::{UPSTREAMS, value, wait_for, wait_until};
use crate::wire::{Provider, SERVICE};

#[test]
fn an_endpoint_that_fails_too_often_is_left_out() {
    let (one, told) = server(|_, _| NO.to_owned());
    let (two, _others) = server(|_, _| ok("x"));
    let policy = "loadBalancer: {simple: ROUND_ROBIN}, \
                  outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 50}";
    let (_folder, proxy) = routed(Protocol::Http1, &[one, two], &format!("{{{}}}", all()), policy);
    let mut caller = caller(&proxy);
    let answers: Vec<_> = (0..40).map(|_| ask(&mut caller, "GET /", "", "").0).collect();
    let failed = answers.iter().filter(|head| head.starts_with("http/1.1 503 ")).count();
    assert_eq!((failed, told.try_iter().count()), (3, 3));
    assert_eq!(value(&proxy, "spanwire_ejections_total"), 1);
}

#[test]
fn a_connection_pool_has_limits() {
    let held = Provider::new();
    let pool = "connectionPool: {http: {http2MaxRequests: 1}}";
    let routes = format!("{{{}}}", all());
    let (_folder, proxy) = routed(Protocol::Http1, &[held.address()], &routes, pool);
    let mut first = caller(&proxy);
    first.send(format!("GET / HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n").as_bytes());
    let mut there = held.accept();
    head(&mut there);
    let (answer, body) = ask(&mut caller(&proxy), "GET /", "", "");
    assert!(
        answer.starts_with("http/1.1 503 ") && body.contains("http2MaxRequests"),
        "{answer}{body}"
    );
    there.send(ok("x").as_bytes());
    message(&mut first);

    // A connection has so many requests, and no more.
    let (address, told) = server(|_, _| ok("x"));
    let pool = "connectionPool: {http: {maxRequestsPerConnection: 2}}";
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &routes, pool);
    let mut caller = caller(&proxy);
    for _ in 0..3 {
        ask(&mut caller, "GET /", "", "");
    }
    assert_eq!(told.try_iter().count(), 3);
    wait_for(&proxy, UPSTREAMS, 1);
    ask(&mut caller, "GET /", "", "");
    wait_for(&proxy, UPSTREAMS, 0);

    // An idle one is let go.
    let (address, _told) = server(|_, _| ok("x"));
    let pool = "connectionPool: {http: {idleTimeout: 200ms}}";
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &routes, pool);
    ask(&mut super::orders::caller(&proxy), "GET /", "", "");
    wait_for(&proxy, UPSTREAMS, 0);
}

#[test]
fn requests_wait_for_one_of_the_connections_there_may_be() {
    let held = Provider::new();
    let pool = "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}";
    let routes = format!("{{{}}}", all());
    let (_folder, proxy) = routed(Protocol::Http1, &[held.address()], &routes, pool);
    let get = format!("GET / HTTP/1.1\r\nHost: {SERVICE}\r\n\r\n");
    let (mut first, mut second) = (caller(&proxy), caller(&proxy));
    first.send(get.as_bytes());
    let mut there = held.accept();
    head(&mut there);
    second.send(get.as_bytes());
    assert!(second.is_quiet(Duration::from_millis(50)) && held.try_next().is_none());
    let (answer, body) = ask(&mut caller(&proxy), "GET /", "", "");
    assert!(
        answer.starts_with("http/1.1 503 ") && body.contains("http1MaxPendingRequests"),
        "{body}"
    );
    there.send(ok("x").as_bytes());
    message(&mut first);
    let answered = std::thread::spawn(move || message(&mut second).1);
    // By the same connection, or by one of another worker's.
    wait_until("the one that waited", || {
        if there.is_quiet(Duration::from_millis(1)) {
            match held.try_next() {
                Some(other) => there = other,
                None => return Err("nothing came".to_owned()),
            }
        }
        Ok(())
    });
    head(&mut there);
    there.send(ok("y").as_bytes());
    assert_eq!(answered.join().unwrap(), "y");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_given_and_leads_back() {
    let servers = [Server::new().await.named("one"), Server::new().await.named("two")];
    let policy = "loadBalancer: {consistentHash: {httpCookie: {name: lane, path: /, ttl: 60s}}}";
    let (_folder, proxy) = routed(Protocol::Http2, &servers, &format!("{{{}}}", all()), policy);
    let mut caller = peers::connect(&proxy).await;
    let uri = format!("http://{SERVICE}/");
    let mut seen = Vec::new();
    for _ in 0..12 {
        let answer = call(&mut caller, Request::get(&uri).body(()).unwrap(), b"").await.unwrap();
        let given = answer.headers["set-cookie"].to_str().unwrap().to_owned();
        assert!(
            given.starts_with("lane=\"") && given.ends_with("; Max-Age=60; Path=/; HttpOnly"),
            "{given}"
        );
        let cookie = given.split(';').next().unwrap();
        for _ in 0..3 {
            let again = Request::get(&uri).header("cookie", cookie).body(()).unwrap();
            let again = call(&mut caller, again, b"").await.unwrap();
            assert_eq!(again.headers["name"], answer.headers["name"]);
            assert!(!again.headers.contains_key("set-cookie"));
        }
        seen.push(answer.headers["name"].clone());
    }
    assert!(seen.iter().any(|name| *name != seen[0]), "both are called: {seen:?}");
}
