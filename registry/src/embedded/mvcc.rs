//! Every version of every key since the last compaction, in memory.
//!
//! Pure and single-threaded: the [`engine`](super::engine) locks it and writes
//! the same records to disk. A revision is a `main` number, one per
//! transaction, and a `sub` number within it, as in etcd.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use etcd_client::proto::PbKeyValue;

/// One version of one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) main: i64,
    pub(crate) sub: i64,
    /// Whether this version says that the key is gone; then `kv` has nothing
    /// but the key and the revision.
    pub(crate) tombstone: bool,
    pub(crate) kv: PbKeyValue,
}

/// A key, or the keys from one up to another, as etcd's requests say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    key: Vec<u8>,
    end: Vec<u8>,
}

/// The bounds of a span, for maps.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl Span {
    /// `end` empty: the key alone; a zero byte: every key from this one on.
    pub(crate) fn new(key: &[u8], end: &[u8]) -> Span {
        Span { key: key.to_vec(), end: end.to_vec() }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self.end.as_slice() {
            [] => key == self.key,
            [0] => key >= self.key.as_slice(),
            end => key >= self.key.as_slice() && key < end,
        }
    }

    fn bounds(&self) -> Option<Bounds<'_>> {
        let from = Bound::Included(self.key.as_slice());
        match self.end.as_slice() {
            [] => Some((from, from)),
            [0] => Some((from, Bound::Unbounded)),
            end if end > self.key.as_slice() => Some((from, Bound::Excluded(end))),
            _ => None,
        }
    }
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) record: Arc<Record>,
    /// What the transaction before left, unless the key was not there.
    pub(crate) before: Option<Arc<Record>>,
}

/// A compaction leaves this many revisions to watchers that are under way, so
/// that those that keep up never notice it.
const GRACE: i64 = 1000;

/// The versions.
#[derive(Debug)]
pub(crate) struct Mvcc {
    keys: BTreeMap<Vec<u8>, Vec<Arc<Record>>>,
    log: BTreeMap<(i64, i64), Happened>,
    /// The oldest revision that `log` tells in full.
    oldest: i64,
    /// The newest finished transaction. An empty store is at 1.
    revision: i64,
    /// History before this revision is gone; -1 when nothing was compacted yet.
    compacted: i64,
    /// Records of the transaction under way.
    open: Vec<Arc<Record>>,
}

impl Mvcc {
    pub(crate) fn new(revision: i64, compacted: i64) -> Mvcc {
        Mvcc {
            keys: BTreeMap::new(),
            log: BTreeMap::new(),
            oldest: compacted,
            revision,
            compacted,
            open: Vec::new(),
        }
    }

    /// Takes a record read from disk; records come in order.
    pub(crate) fn load(&mut self, record: Record) {
        self.revision = self.revision.max(record.main);
        self.insert(Arc::new(record));
    }

    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted
    }

    /// The oldest revision from which a watcher that is under way can go on; not
    /// after [`compacted`](Mvcc::compacted).
    pub(crate) fn oldest(&self) -> i64 {
        self.oldest
    }

    /// The revision a read inside of the open transaction looks at.
    pub(crate) fn reading(&self) -> i64 {
        self.revision + i64::from(!self.open.is_empty())
    }

    /// The versions visible at a revision, by key.
    pub(crate) fn range(&self, span: &Span, revision: i64) -> impl Iterator<Item = &Arc<Record>> {
        let keys = span.bounds().map(|bounds| self.keys.range::<[u8], _>(bounds));
        keys.into_iter().flatten().filter_map(move |(_, versions)| visible(versions, revision))
    }

    /// Writes a key. Returns the version before, if the key was there.
    pub(crate) fn put(&mut self, key: &[u8], value: Vec<u8>, lease: i64) -> Option<Arc<Record>> {
        let before = self.range(&Span::new(key, &[]), i64::MAX).next().cloned();
        let main = self.revision + 1;
        let (create_revision, version) = match &before {
            Some(record) => (record.kv.create_revision, record.kv.version + 1),
            None => (main, 1),
        };
        let kv = PbKeyValue {
            key: key.to_vec(),
            create_revision,
            mod_revision: main,
            version,
            value,
            lease,
        };
        self.write(kv, false);
        before
    }

    /// Removes keys. Returns their last versions.
    pub(crate) fn delete(&mut self, span: &Span) -> Vec<Arc<Record>> {
        let before: Vec<Arc<Record>> = self.range(span, i64::MAX).cloned().collect();
        for record in &before {
            let key = record.kv.key.clone();
            let kv = PbKeyValue { key, mod_revision: self.revision + 1, ..PbKeyValue::default() };
            self.write(kv, true);
        }
        before
    }

    /// Ends the transaction; its records are the newest revision. One without
    /// writes makes no revision.
    pub(crate) fn finish(&mut self) -> Vec<Arc<Record>> {
        let records = std::mem::take(&mut self.open);
        if !records.is_empty() {
            self.revision += 1;
        }
        records
    }

    /// Undoes the transaction.
    pub(crate) fn abandon(&mut self) {
        for record in std::mem::take(&mut self.open) {
            self.remove(&record);
        }
    }

    /// Forgets the history before a revision, except for what is visible at it.
    /// Returns what was removed.
    pub(crate) fn compact(&mut self, revision: i64) -> Vec<Arc<Record>> {
        self.compacted = revision;
        let mut removed = Vec::new();
        self.keys.retain(|_, versions| {
            let old = versions.partition_point(|record| record.main <= revision);
            let keep_last = versions[..old].last().is_some_and(|record| !record.tombstone);
            removed.extend(versions.drain(..old - usize::from(keep_last)));
            !versions.is_empty()
        });
        self.oldest = self.oldest.max(revision.min(self.revision - GRACE));
        self.log = self.log.split_off(&(self.oldest, 0));
        removed
    }

    /// Everything that happened from one revision to another, both included.
    pub(crate) fn history(&self, from: i64, to: i64) -> impl Iterator<Item = &Happened> {
        let range = if from <= to { (from, 0)..(to + 1, 0) } else { (0, 0)..(0, 0) };
        self.log.range(range).map(|(_, happened)| happened)
    }

    fn write(&mut self, kv: PbKeyValue, tombstone: bool) {
        let sub = self.open.len() as i64;
        let record = Arc::new(Record { main: self.revision + 1, sub, tombstone, kv });
        self.open.push(Arc::clone(&record));
        self.insert(record);
    }

    fn insert(&mut self, record: Arc<Record>) {
        let versions = self.keys.entry(record.kv.key.clone()).or_default();
        let earlier = versions.iter().rev().find(|before| before.main < record.main);
        let before = earlier.filter(|before| !before.tombstone).cloned();
        versions.push(Arc::clone(&record));
        self.log.insert((record.main, record.sub), Happened { record, before });
    }

    fn remove(&mut self, record: &Record) {
        self.log.remove(&(record.main, record.sub));
        if let Some(versions) = self.keys.get_mut(&record.kv.key) {
            versions.retain(|other| (other.main, other.sub) != (record.main, record.sub));
            if versions.is_empty() {
                self.keys.remove(&record.kv.key);
            }
        }
    }
}

fn visible(versions: &[Arc<Record>], revision: i64) -> Option<&Arc<Record>> {
    let old = versions.partition_point(|record| record.main <= revision);
    versions[..old].last().filter(|record| !record.tombstone)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Span {
        Span::new(&[0], &[0])
    }

    fn contents(mvcc: &Mvcc, revision: i64) -> Vec<(Vec<u8>, Vec<u8>)> {
        mvcc.range(&all(), revision)
            .map(|record| (record.kv.key.clone(), record.kv.value.clone()))
            .collect()
    }

    #[test]
    fn an_abandoned_transaction_leaves_no_trace() {
        let mut mvcc = Mvcc::new(1, -1);
        mvcc.put(b"a", b"1".to_vec(), 0);
        mvcc.finish();
        mvcc.put(b"b", b"2".to_vec(), 0);
        mvcc.delete(&all());
        mvcc.abandon();
        assert_eq!(
            (mvcc.revision(), contents(&mvcc, 9)),
            (2, vec![(b"a".to_vec(), b"1".to_vec())])
        );
        assert_eq!(mvcc.history(0, 9).count(), 1);
        assert!(mvcc.finish().is_empty());
        assert_eq!(mvcc.revision(), 2, "a transaction without writes makes no revision");
    }

    #[test]
    fn spans_are_etcds() {
        let span = |key: &[u8], end: &[u8], probe: &[u8]| Span::new(key, end).contains(probe);
        assert!(span(b"a", b"", b"a") && !span(b"a", b"", b"aa"));
        assert!(span(b"a", b"\0", b"zz") && !span(b"b", b"\0", b"a"));
        assert!(span(b"a", b"b", b"ab") && !span(b"a", b"b", b"b"));
        assert!(Span::new(b"b", b"a").bounds().is_none());
    }

    proptest! {
        /// Against a plain map per revision: what is visible when, what history
        /// tells, and that compaction changes neither at or after its revision.
        #[test]
        fn behaves_as_a_map_per_revision(
            steps in prop::collection::vec((0u8..4, 0u8..4, any::<bool>()), 1..60),
            compact_at in 0usize..60,
        ) {
            let mut mvcc = Mvcc::new(1, -1);
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let mut states = vec![(1, model.clone())];
            for (key, value, delete) in steps {
                if delete {
                    mvcc.delete(&Span::new(&[key], &[]));
                    model.remove(&vec![key]);
                } else {
                    mvcc.put(&[key], vec![value], 0);
                    model.insert(vec![key], vec![value]);
                }
                mvcc.finish();
                if states.last().is_some_and(|(revision, _)| *revision == mvcc.revision()) {
                    states.pop();
                }
                states.push((mvcc.revision(), model.clone()));
            }
            let (compacted, _) = states[compact_at.min(states.len() - 1)];
            mvcc.compact(compacted);
            for (revision, model) in &states {
                if *revision >= compacted {
                    let model: Vec<_> = model.clone().into_iter().collect();
                    prop_assert_eq!(contents(&mvcc, *revision), model);
                }
            }
            // Replaying history from the compacted state ends at the newest one.
            let at = states.iter().find(|(revision, _)| *revision == compacted);
            let mut replay = at.map(|(_, model)| model.clone()).unwrap_or_default();
            for Happened { record, .. } in mvcc.history(compacted + 1, mvcc.revision()) {
                match record.tombstone {
                    true => replay.remove(&record.kv.key),
                    false => replay.insert(record.kv.key.clone(), record.kv.value.clone()),
                };
            }
            prop_assert_eq!(replay, model);
        }
    }
}
