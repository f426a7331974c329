//! The end of a proxy that is told to finish its work first.

use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proxy::error::RunError;
use proxy::server::Proxy;

use crate::counters::wait_until;
use crate::wire::*;

/// Drains on another thread; says how long it took.
fn drain(proxy: Proxy) -> JoinHandle<Result<Duration, RunError>> {
    let started = Instant::now();
    std::thread::spawn(move || proxy.drain().map(|()| started.elapsed()))
}

/// What tells a consumer to send no more calls by this connection.
#[track_caller]
fn expect_read_only(caller: &mut Wire) {
    let event = caller.expect();
    assert_eq!((event.flags, event.status), (READ_ONLY, 0));
    assert_eq!(event.body, b"\x01R");
}

fn call(caller: &mut Wire, upstream: &mut Wire, id: u64) {
    caller.send(&Request::new(id).bytes());
    let request = upstream.expect();
    upstream.send(&request.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, id);
}

#[test]
fn callers_are_told_and_calls_in_flight_are_answered_before_the_end() {
    let provider = Provider::new();
    let (proxy, mut busy) = start(outbound(&[provider.address()]));
    let mut idle = Wire::connect(proxy.address("out").unwrap());
    busy.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    call(&mut idle, &mut upstream, 1);

    let drained = drain(proxy);
    expect_read_only(&mut busy);
    expect_read_only(&mut idle);
    assert!(idle.is_closed(), "a connection with nothing to do ends soon");
    drop(idle);
    assert!(!drained.is_finished());
    upstream.send(&request.answer(&string("pong")).bytes());
    assert!(busy.expect().text().contains("pong"));
    assert!(busy.is_closed());
    drop(busy);
    let took = drained.join().unwrap().unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(upstream.is_closed());
}

#[test]
fn a_call_that_comes_after_the_read_only_event_is_still_answered() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let first = upstream.expect();
    let drained = drain(proxy);
    expect_read_only(&mut caller);
    call(&mut caller, &mut upstream, 2);
    upstream.send(&first.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 1);
    call(&mut caller, &mut upstream, 3);
    assert!(caller.is_closed());
    drop(caller);
    drained.join().unwrap().unwrap();
}

#[test]
fn a_call_without_an_answer_holds_a_drain_up_only_so_long() {
    let provider = Provider::new();
    let mut config = outbound(&[provider.address()]);
    config.timeouts.drain = Duration::from_millis(300);
    let (proxy, mut caller) = start(config);
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    upstream.expect();
    let took = drain(proxy).join().unwrap().unwrap();
    assert!((300..2000).contains(&took.as_millis()), "{took:?}");
    expect_read_only(&mut caller);
    assert!(caller.is_closed());
}

#[test]
fn a_caller_that_calls_on_and_on_holds_a_drain_up_only_so_long() {
    let mut config = outbound(&[Provider::new().echo_forever()]);
    config.timeouts.drain = Duration::from_millis(400);
    let (proxy, mut caller) = start(config);
    caller.send(&Request::new(0).bytes());
    caller.expect();
    let drained = drain(proxy);
    expect_read_only(&mut caller);
    let mut answered = 0;
    for id in 1.. {
        // Until it is cut off: between two calls, or with one of them in flight.
        if caller.try_send(&Request::new(id).bytes()).is_err() {
            break;
        }
        match caller.try_next() {
            Ok(Some(answer)) => assert_eq!(answer.id, id),
            _ => break,
        }
        answered += 1;
    }
    assert!(answered > 10, "{answered}");
    let took = drained.join().unwrap().unwrap();
    assert!((400..2500).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn nobody_new_is_taken_in_while_a_proxy_drains() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let address: SocketAddr = proxy.address("out").unwrap();
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    let drained = drain(proxy);
    expect_read_only(&mut caller);
    wait_until("connections to be refused", || match TcpStream::connect(address) {
        Ok(_) => Err("connected".to_owned()),
        Err(_) => Ok(()),
    });
    upstream.send(&request.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 1);
    drop(caller);
    drained.join().unwrap().unwrap();
}

#[test]
fn a_proxy_without_callers_drains_at_once() {
    let (proxy, caller) = start(outbound(&[]));
    drop(caller);
    let took = drain(proxy).join().unwrap().unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
