//! When a connection has been idle for too long.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// One connection's clock. Its timer is not set again at every byte: when it goes
/// off, it is looked at how long ago the last one was.
pub(super) struct Idle {
    after: Duration,
    carried: u64,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    pub(super) fn new(after: Duration) -> Self {
        Idle { after, carried: 0, since: Instant::now(), timer: Box::pin(sleep(after)) }
    }

    /// Ready once `carried` has stayed as it is for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, carried: u64) -> Poll<()> {
        if carried != self.carried {
            (self.carried, self.since) = (carried, Instant::now());
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let until = self.since + self.after;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}
