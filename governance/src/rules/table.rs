//! Rules of one kind, by what they are about, with files before the store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Origin;

/// The good rules of one kind.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rules: BTreeMap<String, Layers<T>>,
}

#[derive(Debug)]
struct Layers<T> {
    file: Option<(PathBuf, Arc<T>)>,
    store: Option<Arc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { rules: BTreeMap::new() }
    }
}

impl<T> Table<T> {
    /// The rule about `name` that counts.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<T>> {
        let layers = self.rules.get(name)?;
        layers.file.as_ref().map(|(_, rule)| rule).or(layers.store.as_ref())
    }

    /// The file that holds the rule about `name`, where one does.
    pub(crate) fn file(&self, name: &str) -> Option<&PathBuf> {
        self.rules.get(name)?.file.as_ref().map(|(path, _)| path)
    }

    /// Puts a rule in, or takes it out.
    pub(crate) fn set(&mut self, name: &str, origin: &Origin, rule: Option<T>) {
        let layers =
            self.rules.entry(name.to_owned()).or_insert_with(|| Layers { file: None, store: None });
        let rule = rule.map(Arc::new);
        match origin {
            Origin::File(path) => layers.file = rule.map(|rule| (path.clone(), rule)),
            Origin::Store { .. } => layers.store = rule,
        }
        if layers.file.is_none() && layers.store.is_none() {
            self.rules.remove(name);
        }
    }

    /// The names that start with `prefix`, and what counts for each.
    pub(crate) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Arc<T>)> {
        self.rules
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .filter_map(|(name, _)| Some((name.as_str(), self.get(name)?)))
    }
}
