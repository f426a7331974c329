//! The pages as a client sees them on the socket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::snapshot::{Published, Snapshot};

async fn start() -> (SocketAddr, Arc<AdminState>) {
    let live = Live {
        published: Arc::new(Published::new(Snapshot::default())),
        rules: Arc::default(),
        timeouts: crate::config::Timeouts::default(),
    };
    let readiness = Readiness::starting();
    let state = Arc::new(AdminState { metrics: Metrics::new(), readiness, live });
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let addr = serve(any_port, state.clone()).await.expect("a free port");
    (addr, state)
}

/// Sends `request` as it is and returns the answer's head and body.
async fn exchange(addr: SocketAddr, request: &str) -> (String, String) {
    let mut socket = TcpStream::connect(addr).await.expect("the server listens");
    socket.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    timeout(Duration::from_secs(20), socket.read_to_string(&mut answer))
        .await
        .expect("the server ends the connection")
        .expect("the server answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}

async fn get(addr: SocketAddr, path: &str) -> (String, String) {
    exchange(addr, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn the_index_lists_the_pages_and_each_is_there() {
    let (addr, state) = start().await;
    state.readiness.release("start");
    let (_, index) = get(addr, "/").await;
    for page in PAGES {
        assert!(index.contains(page.about), "{} is missing in:\n{index}", page.path);
        let (head, _) = get(addr, page.path).await;
        let wanted = match (&page.method, page.below) {
            (&Method::POST, _) => "405",
            (_, true) => "404",
            (_, false) => "200",
        };
        assert!(head.starts_with(&format!("HTTP/1.1 {wanted} ")), "{}: {head}", page.path);
    }
}

#[tokio::test]
async fn readiness_says_what_holds_it() {
    let (addr, state) = start().await;
    let (head, body) = get(addr, "/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "not ready\nstart: the listeners are not open yet\n");
    state.readiness.release("start");
    assert_eq!(get(addr, "/readyz").await.1, "ok\n");
    state.readiness.hold("drain", "shutting down");
    assert_eq!(get(addr, "/readyz").await.1, "not ready\ndrain: shutting down\n");
    assert_eq!(get(addr, "/livez").await.1, "ok\n");
}

#[tokio::test]
async fn metrics_come_in_prometheus_own_type() {
    let (addr, state) = start().await;
    state.metrics.worker().fault(codec::Reason::Denied);
    let (head, body) = get(addr, "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(body.contains("spanwire_faults_total{reason=\"denied\"} 1\n"), "{body}");
}

#[tokio::test]
async fn only_reading_is_served() {
    let (addr, _) = start().await;
    let close = "host: x\r\nconnection: close\r\n\r\n";
    let (head, body) = exchange(addr, &format!("POST /metrics HTTP/1.1\r\n{close}")).await;
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD"), "{head}");
    assert_eq!(body, "POST is not served here, only GET and HEAD\n");
    let (head, body) = exchange(addr, &format!("HEAD /metrics HTTP/1.1\r\n{close}")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "");
    let (head, body) = get(addr, "/nope").await;
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("/metrics"), "{head}\n{body}");
    let (head, _) = exchange(addr, "no http at all\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

async fn post(addr: SocketAddr, path: &str, body: &str) -> (String, String) {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}");
    exchange(addr, &format!("{head}\r\nconnection: close\r\n\r\n{body}")).await
}

#[tokio::test]
async fn a_question_is_bounded_and_answered_or_refused() {
    let (addr, _) = start().await;
    let case = "call: {service: lab.Echo, method: echo}";
    let (head, body) = post(addr, "/explain", case).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/json"), "{head}");
    assert!(head.contains("spanwire-fault: unknown_service"), "{head}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(answer["fault"], "unknown_service");
    let (head, body) = post(addr, "/explain?output=text", case).await;
    assert!(head.contains("text/plain"), "{head}");
    assert!(body.contains("no service named lab.Echo is configured"), "{body}");
    let (head, body) = post(addr, "/explain", "call: 7").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && body.starts_with("{\"error\":[{"), "{head}{body}");
    let (head, _) = exchange(
        addr,
        "POST /explain HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 65537\r\n\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let (head, body) = get(addr, "/explain").await;
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: POST"), "{head}");
    assert_eq!(body, "GET is not served here, only POST\n");
}

/// A question whose body never comes does not hold its connection for long.
#[tokio::test]
async fn a_slow_question_is_cut_off() {
    let (_, state) = start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("a bound address");
    let patience = Patience { head: Duration::from_millis(200), ..PATIENCE };
    tokio::spawn(accept(listener, state, patience));
    let half = "POST /explain HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\ncall";
    let (head, _) = exchange(addr, half).await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[tokio::test]
async fn a_second_server_on_the_same_port_is_refused() {
    let (addr, state) = start().await;
    let error = serve(addr, state).await.expect_err("the port is taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

/// Half a request head and then silence, on as many connections as are served at
/// a time: each ends by itself, and then others are served.
#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let (_, state) = start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("a bound address");
    let patience = Patience { head: Duration::from_millis(200), ..PATIENCE };
    tokio::spawn(accept(listener, state, patience));
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut socket = TcpStream::connect(addr).await.expect("the server listens");
        socket.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("the server reads");
        slow.push(socket);
    }
    let (head, _) = get(addr, "/livez").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let cut = timeout(Duration::from_secs(20), slow[0].read_to_end(&mut Vec::new())).await;
    assert!(cut.is_ok(), "the slow connection is still open");
}

/// A connection that is kept busy ends too, once it is old enough.
#[tokio::test]
async fn an_old_connection_is_ended() {
    let (_, state) = start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("a bound address");
    let minute = Duration::from_secs(60);
    let patience = Patience { head: minute, age: Duration::from_millis(200), last_answer: minute };
    tokio::spawn(accept(listener, state, patience));
    let (head, body) = exchange(addr, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "ok\n");
}
