//! What the workers route by: one immutable picture of every service, replaced
//! whole.
//!
//! The control side builds it (see [`crate::control`]); workers only read. A
//! service that a change does not touch keeps its compiled table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use governance::Service;
use tokio::sync::watch;

use crate::actives::Actives;
use crate::orders::Counters;
use crate::redirected::Addresses;

/// Every service known now.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) services: HashMap<String, Entry>,
    /// The same services, with those of their endpoints that speak HTTP.
    pub(crate) http: HashMap<String, Entry>,
    /// Which of them are meant by addresses.
    pub(crate) addresses: Arc<Addresses>,
    /// Who calls through this proxy.
    pub(crate) identity: Arc<Identity>,
    /// Whether there is a store to ask about services not listed here.
    pub(crate) has_store: bool,
    /// Why the store cannot be asked at the moment.
    pub(crate) store_trouble: Option<String>,
}

impl Snapshot {
    /// A service with those of its endpoints that are asked about: see [`provided`].
    pub(crate) fn provided(&self, service: &str, over_http: Option<bool>) -> Option<&Entry> {
        Some(provided(self.services.get(service)?, self.http.get(service)?, over_http))
    }
}

/// Of a service's two tables, the one for calls over HTTP or for others; where nobody
/// says, the first only if there are no endpoints for others.
pub(crate) fn provided<'a>(
    entry: &'a Entry,
    http: &'a Entry,
    over_http: Option<bool>,
) -> &'a Entry {
    let has_any =
        |entry: &Entry| matches!(entry, Entry::Ready(table) if !table.endpoints().is_empty());
    if over_http.unwrap_or_else(|| has_any(http) && !has_any(entry)) { http } else { entry }
}

/// The callers' side, as rules see it.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Identity {
    pub(crate) application: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// One service.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// Asked for, not answered yet.
    Pending,
    /// Its endpoints and rules, compiled.
    Ready(Arc<Service>),
}

/// The current snapshot, shared by all workers.
#[derive(Debug)]
pub(crate) struct Published {
    current: ArcSwap<Snapshot>,
    /// Grows with every snapshot: a cheap way to ask "the same as before?".
    generation: AtomicU64,
    changed: watch::Sender<u64>,
    /// The calls in flight that rules limit, counted over all workers.
    pub(crate) actives: Actives,
    /// The same of calls that destination rules limit.
    pub(crate) counters: Counters,
}

impl Published {
    pub(crate) fn new(first: Snapshot) -> Self {
        Published {
            current: ArcSwap::from_pointee(first),
            generation: AtomicU64::new(1),
            changed: watch::Sender::new(1),
            actives: Actives::default(),
            counters: Counters::default(),
        }
    }

    /// Replaces the snapshot and tells the workers.
    pub(crate) fn publish(&self, next: Snapshot) {
        self.current.store(Arc::new(next));
        let generation = self.generation.fetch_add(1, Ordering::Release) + 1;
        self.changed.send_replace(generation);
    }

    /// The number of the current snapshot. Read before [`Published::load`], so
    /// that what is loaded is never older than its number.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Tells of every later snapshot.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
