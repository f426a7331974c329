//! How a proxy comes to its end.

use std::net::TcpStream;

use super::Except::Nothing;
use super::Row;
use super::caller::{Answer, Call};
use super::spoken::Spoken;
use super::stage::Stage;
use crate::counters::wait_until;

pub const ROWS: &[Row] = &[
    Row {
        feature: "a drain takes nobody new in, and ends what is in flight as it would",
        check: |spoken| {
            drained(spoken);
        },
        except: &[],
    },
    Row {
        feature: "a drain asks callers for no more calls",
        check: |spoken| assert!(drained(spoken)),
        except: &[(&[Spoken::Tcp], Nothing("a connection is one call"))],
    },
];

/// Has a call in flight while a proxy drains; whether its caller is asked for no more.
fn drained(spoken: Spoken) -> bool {
    let stage = Stage::alone(spoken, &[]);
    stage.servers[0].hold();
    let mut caller = stage.caller();
    let held = std::thread::spawn(move || (caller.call(&Call::default()), caller));
    stage.servers[0].wait_for(1);
    let Stage { proxy, servers, to, .. } = stage;
    let drained = std::thread::spawn(move || proxy.drain());
    wait_until("connections to be refused", || match TcpStream::connect(to) {
        Ok(_) => Err("connected".to_owned()),
        Err(_) => Ok(()),
    });
    assert!(!drained.is_finished());
    servers[0].release();
    let (answer, mut caller) = held.join().unwrap();
    assert_eq!(answer, Answer::from("one"));
    let is_told = spoken != Spoken::Tcp && caller.is_told();
    drop(caller);
    drained.join().unwrap().unwrap();
    is_told
}
