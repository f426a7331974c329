//! Whose gRPC-Web is made gRPC, and what browsers ask before they call. How it is made
//! gRPC is tested in [`super::grpc_web`].

use codec::http::grpc_web::encode;
use proxy::config::Protocol;

use super::grpc_web::{HELLO, OK, answer, post};
use super::http1::message;
use super::orders::{self, routed};
use super::peers::{Server, http};
use crate::wire::{self, Provider, SERVICE};

#[test]
fn who_speaks_http_1_gets_it_untouched() {
    let app = Provider::new();
    let by_path = http(Protocol::Http1, &[app.address()]);
    let mut by_host = http(Protocol::Http1, &[app.address()]);
    by_host.services[0].name = "shop".to_owned();
    let mut behind = wire::inbound(app.address());
    behind.listeners[0].protocols = vec![Protocol::Http1];
    for config in [by_path, by_host, behind] {
        let (_proxy, mut caller) = wire::start(config);
        let lines = "Content-Length: 16\r\n";
        let path = format!("/{SERVICE}/Say");
        caller.send(&post(&path, "shop", "application/grpc-web-text", lines));
        caller.send(&encode(HELLO));
        let mut upstream = app.accept();
        let (head, body) = message(&mut upstream);
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: application/grpc-web-text\r\n"), "{head}");
        assert!(head.contains("x-grpc-web: 1\r\n"), "{head}");
        assert_eq!(body.as_bytes(), encode(HELLO));
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web-text\r\nContent-Length: 4\r\n\r\nAAAA");
        assert_eq!(message(&mut caller).1, "AAAA");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_may_read_that_a_call_was_broken_off() {
    let policy = "corsPolicy: {allowOrigins: [{exact: 'http://a.example'}]}";
    let routes = format!("{{{}, {policy}}}", orders::all());
    let server = Server::new().await.serve(|_, mut respond| async move {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    let (_folder, proxy) = routed(Protocol::Grpc, &[server], &routes, "");
    let mut caller = orders::caller(&proxy);
    let lines = "Content-Length: 10\r\nOrigin: http://a.example\r\n";
    caller.send(&post(&format!("/{SERVICE}/Say"), "mesh:8080", "application/grpc-web", lines));
    caller.send(HELLO);
    let (head, body) = answer(&mut caller);
    assert!(head.contains("access-control-allow-origin: http://a.example\r\n"), "{head}");
    assert!(String::from_utf8_lossy(&body).contains("grpc-status: 13\r\n"), "{body:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_may_ask_first() {
    let policy = "corsPolicy: {allowOrigins: [{exact: 'http://a.example'}], allowMethods: [POST], \
                  allowHeaders: [content-type, x-grpc-web], maxAge: 60s}";
    let routes = format!("{{{}, {policy}}}", orders::all());
    let server = Server::new().await.echo();
    let (_folder, proxy) = routed(Protocol::Grpc, &[server], &routes, "");
    let mut caller = orders::caller(&proxy);
    let preflight = format!(
        "OPTIONS /{SERVICE}/Say HTTP/1.1\r\nHost: mesh:8080\r\nOrigin: http://a.example\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,x-grpc-web\r\n\r\n"
    );
    caller.send(preflight.as_bytes());
    let (head, _) = message(&mut caller);
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    for part in [
        "access-control-allow-origin: http://a.example\r\n",
        "access-control-allow-methods: post\r\n",
        "access-control-allow-headers: content-type,x-grpc-web\r\n",
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
    let lines = "Content-Length: 10\r\nOrigin: http://a.example\r\n";
    caller.send(&post(&format!("/{SERVICE}/Say"), "mesh:8080", "application/grpc-web", lines));
    caller.send(HELLO);
    let (head, body) = answer(&mut caller);
    assert!(head.contains("access-control-allow-origin: http://a.example\r\n"), "{head}");
    assert_eq!(body, [HELLO, OK].concat());
}
