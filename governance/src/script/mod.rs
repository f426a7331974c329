//! Scripts that choose endpoints, in a sandbox: QuickJS, without files, network, clock
//! or chance, and with limits on steps, memory and time.
//!
//! A [`Program`] is a script that was checked; it is shared by all threads. Each thread
//! runs it in a realm of its own ([`realm`]), made at the first call and kept in
//! [`Scripts`], which a decision's [`Scratch`](crate::Scratch) holds. No call finds
//! anything that another one left behind: the same call gets the same answer.
//!
//! Not here: the rule that a script stands in (`rules::script`), and what becomes of its
//! answer (`route::script`).

mod facts;
mod memory;
mod meter;
mod realm;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::document::Position;
use crate::endpoint::Endpoint;
use crate::route::CallView;
use crate::rules::Compat;
use crate::set::EndpointSet;

use realm::Realm;

/// How much one run of a script may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptLimits {
    /// Steps: a turn of a loop or a call of a function is one, and so are 64 bytes of
    /// memory that are taken. Counted in tens of thousands.
    pub steps: u64,
    /// Bytes of the memory that a script works in, what it finds around it (some
    /// 300 KiB) included. At once it gets 256 KiB: a list of ten thousand endpoints.
    pub memory: usize,
    /// Time, where the caller brings a clock ([`Scratch::with_clock`](crate::Scratch::with_clock)).
    pub time: Duration,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        ScriptLimits { steps: 1_000_000, memory: 8 << 20, time: Duration::from_millis(20) }
    }
}

/// How many scripts a thread keeps ready. There is one for each application that
/// provides something.
const KEPT: usize = 64;

/// Tells the time since any fixed moment.
pub(crate) type Clock = Rc<dyn Fn() -> Duration>;

/// A script that was checked.
#[derive(Debug)]
pub(crate) struct Program {
    /// Tells it from every other program of this process.
    number: u64,
    source: String,
    limits: ScriptLimits,
    compat: Compat,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Where in the script.
    pub(crate) at: Position,
    pub(crate) message: String,
}

impl Program {
    /// Checks a script without running it.
    pub(crate) fn new(
        source: &str,
        limits: ScriptLimits,
        compat: Compat,
    ) -> Result<Program, Refusal> {
        realm::check(source, &limits)?;
        Ok(Program {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            source: source.to_owned(),
            limits,
            compat,
        })
    }
}

/// Why a script has no answer for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It throws, or what it calls does; the line where, from 1, 0 where unknown.
    Threw { message: String, line: u32 },
    /// What it does throws an exception of Java's, which Dubbo does not catch.
    Java { message: String, line: u32 },
    /// It takes more steps than it may.
    Steps(u64),
    /// It takes more time than it may.
    Time(Duration),
    /// It takes more memory than it may.
    Memory(usize),
}

impl Failure {
    pub(crate) fn reason(&self) -> ScriptReason {
        match self {
            Failure::Threw { .. } | Failure::Java { .. } => ScriptReason::Error,
            Failure::Steps(_) => ScriptReason::Steps,
            Failure::Time(_) => ScriptReason::Time,
            Failure::Memory(_) => ScriptReason::Memory,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Threw { message, line: 0 } | Failure::Java { message, line: 0 } => {
                write!(f, "the script fails: {message}")
            }
            Failure::Threw { message, line } | Failure::Java { message, line } => {
                write!(f, "the script fails in its line {line}: {message}")
            }
            Failure::Steps(limit) => write!(f, "the script takes more than {limit} steps"),
            Failure::Time(limit) => {
                write!(f, "the script takes longer than {} ms", limit.as_micros() as f64 / 1e3)
            }
            Failure::Memory(limit) => {
                write!(
                    f,
                    "the script takes more than {} KiB of memory, or {} KiB at once",
                    limit >> 10,
                    memory::AT_ONCE >> 10
                )
            }
        }
    }
}

/// Why a script had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScriptReason {
    /// It throws, or answers with what is no list.
    Error,
    /// [`ScriptLimits::steps`] are used up.
    Steps,
    /// [`ScriptLimits::time`] is over.
    Time,
    /// [`ScriptLimits::memory`] is used up.
    Memory,
}

impl ScriptReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [ScriptReason; 4] =
        [ScriptReason::Error, ScriptReason::Steps, ScriptReason::Time, ScriptReason::Memory];

    /// The metric label, stable across versions.
    pub fn label(self) -> &'static str {
        match self {
            ScriptReason::Error => "error",
            ScriptReason::Steps => "steps",
            ScriptReason::Time => "time",
            ScriptReason::Memory => "memory",
        }
    }
}

/// A script that had no answer for a call. Its rule was left out for this call; with
/// `compat: java` the call may have failed, as in Java.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptFailure {
    /// The rule's key.
    pub rule: Arc<str>,
    /// Why.
    pub reason: ScriptReason,
    /// In words.
    pub detail: String,
}

/// The scripts that a thread keeps ready.
#[derive(Default)]
pub(crate) struct Scripts {
    pub(crate) clock: Option<Clock>,
    /// What failed last, until somebody asks.
    pub(crate) failure: Option<ScriptFailure>,
    ready: Vec<(u64, Realm)>,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

impl Scripts {
    /// Asks a script which of `candidates` shall take the call; they are put into
    /// `chosen`.
    pub(crate) fn run(
        &mut self,
        program: &Program,
        call: &CallView<'_>,
        endpoints: &Arc<[Endpoint]>,
        candidates: &EndpointSet,
        chosen: &mut EndpointSet,
    ) -> Result<(), Failure> {
        let (mut realm, is_new) = match self.take(program.number) {
            Some(realm) => (realm, false),
            None => (Realm::new(program, self.clock.clone())?, true),
        };
        let asked = realm.run(call, endpoints, candidates);
        let answer = match asked {
            // What was left over from other calls must not decide about this one.
            Err(Failure::Memory(_) | Failure::Steps(_)) if !is_new => {
                realm = Realm::new(program, self.clock.clone())?;
                realm.run(call, endpoints, candidates)
            }
            answer => answer,
        };
        if realm.is_clean() {
            self.ready.push((program.number, realm));
        }
        chosen.reset(endpoints.len());
        for index in answer? {
            if candidates.contains(index) {
                chosen.insert(index);
            }
        }
        Ok(())
    }

    /// The realm of a program. Those used last stand last; the oldest make room.
    fn take(&mut self, number: u64) -> Option<Realm> {
        if let Some(place) = self.ready.iter().rposition(|(known, _)| *known == number) {
            return Some(self.ready.remove(place).1);
        }
        if self.ready.len() >= KEPT {
            self.ready.remove(0);
        }
        None
    }
}
