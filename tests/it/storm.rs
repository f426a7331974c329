//! Everything at once: callers and a provider that do at random what peers do,
//! right and wrong. Each seed is one run, always the same on the test's side.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::counters::{CALLERS, IN_FLIGHT, value, wait_for};
use crate::wire::*;

const CALLERS_AT_ONCE: u64 = 4;
const ROUNDS: u64 = 12;

#[test]
fn no_answer_goes_astray_whatever_the_peers_do() {
    for seed in 0..8 {
        let provider = Provider::new();
        let address = provider.address();
        thread::spawn(move || moody_provider(provider, seed));
        let (proxy, mut calm) = start(outbound(&[address]));
        let at = proxy.address("out").unwrap();
        let callers: Vec<_> = (1..=CALLERS_AT_ONCE)
            .map(|number| {
                let name = format!("seed {seed} caller {number}");
                let run = move || moody_caller(at, seed, number);
                thread::Builder::new().name(name).spawn(run).unwrap()
            })
            .collect();
        for caller in callers {
            caller.join().expect("its own message says what went wrong");
        }
        wait_for(&proxy, CALLERS, 1);
        wait_for(&proxy, IN_FLIGHT, 0);
        // The provider may forget this one too.
        calm.send(&Request { attachments: vec![("timeout", "300")], ..Request::new(7) }.bytes());
        let answer = calm.expect();
        assert_eq!(answer.id, 7, "seed {seed}");
        assert_eq!(value(&proxy, IN_FLIGHT), 0, "seed {seed}");
    }
}

/// Sends a stream in pieces of any size.
fn send_in_pieces(wire: &mut Wire, rng: &mut Rng, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let most = if rng.bool() { bytes.len() } else { rng.usize(1..=bytes.len().min(50)) };
        let (piece, rest) = bytes.split_at(most);
        if wire.try_send(piece).is_err() {
            return false;
        }
        bytes = rest;
        if rng.u8(..4) == 0 {
            thread::yield_now();
        }
    }
    true
}

fn noise(rng: &mut Rng) -> Frame {
    let body = std::iter::repeat_with(|| rng.u8(..)).take(20).collect();
    match rng.u8(..4) {
        0 => Frame { flags: RESPONSE, status: rng.u8(..), id: rng.u64(..), body },
        1 => Frame { flags: PONG, status: 20, id: rng.u64(..), body },
        2 => Frame { flags: 0xa2, status: 0, id: rng.u64(..), body: string("W") },
        _ => Frame { flags: RESPONSE | 9, status: 20, id: rng.u64(..100), body },
    }
}

fn moody_caller(at: SocketAddr, seed: u64, number: u64) {
    let mut rng = Rng::with_seed(seed << 8 | number);
    let mut wire = Wire::connect(at);
    for round in 0..ROUNDS {
        let (mut bytes, mut calls, mut pings) = (Vec::new(), HashMap::new(), 0);
        for index in 0..rng.u64(1..40) {
            let id = round << 32 | index;
            let length = if rng.u8(..8) == 0 { rng.usize(..40_000) } else { rng.usize(..300) };
            let argument = format!("{number}/{id}/{}", "x".repeat(length));
            let attachments = vec![("timeout", "300")];
            let call = Request { argument: &argument, attachments, ..Request::new(id) };
            match rng.u8(..10) {
                0 => bytes.extend(Request { flags: ONE_WAY, ..call }.bytes()),
                1 => bytes.extend(noise(&mut rng).bytes()),
                2 => {
                    let ping = Frame { flags: PING, status: 0, id, body: b"N".to_vec() };
                    bytes.extend(ping.bytes());
                    pings += 1;
                }
                _ => {
                    bytes.extend(call.bytes());
                    calls.insert(id, call.frame().body);
                }
            }
        }
        let mut writing = wire.clone();
        let mut writers = rng.fork();
        let writer = thread::spawn(move || send_in_pieces(&mut writing, &mut writers, &bytes));
        while !calls.is_empty() || pings > 0 {
            let frame = wire.expect();
            if frame.flags == PONG {
                pings -= 1;
                continue;
            }
            let body = calls.remove(&frame.id).expect("an answer to a call that is open");
            if frame.body.get(1..) != Some(&body[..]) {
                let text = frame.text();
                let mesh = ["connection_lost", "timeout", "unreachable"];
                let is_fault = |reason| text.contains(&format!("Spanwire [{reason}]"));
                assert!(mesh.into_iter().any(is_fault), "another call's answer: {frame:?}");
            }
        }
        assert!(writer.join().unwrap(), "the proxy hung up");
    }
    // None ends well.
    let last = Request { attachments: vec![("timeout", "300")], ..Request::new(u64::MAX) }.bytes();
    match rng.u8(..4) {
        0 => drop(wire.try_send(&[0x99; 40])),
        1 => drop(wire.try_send(&last[..rng.usize(1..last.len())])),
        2 => drop(wire.try_send(&last)),
        _ => {
            let _ = wire.try_send(&last);
            wire.reset();
        }
    }
}

fn moody_provider(provider: Provider, seed: u64) {
    let mut rng = Rng::with_seed(!seed);
    while let Some(wire) = provider.try_accept_within(Duration::from_secs(20)) {
        let (send, receive) = sync_channel(100_000);
        let mut reading = wire.clone();
        thread::spawn(move || {
            while let Ok(Some(frame)) = reading.try_next() {
                if send.send(frame).is_err() {
                    return;
                }
            }
        });
        let rng = rng.fork();
        thread::spawn(move || answer_moodily(wire, receive, rng));
    }
}

fn answer_moodily(mut wire: Wire, calls: Receiver<Frame>, mut rng: Rng) {
    let mut held = Vec::new();
    // How many answers this connection lives for.
    let mut life = if rng.bool() { rng.usize(1..200) } else { usize::MAX };
    loop {
        match calls.recv_timeout(Duration::from_millis(2)) {
            Ok(call) if call.flags == TWO_WAY => held.push(call),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if held.len() > rng.usize(..20) || calls_are_late(&held, &mut rng) {
            rng.shuffle(&mut held);
            let mut bytes = Vec::new();
            for call in held.drain(rng.usize(..=held.len() / 2)..) {
                match rng.u16(..200) {
                    0 => continue,                                      // forgotten
                    1 => bytes.extend(call.answer(&call.body).bytes()), // twice
                    2 => bytes.extend(noise(&mut rng).bytes()),
                    3 => bytes.extend(
                        Frame { flags: PING, status: 0, id: call.id, body: b"N".to_vec() }.bytes(),
                    ),
                    _ => {}
                }
                bytes.extend(call.answer(&call.body).bytes());
                life = life.saturating_sub(1);
            }
            if life == 0 {
                // In the middle of what it was saying.
                bytes.truncate(rng.usize(..=bytes.len()));
                send_in_pieces(&mut wire, &mut rng, &bytes);
                return wire.hang_up();
            }
            if !send_in_pieces(&mut wire, &mut rng, &bytes) {
                return;
            }
        }
    }
}

fn calls_are_late(held: &[Frame], rng: &mut Rng) -> bool {
    !held.is_empty() && rng.u8(..3) == 0
}
