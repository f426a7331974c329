//! gRPC-Web on the wire, before servers that speak gRPC. Real clients are in
//! `tests/interop`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use codec::http::grpc_web::{Decoder, encode};
use h2::Reason;
use http::{HeaderMap, Request, Response};
use proxy::config::Protocol;
use proxy::server::Proxy;
use tokio::sync::Notify;

use super::http1::head;
use super::peers::{self, Server, call, drain, http, open, read, soon, wait_for_calls, write};
use crate::counters::{faults, value};
use crate::wire::{self, SERVICE, Wire};

/// A message of gRPC, as it stands in a body.
pub const HELLO: &[u8] = b"\x00\x00\x00\x00\x05hello";
/// The frame that ends an answer when all went well.
pub const OK: &[u8] = b"\x80\x00\x00\x00\x10grpc-status: 0\r\n";

fn say(content_type: &str) -> Request<()> {
    let mut request = peers::say();
    request.headers_mut().insert("content-type", content_type.parse().unwrap());
    request
}

/// A call over HTTP/1.1, with these lines in its head.
pub fn post(path: &str, host: &str, content_type: &str, lines: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nX-Grpc-Web: 1\r\n{lines}\r\n"
    )
    .into_bytes()
}

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// The next chunk of a body.
#[track_caller]
pub fn next_chunk(wire: &mut Wire) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(wire.take(1));
    }
    let length = std::str::from_utf8(&line).unwrap().trim();
    let length = usize::from_str_radix(length, 16).unwrap();
    let mut data = wire.take(length + 2);
    data.truncate(length);
    data
}

/// An answer over HTTP/1.1: its head, in small letters, and its body.
#[track_caller]
pub fn answer(wire: &mut Wire) -> (String, Vec<u8>) {
    let head = head(wire).to_ascii_lowercase();
    let mut body = Vec::new();
    loop {
        match next_chunk(wire) {
            chunk if chunk.is_empty() => return (head, body),
            chunk => body.extend(chunk),
        }
    }
}

/// The trailers in a body that has nothing else.
#[track_caller]
pub fn trailers(body: &[u8]) -> &str {
    assert_eq!(body[0], 0x80, "{:?}", String::from_utf8_lossy(body));
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap());
    assert_eq!(length as usize, body.len() - 5);
    std::str::from_utf8(&body[5..]).unwrap()
}

/// Answers with one message that says what came: the head, and the body's length.
async fn telling() -> SocketAddr {
    Server::new().await.serve(|request, mut respond| async move {
        let (parts, body) = request.into_parts();
        let (body, _) = drain(body).await.unwrap();
        let mut names: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        names.sort();
        let told = format!("{} {} {} {}", parts.method, parts.uri, names.join(" "), body.len());
        let length = (told.len() as u32).to_be_bytes();
        let told = [b"\0", &length[..], told.as_bytes()].concat();
        let head = Response::builder()
            .header("content-type", "application/grpc+proto")
            .header("trailer", "grpc-status");
        let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
        write(&mut answer, told.into()).await.unwrap();
        let mut trailers = peers::status("0");
        trailers.insert("x-end", "1".parse().unwrap());
        answer.send_trailers(trailers).unwrap();
    })
}

fn before(server: SocketAddr) -> (Proxy, Wire) {
    wire::start(http(Protocol::Grpc, &[server]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_http_1_is_one_of_grpc() {
    let (proxy, mut caller) = before(telling().await);
    for lines in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        let lines = format!(
            "{lines}Accept: application/grpc-web+proto\r\nConnection: x-own\r\nX-Own: 1\r\n"
        );
        caller.send(&post(
            &format!("/{SERVICE}/Say"),
            "mesh",
            "application/grpc-web+proto",
            &lines,
        ));
        let is_chunked = lines.starts_with("Transfer");
        caller.send(&if is_chunked { [chunk(HELLO), chunk(b"")].concat() } else { HELLO.to_vec() });
        let (head, body) = answer(&mut caller);
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert!(head.contains("content-type: application/grpc-web+proto\r\n"), "{head}");
        assert!(!head.contains("trailer:") && !head.contains("grpc-status"), "{head}");
        let end = b"\x80\x00\x00\x00\x1agrpc-status: 0\r\nx-end: 1\r\n";
        let told = body
            .strip_suffix(end)
            .unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&body)));
        let length = if is_chunked { "" } else { "content-length=10 " };
        let expected = format!(
            "POST http://mesh/{SERVICE}/Say {length}content-type=application/grpc+proto te=trailers 10"
        );
        assert_eq!(String::from_utf8_lossy(&told[5..]), expected);
    }
    wait_for_calls(&proxy, "grpc", "Say", "success", 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_is_read_and_written_as_it_comes() {
    let server = Server::new().await.echo();
    let (proxy, mut caller) = before(server);
    let lines = "Transfer-Encoding: chunked\r\n";
    caller.send(&post(&format!("/{SERVICE}/Say"), "mesh", "application/grpc-web-text", lines));
    // Cut inside a group, and each message padded.
    let text = encode(HELLO);
    assert!(text.ends_with(b"=="));
    let head = {
        caller.send(&chunk(&text[..5]));
        head(&mut caller)
    };
    assert!(head.contains("content-type: application/grpc-web-text\r\n"), "{head}");
    let mut read = Decoder::default();
    assert_eq!(read.decode(&next_chunk(&mut caller)).unwrap(), &HELLO[..3]);
    for number in 0..3 {
        // What came of it comes back before there is more.
        caller.send(&chunk(&text[5..]));
        let mut back = Vec::new();
        while back.len() < HELLO.len() - 3 {
            back.extend(read.decode(&next_chunk(&mut caller)).unwrap());
        }
        assert_eq!(back, &HELLO[3..], "{number}");
        caller.send(&chunk(&text[..5]));
        assert_eq!(read.decode(&next_chunk(&mut caller)).unwrap(), &HELLO[..3]);
    }
    caller.send(&[chunk(&text[5..]), chunk(b"")].concat());
    let mut back = Vec::new();
    loop {
        let chunk = next_chunk(&mut caller);
        if chunk.is_empty() {
            break;
        }
        back.extend(read.decode(&chunk).unwrap());
    }
    assert_eq!(back, [&HELLO[3..], OK].concat());
    assert_eq!(read.end(), Ok(()));
    wait_for_calls(&proxy, "grpc", "Say", "success", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_in_the_form_that_is_accepted() {
    let (_proxy, mut caller) = peers::grpc(&[Server::new().await.echo()]).await;
    for (content_type, accept, body, answered) in [
        ("application/grpc-web", "application/grpc-web-text", HELLO.to_vec(), true),
        ("application/grpc-web-text", "application/grpc-web", encode(HELLO).to_vec(), false),
        ("application/grpc-web-text", "*/*", encode(HELLO).to_vec(), true),
    ] {
        let mut request = say(content_type);
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let answer = call(&mut caller, request, &body).await.unwrap();
        let body = match answered {
            true => Decoder::default().decode(&answer.body).unwrap(),
            false => answer.body,
        };
        assert_eq!(body, [HELLO, OK].concat(), "{content_type} {accept}");
        assert_eq!(answer.trailers, HeaderMap::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_only_trailers_is_a_frame() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        drain(request.into_body()).await.unwrap();
        let head = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "5")
            .header("grpc-message", "not%20here")
            .header("x-why", "because");
        respond.send_response(head.body(()).unwrap(), true).unwrap();
    });
    let (proxy, mut caller) = peers::grpc(&[server]).await;
    let answer = call(&mut caller, say("application/grpc-web+proto"), HELLO).await.unwrap();
    assert_eq!(answer.status, 200);
    let names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-type"]);
    let mut lines: Vec<_> = trailers(&answer.body).lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["grpc-message: not%20here", "grpc-status: 5", "x-why: because"]);
    wait_for_calls(&proxy, "grpc", "Say", "business_exception", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_mesh_says_is_grpc_web_too() {
    let (_proxy, mut caller) = before(own_dead_address());
    let calls = [("lab.Nobody", 12), (SERVICE, 14)];
    for (service, code) in calls {
        let lines = "Content-Length: 16\r\nOrigin: http://a.example\r\n";
        caller.send(&post(&format!("/{service}/Say"), "mesh", "application/grpc-web-text", lines));
        caller.send(&encode(HELLO));
        let (head, body) = answer(&mut caller);
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert!(head.contains("content-type: application/grpc-web-text\r\n"), "{head}");
        let body = Decoder::default().decode(&body).unwrap();
        let said = trailers(&body);
        for part in [
            &*format!("grpc-status: {code}\r\n"),
            "grpc-message: Spanwire [",
            "grpc-status-details-bin: ",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

/// Where nobody listens.
fn own_dead_address() -> SocketAddr {
    crate::peers::Refusing::new().address()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_base64_is_a_fault() {
    let patient = telling().await;
    // It begins its answer before it has read anything.
    let hasty = Server::new().await.echo();
    for server in [patient, hasty] {
        let (proxy, mut caller) = peers::grpc(&[server]).await;
        for body in [&b"AAAA*AAA"[..], b"AAAAB", b"AAAA=AAA"] {
            let answer = call(&mut caller, say("application/grpc-web-text"), body).await.unwrap();
            let body = Decoder::default().decode(&answer.body).unwrap();
            let said = trailers(&body);
            assert!(said.contains("grpc-status: 13\r\n") && said.contains("not base64"), "{said}");
        }
        let mut compressed = say("application/grpc-web");
        compressed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        let answer = call(&mut caller, compressed, HELLO).await.unwrap();
        let said = trailers(&answer.body);
        assert!(said.contains("grpc-status: 13\r\n") && said.contains("compressed as"), "{said}");
        wait_for_calls(&proxy, "grpc", "Say", "unreadable", 4);
        assert_eq!(value(&proxy, &faults("unreadable")), 4);
    }
}

/// Answers with these bytes and, where it is told to go on, breaks off.
async fn ending(body: &'static [u8], go_on: Arc<Notify>) -> SocketAddr {
    Server::new().await.serve(move |request, mut respond| {
        let go_on = go_on.clone();
        async move {
            drain(request.into_body()).await.unwrap();
            let head = Response::builder().header("content-type", "application/grpc");
            let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
            write(&mut answer, Bytes::from_static(body)).await.unwrap();
            go_on.notified().await;
            answer.send_reset(Reason::ENHANCE_YOUR_CALM);
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_of_the_mesh_stands_between_messages_or_nowhere() {
    let half = &HELLO[..7];
    for (body, breaks_off, code) in
        [(HELLO, false, Some(4)), (half, false, None), (HELLO, true, Some(8)), (half, true, None)]
    {
        let go_on = Arc::new(Notify::new());
        let (_proxy, mut caller) = before(ending(body, go_on.clone()).await);
        let timeout = if breaks_off { "" } else { "Grpc-Timeout: 300m\r\n" };
        let lines = format!("Content-Length: 10\r\n{timeout}");
        caller.send(&post(&format!("/{SERVICE}/Say"), "mesh", "application/grpc-web", &lines));
        caller.send(HELLO);
        head(&mut caller);
        assert_eq!(next_chunk(&mut caller), body);
        if breaks_off {
            go_on.notify_one();
        }
        let mut came = Vec::new();
        while let Ok(byte) = caller.try_take() {
            came.push(byte);
            if came.ends_with(b"\r\n0\r\n\r\n") {
                break;
            }
        }
        let text = String::from_utf8_lossy(&came);
        match code {
            Some(code) => {
                assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
                assert!(text.contains(&format!("grpc-status: {code}\r\n")), "{text}");
            }
            None => {
                assert_eq!(text, "", "it is broken off");
                assert!(caller.is_closed());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_reset_before_its_answer_has_the_status_that_this_means() {
    let server = Server::new().await.serve(|request, mut respond| async move {
        drain(request.into_body()).await.unwrap();
        respond.send_reset(Reason::CANCEL);
    });
    let (proxy, mut caller) = peers::grpc(&[server]).await;
    let answer = call(&mut caller, say("application/grpc-web"), HELLO).await.unwrap();
    let said = trailers(&answer.body);
    assert!(said.contains("grpc-status: 1\r\n") && said.contains("broke the call off"), "{said}");
    wait_for_calls(&proxy, "grpc", "Say", "provider_error", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_answer_of_grpc_passes_as_it_is() {
    let server = Server::new().await.serve(|_, mut respond| async move {
        let head = Response::builder().status(502).header("content-type", "text/html");
        let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
        answer.send_data("<p>no</p>".into(), true).unwrap();
    });
    let (proxy, mut caller) = peers::grpc(&[server]).await;
    let answer = call(&mut caller, say("application/grpc-web"), HELLO).await.unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.body), (502, &b"<p>no</p>"[..]));
    assert_eq!(answer.headers["content-type"], "text/html");
    wait_for_calls(&proxy, "grpc", "Say", "provider_error", 1);
}

/// Bytes of a body that needs many windows.
const LENGTH: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_given_back_as_text_passes() {
    let (proxy, mut caller) = peers::grpc(&[Server::new().await.echo()]).await;
    let message = [&[0][..], &(LENGTH as u32).to_be_bytes(), &vec![7; LENGTH]].concat();
    let (answer, mut stream) = open(&mut caller, say("application/grpc-web-text")).await;
    let text = message.chunks(10_000).flat_map(encode).collect::<Vec<u8>>();
    let writing = tokio::spawn(async move {
        write(&mut stream, text.into()).await.unwrap();
        stream.send_data(Bytes::new(), true).unwrap();
    });
    let answer = read(answer).await.unwrap();
    soon(writing).await.unwrap();
    let body = Decoder::default().decode(&answer.body).unwrap();
    assert!(body == [&message[..], OK].concat(), "{} bytes", body.len());
    wait_for_calls(&proxy, "grpc", "Say", "success", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_bodies_holds() {
    let mut config = http(Protocol::Grpc, &[Server::new().await.echo()]);
    config.limits.body = Some(10);
    let (proxy, mut caller) = peers::run(config).await;
    for (body, status) in [(encode(HELLO), "grpc-status: 0"), (encode(&[0; 11]), "grpc-status: 8")]
    {
        let answer = call(&mut caller, say("application/grpc-web-text"), &body).await.unwrap();
        let body = Decoder::default().decode(&answer.body).unwrap();
        assert!(String::from_utf8_lossy(&body).contains(status), "{status}");
    }
    wait_for_calls(&proxy, "grpc", "Say", "too_large", 1);
}
