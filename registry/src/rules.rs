//! Rule documents of all places, one per key.
//!
//! Files win over Spanwire's place in the store, that over Dubbo's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::view::RuleDocument;

/// Rule documents by key.
pub(crate) type Documents = BTreeMap<String, Arc<RuleDocument>>;

/// The documents of files, and what they hide.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    files: Documents,
    /// Keys for which a file hides a document of the store; logged once.
    hidden: BTreeSet<String>,
}

/// What [`Rules::merge`] makes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Merged {
    /// The documents that count.
    pub(crate) documents: Documents,
    /// Those hidden behind them, by key.
    pub(crate) hidden: Vec<Arc<RuleDocument>>,
}

impl Rules {
    pub(crate) fn set_files(&mut self, files: Documents) {
        self.files = files;
    }

    /// Merges the store's documents, later ones over earlier ones, and the
    /// files over all. What did not change since `before` keeps its identity.
    pub(crate) fn merge(
        &mut self,
        store: impl Iterator<Item = Arc<RuleDocument>>,
        before: &Documents,
    ) -> Merged {
        let mut documents = Documents::new();
        let mut hidden = Vec::new();
        for rule in store {
            hidden.extend(documents.insert(rule.key.clone(), rule));
        }
        let mut behind_files = BTreeSet::new();
        for (key, rule) in &self.files {
            if let Some(other) = documents.insert(key.clone(), Arc::clone(rule)) {
                if !self.hidden.contains(key) {
                    tracing::warn!(key, file = ?rule.origin, store = ?other.origin, "a rule file hides the store's rule of the same key");
                }
                behind_files.insert(key.clone());
                hidden.push(other);
            }
        }
        self.hidden = behind_files;
        hidden.sort_by(|a, b| a.key.cmp(&b.key));
        for (key, rule) in &mut documents {
            if let Some(same) = before.get(key).filter(|before| *before == rule) {
                *rule = Arc::clone(same);
            }
        }
        Merged { documents, hidden }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Origin;

    fn document(key: &str, text: &str) -> Arc<RuleDocument> {
        let origin = Origin::File(text.into());
        let (key, text) = (key.to_owned(), text.to_owned());
        Arc::new(RuleDocument { key, text, origin, unreadable: None })
    }

    #[test]
    fn files_win_and_the_unchanged_stay_the_same() {
        let mut rules = Rules::default();
        let store = || [document("a", "dubbo"), document("b", "dubbo"), document("a", "own")];
        let merged = rules.merge(store().into_iter(), &Documents::new());
        let hidden = |merged: &Merged| -> Vec<String> {
            merged.hidden.iter().map(|rule| rule.text.clone()).collect()
        };
        assert_eq!(hidden(&merged), ["dubbo"]);
        let first = merged.documents;
        assert_eq!((first["a"].text.as_str(), first["b"].text.as_str()), ("own", "dubbo"));
        rules.set_files(Documents::from([("a".to_owned(), document("a", "file"))]));
        let merged = rules.merge(store().into_iter(), &first);
        assert_eq!(hidden(&merged), ["dubbo", "own"]);
        let second = merged.documents;
        assert_eq!(second["a"].text, "file");
        assert!(Arc::ptr_eq(&first["b"], &second["b"]));
        rules.set_files(Documents::new());
        assert_eq!(rules.merge(store().into_iter(), &second).documents, first);
    }
}
