//! What configurators want for calls over HTTP beyond one attempt at one endpoint: what
//! goes over the wire, and what the caller gets. The same for Dubbo is in
//! [`crate::policies`].

mod several;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode};
use proxy::config::{Config, Protocol};
use proxy::server::Proxy;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::http1::message;
use super::peers::*;
use crate::counters::{IN_FLIGHT, faults, value, wait_for};
use crate::peers::Refusing;
use crate::wire::{Provider, SERVICE, start};

const RESENDS: &str = "spanwire_resends_total";
/// A message of gRPC without fields.
const NO_FIELDS: [u8; 5] = [0; 5];

/// A call that arrived at a server.
struct Arrival {
    /// Which server that is.
    at: usize,
    body: Vec<u8>,
    respond: SendResponse<Bytes>,
}

impl Arrival {
    /// Answers with a status alone.
    fn refuse(mut self, status: &str) -> usize {
        let head = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", status);
        self.respond.send_response(head.body(()).unwrap(), true).unwrap();
        self.at
    }

    /// Answers with what it got.
    fn echo(mut self) -> usize {
        let head = Response::builder().header("content-type", "application/grpc");
        let mut stream = self.respond.send_response(head.body(()).unwrap(), false).unwrap();
        stream.send_data(self.body.into(), false).unwrap();
        stream.send_trailers(status("0")).unwrap();
        self.at
    }
}

/// A configuration whose calls are made on these terms, a proxy and a caller.
async fn on_terms(mut config: Config, parameters: &str) -> (TempDir, Proxy, SendRequest<Bytes>) {
    let folder = tempfile::tempdir().unwrap();
    let rule = format!(
        "configVersion: v3.0\nscope: service\nkey: {SERVICE}\nenabled: true\nconfigs:\n  \
         - {{side: consumer, parameters: {{{parameters}}}}}\n"
    );
    std::fs::write(folder.path().join(format!("{SERVICE}::.configurators.yaml")), rule).unwrap();
    config.rules = vec![folder.path().to_owned()];
    let (proxy, caller) = run(config).await;
    (folder, proxy, caller)
}

/// Servers of gRPC that wait for the test's answers, in the order of their addresses, and
/// calls to them on these terms.
struct Stage {
    arrivals: mpsc::Receiver<Arrival>,
    proxy: Proxy,
    caller: SendRequest<Bytes>,
    _folder: TempDir,
}

impl Stage {
    async fn new(count: usize, parameters: &str) -> Stage {
        let (tell, arrivals) = mpsc::channel(100);
        let mut servers = Vec::new();
        for _ in 0..count {
            servers.push(Server::new().await);
        }
        servers.sort_by_key(|server| server.address().to_string());
        let addresses: Vec<SocketAddr> = servers.iter().map(Server::address).collect();
        for (at, server) in servers.into_iter().enumerate() {
            let tell = tell.clone();
            server.serve(move |request, respond| {
                let tell = tell.clone();
                async move {
                    let Ok((body, _)) = drain(request.into_body()).await else { return };
                    let _ = tell.send(Arrival { at, body, respond }).await;
                }
            });
        }
        let (folder, proxy, caller) = on_terms(http(Protocol::Grpc, &addresses), parameters).await;
        Stage { arrivals, proxy, caller, _folder: folder }
    }

    /// Makes a call in the background.
    fn call(&self, body: &'static [u8]) -> JoinHandle<Answer> {
        self.call_with(say(), body)
    }

    fn call_with(&self, request: Request<()>, body: &'static [u8]) -> JoinHandle<Answer> {
        let mut caller = self.caller.clone();
        tokio::spawn(async move { call(&mut caller, request, body).await.unwrap() })
    }

    async fn arrival(&mut self) -> Arrival {
        soon(self.arrivals.recv()).await.unwrap()
    }

    /// Whether no call arrives for a while.
    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(30), self.arrivals.recv()).await.is_err()
    }
}

/// A call of gRPC with a deadline.
fn say_within(millis: u32) -> Request<()> {
    let mut request = say();
    request.headers_mut().insert("grpc-timeout", format!("{millis}m").parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_mock_answers_and_no_server_is_asked() {
    for (mock, status, body, says) in [
        ("force:return null", "0", &NO_FIELDS[..], ""),
        ("force:throw lab.Refused", "2", b"", "lab.Refused: mocked exception"),
        // Messages of gRPC are of types that are not known here.
        ("force:return 5", "7", b"", "gRPC can be told `return null`"),
    ] {
        let mut stage = Stage::new(1, &format!("mock: '{mock}'")).await;
        let answer = stage.call(b"x").await.unwrap();
        assert_eq!((answer.status, answer.grpc().0), (StatusCode::OK, status), "{answer:?}");
        assert!(answer.body == body && answer.grpc().1.contains(says), "{answer:?}");
        assert!(stage.is_quiet().await);
        let outcome = if status == "7" { "denied" } else { "degraded" };
        wait_for_calls(&stage.proxy, "grpc", "Say", outcome, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mock_is_json_to_plain_http_and_a_wrapper_to_triple() {
    let server = Server::new().await.named("shop");
    let (_folder, proxy, mut caller) =
        on_terms(http(Protocol::Http2, &[server]), "mock: 'force:return {\"stock\": 0}'").await;
    let get = Request::get(format!("http://{SERVICE}/shop")).body(()).unwrap();
    let answer = call(&mut caller, get, b"").await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"{\"stock\":0}"[..]));
    assert_eq!(answer.headers["content-type"], "application/json");
    let head = Request::head(format!("http://{SERVICE}/shop")).body(()).unwrap();
    assert_eq!(call(&mut caller, head, b"").await.unwrap().body, b"");
    wait_for_calls(&proxy, "http2", "GET", "degraded", 1);

    let server = Server::new().await.named("shop");
    let (_folder, proxy, mut caller) =
        on_terms(http(Protocol::Triple, &[server]), "mock: 'force:return 5'").await;
    let mut request = say();
    request.headers_mut().insert("tri-consumer-appname", "web".parse().unwrap());
    let answer = call(&mut caller, request, b"\0\0\0\0\x0a\x0a\x08hessian4").await.unwrap();
    let expected = b"\0\0\0\0\x1f\x0a\x08hessian4\x12\x01\x95\x1a\x10java.lang.Object";
    assert_eq!((&*answer.body, answer.grpc().0), (&expected[..], "0"), "{answer:?}");
    wait_for_calls(&proxy, "triple", "Say", "degraded", 1);
}

/// Its connection takes the next request, whatever of the first was read.
#[test]
fn a_mock_answers_a_caller_of_http_1() {
    let server = Provider::new();
    let folder = tempfile::tempdir().unwrap();
    let rule = format!(
        "configVersion: v3.0\nscope: service\nkey: {SERVICE}\nenabled: true\nconfigs:\n  \
         - {{side: consumer, parameters: {{POST.mock: 'force:throw lab.Refused'}}}}\n"
    );
    std::fs::write(folder.path().join(format!("{SERVICE}::.configurators.yaml")), rule).unwrap();
    let mut config = http(Protocol::Http1, &[server.address()]);
    config.rules = vec![folder.path().to_owned()];
    let (_proxy, mut caller) = start(config);
    let post = "POST / HTTP/1.1\r\nHost: lab.EchoService\r\nContent-Length: 4\r\n\r\nbody";
    caller.send(post.as_bytes());
    let (head, body) = message(&mut caller);
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    assert!(head.contains("application/problem+json") && body.contains("lab.Refused"), "{body}");
    caller.send(b"GET / HTTP/1.1\r\nHost: lab.EchoService\r\n\r\n");
    let mut upstream = server.accept();
    assert!(message(&mut upstream).0.starts_with("GET / "));
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
    assert_eq!(message(&mut caller).1, "pong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_mock_replaces_failures_and_no_other_answers() {
    let mut stage = Stage::new(1, "mock: 'fail:return null'").await;
    for (answered, told) in [("14", "0"), ("5", "5"), ("13", "0")] {
        let calling = stage.call(b"x");
        stage.arrival().await.refuse(answered);
        let answer = calling.await.unwrap();
        assert_eq!(answer.grpc().0, told);
        assert_eq!(answer.body.len(), if told == "0" { 5 } else { 0 });
    }
    let calling = stage.call(b"x");
    stage.arrival().await.echo();
    assert_eq!(calling.await.unwrap().body, b"x");
    // It breaks off, or takes too long.
    let calling = stage.call(b"x");
    drop(stage.arrival().await);
    assert_eq!(calling.await.unwrap().body, NO_FIELDS);
    let calling = stage.call_with(say_within(50), b"x");
    let late = stage.arrival().await;
    assert_eq!(calling.await.unwrap().body, NO_FIELDS);
    drop(late);
    wait_for_calls(&stage.proxy, "grpc", "Say", "degraded", 4);
    assert_eq!(value(&stage.proxy, &faults("timeout")), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mock_answers_for_servers_that_are_not_there() {
    let refusing = Refusing::new();
    for (endpoints, reason) in [(&[refusing.address()][..], "unreachable"), (&[], "no_endpoint")] {
        let config = http(Protocol::Triple, endpoints);
        let (_folder, proxy, mut caller) = on_terms(config, "mock: 'return \"instead\"'").await;
        let mut request = say();
        request.headers_mut().insert("tri-consumer-appname", "web".parse().unwrap());
        let answer = call(&mut caller, request, b"\0\0\0\0\x0a\x0a\x08hessian4").await.unwrap();
        assert!(answer.body.windows(7).any(|part| part == b"instead"), "{answer:?}");
        wait_for_calls(&proxy, "triple", "Say", "degraded", 1);
        assert_eq!(value(&proxy, &faults(reason)), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failsafe_makes_nothing_of_a_failure() {
    let mut stage = Stage::new(1, "cluster: failsafe").await;
    let calling = stage.call(b"x");
    stage.arrival().await.refuse("14");
    let answer = calling.await.unwrap();
    assert_eq!((answer.grpc().0, &*answer.body), ("0", &NO_FIELDS[..]));
    wait_for_calls(&stage.proxy, "grpc", "Say", "degraded", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_repeats_a_failed_call_elsewhere_and_no_other() {
    let mut stage = Stage::new(2, "retries: 1").await;
    let calling = stage.call(b"kept");
    let first = stage.arrival().await.refuse("14");
    let again = stage.arrival().await;
    assert_eq!((&*again.body, again.at), (&b"kept"[..], 1 - first));
    again.echo();
    assert_eq!(calling.await.unwrap().body, b"kept");
    // Both fail: the last failure is the caller's.
    let calling = stage.call(b"x");
    stage.arrival().await.refuse("14");
    stage.arrival().await.refuse("13");
    assert_eq!(calling.await.unwrap().grpc().0, "13");
    assert_eq!(value(&stage.proxy, RESENDS), 2);
    // What its code says is an answer.
    let calling = stage.call(b"x");
    stage.arrival().await.refuse("5");
    assert_eq!(calling.await.unwrap().grpc().0, "5");
    // What is too large to be kept goes once.
    const LARGE: &[u8] = &[b'x'; 300 << 10];
    let calling = stage.call(LARGE);
    stage.arrival().await.refuse("14");
    assert_eq!(calling.await.unwrap().grpc().0, "14");
    assert!(stage.is_quiet().await);
    assert_eq!(value(&stage.proxy, RESENDS), 2);
    wait_for(&stage.proxy, IN_FLIGHT, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_not_repeated_after_its_deadline() {
    let mut stage = Stage::new(2, "retries: 2, timeout: 200").await;
    let calling = stage.call(b"x");
    let _held = stage.arrival().await;
    assert_eq!(calling.await.unwrap().grpc().0, "4");
    assert!(stage.is_quiet().await);
    assert_eq!(value(&stage.proxy, RESENDS), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_that_was_sent_is_repeated_without_a_rule() {
    for parameters in ["timeout: 60000", "cluster: failfast, retries: 3"] {
        let mut stage = Stage::new(2, parameters).await;
        let calling = stage.call(b"x");
        stage.arrival().await.refuse("14");
        assert_eq!(calling.await.unwrap().grpc().0, "14");
        assert!(stage.is_quiet().await, "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_available_takes_every_call() {
    let mut stage = Stage::new(2, "cluster: available").await;
    for _ in 0..20 {
        let calling = stage.call(b"x");
        assert_eq!(stage.arrival().await.echo(), 0);
        calling.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_the_limit_wait_for_others_to_end() {
    let mut stage = Stage::new(1, "actives: 2").await;
    let calls = [b"a", b"b", b"c"].map(|body| stage.call(body));
    let (one, two) = (stage.arrival().await, stage.arrival().await);
    assert!(stage.is_quiet().await);
    wait_for(&stage.proxy, IN_FLIGHT, 3);
    one.echo();
    stage.arrival().await.echo();
    two.echo();
    for call in calls {
        assert_eq!(call.await.unwrap().grpc().0, "0");
    }
    wait_for(&stage.proxy, IN_FLIGHT, 0);
    // One that waits in vain is told why, in time.
    let held = [b"a", b"b"].map(|body| stage.call(body));
    let arrivals = [stage.arrival().await, stage.arrival().await];
    let answer = stage.call_with(say_within(50), b"x").await.unwrap();
    assert_eq!(answer.grpc().0, "8", "{answer:?}");
    assert!(answer.grpc().1.contains("2 calls of the method are in flight"), "{answer:?}");
    // And one whose caller leaves is forgotten.
    let leaving = stage.call(b"x");
    wait_for(&stage.proxy, IN_FLIGHT, 3);
    leaving.abort();
    wait_for(&stage.proxy, IN_FLIGHT, 2);
    for arrival in arrivals {
        arrival.echo();
    }
    for call in held {
        call.await.unwrap();
    }
    wait_for(&stage.proxy, IN_FLIGHT, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failback_answers_at_once_and_repeats_the_call_later() {
    let mut stage = Stage::new(2, "cluster: failback").await;
    let calling = stage.call(b"kept");
    stage.arrival().await.refuse("14");
    let failed = Instant::now();
    assert_eq!(calling.await.unwrap().body, NO_FIELDS);
    wait_for_calls(&stage.proxy, "grpc", "Say", "degraded", 1);
    let again = stage.arrival().await;
    assert!(failed.elapsed() >= Duration::from_secs(5), "{:?}", failed.elapsed());
    assert_eq!(again.body, b"kept");
    again.echo();
    wait_for(&stage.proxy, r#"spanwire_failbacks_total{result="answered"}"#, 1);
    wait_for(&stage.proxy, IN_FLIGHT, 0);
}
