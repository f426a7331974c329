//! Leases and the keys that hang on them, in memory.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::error::Refusal;
use super::mvcc::Record;

/// etcd's limit (`lease.MaxLeaseTTL`), in seconds.
const MAX_TTL: i64 = 9_000_000_000;
/// The shortest TTL granted, in seconds.
const MIN_TTL: i64 = 1;

/// One lease.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The granted time to live, in seconds.
    pub(crate) ttl: i64,
    deadline: Instant,
    pub(crate) keys: BTreeSet<Vec<u8>>,
}

impl Lease {
    /// What is left, in whole seconds.
    pub(crate) fn remaining(&self, now: Instant) -> i64 {
        let left = self.deadline.saturating_duration_since(now);
        i64::try_from(left.as_secs()).unwrap_or(MAX_TTL)
    }
}

/// All leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    leases: HashMap<i64, Lease>,
    attached: HashMap<Vec<u8>, i64>,
}

impl Leases {
    /// Grants a lease. Zero as id lets the store choose. Returns id and TTL.
    pub(crate) fn grant(&mut self, id: i64, ttl: i64, now: Instant) -> Result<(i64, i64), Refusal> {
        if ttl > MAX_TTL {
            return Err(Refusal::LeaseTtl);
        }
        if self.leases.contains_key(&id) {
            return Err(Refusal::LeaseExists);
        }
        let mut id = id;
        while id == 0 || self.leases.contains_key(&id) {
            id = fastrand::i64(1..i64::MAX);
        }
        let ttl = ttl.max(MIN_TTL);
        self.restore(id, ttl, now);
        Ok((id, ttl))
    }

    /// Takes a lease read from disk; it starts over.
    pub(crate) fn restore(&mut self, id: i64, ttl: i64, now: Instant) {
        let lease = Lease { ttl, deadline: deadline(ttl, now), keys: BTreeSet::new() };
        self.leases.insert(id, lease);
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub(crate) fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.leases.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Starts a lease's time over. Returns its TTL.
    pub(crate) fn renew(&mut self, id: i64, now: Instant) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        lease.deadline = deadline(lease.ttl, now);
        Some(lease.ttl)
    }

    /// The leases whose time is up.
    pub(crate) fn expired(&self, now: Instant) -> Vec<i64> {
        self.leases.iter().filter(|(_, lease)| lease.deadline <= now).map(|(id, _)| *id).collect()
    }

    /// When the next lease's time is up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.leases.values().map(|lease| lease.deadline).min()
    }

    /// Removes a lease. Returns the keys that hung on it.
    pub(crate) fn remove(&mut self, id: i64) -> Option<BTreeSet<Vec<u8>>> {
        let lease = self.leases.remove(&id)?;
        for key in &lease.keys {
            self.attached.remove(key);
        }
        Some(lease.keys)
    }

    /// Follows a write: the key hangs on the lease it was written with.
    pub(crate) fn follow(&mut self, record: &Record) {
        let key = &record.kv.key;
        if let Some(before) = self.attached.remove(key)
            && let Some(lease) = self.leases.get_mut(&before)
        {
            lease.keys.remove(key);
        }
        if !record.tombstone
            && let Some(lease) = self.leases.get_mut(&record.kv.lease)
        {
            lease.keys.insert(key.clone());
            self.attached.insert(key.clone(), record.kv.lease);
        }
    }
}

fn deadline(ttl: i64, now: Instant) -> Instant {
    let ttl = Duration::from_secs(ttl.unsigned_abs());
    // Leases of centuries end with the process.
    now.checked_add(ttl).unwrap_or(now + Duration::from_secs(u32::MAX.into()))
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbKeyValue;

    use super::*;

    fn record(key: &[u8], lease: i64, tombstone: bool) -> Record {
        let kv = PbKeyValue { key: key.to_vec(), lease, ..PbKeyValue::default() };
        Record { main: 1, sub: 0, tombstone, kv }
    }

    #[test]
    fn keys_hang_on_the_lease_they_were_last_written_with() {
        let now = Instant::now();
        let mut leases = Leases::default();
        assert_eq!(leases.grant(7, 0, now), Ok((7, 1)));
        assert_eq!(leases.grant(7, 5, now), Err(Refusal::LeaseExists));
        assert_eq!(leases.grant(8, MAX_TTL + 1, now), Err(Refusal::LeaseTtl));
        assert_eq!(leases.grant(8, 10, now), Ok((8, 10)));
        for (key, lease) in [(b"a", 7), (b"b", 7), (b"c", 7), (b"b", 8), (b"c", 0)] {
            leases.follow(&record(key, lease, false));
        }
        leases.follow(&record(b"d", 8, false));
        leases.follow(&record(b"d", 8, true));
        let later = now + Duration::from_secs(2);
        assert_eq!(leases.expired(later), [7]);
        assert_eq!(leases.remove(7), Some(BTreeSet::from([b"a".to_vec()])));
        assert_eq!(leases.remove(7), None);
        assert_eq!(leases.get(8).map(|lease| lease.remaining(later)), Some(8));
        assert_eq!(leases.renew(8, later), Some(10));
        assert_eq!(leases.remove(8), Some(BTreeSet::from([b"b".to_vec()])));
    }
}
