//! Java programs that many tests share, because each takes seconds to start, and
//! the pieces of configuration that most tests are made of.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use harness::java::{Line, Peer, Role};
use harness::port::LOOPBACK_FOR_JAVA;

type Key = (Line, Role);

/// Programs that nobody uses right now. They end when this process does, because
/// their standard input ends then.
static IDLE: LazyLock<Mutex<HashMap<Key, Vec<Peer>>>> = LazyLock::new(Mutex::default);

/// A program on loan; a test that fails does not give it back.
pub(crate) struct Lent {
    key: Key,
    peer: Option<Peer>,
}

impl Deref for Lent {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        self.peer.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Peer {
        self.peer.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(peer) = self.peer.take() else { return };
        if thread::panicking() {
            eprintln!("--- {:?} said:\n{}", self.key, peer.errors());
            return;
        }
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).entry(self.key).or_default().push(peer);
    }
}

/// A consumer for this test alone, until it is over.
pub(crate) fn consumer(line: Line) -> Lent {
    lent((line, Role::Consumer))
}

/// A provider for this test alone, until it is over.
pub(crate) fn provider(line: Line) -> Lent {
    lent((line, Role::Provider))
}

fn lent(key: Key) -> Lent {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&key).and_then(Vec::pop);
    let peer = idle.unwrap_or_else(|| start(key.0, key.1));
    Lent { key, peer: Some(peer) }
}

/// A program that nobody else will use: for tests that end it.
pub(crate) fn start(line: Line, role: Role) -> Peer {
    Peer::start(line, role, &[], &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The URL by which a Java consumer calls a port of this machine directly.
pub(crate) fn url(port: u16) -> String {
    format!("dubbo://{LOOPBACK_FOR_JAVA}:{port}")
}
