//! Which server takes a call, and what of it arrives there.

use http::{Request, Response, StatusCode};
use proxy::config::{AccessLog, Protocol};
use tokio::sync::mpsc;

use super::peers::*;
use crate::counters::{CONNECT_FAILURES, UPSTREAMS, faults, value, wait_for};
use crate::peers::Refusing;
use crate::wire::{Provider, SERVICE, Wire, inbound, service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_and_its_answer_pass_whole() {
    let (seen, mut sees) = mpsc::channel(1);
    let server = Server::new().await.serve(move |request, mut respond| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let (body, trailers) = drain(body).await.unwrap();
            seen.send((parts, body, trailers)).await.unwrap();
            let head = Response::builder()
                .header("content-type", "application/grpc")
                .header("lead-bin", "AAEC")
                .body(())
                .unwrap();
            let mut answer = respond.send_response(head, false).unwrap();
            write(&mut answer, "answer".into()).await.unwrap();
            let mut trailers = status("5");
            trailers.insert("grpc-message", "not%20there".parse().unwrap());
            answer.send_trailers(trailers).unwrap();
        }
    });
    let (proxy, mut caller) = grpc(&[server]).await;
    let mut request = say();
    request.headers_mut().insert("grpc-timeout", "9S".parse().unwrap());
    request.headers_mut().append("meta", "one".parse().unwrap());
    request.headers_mut().append("meta", "two".parse().unwrap());
    let answer = call(&mut caller, request.clone(), b"question").await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"answer"[..]));
    assert_eq!(answer.grpc(), ("5", "not%20there"));
    assert_eq!(answer.headers["lead-bin"], "AAEC");
    assert_eq!(answer.headers.len(), 2, "{:?}", answer.headers);

    let (parts, body, trailers) = sees.recv().await.unwrap();
    assert_eq!((parts.uri, &parts.headers), (request.uri().clone(), request.headers()));
    assert_eq!((&*body, trailers), (&b"question"[..], None));
    wait_for_calls(&proxy, "grpc", "Say", "business_exception", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_share_one_connection_to_a_server() {
    let server = Server::new().await.echo();
    let (proxy, first) = grpc(&[server]).await;
    let mut callers = vec![first];
    for _ in 0..4 {
        callers.push(connect(&proxy).await);
    }
    let mut calls = Vec::new();
    for number in 0..500 {
        let mut caller = callers[number % callers.len()].clone();
        calls.push(tokio::spawn(async move {
            let message = format!("message {number}");
            let answer = call(&mut caller, say(), message.as_bytes()).await.unwrap();
            assert_eq!(answer.body, message.as_bytes(), "{answer:?}");
            assert_eq!(answer.grpc().0, "0");
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(value(&proxy, UPSTREAMS), 1);
    wait_for_calls(&proxy, "grpc", "Say", "success", 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_few_streams_gets_more_connections() {
    let server = Server::new().await;
    let mut few = h2::server::Builder::new();
    few.max_concurrent_streams(2);
    let (proxy, caller) = grpc(&[server.address()]).await;
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let mut caller = caller.clone();
            tokio::spawn(async move { call(&mut caller, say(), b"held").await.unwrap() })
        })
        .collect();
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = server.accept_as(&few).await;
        for _ in 0..2 {
            held.push(soon(connection.accept()).await.unwrap().unwrap());
        }
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
    }
    for (request, respond) in held {
        tokio::spawn(echo(request, respond));
    }
    for call in calls {
        assert_eq!(call.await.unwrap().body, b"held");
    }
    assert_eq!(value(&proxy, UPSTREAMS), 3);
    wait_for_calls(&proxy, "grpc", "Say", "success", 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_on_a_header_and_a_method_holds() {
    let servers = [Server::new().await.named("bj"), Server::new().await.named("hz")];
    let mut config = http(Protocol::Grpc, &servers);
    for (endpoint, region) in config.services[0].endpoints.iter_mut().zip(["bj", "hz"]) {
        endpoint.labels.insert("region".to_owned(), region.to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    let rule = format!(
        "configVersion: v3.0\nscope: service\nforce: true\nenabled: true\nkey: {SERVICE}\n\
         conditions:\n  - \"method=Say & attachments[user]=u7 => region=hz\"\n  - \"method!=Say => region=bj\"\n"
    );
    std::fs::write(folder.path().join(format!("{SERVICE}::.condition-router.yaml")), rule).unwrap();
    config.rules = vec![folder.path().to_owned()];
    let (_proxy, mut caller) = run(config).await;
    for _ in 0..10 {
        let mut request = say();
        request.headers_mut().insert("user", "u7".parse().unwrap());
        let answer = call(&mut caller, request, b"").await.unwrap();
        assert_eq!(answer.headers["name"], "hz");
        let other = super::peers::request(&format!("http://mesh/{SERVICE}/Other"));
        let answer = call(&mut caller, other, b"").await.unwrap();
        assert_eq!(answer.headers["name"], "bj");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_plain_http_is_its_host() {
    let server = Server::new().await.named("shop");
    let mut config = http(Protocol::Http2, &[server]);
    config.services[0].name = "shop.example:8080".to_owned();
    let (_proxy, mut caller) = run(config).await;
    let get = |uri: &str| Request::get(uri).body(()).unwrap();
    let answer = call(&mut caller, get("http://Shop.Example:8080/a?b"), b"").await.unwrap();
    assert_eq!(answer.headers["name"], "shop");
    let answer = call(&mut caller, get("http://shop.example:9/"), b"").await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["reason"], "unknown_service");
    assert!(problem["detail"].as_str().unwrap().contains("shop.example"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_connection_is_passed_over() {
    let refusing = Refusing::new();
    let server = Server::new().await.echo();
    let (proxy, mut caller) = grpc(&[refusing.address(), server]).await;
    for _ in 0..20 {
        assert_eq!(call(&mut caller, say(), b"x").await.unwrap().body, b"x");
    }
    assert!(value(&proxy, CONNECT_FAILURES) < 10, "it is left alone for a while");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_takes_gets_a_status_that_says_why() {
    let refusing = Refusing::new();
    let (proxy, mut caller) = grpc(&[refusing.address()]).await;
    let answer = call(&mut caller, say(), b"x").await.unwrap();
    assert_eq!((answer.status, answer.grpc().0), (StatusCode::OK, "14"));
    assert!(answer.grpc().1.starts_with("Spanwire [unreachable]: "), "{answer:?}");
    assert!(answer.headers.contains_key("grpc-status-details-bin"), "{answer:?}");
    let answer = call(&mut caller, request("http://mesh/no.Service/Say"), b"x").await.unwrap();
    assert_eq!(answer.grpc().0, "12");
    assert!(answer.grpc().1.contains("no service named no.Service"), "{answer:?}");
    let answer = call(&mut caller, request("http://mesh/nothing"), b"x").await.unwrap();
    assert_eq!(answer.grpc().0, "13");
    assert!(answer.grpc().1.contains("the service in the path"), "{answer:?}");
    wait_for_calls(&proxy, "grpc", "Say", "unreachable", 1);
    assert_eq!(value(&proxy, &faults("unknown_service")), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_protocol_is_no_server() {
    let dubbo = Provider::new();
    let mut config = http(Protocol::Dubbo, &[dubbo.address()]);
    let (proxy, mut caller) = run(config.clone()).await;
    let answer = call(&mut caller, say(), b"x").await.unwrap();
    assert_eq!(answer.grpc().0, "12");
    let told = format!("[unknown_service]: {SERVICE} is provided over dubbo, not over grpc");
    assert!(answer.grpc().1.contains(&told), "{answer:?}");
    drop(proxy);

    // It takes the connection, and says nothing that is HTTP/2.
    config.services[0].protocol = Protocol::Grpc;
    config.timeouts.connect = std::time::Duration::from_millis(200);
    let (_proxy, mut caller) = run(config).await;
    let answer = call(&mut caller, say(), b"x").await.unwrap();
    assert_eq!(answer.grpc().0, "14");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dubbo_and_grpc_share_a_port_and_a_service() {
    let provider = Provider::new().echo_forever();
    let server = Server::new().await.echo();
    let mut config = http(Protocol::Grpc, &[server]);
    config.services.push(service(SERVICE, &[provider]));
    let (proxy, mut caller) = run(config).await;
    assert_eq!(call(&mut caller, say(), b"over grpc").await.unwrap().body, b"over grpc");
    let mut consumer = Wire::connect(proxy.address("http").unwrap());
    consumer.send(&crate::wire::Request::new(1).bytes());
    assert!(consumer.expect().text().contains("pong"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_grpc_takes_nothing_else() {
    let server = Server::new().await.echo();
    let mut config = http(Protocol::Grpc, &[server]);
    config.listeners[0].protocols = vec![Protocol::Grpc];
    let (_proxy, mut caller) = run(config).await;
    assert_eq!(call(&mut caller, say(), b"x").await.unwrap().body, b"x");
    let plain = Request::get(format!("http://{SERVICE}/")).body(()).unwrap();
    let answer = call(&mut caller, plain, b"").await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let tunnel = Request::connect("elsewhere:443").body(()).unwrap();
    let answer = call(&mut caller, tunnel, b"").await.unwrap();
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbound_listener_hands_everything_to_its_application() {
    let app = Server::new().await.named("app");
    let mut config = inbound(app);
    config.listeners[0].name = "http".to_owned();
    config.listeners[0].protocols = vec![Protocol::Grpc, Protocol::Http2, Protocol::Dubbo];
    let (_proxy, mut caller) = run(config).await;
    let answer = call(&mut caller, request("http://any/what.Ever/Name"), b"x").await.unwrap();
    assert_eq!(answer.headers["name"], "app");
    let plain = Request::get("http://elsewhere/").body(()).unwrap();
    assert_eq!(call(&mut caller, plain, b"").await.unwrap().headers["name"], "app");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_log_has_a_line_for_each_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let server = Server::new().await.echo();
    let mut config = http(Protocol::Grpc, &[server]);
    config.access_log = Some(AccessLog::File(path.clone()));
    let (proxy, mut caller) = run(config).await;
    call(&mut caller, say(), b"12345").await.unwrap();
    drop(caller);
    wait_for(&proxy, crate::counters::CALLERS, 0);
    proxy.drain().unwrap();
    let line = std::fs::read_to_string(&path).unwrap();
    for part in [
        r#""protocol":"grpc","service":"lab.EchoService","method":"Say""#,
        &format!(r#""endpoint":"{server}","outcome":"success""#),
        r#""bytes_in":5,"bytes_out":5"#,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(line.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_may_redirect_or_answer_by_itself() {
    let server = Server::new().await.named("shop");
    let mut config = http(Protocol::Http2, &[server]);
    config.services[0].name = "shop".to_owned();
    let folder = tempfile::tempdir().unwrap();
    let rule = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop}\n\
                spec:\n  hosts: [shop]\n  http:\n  \
                - match: [{uri: {prefix: /old}}]\n    redirect: {uri: /new, redirectCode: 302}\n  \
                - match: [{uri: {prefix: /slow}}]\n    fault: {delay: {fixedDelay: 200ms, percentage: {value: 100}}, abort: {httpStatus: 429, percentage: {value: 100}}}\n    route: [{destination: {host: shop}}]\n  \
                - match: [{uri: {prefix: /teapot}}]\n    directResponse: {status: 418, body: {string: short}}\n  \
                - match: [{uri: {prefix: /shop}}]\n    route: [{destination: {host: shop}}]\n";
    std::fs::write(folder.path().join("shop.yaml"), rule).unwrap();
    config.rules = vec![folder.path().to_owned()];
    let (_proxy, mut caller) = run(config).await;
    for (path, status, body) in [("old", 302, ""), ("teapot", 418, "short"), ("shop", 200, "")] {
        let get = Request::get(format!("http://shop/{path}")).body(()).unwrap();
        let answer = call(&mut caller, get, b"").await.unwrap();
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, body.as_bytes()), "{path}");
        assert_eq!(answer.headers.contains_key("location"), path == "old");
    }
    let started = std::time::Instant::now();
    let get = Request::get("http://shop/slow").body(()).unwrap();
    assert_eq!(call(&mut caller, get, b"").await.unwrap().status, StatusCode::TOO_MANY_REQUESTS);
    assert!(started.elapsed().as_millis() >= 200, "{:?}", started.elapsed());
    let get = Request::get("http://shop/elsewhere").body(()).unwrap();
    assert_eq!(call(&mut caller, get, b"").await.unwrap().status, StatusCode::NOT_FOUND);
}
