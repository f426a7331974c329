//! What is kept of a change of a rule: one JSON value for each, numbered, under
//! the rule's own prefix.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::store::range::Entry;

/// What was done to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Written.
    Applied,
    /// Removed.
    Deleted,
    /// Brought back to what it was at an earlier revision.
    RolledBack,
    /// By somebody else, without a record; found there when it was written over.
    Found,
}

impl Action {
    /// As a word, as in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Action::Applied => "applied",
            Action::Deleted => "deleted",
            Action::RolledBack => "rolled_back",
            Action::Found => "found",
        }
    }
}

/// A change of a rule that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The store's revision of the change.
    pub revision: i64,
    /// When; `None` where nobody knows.
    pub at: Option<SystemTime>,
    /// Who; empty where nobody knows.
    pub by: String,
    /// Why, as they said; may be empty.
    pub why: String,
    /// What was done.
    pub action: Action,
    /// The full key in the store.
    pub from: String,
    /// The text from then on; `None` for none, or for one that was no text.
    pub text: Option<String>,
}

/// A record as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// Of the change, where that is not the record's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_ms: Option<u64>,
    #[serde(default)]
    by: String,
    #[serde(default)]
    why: String,
    action: Action,
    from: String,
    text: Option<String>,
}

impl Record {
    /// For the store. The revision of a change that is being made is not known
    /// before, and is the record's own.
    pub(super) fn to_json(&self) -> String {
        let since = self.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let written = Written {
            revision: (self.revision != 0).then_some(self.revision),
            at_ms: since.and_then(|since| u64::try_from(since.as_millis()).ok()),
            by: self.by.clone(),
            why: self.why.clone(),
            action: self.action,
            from: self.from.clone(),
            text: self.text.clone(),
        };
        // Texts and numbers only: nothing that could fail.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// `None` for what is no record, or one of a later version's.
    pub(super) fn read(entry: &Entry) -> Option<Record> {
        let written: Written = serde_json::from_slice(&entry.value).ok()?;
        Some(Record {
            revision: written.revision.unwrap_or(entry.revision),
            at: written.at_ms.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
            by: written.by,
            why: written.why,
            action: written.action,
            from: written.from,
            text: written.text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            revision: 7,
            at: Some(UNIX_EPOCH + Duration::from_millis(1_795_653_977_813)),
            by: "tom".to_owned(),
            why: "canary \"hz\"".to_owned(),
            action: Action::RolledBack,
            from: "/dubbo/config/dubbo/shop.tag-router".to_owned(),
            text: Some("tags:\r\n  - é\u{0}".to_owned()),
        };
        let entry = |record: &Record| Entry {
            key: b"k".to_vec(),
            value: record.to_json().into_bytes(),
            revision: 9,
        };
        assert_eq!(Record::read(&entry(&record)), Some(record.clone()));
        let new = Record { revision: 0, at: None, text: None, ..record };
        assert_eq!(Record::read(&entry(&new)), Some(Record { revision: 9, ..new }));
        let junk = Entry { key: b"k".to_vec(), value: b"{}".to_vec(), revision: 9 };
        assert_eq!(Record::read(&junk), None);
    }
}
