//! Whether this proxy should be sent calls, and if not, why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The parts of the process that hold it back. Ready when there are none.
#[derive(Debug)]
pub struct Readiness {
    holds: Mutex<BTreeMap<&'static str, String>>,
}

impl Readiness {
    /// Not ready: held by the part `start` until that is released, so that a
    /// process is never ready before it has said so.
    pub fn starting() -> Arc<Readiness> {
        let readiness = Arc::new(Readiness { holds: Mutex::default() });
        readiness.hold("start", "the listeners are not open yet");
        readiness
    }

    /// Makes the process not ready on behalf of `part`, or changes its reason.
    pub fn hold(&self, part: &'static str, reason: impl Into<String>) {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).insert(part, reason.into());
    }

    /// `part` no longer holds the process back.
    pub fn release(&self, part: &str) {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// Each part that holds the process back, with its reason; none when ready.
    pub fn reasons(&self) -> Vec<(&'static str, String)> {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.iter().map(|(part, reason)| (*part, reason.clone())).collect()
    }
}
