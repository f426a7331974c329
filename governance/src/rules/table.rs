//! Rules of one kind, by what they are about.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The good rules of one kind.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rules: BTreeMap<String, Arc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { rules: BTreeMap::new() }
    }
}

impl<T> Table<T> {
    /// The rule about `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.rules.get(name)
    }

    /// Puts a rule in, or takes it out.
    pub(crate) fn set(&mut self, name: &str, rule: Option<T>) {
        match rule {
            Some(rule) => self.rules.insert(name.to_owned(), Arc::new(rule)),
            None => self.rules.remove(name),
        };
    }

    /// The rules whose names start with `prefix`.
    pub(crate) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Arc<T>)> {
        self.rules
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, rule)| (name.as_str(), rule))
    }
}
