//! A real MariaDB client and server, whose server speaks first, with Spanwire
//! between them.

use std::process::Stdio;
use std::time::Duration;

use harness::mariadb::{MariaDb, client, query};
use harness::port;
use harness::spanwire::Proxy;
use harness::wait_until;

/// How long what happened may take to show.
const SOON: Duration = Duration::from_secs(10);

/// A proxy before these servers: a listener for nothing but them, and one that
/// takes Dubbo too. The ports of both.
fn before(servers: &[&MariaDb]) -> (Proxy, u16, u16) {
    let (alone, shared) = (port::free(), port::free());
    let endpoints: Vec<_> = (servers.iter())
        .map(|server| format!("{{address: \"127.0.0.1:{}\"}}", server.port()))
        .collect();
    let proxy = Proxy::start(&format!(
        "workers: 1
services: [{{name: orders-db, protocol: tcp, endpoints: [{}]}}]
listeners:
  - {{name: alone, bind: \"127.0.0.1:{alone}\", direction: outbound, protocols: [tcp], default_service: orders-db}}
  - {{name: shared, bind: \"127.0.0.1:{shared}\", direction: outbound, protocols: [dubbo, tcp], default_service: orders-db}}
",
        endpoints.join(", ")
    ));
    (proxy, alone, shared)
}

#[track_caller]
fn assert_nothing_open(proxy: &Proxy) {
    let open = || {
        proxy.metric("spanwire_calls_in_flight", "") + proxy.metric("spanwire_connections{", "side")
    };
    assert!(wait_until(SOON, || open() == 0.0), "{} are open", open());
}

#[test]
fn what_is_written_and_read_through_the_proxy_is_what_it_is_without() {
    let server = MariaDb::start();
    let (proxy, alone, shared) = before(&[&server]);
    let _ = query(
        alone,
        "root",
        "create database shop; create user app@'%' identified by 'secret'; grant all on shop.* to app@'%';
         create table shop.orders (id int auto_increment primary key, note longtext)",
    );
    for port in [alone, shared] {
        // A challenge that the server sends first, and the password's answer to it.
        let refused = client(port, "app:wrong", "select 1").output().unwrap();
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(errors.contains("Access denied for user 'app'"), "{errors}");
        // Larger than any buffer on the way, both ways.
        let note = "x".repeat(100_000);
        let written = format!(
            "insert into orders (note) values ('{note}'); insert into orders (note)
             select repeat('spanwire', 500000) from orders limit 1; select count(*) from orders"
        );
        let rows = if port == alone { "2\n" } else { "4\n" };
        let statements = format!("use shop; {written}");
        assert_eq!(query(port, "app:secret", &statements), rows);
        // One after the other on one connection, prepared and in a transaction.
        let prepared = "use shop; prepare one from 'select length(note) from orders where id = ?';
             set @id = 1; execute one using @id; set @id = 2; execute one using @id;
             start transaction; delete from orders; rollback; select count(*) from orders";
        assert_eq!(query(port, "app:secret", prepared), format!("100000\n4000000\n{rows}"));
    }
    let all = "select id, md5(note), note from shop.orders order by id";
    let direct = query(server.port(), "app:secret", all);
    assert!(direct.len() > 8_000_000, "{} bytes", direct.len());
    assert!(
        query(alone, "app:secret", all) == direct && query(shared, "app:secret", all) == direct
    );

    let found = |listener: &str, protocol: &str| {
        let labels = format!("listener=\"{listener}\",protocol=\"{protocol}\"");
        proxy.metric("spanwire_connections_detected_total", &labels)
    };
    assert_eq!((found("alone", "tcp"), found("alone", "timeout")), (5.0, 0.0));
    assert_eq!((found("shared", "tcp"), found("shared", "timeout")), (0.0, 4.0));
    assert_nothing_open(&proxy);
    assert_eq!(proxy.metric("spanwire_calls_total", "outcome=\"success\""), 9.0);
}

#[test]
fn clients_go_to_the_server_that_is_left() {
    let (mut one, other) = (MariaDb::start(), MariaDb::start());
    let (proxy, alone, _) = before(&[&one, &other]);
    let both = [one.port(), other.port()].map(|port| format!("{port}\n"));
    let asked = || query(alone, "root", "select @@port");
    let mut seen = [false; 2];
    assert!(wait_until(SOON, || {
        let port = asked();
        for (seen, known) in seen.iter_mut().zip(&both) {
            *seen |= port == *known;
        }
        seen == [true; 2]
    }));

    // Those that are at the first one when it goes lose their connections; all
    // that come then are served by the other.
    let mut sleeping = Vec::new();
    for _ in 0..8 {
        let mut client = client(alone, "root", "select sleep(60)");
        sleeping.push(client.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    }
    let at_first = || query(one.port(), "root", "show processlist").matches("sleep(60)").count();
    let at_other = || query(other.port(), "root", "show processlist").matches("sleep(60)").count();
    assert!(wait_until(SOON, || at_first() + at_other() == 8));
    let lost = at_first();
    one.kill();
    let waits = |client: &mut std::process::Child| client.try_wait().unwrap().is_none();
    let left = |sleeping: &mut Vec<std::process::Child>| {
        sleeping.iter_mut().map(waits).filter(|waits| *waits).count()
    };
    assert!(wait_until(SOON, || left(&mut sleeping) == 8 - lost), "{lost} are lost");
    for _ in 0..10 {
        assert_eq!(asked(), both[1]);
    }
    for mut client in sleeping {
        let _ = client.kill();
        let _ = client.wait();
    }
    assert_nothing_open(&proxy);
}
