//! Rule documents in the store: read one, write it, take it back.
//!
//! For commands. A change and the record of it (who, why, when, the text) go in
//! one transaction, so that there is never one without the other, and only if
//! nobody else changed the rule since it was read. Records are under
//! `/spanwire/history/`, because a store forgets its own history.
//!
//! What a text means is not known here: check it before it is written. What
//! proxies make of it is in [`Registry`](crate::Registry)'s view.

mod record;

use std::fmt;
use std::time::SystemTime;

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, GetOptions, SortOrder, SortTarget, Txn, TxnOp,
    TxnOpResponse,
};

use crate::layout::Layout;
use crate::look::StoreError;
use crate::settings::Settings;
use crate::store::connect::{connect, within};
use crate::store::list::{MESSAGE_LIMIT, list, prefix_end};
use crate::store::range::Entry;

pub use record::{Action, Record};

/// Records kept of each rule.
const KEPT: u64 = 50;
/// Rules changed in one transaction: etcd takes 128 operations in one
/// (`--max-txn-ops`), and a change needs up to four.
const RULES: usize = 30;
/// Bytes in one transaction, as far as several rules share one.
const BYTES: usize = 1 << 20;
/// Bytes that etcd takes in one transaction (`--max-request-bytes` is 1.5 MiB), less
/// what keys and conditions need.
const MOST_BYTES: usize = (3 << 19) - (4 << 10);

/// A place of rule documents in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where Dubbo's configuration centre keeps them, for Java to see, too.
    Dubbo,
    /// Spanwire's own, which comes first.
    Own,
}

/// A document that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The full key.
    pub from: String,
    /// The text, byte for byte.
    pub bytes: Vec<u8>,
    /// The revision of its last change.
    pub revision: i64,
}

/// What the store has under a rule's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The rule's key.
    pub key: String,
    /// What Dubbo's place has.
    pub dubbo: Option<Stored>,
    /// What Spanwire's own place has.
    pub own: Option<Stored>,
    /// The newest record.
    pub newest: Option<Record>,
    /// The number of the next record.
    number: u64,
}

impl Standing {
    /// The document that counts.
    pub fn counts(&self) -> Option<&Stored> {
        self.own.as_ref().or(self.dubbo.as_ref())
    }

    /// The document that does not, because the other one comes first.
    pub fn hidden(&self) -> Option<&Stored> {
        self.own.as_ref().and(self.dubbo.as_ref())
    }

    /// Whether somebody changed it without a record.
    pub fn is_foreign(&self) -> bool {
        let newest = self.newest.as_ref();
        match self.counts() {
            Some(stored) => newest.is_none_or(|newest| newest.revision < stored.revision),
            None => newest.is_some_and(|newest| newest.text.is_some()),
        }
    }
}

/// A change to be made.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What it is based on.
    pub standing: &'a Standing,
    /// Where; where the rule stands now if that is not said, Dubbo's place for
    /// one that does not.
    pub place: Option<Place>,
    /// The new text, or `None` to remove the document.
    pub text: Option<&'a str>,
    /// What the record calls it.
    pub action: Action,
}

/// Who changes rules, and why.
#[derive(Debug, Clone)]
pub struct Author {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: SystemTime,
}

/// Why rules were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store does not answer, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not fit into one transaction together with its record.
    #[error("{key} and the record of its change are {bytes} bytes, and a store takes {MOST_BYTES}")]
    TooLarge {
        /// The rule's key.
        key: String,
        /// What would have to be written, in bytes.
        bytes: usize,
    },
    /// Somebody else was faster.
    #[error("somebody else changed {} meanwhile", .0.join(", "))]
    Raced(Vec<String>),
}

/// The rule documents of a store.
pub struct RuleStore {
    client: Client,
    endpoint: String,
    settings: Settings,
    layout: Layout,
}

impl fmt::Debug for RuleStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleStore").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl RuleStore {
    /// Connects to the first endpoint that answers.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open(settings: Settings) -> Result<RuleStore, StoreError> {
        let settings = settings.checked()?;
        let layout = Layout::new(&settings);
        let mut failed = None;
        for endpoint in &settings.store {
            match connect_and_ask(endpoint, &settings, &layout).await {
                Ok(client) => {
                    let endpoint = endpoint.clone();
                    return Ok(RuleStore { client, endpoint, settings, layout });
                }
                Err(reason) => {
                    failed = Some(StoreError::Store { endpoint: endpoint.clone(), reason });
                }
            }
        }
        Err(failed.unwrap_or(StoreError::NoStore))
    }

    /// The full key of a rule in a place.
    pub fn key(&self, place: Place, rule: &str) -> String {
        let folder = match place {
            Place::Dubbo => self.layout.dubbo_rules(),
            Place::Own => self.layout.own_rules(),
        };
        folder.key + rule
    }

    fn failed(&self, reason: String) -> StoreError {
        StoreError::Store { endpoint: self.endpoint.clone(), reason }
    }

    /// What stands under a rule's key, in both places at one moment.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn read(&self, rule: &str) -> Result<Standing, StoreError> {
        let history = Layout::history(rule).key;
        let newest = GetOptions::new()
            .with_range(prefix_end(history.as_bytes()))
            .with_sort(SortTarget::Key, SortOrder::Descend)
            .with_limit(1);
        let txn = Txn::new().and_then([
            TxnOp::get(self.key(Place::Dubbo, rule), None),
            TxnOp::get(self.key(Place::Own, rule), None),
            TxnOp::get(history.as_str(), Some(newest)),
        ]);
        let mut kv = self.client.kv_client().max_decoding_message_size(MESSAGE_LIMIT);
        let answer = within(&self.settings, "reading the rule", kv.txn(txn))
            .await
            .map_err(|reason| self.failed(reason))?;
        let found: Vec<Option<Entry>> = answer.op_responses().into_iter().map(only_entry).collect();
        let [dubbo, own, newest] = found.try_into().unwrap_or_default();
        let stored = |entry: Entry| Stored {
            from: String::from_utf8_lossy(&entry.key).into_owned(),
            bytes: entry.value,
            revision: entry.revision,
        };
        let number = newest.as_ref().and_then(|entry| number_of(entry, &history));
        Ok(Standing {
            key: rule.to_owned(),
            dubbo: dubbo.map(stored),
            own: own.map(stored),
            newest: newest.as_ref().and_then(Record::read),
            number: number.map_or(1, |number| number + 1),
        })
    }

    /// What is remembered of a rule's changes, the newest first.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn history(&self, rule: &str) -> Result<Vec<Record>, StoreError> {
        let listed = list(&self.client, &Layout::history(rule), self.settings.request_timeout)
            .await
            .map_err(|reason| self.failed(reason))?;
        Ok(listed.entries.iter().rev().filter_map(Record::read).collect())
    }

    /// Makes changes, of different rules, in as few transactions as they fit into;
    /// `written` gets the revision of each that is made, in order, also where a
    /// later one fails.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write(
        &self,
        changes: &[Change<'_>],
        author: &Author,
        written: &mut Vec<i64>,
    ) -> Result<(), WriteError> {
        let mut rest = changes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest));
            let revision = self.write_together(now, author).await?;
            written.extend(now.iter().map(|_| revision));
            rest = later;
        }
        Ok(())
    }

    async fn write_together(
        &self,
        changes: &[Change<'_>],
        author: &Author,
    ) -> Result<i64, WriteError> {
        let (mut conditions, mut operations) = (Vec::new(), Vec::new());
        for change in changes {
            let bytes = self.plan(change, author, &mut conditions, &mut operations);
            if bytes > MOST_BYTES {
                let key = change.standing.key.clone();
                return Err(WriteError::TooLarge { key, bytes });
            }
        }
        let txn = Txn::new().when(conditions).and_then(operations);
        let mut kv = self.client.kv_client();
        let answer = within(&self.settings, "writing", kv.txn(txn))
            .await
            .map_err(|reason| self.failed(reason))?;
        if answer.succeeded() {
            return Ok(answer.header().map_or(0, |header| header.revision()));
        }
        let mut raced = Vec::new();
        for change in changes {
            if self.read(&change.standing.key).await? != *change.standing {
                raced.push(change.standing.key.clone());
            }
        }
        Err(WriteError::Raced(raced))
    }

    /// What a transaction needs for a change, and how many bytes are to be written.
    fn plan(
        &self,
        change: &Change<'_>,
        author: &Author,
        conditions: &mut Vec<Compare>,
        operations: &mut Vec<TxnOp>,
    ) -> usize {
        let standing = change.standing;
        let rule = standing.key.as_str();
        for (place, stored) in [(Place::Dubbo, &standing.dubbo), (Place::Own, &standing.own)] {
            let revision = stored.as_ref().map_or(0, |stored| stored.revision);
            let key = self.key(place, rule);
            conditions.push(Compare::mod_revision(key, CompareOp::Equal, revision));
        }
        let at_own = match change.place {
            Some(place) => place == Place::Own,
            None => standing.own.is_some(),
        };
        let from = self.key(if at_own { Place::Own } else { Place::Dubbo }, rule);
        let history = Layout::history(rule).key;
        let mut number = standing.number;
        let mut bytes = change.text.map_or(0, str::len);
        let mut remember = |number, record: Record| {
            let json = record.to_json();
            bytes += json.len();
            operations.push(TxnOp::put(numbered(&history, number), json, None));
        };
        // Whoever else comes first takes this number.
        conditions.push(Compare::version(numbered(&history, number), CompareOp::Equal, 0));
        let before = if at_own { &standing.own } else { &standing.dubbo };
        let newest = standing.newest.as_ref();
        let is_new = |found: &&Stored| newest.is_none_or(|one| one.revision != found.revision);
        if let Some(found) = before.as_ref().filter(is_new) {
            let record = Record {
                revision: found.revision,
                at: None,
                by: String::new(),
                why: String::new(),
                action: Action::Found,
                from: found.from.clone(),
                text: std::str::from_utf8(&found.bytes).ok().map(str::to_owned),
            };
            remember(number, record);
            number += 1;
        }
        let record = Record {
            revision: 0,
            at: Some(author.at),
            by: author.by.clone(),
            why: author.why.clone(),
            action: change.action,
            from: from.clone(),
            text: change.text.map(str::to_owned),
        };
        remember(number, record);
        operations.push(match change.text {
            Some(text) => TxnOp::put(from, text, None),
            None => TxnOp::delete(from, None),
        });
        if let Some(old) = number.checked_sub(KEPT).filter(|old| *old > 0) {
            let end = DeleteOptions::new().with_range(numbered(&history, old + 1));
            operations.push(TxnOp::delete(numbered(&history, 1), Some(end)));
        }
        bytes
    }
}

async fn connect_and_ask(
    endpoint: &str,
    settings: &Settings,
    layout: &Layout,
) -> Result<Client, String> {
    let client = connect(endpoint, settings).await?;
    let somebody = GetOptions::new().with_count_only();
    let mut kv = client.kv_client();
    within(settings, "connecting", kv.get(layout.own_rules().key, Some(somebody))).await?;
    Ok(client)
}

/// How many of these changes fit into one transaction, at least one.
fn fitting(changes: &[Change<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |change: &&Change<'_>| {
        // The text, the record of it, and the record of what was found there.
        let found = change.standing.counts().map_or(0, |stored| stored.bytes.len());
        bytes += 2 * change.text.map_or(0, str::len) + found;
        bytes <= BYTES
    };
    changes.iter().take(RULES).take_while(fits).count().max(1)
}

fn numbered(history: &str, number: u64) -> String {
    format!("{history}{number:010}")
}

fn number_of(entry: &Entry, history: &str) -> Option<u64> {
    std::str::from_utf8(&entry.key).ok()?.strip_prefix(history)?.parse().ok()
}

fn only_entry(response: TxnOpResponse) -> Option<Entry> {
    let TxnOpResponse::Get(found) = response else { return None };
    let kv = found.kvs().first()?;
    Some(Entry { key: kv.key().to_vec(), value: kv.value().to_vec(), revision: kv.mod_revision() })
}
