//! Clients that begin with HTTP/1.1 and ask for HTTP/2: curl, nghttp, and Java's own.

use std::path::Path;
use std::process::Command;

use harness::spanwire::Proxy;
use harness::web::WebServer;

use super::{assert_nothing_in_flight, before, curl};

/// What a client prints.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().expect("it can be run");
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}{errors}");
    said.into_owned()
}

fn upgraded(proxy: &Proxy) -> f64 {
    proxy.metric("spanwire_connections_upgraded_total", "")
}

#[test]
fn curl_goes_on_with_http_2_where_it_asks_for_it() {
    let server = WebServer::node("web.js");
    let (proxy, listen) = before(server.port());
    let url = |path: &str| format!("http://127.0.0.1:{listen}/{path}");
    let told = ["--http2", "-w", "%{num_connects} %{http_version} %{response_code}\n"];
    let (seen, heads) = curl(&[&told[..], &[&url("one"), &url("two?a=b")]].concat());
    assert_eq!(seen, "GET /one 0 {}\n1 2 200\nGET /two?a=b 0 {}\n0 2 200\n");
    assert!(heads.starts_with("http/1.1 101 switching protocols\r\n"), "{heads}");
    assert_eq!(heads.matches("http/2 200").count(), 2, "{heads}");
    assert_eq!(heads.matches("x-end: done\r\n").count(), 2, "{heads}");
    assert_eq!(upgraded(&proxy), 1.0);

    // What has a body is answered as it came, and the next on its connection goes on.
    let post = ["-H", "Expect:", "-d", "hello"];
    let (one, two) = (url("one"), url("two"));
    let arguments = [&told[..], &post, &[&one, "--next"], &told, &[&two]].concat();
    let (seen, heads) = curl(&arguments);
    assert_eq!(seen, "POST /one 5 {}\n1 1.1 200\nGET /two 0 {}\n0 2 200\n", "{heads}");
    assert_eq!(upgraded(&proxy), 2.0);
    // Each was called as it came: the server knows HTTP/1.1 alone.
    let calls =
        |protocol| proxy.metric("spanwire_calls_total", &format!("protocol=\"{protocol}\""));
    assert_eq!((calls("http1"), calls("http2")), (1.0, 3.0));
    assert_nothing_in_flight(&proxy);
}

#[test]
fn nghttp_goes_on_with_http_2_where_it_asks_for_it() {
    let server = WebServer::node("web.js");
    let (proxy, listen) = before(server.port());
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let upload = folder.path().join("upload");
    std::fs::write(&upload, vec![b'x'; 3_000_000]).expect("the folder is ours");
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/nghttp");
    let nghttp = || {
        let mut command = Command::new(&tool);
        command.args(["--upgrade", "--verbose", "--timeout=20"]);
        command
    };
    let url = |path: &str| format!("http://127.0.0.1:{listen}/{path}");
    let seen = said(nghttp().args([url("one"), url("two")]));
    // The first is the one that asked.
    for part in [
        "HTTP Upgrade success",
        "recv (stream_id=1) :status: 200",
        "GET /one 0 {}",
        "GET /two 0 {}",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    // With a body it asks by a request without, and sends its own as HTTP/2.
    let seen = said(nghttp().arg("--data").arg(&upload).arg(url("up")));
    for part in ["OPTIONS * HTTP/1.1", "HTTP Upgrade success", "POST /up 3000000 {}"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert_eq!(upgraded(&proxy), 2.0);
    assert_nothing_in_flight(&proxy);
}

#[test]
fn javas_http_client_goes_on_with_http_2_by_itself() {
    let server = WebServer::node("web.js");
    let (proxy, listen) = before(server.port());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/java/http/HttpCalls.java");
    let seen = said(Command::new("java").arg(program).arg(listen.to_string()));
    // It sends a request with a body, and its next asks again.
    let expected = "HTTP_1_1 200 POST /post 5 {}\n\
                    HTTP_2 200 GET /get 0 {}\n\
                    HTTP_2 200 POST /post 5 {}\n\
                    {HTTP_2 200=100}\n";
    assert_eq!(seen, expected, "{}", proxy.log());
    assert_eq!(upgraded(&proxy), 1.0);
    assert_nothing_in_flight(&proxy);
}
