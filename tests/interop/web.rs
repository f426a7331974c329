//! Plain HTTP in front of servers that others wrote: nginx, haproxy and Node.js.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use harness::attacks::{BODIES, HEADS, SMUGGLED};
use harness::port;
use harness::spanwire::Proxy;
use harness::wait_until;
use harness::web::WebServer;

/// How long what happened may take to show.
const SOON: Duration = Duration::from_secs(10);

/// A proxy before the server at one port, and the port that it listens on.
fn before(server: u16) -> (Proxy, u16) {
    let listen = port::free();
    let proxy = Proxy::start(&format!(
        "workers: 1
services: [{{name: 127.0.0.1, protocol: http1, endpoints: [{{address: \"127.0.0.1:{server}\"}}]}}]
listeners: [{{name: out, bind: \"127.0.0.1:{listen}\", direction: outbound}}]
"
    ));
    (proxy, listen)
}

#[track_caller]
fn assert_nothing_in_flight(proxy: &Proxy) {
    let ended = || proxy.metric("spanwire_calls_in_flight", "") == 0.0;
    assert!(wait_until(SOON, ended), "calls are left in flight\n{}", proxy.log());
}

/// Sends these bytes on a connection of their own, and says what comes to its end.
#[track_caller]
fn send(port: u16, bytes: &[u8], and_end: bool) -> String {
    let mut caller = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    caller.set_read_timeout(Some(SOON)).expect("a connected socket");
    // It may shut the caller out before all is sent.
    let _ = caller.write_all(bytes);
    if and_end {
        let _ = caller.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    match caller.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("the connection stays open: {error}: {:?}", String::from_utf8_lossy(&answer))
        }
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

/// What `server` says it took up to now, which is told by one more request at `port`.
#[track_caller]
fn taken(server: &WebServer, port: u16) -> Vec<String> {
    let good = "GET /good HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let answer = send(port, good.as_bytes(), false);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.said("GET /good 200")
}

/// Every attack of the list, with a request behind it that nobody may see.
fn attacks() -> impl Iterator<Item = (&'static str, bool, Vec<u8>)> {
    let heads = HEADS
        .iter()
        .map(|(what, attack)| (*what, false, attack.replace("HOST", "Host: 127.0.0.1") + SMUGGLED));
    let bodies = BODIES.iter().map(|(what, attack)| {
        let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        (*what, true, format!("{head}{attack}{SMUGGLED}"))
    });
    heads.chain(bodies).map(|(what, has_begun, attack)| (what, has_begun, attack.into_bytes()))
}

/// Puts the list before this server: through a proxy it must not take any of it.
fn no_attack_reaches(server: &WebServer) {
    let (proxy, listen) = before(server.port());
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    ] {
        let head = "POST /form HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
        let answer = send(listen, format!("{head}{body}").as_bytes(), false);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{body:?}: {answer}");
        let taken = taken(server, listen);
        assert!(
            !taken.is_empty() && taken.iter().all(|line| line == "POST /form 200"),
            "{taken:?}"
        );
    }
    for (what, has_begun, attack) in attacks() {
        let answer = send(listen, &attack, false);
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{what}: {answer:?}");
        assert!(answer.matches("HTTP/1.").count() <= 1, "{what}: {answer}");
        let taken = taken(server, listen);
        // Of a body that goes wrong the start may have passed: the server saw it break off.
        let harmless =
            |line: &String| has_begun && !line.contains("smuggled") && !line.ends_with(" 200");
        assert!(taken.iter().all(harmless), "{what}: {taken:?}");
    }
    assert_nothing_in_flight(&proxy);
}

/// The attacks of which this server takes a request where no proxy is before it. Each
/// has some; without, the test before would prove nothing.
fn taken_directly(server: &WebServer) -> Vec<&'static str> {
    let is_taken = |attack: &[u8]| {
        send(server.port(), attack, true);
        taken(server, server.port()).iter().any(|line| line.ends_with(" 200"))
    };
    attacks().filter(|(_, _, attack)| is_taken(attack)).map(|(what, _, _)| what).collect()
}

#[test]
fn nginx_sees_no_ambiguous_request() {
    let server = WebServer::nginx();
    no_attack_reaches(&server);
    let directly = taken_directly(&server);
    assert!(directly.contains(&"bare line feeds only"), "{directly:?}");
}

#[test]
fn haproxy_sees_no_ambiguous_request() {
    let server = WebServer::haproxy();
    no_attack_reaches(&server);
    let directly = taken_directly(&server);
    assert!(directly.contains(&"a length and chunks"), "{directly:?}");
}

#[test]
fn node_sees_no_ambiguous_request() {
    let server = WebServer::node("web.js");
    no_attack_reaches(&server);
    let directly = taken_directly(&server);
    assert!(directly.contains(&"two hosts"), "{directly:?}");
}
