//! Plain HTTP, WebSocket and gRPC-Web with servers and clients that others wrote: nginx,
//! haproxy, Node.js and its library `ws`, and curl. [`upgrades`]: clients that ask for
//! HTTP/2; [`pages`]: clients of gRPC-Web.

mod pages;
mod upgrades;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::Duration;

use harness::attacks::{BODIES, HEADS, SMUGGLED};
use harness::port;
use harness::spanwire::Proxy;
use harness::wait_until;
use harness::web::{self, WebServer};

/// How long what happened may take to show.
const SOON: Duration = Duration::from_secs(10);

/// What `talk.js` prints: fragments, control frames between them, 5 MiB in one frame and
/// in five, a thousand messages at once, compression, and an end with a code from
/// either side.
const TALK: &str = "open chat \ntext /talk?a=b chat,other
text grüß dich
text \npong in between
text one message in parts
text pong are you there
binary 5242880 true
binary 5242880 true
ordered true
close 4001 as you wish
open permessage-deflate
text /talk?a=b chat,other
text 1048576
close 4002 enough
text /talk?a=b chat,other
close 1006 \n";

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

/// What the client of `ws` sees at this port.
#[track_caller]
fn talk(port: u16) -> String {
    let output = web::node("talk.js").arg(port.to_string()).output().expect("it can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

#[test]
fn a_conversation_over_websocket_is_the_same_through_one_proxy_and_through_two() {
    let server = WebServer::node("echo.js");
    let (first, through_one) = before(server.port());
    let (second, through_two) = before(through_one);
    for port in [server.port(), through_one, through_two] {
        let seen = talk(port);
        assert_eq!(seen, TALK, "{}", first.log());
        // What the server sees of the end: its own code, the client's, and a break.
        let ends = server.said("closed 1006");
        assert_eq!(ends, ["closed 4001 as you wish", "closed 4002 enough"]);
    }
    for proxy in [&first, &second] {
        assert_nothing_in_flight(proxy);
    }
    // Three connections each time; the first proxy was passed twice.
    let calls = |proxy: &Proxy| proxy.metric("spanwire_calls_total", "protocol=\"http1\"");
    assert_eq!((calls(&first), calls(&second)), (6.0, 3.0));
}

/// What curl prints, and the heads and trailers that came, in small letters.
#[track_caller]
fn curl(arguments: &[&str]) -> (String, String) {
    let mut command = Command::new("curl");
    // Its user's own settings and proxies are not for here.
    command.args(["--disable", "--noproxy", "*", "--silent", "--show-error"]);
    let output =
        command.args(["--dump-header", "/dev/stderr", "--max-time", "20"]).args(arguments).output();
    let output = output.expect("curl is there: tools/setup web installs it");
    let said = String::from_utf8_lossy(&output.stderr).to_ascii_lowercase();
    assert!(output.status.success(), "{arguments:?}: {said}");
    (String::from_utf8(output.stdout).expect("the answers are text"), said)
}

#[test]
fn curl_gets_through_the_proxy_what_it_gets_directly_in_both_versions() {
    let server = WebServer::node("web.js");
    let (proxy, listen) = before(server.port());
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let upload = folder.path().join("upload");
    std::fs::write(&upload, vec![b'x'; 3_000_000]).expect("the folder is ours");
    let upload = upload.to_str().expect("a temporary folder's name is text");
    let told = "%{num_connects} %{http_version} %{response_code}\n";
    let ways = [
        (server.port(), "--http1.1", "1.1"),
        (listen, "--http1.1", "1.1"),
        (listen, "--http2-prior-knowledge", "2"),
    ];
    for (port, version, name) in ways {
        let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");

        // Two requests on one connection, with nothing left over between them. Debian's curl
        // does not use a connection of HTTP/2 twice that it began without an upgrade.
        let both = ["1", "0"].map(|connects| format!("{connects} {name} 200\n"));
        let count = if name == "2" { 1 } else { 2 };
        let two = |one: &'static [&'static str], path: &str| {
            let mut arguments = vec![version, "-w", told, "-H", "TE: trailers"];
            let urls = [url(path), url(path)];
            for url in &urls[..count] {
                arguments.extend(one);
                arguments.push(url);
            }
            curl(&arguments)
        };
        let (seen, heads) = two(&[], "get?a=%20b");
        let expected = both[..count].iter().map(|end| format!("GET /get?a=%20b 0 {{}}\n{end}"));
        assert_eq!(seen, expected.collect::<String>(), "{version}");
        assert_eq!(heads.matches("x-end: done\r\n").count(), count, "{version}: {heads}");
        // HEAD says how long a body would be.
        let (seen, heads) = two(&["--head", "--output", "/dev/null"], "head");
        assert_eq!(seen, both[..count].concat(), "{version}");
        assert_eq!(heads.matches("content-length: 7\r\n").count(), count, "{version}: {heads}");

        // Of a length that is told, and of one that is not; before, curl asks if it may.
        let chunked = "Transfer-Encoding: chunked";
        let lengths: &[&str] =
            if name == "2" { &["X-Length: told"] } else { &["X-Length: told", chunked] };
        for length in lengths {
            let up = url("up");
            let asks = ["-H", "Expect: 100-continue", "--expect100-timeout", "15"];
            let (seen, heads) = curl(
                &[&asks[..], &[version, "-H", length, "-T", upload, "-w", told, &up]].concat(),
            );
            assert_eq!(seen, format!("PUT /up 3000000 {{}}\n1 {name} 200\n"), "{version} {length}");
            let may = format!("http/{name} 100");
            assert!(name == "2" || heads.starts_with(&may), "{version} {length}: {heads}");
        }
    }
    assert_nothing_in_flight(&proxy);
}
