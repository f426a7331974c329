//! What a value must look like: `*`, `a*`, `*b`, `a*b`, `1~10`, `$region`.

use std::fmt;

use crate::rules::Compat;

use super::expression::Side;

/// A value's pattern, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pattern {
    /// `*`.
    Any,
    /// The value itself.
    Exact(Box<str>),
    /// `before*after`, either of which may be empty. As in Dubbo's
    /// `UrlUtils.isMatchGlobPattern` only the last star counts, and the two
    /// parts may overlap in the value.
    Glob {
        /// What the value starts with.
        before: Box<str>,
        /// What it ends with.
        after: Box<str>,
    },
    /// From one whole number to another, both included.
    Range(Range),
    /// What the caller's parameter of this name says, itself a pattern.
    Variable(Box<str>),
}

/// A range of whole numbers, and how to read values that are none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range {
    text: Box<str>,
    low: Option<i64>,
    high: Option<i64>,
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reading {
    /// A value that is no whole number does not match.
    Documented,
    /// `RangeValuePattern`: a value that is no number counts as 0, a number
    /// too large for an int gives `fallback`.
    Java { fallback: bool },
    /// `RangeValuePattern` cannot read the range itself: always this.
    Fixed(bool),
}

impl Pattern {
    /// Reads one value of an expression.
    pub(crate) fn parse(text: &str, side: Side, compat: Compat) -> Pattern {
        if text.contains('~') {
            return Pattern::Range(Range::parse(text, side, compat));
        }
        if side == Side::Then
            && let Some(name) = text.strip_prefix('$')
        {
            return Pattern::Variable(name.into());
        }
        Self::glob(text)
    }

    fn glob(text: &str) -> Pattern {
        if text == "*" {
            return Pattern::Any;
        }
        match text.rsplit_once('*') {
            None => Pattern::Exact(text.into()),
            Some((before, after)) => Pattern::Glob { before: before.into(), after: after.into() },
        }
    }

    /// Whether a value is like it. A variable's value is asked for by name.
    pub(crate) fn is_match<'a>(
        &self,
        value: &str,
        variable: &dyn Fn(&str) -> Option<&'a str>,
    ) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Exact(text) => **text == *value,
            Pattern::Glob { before, after } => is_glob(before, after, value),
            Pattern::Range(range) => range.contains(value),
            Pattern::Variable(name) => match variable(name) {
                None | Some("") => value.is_empty(),
                Some("*") => true,
                Some(text) => match text.rsplit_once('*') {
                    None => text == value,
                    Some((before, after)) => is_glob(before, after, value),
                },
            },
        }
    }

    /// The range, if it is one.
    pub(super) fn range(&self) -> Option<&Range> {
        match self {
            Pattern::Range(range) => Some(range),
            _ => None,
        }
    }

    /// What would be a variable right of the arrow.
    pub(super) fn variable_as_text(&self) -> Option<&str> {
        match self {
            Pattern::Exact(text) if text.starts_with('$') => Some(text),
            _ => None,
        }
    }

    /// The text before a star that is no wildcard.
    pub(crate) fn extra_star(&self) -> Option<String> {
        match self {
            Pattern::Glob { before, after } if before.contains('*') => {
                Some(format!("{before}*{after}"))
            }
            _ => None,
        }
    }
}

/// An empty value is like nothing but `*`.
fn is_glob(before: &str, after: &str, value: &str) -> bool {
    !value.is_empty() && value.starts_with(before) && value.ends_with(after)
}

/// As written.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Range {
    fn parse(text: &str, side: Side, compat: Compat) -> Range {
        let (low, high, reading) = match compat {
            Compat::Documented => {
                let (low, high) = text.split_once('~').unwrap_or((text, ""));
                match (documented_end(low), documented_end(high)) {
                    (Some(low), Some(high)) if low.is_some() || high.is_some() => {
                        (low, high, Reading::Documented)
                    }
                    _ => (None, None, Reading::Fixed(false)),
                }
            }
            Compat::Java => Self::parse_java(text, side == Side::Then),
        };
        Range { text: text.into(), low, high, reading }
    }

    /// As `RangeValuePattern.match` reads it; it answers `fallback` to what it
    /// cannot read.
    fn parse_java(text: &str, fallback: bool) -> (Option<i64>, Option<i64>, Reading) {
        // `String.split` drops empty parts at the end.
        let mut parts: Vec<&str> = text.split('~').collect();
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        let fixed = (None, None, Reading::Fixed(fallback));
        let [low, high, ..] = parts.as_slice() else { return fixed };
        let java = Reading::Java { fallback };
        let number = |text: &str| match java_integer(text) {
            Some(number) => Ok(i64::from(number)),
            None => Err(()),
        };
        match (low.is_empty(), high.is_empty()) {
            (true, true) => fixed,
            (true, false) => number(high).map_or(fixed, |high| (None, Some(high), java)),
            (false, true) => number(low).map_or(fixed, |low| (Some(low), None, java)),
            (false, false) => match (number(low), number(high)) {
                (Ok(low), Ok(high)) => (Some(low), Some(high), java),
                _ => fixed,
            },
        }
    }

    /// Whether it has no upper end, which Java does not read.
    pub(super) fn is_open(&self) -> bool {
        self.text.ends_with('~')
    }

    /// Whether nothing is in it, because its ends are no numbers.
    pub(super) fn is_none(&self) -> bool {
        let documented = Range::parse(&self.text, Side::When, Compat::Documented);
        documented.reading == Reading::Fixed(false)
    }

    /// Why Java, which takes for 0 what is no number or below 0, and does not read
    /// numbers above 2147483647, finds others in it.
    pub(super) fn differs_in_java(&self) -> Option<&'static str> {
        let ends = || [self.low, self.high].into_iter().flatten();
        if ends().any(|end| end > i64::from(i32::MAX)) {
            Some("it reads no number above 2147483647")
        } else if ends().any(|end| end < 0) {
            Some("a number below 0 counts as 0")
        } else if self.low.unwrap_or(0) == 0 {
            Some("what is no number, or below 0, counts as 0 and is in it")
        } else {
            None
        }
    }

    fn contains(&self, value: &str) -> bool {
        let number = match self.reading {
            Reading::Fixed(answer) => return answer,
            Reading::Documented => match value.parse::<i64>() {
                Ok(number) => number,
                Err(_) => return false,
            },
            Reading::Java { fallback } => match java_integer(value) {
                Some(number) => i64::from(number),
                None => return fallback,
            },
        };
        self.low.is_none_or(|low| number >= low) && self.high.is_none_or(|high| number <= high)
    }
}

/// One end of a range: absent, a number, or (`None`) neither.
fn documented_end(text: &str) -> Option<Option<i64>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

/// `StringUtils.parseInteger`: 0 for what is no number, `None` (an exception)
/// for one that is too large.
fn java_integer(text: &str) -> Option<i32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(0);
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, value: &str, side: Side, compat: Compat) -> bool {
        Pattern::parse(pattern, side, compat).is_match(value, &|name| match name {
            "region" => Some("h*"),
            "empty" => Some(""),
            _ => None,
        })
    }

    #[test]
    fn globs_match_as_in_dubbo() {
        for (pattern, value, expected) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("ab*bc", "abc", true),
            ("10.*.3.*", "10.1.3.4", false),
            ("10.*.3.*", "10.*.3.4", true),
            ("a*", "", false),
            ("a", "A", false),
        ] {
            assert_eq!(is_match(pattern, value, Side::When, Compat::Java), expected, "{pattern}");
        }
        assert!(is_match("$region", "hz", Side::Then, Compat::Java));
        assert!(!is_match("$region", "bj", Side::Then, Compat::Java));
        assert!(!is_match("$nope", "bj", Side::Then, Compat::Java));
        assert!(is_match("$empty", "", Side::Then, Compat::Java));
        assert!(!is_match("$region", "hz", Side::When, Compat::Java), "plain text on the left");
    }

    #[test]
    fn ranges_are_mended_as_documented_and_kept_as_in_java() {
        for (pattern, value, when, then, documented) in [
            ("40~50", "42", true, true, true),
            ("40~50", "51", false, false, false),
            ("40~", "42", false, true, true),
            ("40~", "39", false, true, false),
            ("~10", "10", true, true, true),
            ("~10", "x", true, true, false),
            ("0~5", "x", true, true, false),
            ("~", "1", false, true, false),
            ("1~2~3", "2", true, true, false),
            ("-5~5", "3", true, true, true),
            ("1~5", "99999999999", false, true, false),
            ("1~99999999999", "3", false, true, true),
        ] {
            let java = |side| is_match(pattern, value, side, Compat::Java);
            assert_eq!((java(Side::When), java(Side::Then)), (when, then), "{pattern} {value}");
            let found = is_match(pattern, value, Side::When, Compat::Documented);
            assert_eq!(found, documented, "{pattern} {value}");
        }
    }
}
