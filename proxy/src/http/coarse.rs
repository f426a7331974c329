//! A clock for what may be late by half a minute: how long callers of HTTP/1.1 may take for a
//! head. hyper sets a timer before each; the runtime's cost more than the rest of such a
//! wait, this one a comparison.
//!
//! It stands still unless somebody calls [`Coarse::tick`], and whoever waits is asked again
//! by whoever does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// Between two ticks.
pub(super) const TICK: Duration = Duration::from_secs(30);

/// The clock of one connection.
#[derive(Debug, Clone)]
pub(super) struct Coarse {
    started: Instant,
    ticks: Arc<AtomicU32>,
}

impl Coarse {
    pub(super) fn new() -> Self {
        Coarse { started: Instant::now(), ticks: Arc::default() }
    }

    /// Another [`TICK`] has passed.
    pub(super) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Timer for Coarse {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until { clock: self.clone(), deadline })
    }

    fn now(&self) -> Instant {
        self.started + TICK * self.ticks.load(Ordering::Relaxed)
    }
}

/// Until the clock shows a time.
struct Until {
    clock: Coarse,
    deadline: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // Part of a tick may have passed before it began.
        if self.clock.now() > self.deadline { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Sleep for Until {}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_wait_is_over_behind_its_time_and_never_before() {
        let clock = Coarse::new();
        clock.tick();
        let mut wait = clock.sleep(2 * TICK);
        let mut is_over = || wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        for _ in 0..2 {
            clock.tick();
            assert!(!is_over());
        }
        clock.tick();
        assert!(is_over());
    }
}
