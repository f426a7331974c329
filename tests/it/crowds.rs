//! Many callers at once.

use std::collections::HashMap;

use crate::counters::{CALLERS, IN_FLIGHT, UPSTREAMS, value, wait_for};
use crate::wire::*;

/// Lets this process have both ends of thousands of connections.
fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a live `rlimit`.
    let set = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit)
    };
    assert!(set == 0 && limit.rlim_cur >= 6000, "open files: {}", limit.rlim_cur);
}

#[test]
fn two_thousand_idle_callers_are_no_burden() {
    raise_open_files();
    let (proxy, mut caller) = start(outbound(&[Provider::new().echo_forever()]));
    let address = proxy.address("out").unwrap();
    let idle: Vec<Wire> = (0..2000).map(|_| Wire::connect(address)).collect();
    wait_for(&proxy, CALLERS, 2001);
    for id in 0..100 {
        caller.send(&Request::new(id).bytes());
        assert!(caller.expect().text().contains("pong"));
    }
    assert_eq!(value(&proxy, UPSTREAMS), 1);
    drop(idle);
    wait_for(&proxy, CALLERS, 1);
}

#[test]
fn a_cold_start_under_full_load_fails_no_call() {
    let provider = Provider::new();
    let (proxy, first) = start(outbound(&[provider.address()]));
    let address = proxy.address("out").unwrap();
    let mut callers = vec![first];
    callers.resize_with(64, || Wire::connect(address));
    for (at, caller) in callers.iter_mut().enumerate() {
        let calls: Vec<u8> = (0..50)
            .flat_map(|id| Request { argument: &format!("{at}/{id}"), ..Request::new(id) }.bytes())
            .collect();
        caller.send(&calls);
    }
    // Not one call has been answered when all have come, by one connection.
    let mut upstream = provider.accept();
    let calls: Vec<Frame> = (0..64 * 50).map(|_| upstream.expect()).collect();
    assert_eq!((value(&proxy, IN_FLIGHT), value(&proxy, UPSTREAMS)), (3200, 1));
    for call in calls.iter().rev() {
        upstream.send(&call.answer(&call.body).bytes());
    }
    for (at, caller) in callers.iter_mut().enumerate() {
        let mut answers: HashMap<u64, Frame> = HashMap::new();
        for _ in 0..50 {
            let answer = caller.expect();
            assert_eq!(answer.status, 20);
            answers.insert(answer.id, answer);
        }
        for id in 0..50 {
            assert!(answers[&id].text().contains(&format!("{at}/{id}H")), "{at}/{id}");
        }
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn no_more_connections_are_taken_than_configured() {
    let mut config = outbound(&[Provider::new().echo_forever()]);
    config.limits.connections = 2;
    let (proxy, mut first) = start(config);
    let address = proxy.address("out").unwrap();
    let second = Wire::connect(address);
    wait_for(&proxy, CALLERS, 2);
    let mut third = Wire::connect(address);
    assert!(third.is_closed());
    assert_eq!(value(&proxy, "spanwire_connections_refused_total"), 1);
    first.send(&Request::new(1).bytes());
    assert!(first.expect().text().contains("pong"));
    drop(second);
    wait_for(&proxy, CALLERS, 1);
    let mut fourth = Wire::connect(address);
    fourth.send(&Request::new(1).bytes());
    assert!(fourth.expect().text().contains("pong"));
}

#[test]
fn several_workers_share_the_callers() {
    let mut config = outbound(&[Provider::new().echo_forever()]);
    config.workers = 3;
    let (proxy, first) = start(config);
    let address = proxy.address("out").unwrap();
    let mut callers = vec![first];
    callers.resize_with(40, || Wire::connect(address));
    for caller in &mut callers {
        caller.send(&Request::new(1).bytes());
        assert!(caller.expect().text().contains("pong"));
    }
    wait_for(&proxy, CALLERS, 40);
    // One each, where the kernel gave all of them callers.
    assert!((1..=3).contains(&value(&proxy, UPSTREAMS)));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}
