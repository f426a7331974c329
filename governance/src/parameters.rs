//! A compact, immutable, sorted string map: the parameters of a provider or
//! consumer URL.
//!
//! A mesh holds hundreds of thousands of these, so that the keys and values of
//! one map stand in one text.

use std::fmt;

/// Sorted `key=value` pairs in one allocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    text: Box<str>,
    /// For each pair, where its key and its value end in `text`.
    ends: Box<[(u32, u32)]>,
}

impl Parameters {
    /// The value of `key`, if there is one.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut low = 0;
        let mut high = self.ends.len();
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, value) = self.pair(middle)?;
            match found.cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(value),
            }
        }
        None
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.ends.len()).filter_map(|index| self.pair(index))
    }

    /// Its size in bytes on the heap.
    pub fn heap_size(&self) -> usize {
        self.text.len() + std::mem::size_of_val(&*self.ends)
    }

    fn pair(&self, index: usize) -> Option<(&str, &str)> {
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before)?.1,
            None => 0,
        };
        let &(key, value) = self.ends.get(index)?;
        Some((
            self.text.get(start as usize..key as usize)?,
            self.text.get(key as usize..value as usize)?,
        ))
    }
}

/// Of pairs with the same key, the last one stays, as in a Java map. Pairs
/// beyond 4 GiB of text are left out.
impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<(K, V)> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut text = String::new();
        let mut ends = Vec::with_capacity(pairs.len());
        for (index, (key, value)) in pairs.iter().enumerate() {
            if pairs.get(index + 1).is_some_and(|next| next.0.as_ref() == key.as_ref()) {
                continue;
            }
            let key_end = text.len() + key.as_ref().len();
            let (Ok(key_end), Ok(value_end)) =
                (u32::try_from(key_end), u32::try_from(key_end + value.as_ref().len()))
            else {
                break;
            };
            text.push_str(key.as_ref());
            text.push_str(value.as_ref());
            ends.push((key_end, value_end));
        }
        Parameters { text: text.into_boxed_str(), ends: ends.into_boxed_slice() }
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_of_equal_keys_stays() {
        let parameters: Parameters = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(parameters.get("b"), Some("3"));
        assert_eq!(parameters.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
    }

    #[test]
    fn every_key_of_a_large_map_is_found() {
        let parameters: Parameters =
            (0..500).map(|n| (format!("key{n}"), format!("value{n}"))).collect();
        for n in 0..500 {
            assert_eq!(parameters.get(&format!("key{n}")), Some(format!("value{n}").as_str()));
        }
        assert_eq!(parameters.get("key"), None);
        assert_eq!(parameters.get("key500"), None);
        assert_eq!(Parameters::default().get(""), None);
    }
}
