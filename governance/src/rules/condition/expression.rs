//! The expressions of condition rules: `method=say*,hi & region!=bj`.
//!
//! The grammar is that of Dubbo's `ConditionStateRouter.parseRule`: tokens are a
//! run of `&`, `!`, `=` or `,` and the text behind it. Values of one key are
//! ORed, keys are ANDed.

use crate::document::Position;
use crate::rules::Compat;

use super::pattern::Pattern;

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

/// Where a key's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The method that is called.
    Method,
    /// The argument with this index.
    Argument(usize),
    /// The attachment with this name.
    Attachment(Box<str>),
    /// A parameter of the caller's (left) or the provider's (right) URL.
    Parameter(Box<str>),
    /// Java looks in the wrong place and always finds this text instead
    /// (`AbstractConditionMatcher.DOES_NOT_FOUND_VALUE`).
    Sentinel,
}

/// What Java takes for the value where it cannot find one.
pub(crate) const SENTINEL: &str = "dubbo_internal_not_found_argument_condition_value";

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

/// A trap: the expression is read, but hardly as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
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

    /// What in it is hardly meant so.
    pub(crate) fn traps(&self, side: Side) -> Vec<Trap> {
        let mut traps = Vec::new();
        for clause in &self.clauses {
            clause.traps(side, &mut traps);
        }
        traps
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

    fn traps(&self, side: Side, traps: &mut Vec<Trap>) {
        let key = &self.key;
        let mut add = |code, message: String, hint: &str| {
            traps.push(Trap { code, message, hint: hint.to_owned() });
        };
        if self.matches.is_empty() && self.mismatches.is_empty() {
            add(
                "key-without-value",
                format!("{key} has no value, so that it never matches"),
                "write key=value; key=* means any value",
            );
        }
        if !self.mismatches.is_empty() && side == Side::Then {
            add(
                "missing-key-never-differs",
                format!("endpoints without {key} are left out by {key}!=…, too"),
                "give every provider the parameter, or add a rule for those without it",
            );
        }
        if key.starts_with("attachments") && key.contains('.') {
            add(
                "dotted-attachment",
                format!(
                    "Java never finds {key}: it cuts the name at the dot, and then != always matches"
                ),
                "use an attachment without a dot in its name while Java consumers read this rule",
            );
        }
        if self.source == Source::Sentinel && side == Side::Then {
            let misplaced = misplaced(key);
            add("call-on-the-right", misplaced.message, misplaced.hint);
        }
        if matches!(self.source, Source::Argument(_)) && !self.mismatches.is_empty() {
            add(
                "missing-argument-differs",
                format!("in Java {key}!=… matches calls that have no such argument"),
                "match the method as well, so that only calls with this argument are meant",
            );
        }
        for pattern in self.matches.iter().chain(&self.mismatches) {
            if let Some(range) = pattern.open_range() {
                add(
                    "open-range",
                    format!(
                        "Java reads {range} differently: left of => it never matches, right of => it always does"
                    ),
                    "write both ends of the range while Java consumers read this rule",
                );
            }
            if let Some(text) = pattern.extra_star() {
                add(
                    "only-last-star",
                    format!("only the last * of {text} stands for any text"),
                    "use one *",
                );
            }
        }
    }
}

impl Source {
    fn of(key: &str, side: Side) -> Result<Source, Mistake> {
        let indexed = |name: &str| key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']');
        if key.starts_with("arguments") {
            let index = indexed("arguments").and_then(|index| index.parse().ok());
            return match (index, side) {
                (Some(index), Side::When) => Ok(Source::Argument(index)),
                (Some(_), Side::Then) => Err(misplaced(key)),
                (None, _) => Err(Mistake {
                    message: format!("{key:?} names no argument"),
                    hint: "write arguments[N] with the argument's number, from 0",
                }),
            };
        }
        if key.starts_with("attachments") {
            return match (indexed("attachments").filter(|name| !name.is_empty()), side) {
                (Some(name), Side::When) => Ok(Source::Attachment(name.into())),
                (Some(_), Side::Then) => Err(misplaced(key)),
                (None, _) => Err(Mistake {
                    message: format!("{key:?} names no attachment"),
                    hint: "write attachments[NAME]",
                }),
            };
        }
        Ok(Self::plain(key, side))
    }

    /// As `ArgumentConditionMatcher` and `AttachmentConditionMatcher` look for
    /// it: only before the first dot. Right of the arrow there is no invocation
    /// and they fall into an exception, which becomes the sentinel.
    fn of_java(key: &str, side: Side) -> Source {
        let before_dot = key.split('.').next().unwrap_or_default();
        let inside = |prefix: &str| {
            before_dot.find(prefix).and_then(|at| before_dot.get(at + prefix.len()..))
        };
        if key.starts_with("arguments") {
            let index = inside("arguments[").and_then(|rest| rest.split_once(']')).and_then(
                |(index, _)| {
                    let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
                    index.parse::<i32>().ok().filter(|_| digits)
                },
            );
            return match index.and_then(|index| usize::try_from(index).ok()) {
                Some(index) if side == Side::When => Source::Argument(index),
                _ => Source::Sentinel,
            };
        }
        if key.starts_with("attachments") {
            let name = inside("attachments[").and_then(|rest| rest.rsplit_once(']'));
            return match name {
                Some((name, _)) if side == Side::When && !name.is_empty() => {
                    Source::Attachment(name.into())
                }
                _ => Source::Sentinel,
            };
        }
        Self::plain(key, side)
    }

    fn plain(key: &str, side: Side) -> Source {
        if side == Side::When && (key == "method" || key == "methods") {
            Source::Method
        } else {
            Source::Parameter(key.into())
        }
    }
}

fn misplaced(key: &str) -> Mistake {
    Mistake {
        message: format!("{key} is a property of the call, but right of => endpoints are matched"),
        hint: "move it left of =>",
    }
}

/// Whether a character is white space to Java's `\s`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'&' | b'!' | b'=' | b',')
}

/// The matches of `([&!=,]*)\s*([^&!=,\s]+)`, found one after another as
/// `java.util.regex` finds them.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = self.rest.as_bytes();
            if bytes.is_empty() {
                return None;
            }
            let run = |from: usize, is: fn(u8) -> bool| {
                from + bytes.iter().skip(from).take_while(|&&byte| is(byte)).count()
            };
            let separator = run(0, is_separator);
            let space = run(separator, is_space);
            let content = run(space, |byte| !is_separator(byte) && !is_space(byte));
            if content > space {
                // All three ends are next to ASCII bytes or at the end.
                let token = (self.rest.get(..separator)?, self.rest.get(space..content)?);
                self.rest = self.rest.get(content..)?;
                return Some(token);
            }
            // Separators with nothing behind them are skipped.
            self.rest = self.rest.get(space.max(1)..)?;
        }
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
fn without_prefixes(text: &str) -> String {
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

    fn tokens(text: &str) -> Vec<(&str, &str)> {
        Tokens { rest: text }.collect()
    }

    #[test]
    fn tokens_are_found_as_java_finds_them() {
        assert_eq!(
            tokens(" a = 1 , 2&b!=é c"),
            [("", "a"), ("=", "1"), (",", "2"), ("&", "b"), ("!=", "é"), ("", "c")]
        );
        assert_eq!(tokens("a & = x &"), [("", "a"), ("=", "x")]);
        assert_eq!(tokens("a!==b"), [("", "a"), ("!==", "b")]);
        assert_eq!(tokens("=&,!"), []);
    }

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
    fn traps_are_named() {
        let codes = |text: &str, side| -> Vec<&'static str> {
            let expression = Expression::parse(text, side, Compat::Documented).unwrap();
            expression.traps(side).iter().map(|trap| trap.code).collect()
        };
        assert_eq!(codes("region!=bj", Side::Then), ["missing-key-never-differs"]);
        assert_eq!(codes("attachments[a.b]=1", Side::When), ["dotted-attachment"]);
        assert_eq!(codes("arguments[0]=5~", Side::When), ["open-range"]);
        assert_eq!(codes("host=10.*.3.*", Side::When), ["only-last-star"]);
        assert_eq!(codes("host=1 & x", Side::When), ["key-without-value"]);
        assert!(codes("host=10.0.3.* & method=a,b", Side::When).is_empty());
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
