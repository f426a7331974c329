//! How Istio, the Gateway API and Linkerd compare texts: exactly, by prefix, by
//! regular expression, or by being there at all.

use regex::Regex;
use serde::{Serialize, Serializer};

/// What a text must be like.
#[derive(Debug, Clone)]
pub enum TextMatch {
    /// It is there, whatever it is.
    Present,
    /// It is this.
    Exact(Box<str>),
    /// It starts with this.
    Prefix(Box<str>),
    /// All of it matches this expression (RE2's syntax, as Envoy applies it).
    Regex(Regex),
}

impl TextMatch {
    /// Whether a text is like it.
    pub fn is_match(&self, text: &str) -> bool {
        match self {
            TextMatch::Present => true,
            TextMatch::Exact(exact) => **exact == *text,
            TextMatch::Prefix(prefix) => text.starts_with(&**prefix),
            TextMatch::Regex(regex) => regex.is_match(text),
        }
    }

    /// Whether a text is like it when the case of ASCII letters does not count;
    /// it counts for regular expressions, as in Istio.
    pub fn is_match_ignoring_case(&self, text: &str) -> bool {
        match self {
            TextMatch::Exact(exact) => exact.eq_ignore_ascii_case(text),
            TextMatch::Prefix(prefix) => {
                text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            }
            TextMatch::Present | TextMatch::Regex(_) => self.is_match(text),
        }
    }
}

impl PartialEq for TextMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (TextMatch::Present, TextMatch::Present) => true,
            (TextMatch::Exact(a), TextMatch::Exact(b))
            | (TextMatch::Prefix(a), TextMatch::Prefix(b)) => a == b,
            (TextMatch::Regex(a), TextMatch::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// `*`, `text`, `text*` or `~expression`.
impl Serialize for TextMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            TextMatch::Present => serializer.serialize_str("*"),
            TextMatch::Exact(exact) => serializer.serialize_str(exact),
            TextMatch::Prefix(prefix) => serializer.collect_str(&format_args!("{prefix}*")),
            TextMatch::Regex(regex) => serializer.collect_str(&format_args!("~{regex}")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn case_counts_unless_said_otherwise_and_always_in_expressions() {
        let exact = TextMatch::Exact("/Ab".into());
        assert!(exact.is_match("/Ab") && !exact.is_match("/ab"));
        assert!(exact.is_match_ignoring_case("/aB") && !exact.is_match_ignoring_case("/abc"));
        let prefix = TextMatch::Prefix("/Ab".into());
        assert!(prefix.is_match("/Abc") && !prefix.is_match("/abc"));
        assert!(prefix.is_match_ignoring_case("/aBc") && !prefix.is_match_ignoring_case("/a"));
        assert!(!prefix.is_match_ignoring_case("/é"), "no character is cut in two");
        let regex = TextMatch::Regex(Regex::new("^(?:a+)$").unwrap());
        assert!(regex.is_match("aa") && !regex.is_match_ignoring_case("AA"));
    }
}
