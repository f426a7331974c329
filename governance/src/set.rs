//! A set of a service's endpoints, one bit each.

/// A set of indexes below a fixed length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EndpointSet {
    words: Vec<u64>,
}

impl EndpointSet {
    /// The empty set over `length` endpoints.
    pub(crate) fn empty(length: usize) -> Self {
        EndpointSet { words: vec![0; length.div_ceil(64)] }
    }

    /// The endpoints below `length` for which `keep` holds.
    pub(crate) fn of(length: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut set = Self::empty(length);
        for index in 0..length {
            if keep(index) {
                set.insert(index);
            }
        }
        set
    }

    pub(crate) fn insert(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Becomes a copy of `other`, reusing its own memory.
    pub(crate) fn copy_from(&mut self, other: &EndpointSet) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
    }

    /// Becomes empty over as many endpoints as before.
    pub(crate) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Becomes empty over `length` endpoints, reusing its own memory.
    pub(crate) fn reset(&mut self, length: usize) {
        self.words.clear();
        self.words.resize(length.div_ceil(64), 0);
    }

    pub(crate) fn intersect(&mut self, other: &EndpointSet) {
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= theirs;
        }
    }

    pub(crate) fn unite(&mut self, other: &EndpointSet) {
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word |= theirs;
        }
    }

    pub(crate) fn subtract(&mut self, other: &EndpointSet) {
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= !theirs;
        }
    }

    /// Whether the two have an endpoint in common.
    pub(crate) fn meets(&self, other: &EndpointSet) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// The indexes in it, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }

    /// The index of the `nth` member, counted from 0.
    pub(crate) fn nth(&self, nth: usize) -> Option<usize> {
        let mut skip = nth;
        for (at, &word) in self.words.iter().enumerate() {
            let ones = word.count_ones() as usize;
            if skip >= ones {
                skip -= ones;
                continue;
            }
            let mut rest = word;
            for _ in 0..skip {
                rest &= rest - 1;
            }
            return Some(at * 64 + rest.trailing_zeros() as usize);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    proptest::proptest! {
        #[test]
        fn it_is_a_set(a in proptest::collection::vec(0usize..200, 0..80), b in proptest::collection::vec(0usize..200, 0..80)) {
            let left = EndpointSet::of(200, |i| a.contains(&i));
            let right = EndpointSet::of(200, |i| b.contains(&i));
            let members: Vec<usize> = left.iter().collect();
            let expected: Vec<usize> = (0..200).filter(|i| a.contains(i)).collect();
            proptest::prop_assert_eq!(&members, &expected);
            proptest::prop_assert_eq!(left.count(), expected.len());
            for (n, i) in expected.iter().enumerate() {
                proptest::prop_assert_eq!(left.nth(n), Some(*i));
            }
            proptest::prop_assert_eq!(left.nth(expected.len()), None);
            let mut both = left.clone();
            both.intersect(&right);
            proptest::prop_assert_eq!(both.is_empty(), !left.meets(&right));
            let mut minus = left.clone();
            minus.subtract(&right);
            minus.unite(&both);
            proptest::prop_assert_eq!(minus, left);
        }
    }
}
