//! What is counted for each method of each service.

use codec::{Outcome, Reason};

use super::cell::Cell;

/// Upper bounds of the duration histogram, in microseconds; one more bucket
/// holds whatever took longer.
pub(super) const BOUNDS: [u64; 18] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Outcomes other than faults, in the order of [`slot`].
const ENDINGS: [Outcome; 6] = [
    Outcome::Success,
    Outcome::BusinessException,
    Outcome::ProviderError,
    Outcome::Sent,
    Outcome::Cancelled,
    Outcome::Degraded,
];

/// How many outcomes there are.
const OUTCOMES: usize = ENDINGS.len() + Reason::ALL.len();

/// Every outcome, in the order in which they are stored and shown.
pub(super) fn outcomes() -> impl Iterator<Item = Outcome> {
    ENDINGS.into_iter().chain(Reason::ALL.into_iter().map(Outcome::Fault))
}

/// Where an outcome's counter stands.
fn slot(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::BusinessException => 1,
        Outcome::ProviderError => 2,
        Outcome::Sent => 3,
        Outcome::Cancelled => 4,
        Outcome::Degraded => 5,
        Outcome::Fault(reason) => ENDINGS.len() + reason as usize,
    }
}

/// Calls of one method, as one worker saw them. Only that worker's thread may
/// call [`MethodMetrics::observe`]; any thread may read.
///
/// Aligned so that two workers' counters never share a cache line (or the
/// adjacent one that the CPU fetches with it).
#[derive(Debug)]
#[repr(align(128))]
pub struct MethodMetrics {
    outcomes: [Cell; OUTCOMES],
    buckets: [Cell; BOUNDS.len() + 1],
    micros: Cell,
}

impl MethodMetrics {
    pub(super) fn new() -> Self {
        MethodMetrics {
            outcomes: std::array::from_fn(|_| Cell::default()),
            buckets: std::array::from_fn(|_| Cell::default()),
            micros: Cell::default(),
        }
    }

    /// Counts one finished call that took `micros` microseconds, from its first
    /// byte's arrival to the writing of its answer. No allocation, no lock.
    pub fn observe(&self, outcome: Outcome, micros: u64) {
        self.outcomes[slot(outcome)].add(1);
        self.buckets[BOUNDS.partition_point(|bound| *bound < micros)].add(1);
        self.micros.add(micros);
    }

    /// Adds what was counted here to a sum over the workers.
    pub(super) fn add_to(&self, sum: &mut MethodSum) {
        for (total, cell) in sum.outcomes.iter_mut().zip(&self.outcomes) {
            *total += cell.get();
        }
        for (total, cell) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += cell.get();
        }
        sum.micros = sum.micros.wrapping_add(self.micros.get());
    }
}

/// One method's counters, summed over the workers.
#[derive(Debug, Default)]
pub(super) struct MethodSum {
    /// In the order of [`outcomes`].
    pub(super) outcomes: [u64; OUTCOMES],
    /// In the order of [`BOUNDS`], then what took longer; not cumulative.
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    /// All durations together, in microseconds.
    pub(super) micros: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_counter() {
        for (expected, outcome) in outcomes().enumerate() {
            assert_eq!(slot(outcome), expected, "{outcome:?}");
        }
        assert_eq!(outcomes().count(), OUTCOMES);
    }

    #[test]
    fn a_duration_lands_in_the_first_bucket_that_holds_it() {
        for (micros, bucket) in [(0, 0), (50, 0), (51, 1), (1_000, 4), (1_001, 5), (u64::MAX, 18)] {
            let method = MethodMetrics::new();
            method.observe(Outcome::Success, micros);
            let mut sum = MethodSum::default();
            method.add_to(&mut sum);
            assert_eq!(sum.buckets.iter().position(|n| *n == 1), Some(bucket), "{micros} µs");
        }
    }
}
