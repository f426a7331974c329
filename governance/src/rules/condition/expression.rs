//! The expressions of condition rules: `method=say*,hi & region!=bj`.
//!
//! The grammar is that of Dubbo's `ConditionStateRouter.parseRule`: tokens are a
//! run of `&`, `!`, `=` or `,` and the text behind it. Values of one key are
//! ORed, keys are ANDed.

use crate::document::Position;
use crate::rules::Compat;

use super::pattern::Pattern;
use super::source::Source;
use super::tokens::Tokens;

/// The most keys on one side of a condition.
const MAX_KEYS: usize = 64;

/// One side of a condition. Without clauses it says nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Expression {
    pub(crate) clauses: Vec<Clause>,
}

/// A key and what its value must and must not be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause {
    /// The key as written.
    pub(crate) key: Box<str>,
    pub(crate) source: Source,
    pub(crate) matches: Vec<Pattern>,
    pub(crate) mismatches: Vec<Pattern>,
}

/// Which side of the arrow an expression stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What the call must be like.
    When,
    /// What endpoints must be like.
    Then,
}

/// Why an expression cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

impl Expression {
    /// Reads one side of a condition.
    pub(crate) fn parse(text: &str, side: Side, compat: Compat) -> Result<Expression, Mistake> {
        let mut clauses: Vec<Clause> = Vec::new();
        // The clause that values belong to, and the one that a comma adds to.
        let mut current: Option<usize> = None;
        let mut listing: Option<(usize, bool)> = None;
        for (separator, content) in (Tokens { rest: text }) {
            if clauses.len() > MAX_KEYS {
                return Err(Mistake {
                    message: format!("there are more than {MAX_KEYS} keys on one side"),
                    hint: "write several conditions",
                });
            }
            match separator {
                "" => {
                    let clause = Clause::new(content, side, compat)?;
                    match clauses.iter().position(|known| *known.key == *content) {
                        // As Java: a key that is written again without `&`
                        // replaces what stood there.
                        Some(index) => {
                            if let Some(known) = clauses.get_mut(index) {
                                *known = clause;
                            }
                            current = Some(index);
                            // A comma still adds to the values that are gone.
                            if listing.is_some_and(|(listed, _)| listed == index) {
                                listing = Some((usize::MAX, false));
                            }
                        }
                        None => {
                            clauses.push(clause);
                            current = Some(clauses.len() - 1);
                        }
                    }
                }
                "&" => match clauses.iter().position(|known| *known.key == *content) {
                    Some(index) => current = Some(index),
                    None => {
                        clauses.push(Clause::new(content, side, compat)?);
                        current = Some(clauses.len() - 1);
                    }
                },
                "=" | "!=" => {
                    let Some(index) = current else { return Err(stray(separator, content)) };
                    listing = Some((index, separator == "!="));
                    add_value(&mut clauses, listing, content, side, compat);
                }
                "," => {
                    if listing.is_none() {
                        return Err(stray(separator, content));
                    }
                    add_value(&mut clauses, listing, content, side, compat);
                }
                _ => return Err(stray(separator, content)),
            }
        }
        Ok(Expression { clauses })
    }
}

fn add_value(
    clauses: &mut [Clause],
    listing: Option<(usize, bool)>,
    content: &str,
    side: Side,
    compat: Compat,
) {
    if let Some((index, negated)) = listing
        && let Some(clause) = clauses.get_mut(index)
    {
        let pattern = Pattern::parse(content, side, compat);
        if negated { clause.mismatches.push(pattern) } else { clause.matches.push(pattern) }
    }
}

fn stray(separator: &str, content: &str) -> Mistake {
    Mistake {
        message: format!("{separator:?} before {content:?} belongs to no key"),
        hint: "write key=value, key!=value, key=one,two and join them with &",
    }
}

impl Clause {
    fn new(key: &str, side: Side, compat: Compat) -> Result<Clause, Mistake> {
        let source = match compat {
            Compat::Java => Source::of_java(key, side),
            Compat::Documented => Source::of(key, side)?,
        };
        Ok(Clause { key: key.into(), source, matches: Vec::new(), mismatches: Vec::new() })
    }
}

/// `when => then` as written in one condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) position: Position,
    /// No clauses: every call.
    pub(crate) when: Expression,
    /// `None`: nobody may answer.
    pub(crate) then: Option<Expression>,
}

impl Condition {
    /// Reads `when => then` (`ConditionStateRouter.init`).
    pub(crate) fn parse(
        text: &str,
        position: Position,
        compat: Compat,
    ) -> Result<Condition, Mistake> {
        let text = java_trim(text);
        if text.is_empty() {
            return Err(Mistake {
                message: "the condition is empty".to_owned(),
                hint: "write what calls => what endpoints, or remove it",
            });
        }
        let text = match compat {
            Compat::Java => text.replace("consumer.", "").replace("provider.", ""),
            Compat::Documented => without_prefixes(text),
        };
        let (when, then) = match text.split_once("=>") {
            Some((when, then)) => (java_trim(when), java_trim(then)),
            None => ("", java_trim(&text)),
        };
        let when = match when {
            "" | "true" => Expression::default(),
            when => Expression::parse(when, Side::When, compat)?,
        };
        let then = match then {
            "" | "false" => None,
            then => Some(Expression::parse(then, Side::Then, compat)?),
        };
        Ok(Condition { position, when, then })
    }
}

/// `String.trim`: cuts characters up to the space off both ends.
pub(crate) fn java_trim(text: &str) -> &str {
    text.trim_matches(|character: char| character <= ' ')
}

/// Old rules write `consumer.host` and `provider.host` for `host`; taken off
/// where a key starts, and not inside of values.
pub(super) fn without_prefixes(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut key_starts = true;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if key_starts
            && let Some(cut) =
                rest.strip_prefix("consumer.").or_else(|| rest.strip_prefix("provider."))
        {
            rest = cut;
            key_starts = false;
            continue;
        }
        key_starts = match first {
            '&' | '>' => true,
            _ if first.is_ascii_whitespace() => key_starts,
            _ => false,
        };
        result.push(first);
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn strays_are_refused() {
        for text in ["=a => b=c", ",a", "a=>!b", "a!!=b", "a==b"] {
            assert!(Condition::parse(text, Position::default(), Compat::Java).is_err(), "{text}");
        }
    }

    #[test]
    fn prefixes_are_taken_off_keys_only() {
        assert_eq!(
            without_prefixes(
                "consumer.host=consumer.x & provider.a=b => provider.host=c.provider.d"
            ),
            "host=consumer.x & a=b => host=c.provider.d"
        );
    }

    #[test]
    fn keys_are_limited() {
        let many: Vec<String> = (0..100).map(|n| format!("k{n}=1")).collect();
        assert!(Expression::parse(&many.join("&"), Side::When, Compat::Java).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,40}") {
            for compat in [Compat::Java, Compat::Documented] {
                let _ = Condition::parse(&text, Position::default(), compat);
            }
        }
    }
}
