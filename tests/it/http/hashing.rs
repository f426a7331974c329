//! Consistent hashing (`loadBalancer.consistentHash` of a destination rule) on the wire: like
//! calls go to the same endpoint, whoever makes them and by whichever connection. Cookies that
//! the mesh gives are in [`super::destinations`].

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use proxy::config::Protocol;
use proxy::server::Proxy;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::http1::head;
use super::orders::{all, ask, caller, ok, routed};
use crate::wire::{Provider, Wire};

/// So many that of four endpoints at least three get some, but for one time in a thousand
/// million.
const KEYS: u8 = 32;
const NAMES: [&str; 4] = ["one", "two", "three", "four"];

/// A server of HTTP/1.1 that answers with its name, until it goes.
struct Named {
    address: SocketAddr,
    is_gone: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<Wire>>>,
    listening: JoinHandle<()>,
}

impl Named {
    fn new(name: &'static str) -> Named {
        let provider = Provider::new();
        let address = provider.address();
        let (is_gone, connections) =
            (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Wire>>>::default());
        let (ends, open) = (is_gone.clone(), connections.clone());
        let listening = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let Some(mut wire) = provider.try_accept_within(Duration::from_millis(10)) else {
                    continue;
                };
                open.lock().unwrap().push(wire.clone());
                std::thread::spawn(move || {
                    while wire.try_take().is_ok() {
                        head(&mut wire);
                        if wire.try_send(ok(name).as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Named { address, is_gone, connections, listening }
    }

    /// Its connections end, and it takes no more.
    fn go(self) {
        self.is_gone.store(true, Ordering::Relaxed);
        self.listening.join().unwrap();
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.hang_up();
        }
    }
}

/// Four servers, in the order of [`NAMES`], and a proxy before them that hashes so.
struct Stage {
    servers: Vec<Named>,
    proxy: Proxy,
    _folder: TempDir,
}

impl Stage {
    fn new(hash: &str) -> Stage {
        let servers: Vec<_> = NAMES.into_iter().map(Named::new).collect();
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        let policy = format!("loadBalancer: {{consistentHash: {{{hash}}}}}");
        let routes = format!("{{{}}}", all());
        let (folder, proxy) = routed(Protocol::Http1, &addresses, &routes, &policy);
        Stage { servers, proxy, _folder: folder }
    }

    /// Who answers each key, over a connection of its own for all.
    fn answers(&self, request: fn(u8) -> (String, String)) -> Vec<String> {
        let mut caller = caller(&self.proxy);
        let ask = |key| {
            let (line, headers) = request(key);
            let (head, body) = ask(&mut caller, &line, &headers, "");
            assert!(head.starts_with("http/1.1 200 ") && !head.contains("set-cookie"), "{head}");
            body
        };
        (0..KEYS).map(ask).collect()
    }
}

#[track_caller]
fn assert_spread(answers: &[String]) {
    let by: BTreeSet<_> = answers.iter().collect();
    assert!(by.len() >= 3, "{KEYS} keys are at {by:?} alone");
}

/// Like calls stay together, and others do not, whatever else a request says.
#[track_caller]
fn assert_hashed(
    hash: &str,
    request: fn(u8) -> (String, String),
    other: fn(u8) -> (String, String),
) {
    let stage = Stage::new(hash);
    let first = stage.answers(request);
    assert_spread(&first);
    for _ in 0..2 {
        assert_eq!(stage.answers(request), first);
        assert_eq!(stage.answers(other), first);
    }
}

fn by_header(key: u8) -> (String, String) {
    ("GET /".to_owned(), format!("X-User: u{key}\r\n"))
}

#[test]
fn by_a_header() {
    let other = |key| (format!("GET /other?x-user={}", key + 1), format!("x-USER: u{key}\r\n"));
    assert_hashed("httpHeaderName: x-user", by_header, other);
}

#[test]
fn by_a_parameter_of_the_query() {
    let request = |key| (format!("GET /?user=u{key}"), String::new());
    let other = |key| (format!("GET /a?x=1&user=u{key}&y={key}"), format!("user: {}\r\n", key + 1));
    assert_hashed("httpQueryParameterName: user", request, other);
}

#[test]
fn by_a_cookie_that_is_given_to_nobody() {
    let request = |key| ("GET /".to_owned(), format!("Cookie: lane=l{key}\r\n"));
    let other = |key| ("GET /a".to_owned(), format!("Cookie: a=b; lane=l{key}; c={key}\r\n"));
    assert_hashed("httpCookie: {name: lane}", request, other);
    // Without it a call goes anywhere.
    let stage = Stage::new("httpCookie: {name: lane}");
    assert_spread(&stage.answers(|_| ("GET /".to_owned(), String::new())));
}

/// A connection from this address of the machine, by any port.
fn caller_from(from: Ipv4Addr, proxy: &Proxy) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into()).unwrap();
    socket.connect(&proxy.address("http").unwrap().into()).unwrap();
    Wire::over(TcpStream::from(socket))
}

#[test]
fn by_the_callers_address() {
    let stage = Stage::new("useSourceIp: true");
    let answers = || -> Vec<String> {
        let from = (0..KEYS).map(|key| Ipv4Addr::new(127, 0, 0, key + 1));
        let mut callers = from.map(|from| caller_from(from, &stage.proxy));
        callers.by_ref().map(|mut caller| ask(&mut caller, "GET /", "", "").1).collect()
    };
    let first = answers();
    assert_spread(&first);
    for _ in 0..2 {
        assert_eq!(answers(), first);
    }
}

#[test]
fn an_endpoint_that_goes_takes_only_its_own_keys_along() {
    for table in ["", ", maglev: {}"] {
        let mut stage = Stage::new(&format!("httpHeaderName: x-user{table}"));
        let before = stage.answers(by_header);
        let gone = NAMES.iter().position(|name| before[0] == *name).unwrap();
        stage.servers.remove(gone).go();
        let after = stage.answers(by_header);
        for (key, (before, after)) in before.iter().zip(&after).enumerate() {
            if *before == NAMES[gone] {
                assert_ne!(before, after, "key {key}");
            } else {
                assert_eq!(before, after, "key {key}");
            }
        }
        assert_eq!(stage.answers(by_header), after);
    }
}
