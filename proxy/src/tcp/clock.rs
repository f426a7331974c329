//! When a connection has been idle, or there, for too long.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Why a connection's time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// Nothing was carried for so long.
    Idle(Duration),
    /// It has lasted so long.
    Old(Duration),
}

/// One connection's clock. Its timer is not set again at every byte: when it goes
/// off, it is looked at how long ago the last one was.
pub(super) struct Clock {
    idle: Option<Duration>,
    longest: Option<Duration>,
    started: Instant,
    carried: u64,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    /// `None` for a connection that may last, and be idle, for ever.
    pub(super) fn start(idle: Option<Duration>, longest: Option<Duration>) -> Option<Self> {
        let (started, after) = (Instant::now(), idle.into_iter().chain(longest).min()?);
        let timer = Box::pin(sleep_until(started + after));
        Some(Clock { idle, longest, started, carried: 0, since: started, timer })
    }

    /// Ready once it is too old, or `carried` has stayed as it is for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, carried: u64) -> Poll<Expired> {
        if carried != self.carried {
            (self.carried, self.since) = (carried, Instant::now());
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let old = self.longest.map(|time| (self.started + time, Expired::Old(time)));
            let idle = self.idle.map(|time| (self.since + time, Expired::Idle(time)));
            let next = old.into_iter().chain(idle).min_by_key(|(until, _)| *until);
            let Some((until, why)) = next else { return Poll::Pending };
            if until <= Instant::now() {
                return Poll::Ready(why);
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    async fn expired(clock: &mut Clock, carried: u64) -> Expired {
        poll_fn(|cx| clock.poll(cx, carried)).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_first_reason_counts() {
        assert!(Clock::start(None, None).is_none());
        let start = |idle, longest| Clock::start(idle, longest).expect("a limit");
        let (short, long) = (millis(20), Duration::from_secs(60));
        let mut clock = start(Some(short), None);
        assert_eq!(expired(&mut clock, 0).await, Expired::Idle(short));
        let mut clock = start(Some(short), Some(long));
        assert_eq!(expired(&mut clock, 1).await, Expired::Idle(short));
        let mut clock = start(Some(long), Some(short));
        assert_eq!(expired(&mut clock, 1).await, Expired::Old(short));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_that_is_busy_is_only_old() {
        let (idle, longest) = (Duration::from_secs(2), millis(200));
        let mut clock = Clock::start(Some(idle), Some(longest)).expect("limits");
        let started = Instant::now();
        let mut carried = 0;
        let why = poll_fn(|cx| {
            carried += 1;
            clock.poll(cx, carried)
        })
        .await;
        assert_eq!(why, Expired::Old(longest));
        assert!(started.elapsed() >= longest);
    }
}
