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
    ) -> Documents {
        let mut merged: Documents = store.map(|rule| (rule.key.clone(), rule)).collect();
        let mut hidden = BTreeSet::new();
        for (key, rule) in &self.files {
            if let Some(other) = merged.insert(key.clone(), Arc::clone(rule)) {
                if !self.hidden.contains(key) {
                    tracing::warn!(key, file = ?rule.origin, store = ?other.origin, "a rule file hides the store's rule of the same key");
                }
                hidden.insert(key.clone());
            }
        }
        self.hidden = hidden;
        for (key, rule) in &mut merged {
            if let Some(same) = before.get(key).filter(|before| *before == rule) {
                *rule = Arc::clone(same);
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Origin;

    fn document(key: &str, text: &str) -> Arc<RuleDocument> {
        let origin = Origin::File(text.into());
        Arc::new(RuleDocument { key: key.to_owned(), text: text.to_owned(), origin })
    }

    #[test]
    fn files_win_and_the_unchanged_stay_the_same() {
        let mut rules = Rules::default();
        let store = || [document("a", "dubbo"), document("b", "dubbo"), document("a", "own")];
        let first = rules.merge(store().into_iter(), &Documents::new());
        assert_eq!((first["a"].text.as_str(), first["b"].text.as_str()), ("own", "dubbo"));
        rules.set_files(Documents::from([("a".to_owned(), document("a", "file"))]));
        let second = rules.merge(store().into_iter(), &first);
        assert_eq!(second["a"].text, "file");
        assert!(Arc::ptr_eq(&first["b"], &second["b"]));
        rules.set_files(Documents::new());
        assert_eq!(rules.merge(store().into_iter(), &second), first);
    }
}
