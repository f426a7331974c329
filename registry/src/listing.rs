//! What is known of one mirrored range: its keys, read as facts.
//!
//! A key or value that cannot be read is counted, logged and left out; the rest
//! of the range stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::application::{AppInstance, Metadata, mapped_apps};
use crate::counters::Counters;
use crate::key;
use crate::layout::Kind;
use crate::store::range::{Change, Entry, Range};
use crate::view::{Origin, RuleDocument, Unreadable};

/// One key of a range, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    Provider(Arc<str>),
    Apps(Vec<String>),
    Instance(AppInstance),
    Metadata(Arc<Metadata>),
    Rule(Arc<RuleDocument>),
}

/// A range and what stands in it.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) kind: Kind,
    /// The number of the wish for it; see [`Wanted`](crate::store::range::Wanted).
    pub(crate) wish: u64,
    /// The part of every key that is the same.
    prefix: String,
    facts: BTreeMap<String, Fact>,
    /// Whether `facts` were ever complete.
    pub(crate) listed: bool,
    /// Whether they are followed right now.
    pub(crate) synced: bool,
    /// The revision up to which every change is in `facts`.
    pub(crate) told: i64,
    /// The revision of the newest change seen.
    pub(crate) newest: i64,
}

impl Listing {
    pub(crate) fn new(kind: Kind, range: &Range, wish: u64) -> Listing {
        let prefix = if range.prefix { range.key.clone() } else { String::new() };
        let (listed, synced, told, newest) = (false, false, 0, 0);
        Listing { kind, wish, prefix, facts: BTreeMap::new(), listed, synced, told, newest }
    }

    pub(crate) fn replace(&mut self, entries: Vec<Entry>, revision: i64, counters: &Counters) {
        self.facts.clear();
        self.told = revision;
        self.newest = entries.iter().map(|entry| entry.revision).max().unwrap_or(0);
        for entry in entries {
            self.put(entry, counters);
        }
        self.listed = true;
        self.synced = true;
    }

    pub(crate) fn apply(&mut self, changes: Vec<Change>, revision: i64, counters: &Counters) {
        self.told = self.told.max(revision);
        self.newest = self.newest.max(revision);
        for change in changes {
            match change {
                Change::Put(entry) => self.put(entry, counters),
                Change::Delete(key) => {
                    if let Some(tail) = self.tail(&key) {
                        self.facts.remove(&tail);
                    }
                }
            }
        }
    }

    fn tail(&self, key: &[u8]) -> Option<String> {
        std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix).map(str::to_owned)
    }

    fn put(&mut self, entry: Entry, counters: &Counters) {
        let read = match self.tail(&entry.key) {
            Some(tail) => self.read(&tail, &entry).map(|fact| (tail, fact)),
            None => Err("the key is not UTF-8".to_owned()),
        };
        match read {
            Ok((tail, Some(fact))) => {
                self.facts.insert(tail, fact);
            }
            Ok((tail, None)) => {
                self.facts.remove(&tail);
            }
            Err(reason) => {
                let key = String::from_utf8_lossy(&entry.key);
                tracing::warn!(%key, reason, "unreadable key left out");
                Counters::add(&counters.bad_keys);
                if let Some(tail) = self.tail(&entry.key) {
                    self.facts.remove(&tail);
                }
            }
        }
    }

    /// `None` for what is there on purpose, but says nothing.
    fn read(&self, tail: &str, entry: &Entry) -> Result<Option<Fact>, String> {
        let text =
            || std::str::from_utf8(&entry.value).map_err(|_| "the value is not UTF-8".to_owned());
        Ok(match self.kind {
            Kind::Providers => {
                let url = key::provider_url(tail).map_err(|error| error.to_string())?;
                Some(Fact::Provider(url.into()))
            }
            Kind::Mapping => Some(Fact::Apps(mapped_apps(text()?))),
            Kind::Instances => AppInstance::read(tail, text()?)?.map(Fact::Instance),
            // The place is shared with other things of the same name.
            Kind::Metadata if tail.contains('/') => None,
            Kind::Metadata => Some(Fact::Metadata(Arc::new(Metadata::read(text()?)?))),
            // A folder of its own, which a ZooKeeper-like client may have made.
            Kind::DubboRules | Kind::OwnRules if tail.is_empty() => None,
            Kind::DubboRules | Kind::OwnRules => Some(Fact::Rule(Arc::new(RuleDocument {
                key: tail.to_owned(),
                text: text().unwrap_or_default().to_owned(),
                origin: Origin::Store {
                    key: format!("{}{tail}", self.prefix),
                    revision: entry.revision,
                },
                unreadable: text().err().map(|_| Unreadable::NotUtf8),
            }))),
        })
    }

    pub(crate) fn providers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.facts.values().filter_map(|fact| match fact {
            Fact::Provider(url) => Some(url),
            _ => None,
        })
    }

    pub(crate) fn apps(&self) -> impl Iterator<Item = &String> {
        self.facts
            .values()
            .filter_map(|fact| match fact {
                Fact::Apps(apps) => Some(apps),
                _ => None,
            })
            .flatten()
    }

    pub(crate) fn instances(&self) -> impl Iterator<Item = &AppInstance> {
        self.facts.values().filter_map(|fact| match fact {
            Fact::Instance(instance) => Some(instance),
            _ => None,
        })
    }

    pub(crate) fn metadata(&self, revision: &str) -> Option<&Metadata> {
        match self.facts.get(revision) {
            Some(Fact::Metadata(metadata)) => Some(metadata),
            _ => None,
        }
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<RuleDocument>> {
        self.facts.values().filter_map(|fact| match fact {
            Fact::Rule(rule) => Some(rule),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::Ordering;

    use super::*;

    fn entry(key: &[u8], value: &str) -> Entry {
        Entry { key: key.to_vec(), value: value.as_bytes().to_vec(), revision: 7 }
    }

    #[test]
    fn one_bad_key_does_not_block_the_rest() {
        let counters = Counters::default();
        let range = Range::prefix("/dubbo/a/providers/".to_owned());
        let mut listing = Listing::new(Kind::Providers, &range, 1);
        listing.replace(
            vec![
                entry(b"/dubbo/a/providers/%zz", ""),
                entry(b"/dubbo/a/providers/\xff", ""),
                entry(b"/dubbo/a/providers/dubbo%3A%2F%2Fh%3A1%2Fa", "123"),
                entry(b"/dubbo/a/providers/", ""),
            ],
            7,
            &counters,
        );
        assert_eq!(listing.providers().count(), 1);
        assert_eq!(counters.bad_keys.load(Ordering::Relaxed), 3);
        let gone = Change::Delete(b"/dubbo/a/providers/dubbo%3A%2F%2Fh%3A1%2Fa".to_vec());
        listing.apply(vec![gone, Change::Delete(vec![0xff])], 8, &counters);
        assert_eq!(listing.providers().count(), 0);
    }

    #[test]
    fn a_value_that_turns_bad_leaves_the_range() {
        let counters = Counters::default();
        let mut listing =
            Listing::new(Kind::Instances, &Range::prefix("/services/a/".to_owned()), 1);
        let good = entry(b"/services/a/h:1", r#"{"host":"h","port":1}"#);
        listing.replace(vec![good], 7, &counters);
        assert_eq!(listing.instances().count(), 1);
        listing.apply(vec![Change::Put(entry(b"/services/a/h:1", "{"))], 8, &counters);
        assert_eq!(listing.instances().count(), 0);
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_told_not_left_out() {
        let counters = Counters::default();
        let range = Range::prefix("/dubbo/config/dubbo/".to_owned());
        let mut listing = Listing::new(Kind::DubboRules, &range, 1);
        let key = b"/dubbo/config/dubbo/a.tag-router";
        listing.replace(vec![entry(key, "force: true")], 9, &counters);
        let bad = Entry { key: key.to_vec(), value: vec![0xff], revision: 12 };
        listing.apply(vec![Change::Put(bad)], 12, &counters);
        let [rule] = &listing.rules().collect::<Vec<_>>()[..] else { panic!("one rule") };
        assert_eq!(rule.unreadable, Some(Unreadable::NotUtf8));
        assert_eq!((listing.told, listing.newest), (12, 12));
    }
}
