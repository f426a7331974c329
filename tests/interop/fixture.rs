//! Java programs that many tests share, because each takes seconds to start, and
//! the pieces of configuration that most tests are made of.

use std::collections::HashMap;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use harness::java::{Line, Peer, Role};
use harness::port::LOOPBACK_FOR_JAVA;

/// What the peers call on each other.
pub(crate) const SERVICE: &str = "interop.EchoService";

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
            let errors = peer.errors();
            let lines: Vec<&str> = errors.lines().collect();
            let newest = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- {:?} said:\n{}", self.key, newest.join("\n"));
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

/// A consumer over Triple for this test alone, until it is over.
pub(crate) fn triple_consumer(line: Line) -> Lent {
    lent((line, Role::TripleConsumer))
}

/// A provider over Triple for this test alone, until it is over.
pub(crate) fn triple_provider(line: Line) -> Lent {
    lent((line, Role::TripleProvider))
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

/// The service at the given endpoints, each as in a configuration.
pub(crate) fn services(endpoints: &[String]) -> String {
    let mut text = format!("services:\n- name: {SERVICE}\n  protocol: dubbo\n  endpoints:\n");
    for endpoint in endpoints {
        text.push_str(&format!("  - {endpoint}\n"));
    }
    text
}

/// An endpoint on this machine.
pub(crate) fn endpoint(port: u16) -> String {
    format!("{{address: \"127.0.0.1:{port}\"}}")
}

/// One outbound listener. 2.7 tells nobody its timeout, so that no call may be cut short here.
pub(crate) fn outbound(port: u16) -> String {
    format!(
        "timeouts: {{call: 60s}}\nlisteners:\n- {{name: out, bind: \"127.0.0.1:{port}\", direction: outbound}}\n"
    )
}

/// One inbound listener in front of an application.
pub(crate) fn inbound(port: u16, app: u16) -> String {
    format!(
        "listeners:\n- {{name: in, bind: \"127.0.0.1:{port}\", direction: inbound, app: \"127.0.0.1:{app}\"}}\n"
    )
}

/// Runs what is asynchronous of the harness in a test that is not.
pub(crate) fn wait<T>(future: impl Future<Output = anyhow::Result<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs no more than this process has");
    runtime.block_on(future).unwrap_or_else(|error| panic!("{error:#}"))
}
