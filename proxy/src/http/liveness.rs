//! Whether the peers of HTTP connections are still there: HTTP/2's are asked by
//! a ping where nothing was heard, and connections to endpoints that nobody uses
//! are let go.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use super::Http;
use crate::metrics::Side;

/// Silent periods after which a peer is gone.
const SILENCES: u32 = 3;
/// How often connections to endpoints are looked at that may have no calls.
const IDLE: Duration = Duration::from_secs(1);

/// What is known of one HTTP/2 peer.
pub(super) struct Liveness {
    side: Side,
    heard: Arc<AtomicBool>,
    silent: Cell<u32>,
    ping: RefCell<Option<PingPong>>,
    dead: Cell<bool>,
    /// Of the task that drives the connection.
    driver: RefCell<Option<Waker>>,
}

impl Liveness {
    /// What a socket tells of each byte that comes.
    pub(super) fn heard() -> Arc<AtomicBool> {
        Arc::new(AtomicBool::new(true))
    }

    /// Waits until the peer is given up.
    pub(super) async fn is_dead(&self) {
        poll_fn(|cx| self.poll_dead(cx)).await;
    }

    /// Ready when the peer is given up. From now on the task is woken for that, and by
    /// [`Liveness::wake`].
    pub(super) fn poll_dead(&self, cx: &Context<'_>) -> Poll<()> {
        if self.dead.get() {
            return Poll::Ready(());
        }
        match &mut *self.driver.borrow_mut() {
            Some(driver) => driver.clone_from(cx.waker()),
            driver => *driver = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Has the connection looked at.
    fn wake(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// One more period has passed. Whether a ping was sent.
    fn look(&self) -> bool {
        if self.heard.swap(false, Ordering::Relaxed) {
            self.silent.set(0);
            return false;
        }
        self.silent.set(self.silent.get() + 1);
        if self.silent.get() > SILENCES {
            self.dead.set(true);
            self.wake();
            return false;
        }
        let mut ping = self.ping.borrow_mut();
        let Some(ping) = ping.as_mut() else { return false };
        // Takes in the last one's answer, without which there can be no next.
        let _ = ping.poll_pong(&mut Context::from_waker(Waker::noop()));
        ping.send_ping(Ping::opaque()).is_ok()
    }
}

impl Http {
    /// Watches a peer for as long as somebody holds what this returns.
    pub(super) fn watch(
        &self,
        side: Side,
        heard: Arc<AtomicBool>,
        ping: Option<PingPong>,
    ) -> Rc<Liveness> {
        let liveness = Rc::new(Liveness {
            side,
            heard,
            silent: Cell::new(0),
            ping: RefCell::new(ping),
            dead: Cell::new(false),
            driver: RefCell::default(),
        });
        self.watched.borrow_mut().push(Rc::downgrade(&liveness));
        liveness
    }

    /// Has all watched connections look whether something has changed.
    pub(super) fn wake_watched(&self) {
        self.watched.borrow().iter().filter_map(Weak::upgrade).for_each(|one| one.wake());
    }

    /// Looks after all connections, for ever.
    pub(super) async fn keep_alive(self: Rc<Self>) {
        let mut pings = tokio::time::interval(self.worker.timeouts.heartbeat);
        let mut idle = tokio::time::interval(IDLE);
        loop {
            tokio::select! {
                _ = pings.tick() => self.ping_the_silent(),
                _ = idle.tick() => self.end_the_idle(),
            }
        }
    }

    fn ping_the_silent(&self) {
        let mut watched = self.watched.borrow_mut();
        watched.retain(|liveness| {
            let Some(liveness) = Weak::upgrade(liveness) else { return false };
            if liveness.look() {
                self.worker.metrics.heartbeat_sent(liveness.side);
            }
            true
        });
    }

    fn end_the_idle(&self) {
        let mut http2 = self.pool.http2.borrow_mut();
        http2.retain(|_, connections| {
            connections.retain(|connection| !connection.end_if_idle());
            !connections.is_empty()
        });
        let mut http1 = self.pool.http1.borrow_mut();
        http1.retain(|_, idle| {
            let now = Instant::now();
            idle.retain(|idle| idle.is_open(now));
            !idle.is_empty()
        });
    }
}
