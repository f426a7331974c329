//! What a call costs a worker in memory: nothing, once it is warm. What an idle
//! connection keeps: see [`idle`].
//!
//! Counts what the workers of a proxy allocate while scripted peers call
//! through it. The peers are on threads of their own and are not counted.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[allow(dead_code, reason = "shared with the tests in `it`, which use all of it")]
#[path = "../it/counters.rs"]
mod counters;
mod counting;
mod idle;
#[allow(dead_code, reason = "shared with the tests in `it`, which use all of it")]
#[path = "../it/http/peers.rs"]
mod peers;
#[allow(dead_code, reason = "shared with the tests in `it`, which use all of it")]
#[path = "../it/wire.rs"]
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::counting::Counts;
use crate::wire::*;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Allocations a call. What is left above 0 is the clock's, which looks at all
/// connections a few times a second.
const PER_CALL: f64 = 0.01;

/// The counters are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls through a proxy from `connections`, each with `outstanding` calls at a
/// time, and returns what one call cost after a warm-up.
fn allocations_per_call(connections: usize, outstanding: u64, argument: &str, rounds: u64) -> f64 {
    let (proxy, first) = start(outbound(&[Provider::new().mirror_forever()]));
    let address = proxy.address("out").unwrap();
    let mut callers = vec![first];
    callers.resize_with(connections, || Wire::connect(address));
    let batch: Vec<u8> =
        (0..outstanding).flat_map(|id| Request { argument, ..Request::new(id) }.bytes()).collect();
    let mut round = || {
        for caller in &mut callers {
            caller.send(&batch);
        }
        for caller in &mut callers {
            for _ in 0..outstanding {
                assert_eq!(caller.expect().status, 20);
            }
        }
    };
    (0..rounds / 5).for_each(|_| round());
    let before = Counts::now();
    (0..rounds).for_each(|_| round());
    let during = Counts::now().since(before);
    let calls = connections as u64 * outstanding * rounds;
    during.allocations as f64 / calls as f64
}

#[test]
fn the_workers_are_counted_and_nobody_else() {
    let _alone = alone();
    let before = Counts::now();
    drop(vec![0_u8; 4096]);
    assert_eq!(Counts::now().since(before).allocations, 0, "the test's own");
    let (_proxy, mut caller) = start(outbound(&[Provider::new().mirror_forever()]));
    caller.send(&Request::new(1).bytes());
    caller.expect();
    assert!(Counts::now().since(before).allocations > 0, "a connection costs something");
}

#[test]
fn small_calls_one_at_a_time_allocate_nothing() {
    let _alone = alone();
    let cost = allocations_per_call(64, 1, "hello", 200);
    assert!(cost <= PER_CALL, "{cost} a call");
}

#[test]
fn small_calls_many_at_a_time_allocate_nothing() {
    let _alone = alone();
    let cost = allocations_per_call(4, 64, "hello", 100);
    assert!(cost <= PER_CALL, "{cost} a call");
}

#[test]
fn calls_of_64_kib_allocate_nothing() {
    let _alone = alone();
    let cost = allocations_per_call(8, 1, &"x".repeat(64_000), 200);
    assert!(cost <= PER_CALL, "{cost} a call");
}

#[test]
fn a_claim_of_two_gigabytes_is_not_believed() {
    let _alone = alone();
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let mut bad = Wire::connect(proxy.address("out").unwrap());
    caller.send(&Request::new(1).bytes());
    let mut upstream = provider.accept();
    let request = upstream.expect();
    Counts::forget_largest();
    for mut claim in [request.bytes(), request.answer(b"").bytes()] {
        claim[12..16].copy_from_slice(&(2_u32 << 30).to_be_bytes());
        let peer = if claim[2] == TWO_WAY { &mut bad } else { &mut upstream };
        peer.send(&claim);
    }
    assert!(bad.expect().text().contains("[too_large]"));
    assert!(caller.expect().text().contains("[too_large]"));
    let largest = Counts::now().largest;
    assert!(largest < 1 << 16, "{largest} bytes at once");
}

#[test]
fn a_claim_within_the_limit_gets_memory_as_its_bytes_come() {
    let _alone = alone();
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let received = || {
        let text = proxy.metrics().render();
        let name = r#"spanwire_received_bytes_total{side="downstream"} "#;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.parse::<usize>().unwrap()
    };
    let mut call = Request::new(1).frame();
    call.body.resize(60 << 20, b'x');
    let bytes = call.bytes();
    Counts::forget_largest();
    caller.send(&bytes[..1000]);
    let deadline = Instant::now() + SOON;
    while received() < 1000 {
        assert!(Instant::now() < deadline, "{} bytes came", received());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Counts::now().largest <= 1 << 20, "{} bytes at once", Counts::now().largest);
    let sender = std::thread::spawn(move || {
        caller.send(&bytes[1000..]);
        caller
    });
    assert!(provider.accept().expect().body == call.body);
    drop(sender.join());
}
