//! What the connections of each listener turned out to speak, and where they were
//! going to.

use super::cell::Cell;
use crate::detect::Detected;
use crate::redirected::Origin;

/// The findings at one listener, by one worker. Only that worker's thread may
/// write; any thread may read.
#[derive(Debug, Default)]
pub(crate) struct DetectionMetrics {
    spoken: [Cell; Detected::ALL.len()],
    /// Where connections were going to, where the listener asks.
    origins: Option<[Cell; Origin::LABELS.len()]>,
}

impl DetectionMetrics {
    pub(super) fn new(use_original_dst: bool) -> Self {
        let origins = use_original_dst.then(Default::default);
        DetectionMetrics { origins, ..DetectionMetrics::default() }
    }

    /// A connection was told.
    pub(crate) fn found(&self, detected: Detected) {
        self.spoken[detected as usize].add(1);
    }

    /// It is known where a connection was going to.
    pub(crate) fn was_going(&self, origin: &Origin) {
        if let Some(origins) = &self.origins {
            origins[origin.index()].add(1);
        }
    }

    pub(super) fn get(&self, detected: Detected) -> u64 {
        self.spoken[detected as usize].get()
    }

    /// By [`Origin::LABELS`].
    pub(super) fn origins(&self) -> Option<[u64; Origin::LABELS.len()]> {
        self.origins.as_ref().map(|cells| cells.each_ref().map(Cell::get))
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
