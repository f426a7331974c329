//! A piece of the store's key space, and what happens in it.

use std::collections::BTreeMap;

/// One key, or every key with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Range {
    /// The key, or the prefix.
    pub(crate) key: String,
    /// Whether `key` is a prefix.
    pub(crate) prefix: bool,
}

impl Range {
    pub(crate) fn key(key: String) -> Range {
        Range { key, prefix: false }
    }

    pub(crate) fn prefix(key: String) -> Range {
        Range { key, prefix: true }
    }
}

/// One key that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// The revision of its last change.
    pub(crate) revision: i64,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The key was written.
    Put(Entry),
    /// The key was removed.
    Delete(Vec<u8>),
}

/// The ranges to keep copies of, each with a number that tells a wish from an
/// earlier one for the same range: the new one has to be listed.
pub(crate) type Wanted = BTreeMap<Range, u64>;

/// What the mirror tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Update {
    /// The store answers.
    Connected { endpoint: String, revision: i64 },
    /// The whole range, as it stands; replaces all that was told before.
    Listed { range: Range, entries: Vec<Entry>, revision: i64 },
    /// The range is followed again after a loss, from where it was left.
    Resumed { range: Range },
    /// What happened in the range, in order.
    Changed { range: Range, changes: Vec<Change>, revision: i64 },
    /// The store does not answer; nothing is followed.
    Lost { endpoint: String, error: String },
}
