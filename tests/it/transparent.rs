//! Transparent mode, with real redirect rules.
//!
//! A test runs its own program again in a network namespace, where nobody else is:
//! the proxy, its callers and the servers all live there, on the loopback interface.
//! A caller is known to the rules by its own address. A system that permits no such
//! namespace fails the tests.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use proxy::config::{AccessLog, Config, Direction, Listener, Protocol, ServiceAddress};
use proxy::server::Proxy;
use socket2::{Domain, Socket, Type};

use crate::counters::*;
use crate::raw::*;
use crate::wire::*;

/// Tells a test that it runs inside.
const INSIDE: &str = "SPANWIRE_TEST_NAMESPACE";
/// The callers' own addresses.
const CALLERS_OWN: [&str; 2] = ["10.8.0.1", "fd00:8::1"];
/// Where the servers are.
const SERVER: &str = "10.9.0.5";
const SERVER_V6: &str = "fd00:9::5";
/// What is redirected: all that callers connect to.
const FROM_CALLERS: [&str; 2] = ["ip saddr 10.8.0.1", "ip6 saddr fd00:8::1"];
/// Longer than any test takes.
const FOREVER: Duration = Duration::from_secs(10);

/// Runs `body`, part of the test `name`, in a namespace of its own.
#[track_caller]
fn inside(name: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        prepare();
        return body();
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--"])
        .arg(std::env::current_exe().expect("a running program has a path"))
        .args(["--exact", &format!("transparent::{name}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("util-linux has unshare");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && out.contains("1 passed"), "{}\n{out}\n{err}", output.status);
}

/// Makes the addresses.
fn prepare() {
    run_program(Command::new("ip").args(["link", "set", "lo", "up"]));
    for address in CALLERS_OWN.into_iter().chain([SERVER, SERVER_V6]) {
        let mut add = Command::new("ip");
        add.args(["address", "add", address, "dev", "lo"]);
        if address.contains(':') {
            add.arg("nodad"); // without it nobody can bind to the address for a moment
        }
        run_program(&mut add);
    }
    // The services' addresses are nobody's, but there has to be a way to them.
    run_program(Command::new("ip").args(["route", "add", "10.96.0.0/16", "dev", "lo"]));
}

#[track_caller]
fn run_program(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
}

/// Puts rules into force.
fn enforce(rules: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.nft");
    std::fs::write(&file, rules).unwrap();
    let nft = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/nft");
    run_program(Command::new(nft).arg("-f").arg(&file));
}

/// Redirects what `matches` describe to a listener.
fn redirect(matches: &[&str], proxy: &Proxy, listener: &str) {
    let port = proxy.address(listener).expect("the listener's address").port();
    let rules: Vec<_> = (matches.iter())
        .map(|what| format!("{what} meta l4proto tcp redirect to :{port}\n"))
        .collect();
    enforce(&format!(
        "table inet mesh {{\n chain output {{\n type nat hook output priority -100;\n {} }}\n}}\n",
        rules.concat()
    ));
}

/// A caller with an own address connects.
fn connect(to: &str) -> Wire {
    let to: SocketAddr = to.parse().expect("an address");
    let own = CALLERS_OWN[usize::from(to.is_ipv6())].parse::<IpAddr>().expect("an address");
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(own, 0).into()).expect("the caller's address");
    socket.connect(&to.into()).expect("the proxy takes it");
    Wire::over(TcpStream::from(socket))
}

/// A listener `shared` that connections are redirected to, and that takes Dubbo and
/// plain TCP. Its services are [`SERVICE`] and [`DATABASE`], which stands at two
/// addresses.
fn transparent(providers: &[SocketAddr], endpoints: &[SocketAddr]) -> Config {
    let mut config = shared(providers, endpoints);
    config.services[0].addresses = vec![
        ServiceAddress { ip: Some([10, 96, 0, 7].into()), port: 3306 },
        ServiceAddress { ip: None, port: 3307 },
    ];
    config.timeouts.detect = Duration::from_millis(50);
    let listener = &mut config.listeners[0];
    (listener.use_original_dst, listener.default_service) = (true, None);
    config
}

/// How many connections of the listener were going somewhere.
fn going(to: &str) -> String {
    format!(r#"spanwire_connections_redirected_total{{listener="shared",to="{to}"}}"#)
}

#[track_caller]
fn wait_for_nothing_open(proxy: &Proxy) {
    for gauge in [IN_FLIGHT, CALLERS, UPSTREAMS] {
        wait_for(proxy, gauge, 0);
    }
}

#[test]
fn a_connection_goes_on_to_where_it_was_going() {
    inside("a_connection_goes_on_to_where_it_was_going", || {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("access.log");
        let config = transparent(&[], &[]);
        let proxy = run(Config { access_log: Some(AccessLog::File(path.clone())), ..config });
        redirect(&FROM_CALLERS, &proxy, "shared");
        let servers = ["10.9.0.5:4000", "10.9.0.5:4001"];
        for server in servers {
            let at = Provider::at(server.parse().unwrap());
            let mut client = connect(server);
            client.send(b"EHLO client");
            let mut server = at.accept();
            assert_eq!(server.take(11), b"EHLO client");
            server.send(b"250 hello");
            assert_eq!(client.take(9), b"250 hello");
        }
        wait_for_ended(&proxy, "shared", "passthrough", "success", 2);
        assert_eq!(value(&proxy, &going("other")), 2);
        assert_eq!(value(&proxy, &detected("shared", "tcp")), 2);

        // Nobody is there any more.
        assert!(connect(servers[0]).is_closed());
        wait_for_ended(&proxy, "shared", "passthrough", "unreachable", 1);
        assert_eq!(value(&proxy, CONNECT_FAILURES), 1);
        wait_for_nothing_open(&proxy);
        proxy.drain().unwrap();
        let log = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = log.lines().collect();
        for (line, server) in lines.iter().zip(servers) {
            let facts = format!(
                r#""service":"passthrough","method":"connect","endpoint":"{server}","outcome":"success""#
            );
            assert!(line.contains(&facts) && line.contains(r#""caller":"10.8.0.1:"#), "{line}");
        }
        assert_eq!(lines.len(), 3);
    });
}

#[test]
fn an_address_stands_for_a_service_whose_server_may_speak_first() {
    inside("an_address_stands_for_a_service_whose_server_may_speak_first", || {
        let database = Provider::new();
        let mut config = transparent(&[], &[database.address()]);
        config.timeouts.detect = FOREVER;
        let proxy = run(config);
        redirect(&FROM_CALLERS, &proxy, "shared");
        for address in ["10.96.0.7:3306", "10.96.0.8:3307", "10.9.0.5:3307"] {
            let mut client = connect(address);
            let mut server = database.accept();
            server.send(b"220 ready");
            assert_eq!(client.take(9), b"220 ready");
            drop(client);
            assert!(server.is_closed());
        }
        wait_for_ended(&proxy, "shared", DATABASE, "success", 3);
        assert_eq!(value(&proxy, &going("service")), 3);
        assert_eq!(value(&proxy, &detected("shared", "tcp")), 3);
        assert_eq!(value(&proxy, &detected("shared", "timeout")), 0);
        wait_for_nothing_open(&proxy);
    });
}

#[test]
fn a_server_that_speaks_first_at_another_address_does_so_after_the_deadline() {
    inside("a_server_that_speaks_first_at_another_address_does_so_after_the_deadline", || {
        let proxy = run(transparent(&[], &[]));
        redirect(&FROM_CALLERS, &proxy, "shared");
        let server = Provider::at("10.9.0.5:25".parse().unwrap());
        let mut client = connect("10.9.0.5:25");
        server.accept().send(b"220 ready");
        assert_eq!(client.take(9), b"220 ready");
        assert_eq!(value(&proxy, &detected("shared", "timeout")), 1);
    });
}

#[test]
fn calls_find_their_service_by_name_wherever_they_were_going() {
    inside("calls_find_their_service_by_name_wherever_they_were_going", || {
        let provider = Provider::new();
        let proxy = run(transparent(&[provider.address()], &[]));
        redirect(&FROM_CALLERS, &proxy, "shared");
        let mut upstream = None;
        for address in ["10.96.0.1:20880", "10.9.0.5:20880"] {
            let mut caller = connect(address);
            caller.send(&Request::new(1).bytes());
            let upstream = upstream.get_or_insert_with(|| provider.accept());
            let call = upstream.expect();
            upstream.send(&call.answer(&string("pong")).bytes());
            assert_eq!(caller.expect().id, 1);
        }
        assert_eq!(value(&proxy, &detected("shared", "dubbo")), 2);
        assert_eq!(value(&proxy, &going("other")), 2);
    });
}

#[test]
fn a_connection_that_nobody_redirected_is_for_the_default_service() {
    inside("a_connection_that_nobody_redirected_is_for_the_default_service", || {
        let database = Provider::new();
        let (proxy, mut client) = start(transparent(&[], &[database.address()]));
        assert!(client.is_closed());
        wait_for(&proxy, &faults("unreadable"), 1);
        assert_eq!(value(&proxy, &going("listener")), 1);
        drop(proxy);

        let mut config = transparent(&[], &[database.address()]);
        config.listeners[0].default_service = Some(DATABASE.to_owned());
        let (proxy, mut client) = start(config);
        // Also while redirect rules are in force, and the system knows of each connection.
        redirect(&FROM_CALLERS, &proxy, "shared");
        for _ in 0..2 {
            client.send(b"hello");
            assert_eq!(database.accept().take(5), b"hello");
            client = Wire::connect(proxy.address("shared").unwrap());
        }
        // What was redirected still goes where it was going.
        let server = Provider::at("10.9.0.5:4000".parse().unwrap());
        connect("10.9.0.5:4000").send(b"hello");
        assert_eq!(server.accept().take(5), b"hello");
    });
}

#[test]
fn a_connection_that_comes_back_to_the_proxy_that_made_it_is_refused() {
    inside("a_connection_that_comes_back_to_the_proxy_that_made_it_is_refused", || {
        let server = Provider::at("10.9.0.5:4000".parse().unwrap());
        let mut config = transparent(&[server.address()], &[]);
        config.workers = 2;
        let proxy = run(config);
        // It has no exception for the proxy.
        redirect(&["ip daddr 10.9.0.5"], &proxy, "shared");
        const ROUNDS: i64 = 20;
        for _ in 0..ROUNDS {
            let mut client = connect("10.9.0.5:4000");
            // The proxy may have broken it off already.
            let _ = client.try_send(b"hello");
            assert!(client.is_closed());
        }
        wait_for_nothing_open(&proxy);
        assert_eq!(value(&proxy, &going("own")), ROUNDS);
        // Another worker may have been quicker than the guard, now and then.
        let passed_on = value(&proxy, &going("other"));
        assert!((ROUNDS..3 * ROUNDS).contains(&passed_on), "{passed_on}");

        // Calls do not go round either.
        let mut caller = connect("10.9.0.5:4000");
        caller.send(&Request::new(1).bytes());
        let answer = caller.expect();
        assert!(answer.text().contains("Spanwire ["), "{}", answer.text());
        wait_for(&proxy, IN_FLIGHT, 0);
        assert!(server.is_left_alone(Duration::ZERO));
    });
}

#[test]
fn a_connection_to_the_listener_itself_does_not_go_round() {
    inside("a_connection_to_the_listener_itself_does_not_go_round", || {
        let mut config = transparent(&[], &[]);
        config.listeners[0].bind = ([0, 0, 0, 0], 0).into();
        let proxy = run(config);
        redirect(&FROM_CALLERS, &proxy, "shared");
        // Redirected, it comes in at another address than it was going to.
        let port = proxy.address("shared").unwrap().port();
        let mut client = connect(&format!("{SERVER}:{port}"));
        assert!(client.is_closed());
        wait_for_nothing_open(&proxy);
        assert_eq!(value(&proxy, &going("other")), 1);
        assert_eq!(value(&proxy, &going("own")), 1);
    });
}

#[test]
fn both_ip_versions_are_redirected_to_one_listener() {
    inside("both_ip_versions_are_redirected_to_one_listener", || {
        let config = plain(&[]);
        let listener = Listener {
            bind: "[::]:0".parse().unwrap(),
            protocols: vec![Protocol::Tcp],
            default_service: None,
            use_original_dst: true,
            ..listener("shared", Direction::Outbound)
        };
        let proxy = run(Config { listeners: vec![listener], ..config });
        redirect(&FROM_CALLERS, &proxy, "shared");
        for server in ["10.9.0.5:4000", "[fd00:9::5]:4000"] {
            let at = Provider::at(server.parse().unwrap());
            let mut client = connect(server);
            client.send(b"hello");
            assert_eq!(at.accept().take(5), b"hello", "{server}");
        }
        assert_eq!(value(&proxy, &going("other")), 2);
        redirect(&["ip6 daddr fd00:9::5", "ip daddr 10.9.0.5"], &proxy, "shared");
        for server in ["10.9.0.5:4000", "[fd00:9::5]:4000"] {
            assert!(connect(server).is_closed(), "{server}");
        }
        assert_eq!(value(&proxy, &going("own")), 2);
    });
}

/// In this namespace there is only one user, so that the exception holds for all.
#[test]
fn the_documented_rules_except_the_proxy() {
    inside("the_documented_rules_except_the_proxy", || {
        let (_, after) = include_str!("../../docs/protocols.md").split_once("```nft\n").unwrap();
        let (documented, _) = after.split_once("```").unwrap();
        let proxy = run(transparent(&[], &[]));
        let port = proxy.address("shared").unwrap().port();
        let rules = documented.replace(":15001", &format!(":{port}"));
        let at = Provider::at("10.9.0.5:4000".parse().unwrap());
        for (user, redirected) in [("\"root\"", 0), ("1", 1)] {
            enforce(&format!("flush ruleset\n{}", rules.replace("\"spanwire\"", user)));
            let mut client = connect("10.9.0.5:4000");
            client.send(b"hello");
            if redirected == 0 {
                assert_eq!(at.accept().take(5), b"hello");
            } else {
                assert!(client.is_closed(), "the proxy is not excepted either");
            }
            assert_eq!(value(&proxy, &going("other")), redirected, "{user}");
        }
    });
}
