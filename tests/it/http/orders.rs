//! What routes order, on the wire of HTTP. What their resources mean is tested in
//! `governance/tests`; what destination rules order, in [`super::destinations`].

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use proxy::config::Protocol;
use proxy::server::Proxy;
use tempfile::TempDir;

use super::http1::{head, message};
use super::peers::{self, Server, call, http, say};
use crate::counters::value;
use crate::peers::Refusing;
use crate::wire::{Provider, SERVICE, Wire};

/// A server of HTTP/1.1 that gives every request the answer that follows from its head
/// and body, and tells of each.
pub fn server(answer: fn(&str, &str) -> String) -> (SocketAddr, Receiver<(String, String)>) {
    let provider = Provider::new();
    let address = provider.address();
    let (tells, told) = mpsc::sync_channel(1000);
    std::thread::spawn(move || {
        loop {
            let Some(mut wire) = provider.try_accept_within(Duration::from_secs(60)) else {
                return;
            };
            let tells = tells.clone();
            std::thread::spawn(move || {
                while let Ok(first) = wire.try_take() {
                    let head = char::from(first).to_string() + &head(&mut wire);
                    let lower = head.to_ascii_lowercase();
                    let length = lower.split("content-length: ").nth(1);
                    let length = length.and_then(|rest| rest.split('\r').next());
                    let body = wire.take(length.map_or(0, |length| length.parse().unwrap()));
                    let body = String::from_utf8(body).unwrap();
                    let answer = answer(&head, &body);
                    let _ = tells.send((head, body));
                    if wire.try_send(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, told)
}

pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Own: 1\r\n\r\n{body}", body.len())
}

pub const NO: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";

fn to(subset: &str) -> String {
    format!("route: [{{destination: {{host: {SERVICE}, subset: {subset}}}}}]")
}

/// A proxy with these items of `http` in its VirtualService and this `trafficPolicy`; the
/// first endpoint is the subset `one`, the second `two`.
pub fn routed(
    protocol: Protocol,
    endpoints: &[SocketAddr],
    routes: &str,
    policy: &str,
) -> (TempDir, Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let rules = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: echo}}\n\
         spec: {{hosts: [{SERVICE}], http: [{routes}]}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: echo}}\n\
         spec: {{host: {SERVICE}, trafficPolicy: {{{policy}}}, subsets: \
         [{{name: one, labels: {{env: one}}}}, {{name: two, labels: {{env: two}}}}]}}\n"
    );
    std::fs::write(folder.path().join("echo-mesh.yaml"), rules).unwrap();
    let mut config = http(protocol, endpoints);
    for (endpoint, env) in config.services[0].endpoints.iter_mut().zip(["one", "two"]) {
        endpoint.labels.insert("env".to_owned(), env.to_owned());
    }
    config.rules = vec![folder.path().to_owned()];
    (folder, crate::wire::run(config))
}

pub fn all() -> String {
    format!("route: [{{destination: {{host: {SERVICE}}}}}]")
}

pub fn caller(proxy: &Proxy) -> Wire {
    Wire::connect(proxy.address("http").unwrap())
}

#[track_caller]
pub fn ask(wire: &mut Wire, line: &str, headers: &str, body: &str) -> (String, String) {
    let length = body.len();
    wire.send(
        format!(
            "{line} HTTP/1.1\r\nHost: {SERVICE}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    let (head, body) = message(wire);
    (head.to_ascii_lowercase(), body)
}

fn answered_by(answer: &str) -> &str {
    answer.split("\r\n").next().unwrap()
}

#[test]
fn redirects_direct_responses_and_failures_are_answers_of_http() {
    let (address, told) = server(|_, _| ok("from the server"));
    let always = "percentage: {value: 100}";
    let routes = format!(
        "{{match: [{{uri: {{prefix: /old}}}}], redirect: {{uri: /new, redirectCode: 302}}, \
           headers: {{response: {{set: {{x-by: mesh}}}}}}}}, \
         {{match: [{{uri: {{prefix: /tea}}}}], directResponse: {{status: 418, body: {{string: teapot}}}}}}, \
         {{match: [{{uri: {{prefix: /fails}}}}], {0}, \
           fault: {{abort: {{httpStatus: 555, {always}}}, delay: {{fixedDelay: 100ms, {always}}}}}}}, \
         {{match: [{{uri: {{prefix: /waits}}}}], {0}, fault: {{delay: {{fixedDelay: 200ms, {always}}}}}}}, \
         {{match: [{{uri: {{prefix: /late}}}}], {0}, timeout: 50ms, fault: {{delay: {{fixedDelay: 9s, {always}}}}}}}",
        all()
    );
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &routes, "");
    let mut caller = caller(&proxy);
    let (head, body) = ask(&mut caller, "GET /old?q=1", "", "");
    assert_eq!(answered_by(&head), "http/1.1 302 found");
    assert!(
        head.contains(&format!("location: http://{SERVICE}/new?q=1\r\n").to_ascii_lowercase()),
        "{head}"
    );
    assert!(head.contains("x-by: mesh\r\n") && body.is_empty(), "{head}");
    let (head, body) = ask(&mut caller, "GET /tea", "", "");
    assert!(head.starts_with("http/1.1 418 ") && body == "teapot", "{head}{body}");
    let started = Instant::now();
    let (head, body) = ask(&mut caller, "GET /fails", "", "");
    assert!(
        head.starts_with("http/1.1 555 ") && body.contains("injects status 555"),
        "{head}{body}"
    );
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(told.try_recv().is_err(), "nothing of it was sent");
    let started = Instant::now();
    let (head, body) = ask(&mut caller, "GET /waits", "", "");
    assert!(head.starts_with("http/1.1 200 ") && body == "from the server", "{head}{body}");
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(
        answered_by(&ask(&mut caller, "GET /late", "", "").0),
        "http/1.1 504 gateway timeout"
    );
    // No route is about it.
    assert_eq!(answered_by(&ask(&mut caller, "GET /", "", "").0), "http/1.1 404 not found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_answers_of_grpc() {
    let server = Server::new().await.echo();
    let routes = format!(
        "{{match: [{{headers: {{how: {{exact: grpc}}}}}}], {0}, \
           fault: {{abort: {{grpcStatus: NOT_FOUND, percentage: {{value: 100}}}}}}}}, \
         {{match: [{{headers: {{how: {{exact: http}}}}}}], directResponse: {{status: 401}}}}",
        all()
    );
    let (_folder, proxy) = routed(Protocol::Grpc, &[server], &routes, "");
    let mut caller = peers::connect(&proxy).await;
    for (how, code) in [("grpc", "5"), ("http", "16")] {
        let mut request = say();
        request.headers_mut().insert("how", how.parse().unwrap());
        let answer = call(&mut caller, request, b"x").await.unwrap();
        assert_eq!((answer.status, answer.grpc().0), (StatusCode::OK, code));
    }
}

#[test]
fn paths_hosts_and_headers_are_changed_both_ways() {
    let (address, told) = server(|_, _| ok("x"));
    let routes = format!(
        "{{match: [{{uri: {{prefix: /api/}}}}], rewrite: {{uri: /v2/, authority: other.example}}, {0}, \
           headers: {{request: {{set: {{x-lane: gray}}, add: {{x-more: two}}, remove: [x-gone]}}, \
                      response: {{set: {{x-own: changed}}, add: {{x-new: here}}}}}}}}, \
         {{match: [{{uri: {{prefix: /r/}}}}], {0}, \
           rewrite: {{uriRegexRewrite: {{match: '^/r/(.+)/(.+)$', rewrite: '/\\2/\\1'}}}}}}",
        all()
    );
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &routes, "");
    let mut caller = caller(&proxy);
    let asked = "X-Lane: none\r\nX-More: one\r\nX-Gone: 1\r\n";
    let (answer, _) = ask(&mut caller, "GET /api/list?p=1", asked, "");
    let (seen, _) = told.recv().unwrap();
    let seen = seen.to_ascii_lowercase();
    assert!(seen.starts_with("get /v2/list?p=1 http/1.1\r\n"), "{seen}");
    for part in
        ["host: other.example\r\n", "x-lane: gray\r\n", "x-more: one\r\n", "x-more: two\r\n"]
    {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(!seen.contains("x-gone") && !seen.contains("none"), "{seen}");
    assert!(
        answer.contains("x-own: changed\r\n") && answer.contains("x-new: here\r\n"),
        "{answer}"
    );
    ask(&mut caller, "GET /r/a/b?c", "", "");
    assert!(told.recv().unwrap().0.starts_with("GET /b/a?c HTTP/1.1\r\n"));
}

#[test]
fn nobody_takes_out_what_a_route_puts_in() {
    let (address, told) = server(|head, _| {
        let answer = ok("x");
        match head.starts_with("GET /listing") {
            true => answer.replacen("X-Own", "Connection: x-new, x-own\r\nX-Own", 1),
            false => answer,
        }
    });
    let routes = format!(
        "{{{}, headers: {{request: {{set: {{x-lane: gray}}}}, response: {{set: {{x-new: here}}}}}}}}",
        all()
    );
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &routes, "");
    let mut caller = caller(&proxy);
    ask(&mut caller, "GET /", "Connection: x-lane, x-mine\r\nX-Mine: 1\r\nX-Lane: mine\r\n", "");
    let seen = told.recv().unwrap().0.to_ascii_lowercase();
    assert!(seen.contains("x-lane: gray\r\n"), "{seen}");
    assert!(!seen.contains("x-mine") && !seen.contains("connection"), "{seen}");
    let (answer, _) = ask(&mut caller, "GET /listing", "", "");
    assert!(answer.contains("x-new: here\r\n") && !answer.contains("x-own"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_cannot_put_in_what_belongs_to_a_connection() {
    let edits = "set: {connection: close, transfer-encoding: chunked, x-lane: gray}";
    let routes = format!("{{{}, headers: {{request: {{{edits}}}, response: {{{edits}}}}}}}", all());
    let server = Server::new().await.echo();
    let (_folder, proxy) = routed(Protocol::Grpc, &[server], &routes, "");
    let mut caller = peers::connect(&proxy).await;
    let answer = call(&mut caller, say(), b"x").await.unwrap();
    assert_eq!((answer.grpc().0, &answer.headers["x-lane"]), ("0", &"gray".parse().unwrap()));
    assert!(!answer.headers.contains_key("connection"), "{answer:?}");
}

#[test]
fn cors_is_answered_and_told() {
    let (address, told) = server(|_, _| ok("x"));
    let policy = "corsPolicy: {allowOrigins: [{exact: 'http://a.example'}], allowMethods: [GET, PUT], \
                  allowHeaders: [x-a], exposeHeaders: [x-own], maxAge: 60s, allowCredentials: true, \
                  unmatchedPreflights: IGNORE}";
    let routes = format!("{{{}, {policy}}}", all());
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &routes, "");
    let mut caller = caller(&proxy);
    let preflight = "Origin: http://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let (answer, _) = ask(&mut caller, "OPTIONS /", preflight, "");
    assert_eq!(answered_by(&answer), "http/1.1 200 ok");
    for part in [
        "access-control-allow-origin: http://a.example\r\n",
        "access-control-allow-methods: get,put\r\n",
        "access-control-allow-headers: x-a\r\n",
        "access-control-max-age: 60\r\n",
        "access-control-allow-credentials: true\r\n",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    let other = "Origin: http://b.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let (answer, _) = ask(&mut caller, "OPTIONS /", other, "");
    assert!(answer.starts_with("http/1.1 200 ") && !answer.contains("access-control"), "{answer}");
    assert!(told.try_recv().is_err(), "the server was asked nothing");
    let (answer, _) = ask(&mut caller, "GET /", "Origin: http://a.example\r\n", "");
    assert!(answer.contains("access-control-allow-origin: http://a.example\r\n"), "{answer}");
    assert!(answer.contains("access-control-expose-headers: x-own\r\n"), "{answer}");
    let (answer, _) = ask(&mut caller, "GET /", "Origin: http://b.example\r\n", "");
    assert!(!answer.contains("access-control"), "{answer}");
    assert_eq!(told.try_iter().count(), 2);
}

#[test]
fn failed_attempts_are_repeated_with_their_bodies_at_the_same_destination() {
    let (one, told) = server(|head, _| if head.contains("fine") { ok("x") } else { NO.to_owned() });
    let (two, others) = server(|_, _| ok("x"));
    let routes = format!(
        "{{match: [{{uri: {{prefix: /fine}}}}], {0}}}, \
         {{retries: {{attempts: 2, retryOn: '503', backoff: 1ms}}, route: [\
           {{destination: {{host: {SERVICE}, subset: one}}, weight: 100}}, \
           {{destination: {{host: {SERVICE}, subset: two}}, weight: 0}}]}}",
        to("one")
    );
    let (_folder, proxy) = routed(Protocol::Http1, &[one, two], &routes, "");
    let mut caller = caller(&proxy);
    let (answer, body) = ask(&mut caller, "POST /", "", "to be kept");
    assert!(answer.starts_with("http/1.1 503 ") && body == "no", "{answer}{body}");
    let bodies: Vec<_> = told.try_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["to be kept"; 3]);
    // It is too large to be kept, and sent once.
    let large = "x".repeat(300 << 10);
    let (answer, _) = ask(&mut caller, "POST /", "", &large);
    assert!(answer.starts_with("http/1.1 503 "), "{answer}");
    assert_eq!(told.try_iter().count(), 1);
    assert!(ask(&mut caller, "POST /fine", "", "x").0.starts_with("http/1.1 200 "));
    assert_eq!((told.try_iter().count(), others.try_iter().count()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_status_is_repeated_and_a_slow_attempt_gives_way() {
    let slow = Server::new().await.serve(|_request, respond| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(respond);
    });
    let unavailable = Server::new().await.serve(|request, mut respond| async move {
        peers::drain(request.into_body()).await.unwrap();
        let answer = Response::builder().header("grpc-status", "14").body(()).unwrap();
        respond.send_response(answer, true).unwrap();
    });
    for bad in [slow, unavailable] {
        let good = Server::new().await.echo();
        let routes = format!(
            "{{retries: {{attempts: 3, perTryTimeout: 300ms, retryOn: 'unavailable,reset'}}, {}}}",
            all()
        );
        let (_folder, proxy) = routed(Protocol::Grpc, &[bad, good], &routes, "");
        let mut caller = peers::connect(&proxy).await;
        for _ in 0..8 {
            let answer = call(&mut caller, say(), b"kept").await.unwrap();
            assert_eq!((answer.grpc().0, &*answer.body), ("0", &b"kept"[..]), "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_has_a_deadline_and_a_budget_for_retries() {
    let slow = Server::new().await.serve(|_request, respond| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(respond);
    });
    let routes = format!("{{timeout: 200ms, {}}}", all());
    let (_folder, proxy) = routed(Protocol::Grpc, &[slow], &routes, "");
    let started = Instant::now();
    let answer = call(&mut peers::connect(&proxy).await, say(), b"x").await.unwrap();
    assert_eq!(answer.grpc().0, "4");
    assert!(
        started.elapsed() >= Duration::from_millis(200)
            && started.elapsed() < Duration::from_secs(9)
    );

    let (address, told) = server(|_, _| NO.to_owned());
    let routes = format!("{{retries: {{attempts: 5, retryOn: 5xx}}, {}}}", all());
    let none = "connectionPool: {http: {maxRetries: 0}}";
    let (_folder, proxy) = routed(Protocol::Http1, &[address], &routes, none);
    let (answer, _) = tokio::task::block_in_place(|| ask(&mut caller(&proxy), "GET /", "", ""));
    assert!(answer.starts_with("http/1.1 503 "), "{answer}");
    assert_eq!(told.try_iter().count(), 1, "the rule leaves no room for a retry");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_tried_again_as_a_route_says() {
    let refusing = Refusing::new();
    let routes =
        format!("{{retries: {{attempts: 3, retryOn: connect-failure, backoff: 1ms}}, {}}}", all());
    let (_folder, proxy) = routed(Protocol::Http1, &[refusing.address()], &routes, "");
    let (answer, _) = ask(&mut caller(&proxy), "GET /", "", "");
    assert!(answer.starts_with("http/1.1 503 "), "{answer}");
    assert_eq!(value(&proxy, crate::counters::CONNECT_FAILURES), 4);
}

#[test]
fn a_mirror_gets_a_copy_with_its_body() {
    let (one, _told) = server(|_, _| ok("from one"));
    let (two, copies) = server(|_, _| ok("from two"));
    let routes = format!("{{mirror: {{host: {SERVICE}, subset: two}}, {}}}", to("one"));
    let (_folder, proxy) = routed(Protocol::Http1, &[one, two], &routes, "");
    let mut caller = caller(&proxy);
    for _ in 0..2 {
        let (_, body) = ask(&mut caller, "POST /a", "", "to be copied");
        assert_eq!(body, "from one");
        let (head, body) = copies.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(head.starts_with("POST /a HTTP/1.1\r\n") && body == "to be copied", "{head}{body}");
        let host = format!("host: {SERVICE}-shadow\r\n").to_ascii_lowercase();
        assert!(head.to_ascii_lowercase().contains(&host), "{head}");
    }
}
