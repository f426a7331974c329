//! Plain TCP: bytes both ways, ends, breaks, and what is counted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proxy::config::{AccessLog, Config, StaticEndpoint};

use crate::counters::*;
use crate::peers::{Refusing, Unanswering};
use crate::raw::*;
use crate::wire::*;

/// A client and the server that it was connected to.
fn pair(config: Config, database: &Provider) -> (proxy::server::Proxy, Wire, Wire) {
    let (proxy, mut client) = start(config);
    client.send(b"hello");
    let mut server = database.accept();
    assert_eq!(server.take(5), b"hello");
    (proxy, client, server)
}

fn through(database: &Provider) -> (proxy::server::Proxy, Wire, Wire) {
    pair(plain(&[database.address()]), database)
}

#[test]
fn each_side_may_end_while_the_other_goes_on() {
    let database = Provider::new();
    let (proxy, mut client, mut server) = through(&database);
    client.finish();
    assert!(server.is_closed(), "the end arrives");
    server.send(b"still here");
    assert_eq!(client.take(10), b"still here");
    drop(server);
    assert!(client.is_closed());
    wait_for_ended(&proxy, "tcp", DATABASE, "success", 1);

    let mut client = Wire::connect(proxy.address("tcp").unwrap());
    let mut server = database.accept();
    server.send(b"goodbye");
    server.finish();
    assert_eq!(client.take(7), b"goodbye");
    assert!(client.is_closed(), "the end arrives");
    client.send(b"not yet");
    assert_eq!(server.take(7), b"not yet");
    drop(client);
    assert!(server.is_closed());
    wait_for_ended(&proxy, "tcp", DATABASE, "success", 2);
    for gauge in [IN_FLIGHT, CALLERS, UPSTREAMS] {
        wait_for(&proxy, gauge, 0);
    }
}

#[test]
fn a_side_that_breaks_is_passed_on_as_broken() {
    let database = Provider::new();
    let (proxy, client, mut server) = through(&database);
    client.reset();
    assert!(server.is_reset());
    wait_for_ended(&proxy, "tcp", DATABASE, "cancelled", 1);

    let mut client = Wire::connect(proxy.address("tcp").unwrap());
    database.accept().reset();
    assert!(client.is_reset());
    wait_for_ended(&proxy, "tcp", DATABASE, "connection_lost", 1);
    assert_eq!(value(&proxy, &faults("connection_lost")), 1);
    for gauge in [IN_FLIGHT, CALLERS, UPSTREAMS] {
        wait_for(&proxy, gauge, 0);
    }
}

#[test]
fn what_a_server_said_before_it_refused_the_rest_arrives() {
    let database = Provider::new();
    let (proxy, mut client, mut server) = through(&database);
    server.send(b"too large");
    server.finish();
    client.send(&[0; 100_000]);
    wait_for(&proxy, &received("downstream"), 100_005);
    // Unread bytes make this a reset.
    drop(server);
    assert_eq!(client.take(9), b"too large");
    drop(client);
    wait_for(&proxy, IN_FLIGHT, 0);
}

#[test]
fn one_who_reads_slowly_slows_down_the_one_who_writes() {
    const LENGTH: usize = 100 << 20;
    fn byte(at: usize) -> u8 {
        (at % 251) as u8
    }
    let database = Provider::new();
    let (proxy, client, server) = through(&database);
    let kept = |from, to| value(&proxy, &received(from)) - value(&proxy, &sent(to));
    for (mut writer, mut reader, from, to) in [
        (client.clone(), server.clone(), "downstream", "upstream"),
        (server, client, "upstream", "downstream"),
    ] {
        let before = value(&proxy, &received(from));
        let writing = std::thread::spawn(move || {
            let bytes: Vec<u8> = (0..LENGTH).map(byte).collect();
            writer.send(&bytes);
            writer
        });
        // Nobody reads: it stops when the system's buffers and ours are full.
        let mut last = (before, Instant::now());
        while last.0 == before || last.1.elapsed() < Duration::from_millis(300) {
            let now = value(&proxy, &received(from));
            if now != last.0 {
                last = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(last.0 - before < LENGTH as i64, "all of it was taken in");
        assert!(kept(from, to) <= 64 << 10, "{} bytes are kept", kept(from, to));
        for start in (0..LENGTH).step_by(1 << 20) {
            let came = reader.take(1 << 20);
            assert!(came.iter().enumerate().all(|(at, came)| *came == byte(start + at)), "{start}");
        }
        writing.join().unwrap();
        assert_eq!(kept(from, to), 0);
    }
}

#[test]
fn an_endpoint_that_takes_no_connection_is_passed_over() {
    let (refusing, unanswering) = (Refusing::new(), Unanswering::new());
    let database = Provider::new();
    let addresses = [refusing.address(), unanswering.address(), database.address()];
    let mut config = plain(&addresses);
    config.timeouts.connect = Duration::from_millis(100);
    let (proxy, mut first) = start(config);
    first.send(b"hello");
    assert_eq!(database.accept().take(5), b"hello");
    for _ in 0..20 {
        let _client = Wire::connect(proxy.address("tcp").unwrap());
        database.accept();
    }
    assert!(value(&proxy, CONNECT_FAILURES) >= 1);
    assert_eq!(value(&proxy, CONNECT_FAILURES), value(&proxy, RETRIES));
}

#[test]
fn a_caller_that_nobody_takes_is_closed() {
    let refusing = [Refusing::new(), Refusing::new()];
    let (proxy, mut client) = start(plain(&refusing.each_ref().map(Refusing::address)));
    assert!(client.is_closed());
    wait_for_ended(&proxy, "tcp", DATABASE, "unreachable", 1);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    let (proxy, mut client) = start(plain(&[]));
    assert!(client.is_closed());
    wait_for(&proxy, &faults("unknown_service"), 1);
}

#[test]
fn weights_hold_for_connections() {
    let databases = [Provider::new(), Provider::new()];
    let mut config = plain(&databases.each_ref().map(Provider::address));
    config.services[0].endpoints[0].weight = 0;
    let (proxy, _first) = start(config);
    let address = proxy.address("tcp").unwrap();
    let _others: Vec<_> = (0..10).map(|_| Wire::connect(address)).collect();
    for _ in 0..11 {
        databases[1].accept();
    }
    assert!(databases[0].is_left_alone(Duration::ZERO));
}

#[test]
fn connections_go_where_the_fewest_are_when_a_rule_says_so() {
    let databases = [Provider::new(), Provider::new()];
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join(format!("{DATABASE}::.configurators.yaml"));
    let text = format!(
        "configVersion: v3.0\nscope: service\nkey: {DATABASE}\nenabled: true\nconfigs:\n  - {{side: consumer, parameters: {{loadbalance: leastactive}}}}\n"
    );
    std::fs::write(&rule, text).unwrap();
    let config = plain(&databases.each_ref().map(Provider::address));
    let (proxy, first) = start(Config { rules: vec![rule], ..config });
    let address = proxy.address("tcp").unwrap();
    let mut clients = vec![first];
    let mut servers = [Vec::new(), Vec::new()];
    let take = |servers: &mut [Vec<Wire>; 2], wanted: usize| {
        wait_until("the connections to be there", || {
            for (database, servers) in databases.iter().zip(servers.iter_mut()) {
                servers.extend(database.try_next());
            }
            let there: usize = servers.iter().map(Vec::len).sum();
            if there == wanted { Ok(()) } else { Err(format!("{there} of {wanted} are")) }
        });
    };
    for count in 1..=10 {
        take(&mut servers, count);
        let [one, other] = servers.each_ref().map(Vec::len);
        assert!(one.abs_diff(other) <= 1, "{one} and {other} of {count}");
        clients.push(Wire::connect(address));
    }
    take(&mut servers, 11);
    // One has lost its connections, and takes what comes until it has as many again.
    let [ended, others] = servers.each_ref().map(Vec::len);
    servers[0].drain(..).for_each(Wire::reset);
    wait_for(&proxy, UPSTREAMS, others as i64);
    for count in 1..others {
        clients.push(Wire::connect(address));
        take(&mut servers, others + count);
        assert_eq!(servers[0].len(), count);
    }
    assert!(ended.abs_diff(others) == 1);
}

#[test]
fn a_rule_decides_where_a_connection_goes() {
    let databases = [Provider::new(), Provider::new()];
    let addresses = databases.each_ref().map(Provider::address);
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join(format!("{DATABASE}::.condition-router.yaml"));
    let to = addresses[1].port();
    let text = format!(
        "configVersion: v3.0\nscope: service\nkey: {DATABASE}\nforce: true\nenabled: true\nconditions:\n  - 'method=connect => port={to}'\n"
    );
    std::fs::write(&rule, text).unwrap();
    let (proxy, _first) = start(Config { rules: vec![rule], ..plain(&addresses) });
    let _others: Vec<_> = (0..10).map(|_| Wire::connect(proxy.address("tcp").unwrap())).collect();
    for _ in 0..11 {
        databases[1].accept();
    }
    assert!(databases[0].is_left_alone(Duration::ZERO));
}

#[test]
fn connections_over_the_limit_are_refused() {
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    config.limits.connections = 1;
    let (proxy, client, server) = pair(config, &database);
    let address = proxy.address("tcp").unwrap();
    assert!(Wire::connect(address).is_closed());
    assert!(database.is_left_alone(Duration::from_millis(50)));
    drop((client, server));
    wait_for(&proxy, CALLERS, 0);
    let _next = Wire::connect(address);
    database.accept();
}

#[test]
fn a_drain_leaves_connections_their_time() {
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    config.timeouts.drain = Duration::from_secs(60);
    let (proxy, mut client, mut server) = pair(config, &database);
    let drained = std::thread::spawn(move || proxy.drain());
    for _ in 0..20 {
        client.send(b"more");
        assert_eq!(server.take(4), b"more");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!drained.is_finished());
    drop((client, server));
    drained.join().unwrap().unwrap();
}

#[test]
fn a_connection_holds_a_drain_up_only_so_long() {
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    config.timeouts.drain = Duration::from_millis(300);
    let (proxy, mut client, mut server) = pair(config, &database);
    let started = Instant::now();
    proxy.drain().unwrap();
    let took = started.elapsed();
    assert!((300..2000).contains(&took.as_millis()), "{took:?}");
    assert!(client.is_closed() && server.is_closed());
}

#[test]
fn the_access_log_has_a_line_for_each_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    config.access_log = Some(AccessLog::File(path.clone()));
    let (proxy, mut client, mut server) = pair(config, &database);
    server.send(b"hi");
    assert_eq!(client.take(2), b"hi");
    drop((client, server));
    proxy.drain().unwrap();
    let line = std::fs::read_to_string(&path).unwrap();
    let endpoint = format!(r#""endpoint":"{}","outcome":"success""#, database.address());
    for part in [
        r#""listener":"tcp","caller":"127.0.0.1:"#,
        r#""protocol":"tcp","service":"db","method":"connect""#,
        &endpoint,
        r#""bytes_in":5,"bytes_out":2"#,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(line.lines().count(), 1);
}

/// Many at once, which all end in their own ways.
#[test]
fn nothing_is_left_behind() {
    let database = Provider::new();
    let (proxy, _client, _server) = through(&database);
    let address: SocketAddr = proxy.address("tcp").unwrap();
    for round in 0..200 {
        let client = Wire::connect(address);
        let server = database.accept();
        match round % 5 {
            0 => drop((client, server)),
            1 => client.reset(),
            2 => server.reset(),
            3 => client.hang_up(),
            _ => server.hang_up(),
        }
    }
    for gauge in [IN_FLIGHT, CALLERS, UPSTREAMS] {
        wait_for(&proxy, gauge, 1);
    }
}

#[test]
fn a_group_is_no_matter_of_connections() {
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    let endpoint = config.services[0].endpoints[0].clone();
    config.services[0].endpoints = vec![StaticEndpoint { group: "blue".to_owned(), ..endpoint }];
    let (proxy, mut client) = start(config);
    assert!(client.is_closed());
    wait_for(&proxy, &faults("no_endpoint"), 1);
}
