//! What follows a failed attempt: another one, at once or a little later, where a
//! configurator or a route says so.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use codec::{FrameCodec, Outcome};

use super::{Effort, Failure, Resend};
use crate::forward::Frame;
use crate::framed::Engine;
use crate::orders::{Ending, Repeat};

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
    /// Whether another attempt may follow.
    pub(super) fn may_resend(
        &self,
        engine: &Engine<C>,
        failure: &Failure,
        now: Instant,
    ) -> Option<Resend> {
        let resent = self.progress.borrow().resent;
        let (ending, deadline) = (failure.ending::<C>(), Some(self.deadline));
        self.wanted.may_resend(&engine.worker, ending, resent, deadline, now)
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
