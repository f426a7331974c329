//! Which methods have counters of their own, and the bounds on how many.
//!
//! Service and method names come from callers' bytes: without a bound, a caller
//! that makes names up would fill this process and the Prometheus server behind
//! it.

use std::collections::HashMap;
use std::sync::Arc;

/// Methods counted under their own name, in all, for each process.
pub(super) const METHODS: usize = 2_000;

/// Methods counted under their own name for each service of each listener.
pub(super) const METHODS_PER_SERVICE: usize = 100;

/// The label value that stands for whatever is over a bound.
pub(super) const OTHER: &str = "other";

/// The labels of one method's metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LabelSet {
    pub(super) protocol: &'static str,
    pub(super) listener: Arc<str>,
    pub(super) service: Arc<str>,
    pub(super) method: Arc<str>,
}

/// The label sets in use, shared by all workers so that they agree on which
/// methods are "other".
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    known: HashMap<LabelSet, LabelSet>,
    methods: HashMap<(Arc<str>, Arc<str>), usize>,
}

impl LabelSets {
    /// The label set for a method: its own, or one with `other` in it where a
    /// bound is reached.
    pub(super) fn admit(
        &mut self,
        protocol: &'static str,
        listener: &str,
        service: &str,
        method: &str,
    ) -> LabelSet {
        let asked = LabelSet {
            protocol,
            listener: listener.into(),
            service: service.into(),
            method: method.into(),
        };
        if let Some(known) = self.known.get(&asked) {
            return known.clone();
        }
        if self.known.len() >= METHODS {
            return LabelSet { service: OTHER.into(), method: OTHER.into(), ..asked };
        }
        let of_service =
            self.methods.entry((asked.listener.clone(), asked.service.clone())).or_default();
        if *of_service >= METHODS_PER_SERVICE {
            return LabelSet { method: OTHER.into(), ..asked };
        }
        *of_service += 1;
        self.known.insert(asked.clone(), asked.clone());
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: &LabelSet) -> (&str, &str) {
        (&set.service, &set.method)
    }

    #[test]
    fn made_up_methods_end_as_other_and_the_known_ones_stay() {
        let mut sets = LabelSets::default();
        for i in 0..METHODS_PER_SERVICE {
            sets.admit("dubbo", "out", "lab.Echo", &format!("m{i}"));
        }
        assert_eq!(names(&sets.admit("dubbo", "out", "lab.Echo", "one more")), ("lab.Echo", OTHER));
        assert_eq!(names(&sets.admit("dubbo", "out", "lab.Echo", "m7")), ("lab.Echo", "m7"));
        assert_eq!(names(&sets.admit("dubbo", "in", "lab.Echo", "m")), ("lab.Echo", "m"));
    }

    #[test]
    fn made_up_services_end_as_other() {
        let mut sets = LabelSets::default();
        for i in 0..METHODS {
            sets.admit("dubbo", "out", &format!("s{i}"), "m");
        }
        assert_eq!(names(&sets.admit("dubbo", "out", "one more", "m")), (OTHER, OTHER));
        assert_eq!(names(&sets.admit("dubbo", "out", "s3", "m")), ("s3", "m"));
        assert_eq!(sets.known.len(), METHODS);
    }
}
