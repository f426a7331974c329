//! What the connections of each listener turned out to speak.

use super::cell::Cell;
use crate::detect::Detected;

/// The findings at one listener, by one worker. Only that worker's thread may
/// write; any thread may read.
#[derive(Debug, Default)]
pub(crate) struct DetectionMetrics([Cell; Detected::ALL.len()]);

impl DetectionMetrics {
    /// A connection was told.
    pub(crate) fn found(&self, detected: Detected) {
        self.0[detected as usize].add(1);
    }

    pub(super) fn get(&self, detected: Detected) -> u64 {
        self.0[detected as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_own_counter() {
        for (place, detected) in Detected::ALL.into_iter().enumerate() {
            assert_eq!(detected as usize, place, "{detected:?}");
        }
    }
}
