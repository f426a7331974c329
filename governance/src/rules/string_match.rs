//! `{exact: …}`, `{prefix: …}` and their like: how Dubbo's tag, mesh and
//! configurator rules compare texts (`StringMatch`).

use regex::{Regex, RegexBuilder};

use crate::document::{Node, Report, Resolved, Value};
use crate::rules::Compat;
use crate::rules::head::java_text;

/// How large a compiled regular expression may be, in bytes.
const REGEX_SIZE: usize = 256 << 10;
/// How long a regular expression's text may be, in bytes.
const REGEX_LENGTH: usize = 4096;

/// What a text must be like. Of several ways the first one given here counts,
/// as in Java; an absent text is only `empty`.
#[derive(Debug, Clone, Default)]
pub(crate) struct StringMatch {
    exact: Option<Box<str>>,
    prefix: Option<Box<str>>,
    regex: Option<Regex>,
    wildcard: Option<Box<str>>,
    empty: bool,
    noempty: bool,
}

impl PartialEq for StringMatch {
    fn eq(&self, other: &Self) -> bool {
        let pattern = |one: &Self| one.regex.as_ref().map(|regex| regex.as_str().to_owned());
        self.exact == other.exact
            && self.prefix == other.prefix
            && pattern(self) == pattern(other)
            && self.wildcard == other.wildcard
            && self.empty == other.empty
            && self.noempty == other.noempty
    }
}

impl StringMatch {
    /// Reads one; what is wrong is reported.
    pub(crate) fn read(node: &Node, compat: Compat, report: &mut Report) -> StringMatch {
        let mut found = StringMatch::default();
        let Some(mut map) = node.mapping("a text match", report) else { return found };
        let mut ways = 0;
        let mut text = |key: &'static str, report: &mut Report| {
            let value = map.value(key)?;
            ways += 1;
            read_text(value, key, compat, report)
        };
        found.exact = text("exact", report);
        found.prefix = text("prefix", report);
        let regex = text("regex", report);
        found.wildcard = text("wildcard", report);
        // These say what they say by being there; `empty: ""` is usual.
        found.empty = text("empty", report).is_some();
        found.noempty = text("noempty", report).is_some();
        if let Some(pattern) = regex {
            let position = map.peek("regex").map(|node| node.position).unwrap_or_default();
            let compiled = if report.may_compile_regex() {
                full_match(&pattern)
            } else {
                Err("there are too many of them in this document".to_owned())
            };
            match compiled {
                Ok(regex) => found.regex = Some(regex),
                Err(problem) => {
                    report.refused_regex();
                    report.error(
                        position,
                        "bad-regex",
                        format!("this regular expression cannot be used: {problem}"),
                        "look-around and back references are not known here: they can take forever",
                    );
                }
            }
        }
        if compat == Compat::Documented && ways != 1 {
            report.error(
                node.position,
                "one-way-to-match",
                format!("a text match must say one thing, but says {ways}"),
                "write one of exact, prefix, regex, wildcard, empty, noempty",
            );
        }
        map.finish(report);
        found
    }

    /// Whether a text, or an absent one, is like it.
    pub(crate) fn is_match(&self, input: Option<&str>) -> bool {
        if let Some(input) = input {
            if let Some(exact) = &self.exact {
                return **exact == *input;
            }
            if let Some(prefix) = &self.prefix {
                return input.starts_with(&**prefix);
            }
            if let Some(regex) = &self.regex {
                return regex.is_match(input);
            }
            if let Some(wildcard) = &self.wildcard {
                return **wildcard == *input || **wildcard == *"*";
            }
        }
        if self.empty {
            return input.is_none_or(str::is_empty);
        }
        self.noempty && input.is_some_and(|input| !input.is_empty())
    }
}

/// A text, as `PojoUtils.mapToPojo` takes one: numbers and booleans become
/// texts, anything else is passed over.
fn read_text(
    node: &Node,
    key: &'static str,
    compat: Compat,
    report: &mut Report,
) -> Option<Box<str>> {
    match &node.value {
        Value::Scalar(scalar) => match (scalar.resolve(), compat) {
            (Resolved::Date, Compat::Java) => None,
            (Resolved::Date, _) => Some(scalar.text.as_str().into()),
            (Resolved::Text(text), _) => Some(text.into()),
            _ => Some(java_text(node).into()),
        },
        _ => {
            if compat == Compat::Documented {
                node.wrong_type(key, "a text", report);
            }
            None
        }
    }
}

/// A regular expression that matches whole texts, as Java's `String.matches`.
pub(crate) fn full_match(pattern: &str) -> Result<Regex, String> {
    build(&format!("^(?:{pattern})$"), pattern.len())
}

/// A regular expression that matches anywhere in a text.
pub(crate) fn part_match(pattern: &str) -> Result<Regex, String> {
    build(pattern, pattern.len())
}

fn build(expression: &str, length: usize) -> Result<Regex, String> {
    if length > REGEX_LENGTH {
        return Err(format!("its {length} bytes are over the limit of {REGEX_LENGTH}"));
    }
    RegexBuilder::new(expression)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(REGEX_SIZE)
        .dot_matches_new_line(false)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())
}
