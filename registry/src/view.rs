//! What exists right now: an immutable picture of services, instances and rule
//! documents.
//!
//! A change to one service makes a new [`View`] that shares every other
//! [`Service`] with the one before, so that `Arc::ptr_eq` tells what changed.
//! Nothing here is parsed further than into URLs and texts: what they mean is
//! for governance to say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Everything known at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The subscribed services by interface.
    pub services: BTreeMap<String, Arc<Service>>,
    /// Rule documents by key (Dubbo's data id, for example
    /// `shop-detail.tag-router`).
    pub rules: BTreeMap<String, Arc<RuleDocument>>,
    /// Rule documents that do not count, because a place that comes first has
    /// one of the same key; by key.
    pub hidden: Vec<Arc<RuleDocument>>,
    /// The store's folders of rule documents, the one that comes first last;
    /// none without a store.
    pub rule_places: Vec<RulePlace>,
    /// How the store is.
    pub store: StoreStatus,
}

/// One service and where it is offered.
///
/// When only `state` changes, the new service shares `instances` with the one
/// before: compare them with `Arc::ptr_eq`.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The Dubbo interface.
    pub name: String,
    /// Its instances of every group and version, sorted by URL.
    pub instances: Arc<[Instance]>,
    /// How far `instances` can be trusted.
    pub state: ServiceState,
}

/// How far the instances of a service can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// Subscribed, not listed yet, and nothing remembered: instances are empty
    /// because nobody knows, not because there are none.
    Pending,
    /// As the store has it now. Without a store: nothing but what the
    /// configuration says.
    Live,
    /// The last good ones.
    LastGood {
        /// Since when they can no longer be confirmed.
        since: SystemTime,
        /// Why not.
        why: LastGoodReason,
    },
}

/// Why the last good instances of a service are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LastGoodReason {
    /// The store does not answer.
    StoreLost,
    /// The store did not answer since the start; they come from the disk.
    Disk,
    /// The store says that there are none any more, all at once. They are kept
    /// for [`Settings::empty_hold`](crate::Settings::empty_hold).
    EmptyPush,
}

impl LastGoodReason {
    /// The reason as metric label and in messages.
    pub fn label(self) -> &'static str {
        match self {
            LastGoodReason::StoreLost => "store_lost",
            LastGoodReason::Disk => "disk",
            LastGoodReason::EmptyPush => "empty_push",
        }
    }
}

/// One place that offers a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    /// The provider URL as it was registered, percent-decoded once:
    /// `dubbo://10.0.0.1:20880/com.foo.Bar?application=shop&…`. Application-level
    /// instances are brought into the same form.
    pub url: Arc<str>,
}

/// One rule document, unparsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDocument {
    /// Its key: Dubbo's data id, or the file's name without `.yaml`/`.yml`.
    pub key: String,
    /// The text, byte for byte; empty where it cannot be read.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Why it cannot be read. Such a document is told, not left out, so that
    /// nobody takes it for removed.
    pub unreadable: Option<Unreadable>,
}

/// Why a rule document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its bytes are no text.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// The file does not let itself be read; what the system says.
    #[error("the file cannot be read: {0}")]
    File(String),
}

/// A folder of rule documents in the store, and how far it was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlace {
    /// What every key in it starts with.
    pub prefix: String,
    /// Every change up to this revision of the store is in the view; 0 before
    /// the first answer.
    pub told: i64,
    /// The revision of the newest change seen in it; 0 for none.
    pub newest: i64,
}

/// Where a rule document comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A watched file.
    File(PathBuf),
    /// The store.
    Store {
        /// The full key in the store.
        key: String,
        /// The revision of its last change.
        revision: i64,
    },
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Whether there is one to talk to.
    pub configured: bool,
    /// Whether it answers.
    pub connected: bool,
    /// The endpoint in use, or last tried.
    pub endpoint: Option<String>,
    /// The newest revision seen, 0 before the first answer.
    pub revision: i64,
    /// When `connected` last changed.
    pub since: SystemTime,
    /// What went wrong last, kept after the store is back.
    pub last_error: Option<String>,
}

impl Default for StoreStatus {
    fn default() -> Self {
        StoreStatus {
            configured: false,
            connected: false,
            endpoint: None,
            revision: 0,
            since: SystemTime::UNIX_EPOCH,
            last_error: None,
        }
    }
}
