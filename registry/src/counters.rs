//! What happened since the start, in numbers that only grow.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counters of one registry, for `/metrics`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Times the watch of the store was opened again after a loss.
    pub reconnects: AtomicU64,
    /// Prefixes listed anew because their history was compacted away, or
    /// because the store is another one than before.
    pub relists: AtomicU64,
    /// Events of a type this build does not know; skipped.
    pub unknown_events: AtomicU64,
    /// Keys or values that could not be read; skipped.
    pub bad_keys: AtomicU64,
    /// Watch events applied.
    pub events: AtomicU64,
    /// Services whose sudden emptiness was held back.
    pub empty_pushes: AtomicU64,
    /// Leases granted again after a loss.
    pub lease_losses: AtomicU64,
    /// Failed attempts to write the last good view to disk.
    pub snapshot_errors: AtomicU64,
    /// The newest revision seen.
    pub revision: AtomicI64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
