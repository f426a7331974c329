//! What one run of a script has used up.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::{Clock, Failure, ScriptLimits};

/// The engine asks every so many steps whether to go on
/// (QuickJS: `JS_INTERRUPT_COUNTER_INIT`).
const STRIDE: u64 = 10_000;
/// A turn of a loop may be as long as the whole script: so many bytes of it are another
/// step.
const BYTES_PER_TURN: usize = 256;
/// So many bytes of memory, taken from the system, are a step.
const BYTES_PER_STEP: usize = 64;
/// Memory is counted in amounts of so many bytes.
const AMOUNT: usize = 64 << 10;

/// Counts steps, and looks at the clock.
pub(super) struct Meter {
    limits: ScriptLimits,
    clock: Option<Clock>,
    /// What it costs each time that the engine asks.
    stride: u64,
    left: Cell<u64>,
    /// Bytes taken, not counted yet.
    taken: Cell<usize>,
    until: Cell<Option<Duration>>,
    over: Cell<Option<Over>>,
}

/// The limit that a run went over.
#[derive(Clone, Copy)]
enum Over {
    Steps,
    Time,
}

impl Meter {
    /// A meter for a script of so many bytes. It stops nothing before [`Meter::start`].
    pub(super) fn new(limits: ScriptLimits, length: usize, clock: Option<Clock>) -> Rc<Meter> {
        Rc::new(Meter {
            limits,
            clock,
            stride: STRIDE.saturating_mul(1 + (length / BYTES_PER_TURN) as u64),
            left: Cell::new(u64::MAX),
            taken: Cell::new(0),
            until: Cell::new(None),
            over: Cell::new(None),
        })
    }

    /// The time starts to count.
    pub(super) fn start(&self) {
        let until = self.clock.as_ref().map(|clock| clock().saturating_add(self.limits.time));
        self.until.set(until);
        self.refill();
    }

    /// All steps are there again; the time goes on.
    pub(super) fn refill(&self) {
        self.left.set(self.limits.steps);
        self.taken.set(0);
        self.over.set(None);
    }

    /// The engine asks; true where the run must stop.
    pub(super) fn is_over(&self) -> bool {
        !self.spend(self.stride)
    }

    /// Takes steps away; false where the run must stop.
    pub(super) fn spend(&self, steps: u64) -> bool {
        if self.over.get().is_some() {
            return false;
        }
        let left = self.left.get().saturating_sub(steps);
        self.left.set(left);
        let is_late = || {
            let (until, clock) = (self.until.get(), self.clock.as_ref());
            until.zip(clock).is_some_and(|(until, clock)| clock() >= until)
        };
        if left == 0 {
            self.over.set(Some(Over::Steps));
        } else if is_late() {
            self.over.set(Some(Over::Time));
        }
        self.over.get().is_none()
    }

    /// Takes memory; false where there shall be none, since the run must stop.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let taken = self.taken.get().saturating_add(bytes);
        if taken < AMOUNT {
            self.taken.set(taken);
            return self.over.get().is_none();
        }
        self.taken.set(0);
        self.spend((taken / BYTES_PER_STEP) as u64)
    }

    /// The limit that the run went over, if any.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.over.get().map(|over| match over {
            Over::Steps => Failure::Steps(self.limits.steps),
            Over::Time => Failure::Time(self.limits.time),
        })
    }
}
