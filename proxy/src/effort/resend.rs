//! What follows a failed attempt: another one, at once or a little later, where a
//! configurator or a route says so.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use codec::{FrameCodec, Outcome};
use governance::Dice as _;
use governance::directives::{Directives, RetryPolicy};
use governance::settings::Cluster;

use super::{Effort, Failure};
use crate::forward::Frame;
use crate::framed::Engine;
use crate::orders::{Ending, Repeat, backoff, is_repeated};

/// One more attempt that may be.
pub(super) struct Resend {
    wait: Duration,
    /// Its place among the retries that a destination rule allows.
    repeat: Option<Repeat>,
}

/// What a call came to so far.
pub(super) struct Last {
    pub(super) peer: Option<Box<str>>,
    pub(super) failure: Failure,
}

impl Failure {
    fn ending<C: FrameCodec>(&self) -> Ending {
        Ending::of(match self {
            Failure::Answer(frame) => C::outcome(frame),
            Failure::Fault(fault) => Outcome::Fault(fault.reason),
        })
    }
}

impl<C: FrameCodec> Effort<C> {
    /// How its route wants failed attempts repeated.
    pub(super) fn retry(&self) -> Option<(&Directives, &RetryPolicy)> {
        let directives = self.orders.directives.as_deref()?;
        Some((directives, directives.retry.as_ref()?))
    }

    /// Until when an attempt that begins now may take.
    pub(super) fn attempt_deadline(&self, now: Instant) -> Instant {
        let own = self.retry().and_then(|(_, retry)| retry.per_try_timeout);
        own.map_or(self.deadline, |own| self.deadline.min(now + own))
    }

    /// Whether another attempt may follow. A route's retries count before those of a
    /// configurator.
    pub(super) fn may_resend(
        &self,
        engine: &Engine<C>,
        failure: &Failure,
        now: Instant,
    ) -> Option<Resend> {
        let resent = self.progress.borrow().resent;
        if self.policy.cluster != Cluster::Failover {
            return None;
        }
        let Some((directives, retry)) = self.retry() else {
            let resend = Resend { wait: Duration::ZERO, repeat: None };
            return (resent < self.policy.resends).then_some(resend);
        };
        if resent >= retry.attempts || !is_repeated(directives, retry, failure.ending::<C>()) {
            return None;
        }
        let worker = &engine.worker;
        let repeat = match &self.orders.policy {
            Some(policy) => Some(worker.destination(policy, now).may_repeat(policy, now)?),
            None => None,
        };
        let wait = backoff(retry, resent, worker.dice.borrow_mut().roll());
        Some(Resend { wait, repeat })
    }

    /// Sends it once more. What it came to before is the better answer where it can go
    /// nowhere.
    pub(super) fn resend(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        frame: Bytes,
        resend: Resend,
        last: Last,
        now: Instant,
    ) {
        let Resend { wait, repeat } = resend;
        if wait.is_zero() {
            return self.resend_now(engine, &frame, repeat, last, now);
        }
        let (engine, effort) = (engine.clone(), self.clone());
        let until = (now + wait).min(self.deadline);
        tokio::task::spawn_local(async move {
            tokio::time::sleep_until(until.into()).await;
            effort.resend_now(&engine, &frame, repeat, last, Instant::now());
        });
    }

    fn resend_now(
        self: &Rc<Self>,
        engine: &Rc<Engine<C>>,
        frame: &[u8],
        repeat: Option<Repeat>,
        last: Last,
        now: Instant,
    ) {
        let is_over = self.from.is_closed() || now >= self.deadline;
        if !is_over && self.again(engine, Frame::Borrowed(frame), true, repeat, now).is_ok() {
            return engine.worker.metrics.resent();
        }
        let Last { peer, failure } = last;
        self.conclude(engine, peer.as_deref(), failure, now);
    }
}
