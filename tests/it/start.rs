//! How a proxy starts, and what it leaves a trace of.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use proxy::config::AccessLog;
use proxy::error::RunError;
use proxy::server::Proxy;

use crate::wire::*;

#[test]
fn two_proxies_do_not_share_a_port_without_a_word() {
    let (first, _caller) = start(outbound(&[]));
    let taken = first.address("out").unwrap();
    let mut config = outbound(&[]);
    config.listeners[0].bind = taken;
    match Proxy::start(config) {
        Err(RunError::Bind { name, bind, .. }) => assert_eq!((name.as_str(), bind), ("out", taken)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn workers_share_the_port_that_the_system_chose() {
    let address = Provider::new().echo_forever();
    let (proxy, _caller) = start(proxy::config::Config { workers: 3, ..outbound(&[address]) });
    for id in 0..12 {
        let mut caller = Wire::connect(proxy.address("out").unwrap());
        caller.send(&Request::new(id).bytes());
        assert_eq!(caller.expect().id, id);
    }
}

#[test]
fn a_store_that_is_away_holds_readiness_back_only_for_a_while() {
    let mut config = outbound(&[Provider::new().echo_forever()]);
    config.admin = Some(([127, 0, 0, 1], 0).into());
    // A port that nobody listens on any more.
    config.store = vec![format!("http://{}", Provider::new().address())];
    let (proxy, mut caller) = start(config);
    let admin = proxy.admin().unwrap();
    let ready = || {
        let mut page = std::net::TcpStream::connect(admin).unwrap();
        page.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        page.read_to_string(&mut text).unwrap();
        text
    };
    assert!(ready().contains("store: it has not answered yet"));
    caller.send(&Request::new(1).bytes());
    assert_eq!(caller.expect().status, 20, "what is configured is called meanwhile");
    let deadline = Instant::now() + 2 * SOON;
    while !ready().starts_with("HTTP/1.0 200") {
        assert!(Instant::now() < deadline, "{}", ready());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_access_log_names_what_was_called_even_where_metrics_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let mut config = outbound(&[]);
    config.access_log = Some(AccessLog::File(path.clone()));
    let (proxy, mut caller) = start(config);
    caller.send(&Request { service: "made.Up", method: "guess", ..Request::new(1) }.bytes());
    caller.expect();
    proxy.drain().unwrap();
    let line = std::fs::read_to_string(&path).unwrap();
    let fields =
        [r#""service":"made.Up""#, r#""method":"guess""#, r#""outcome":"unknown_service""#];
    for field in fields {
        assert!(line.contains(field), "{line}");
    }
}
