//! Traps: expressions that are read, but hardly as they are meant, or otherwise
//! in Java. Each has a page in `docs/lint`.

use super::expression::{Clause, Expression, Side, java_trim, without_prefixes};
use super::source::{Source, misplaced};

/// A trap in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trap {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// What every provider's URL has (right), and every call or caller (left).
const ALWAYS_THERE: [&str; 8] =
    ["host", "port", "address", "protocol", "method", "methods", "application", "interface"];

/// The traps of a condition's text as a whole.
pub(super) fn of_text(text: &str) -> Vec<Trap> {
    let mut traps = Vec::new();
    let in_java = text.replace("consumer.", "").replace("provider.", "");
    if java_trim(&in_java) != java_trim(&without_prefixes(text)) {
        traps.push(Trap {
            code: "prefix-inside",
            message: format!(
                "Java takes consumer. and provider. out wherever they stand, and reads {:?}",
                java_trim(&in_java)
            ),
            hint: "match the value by a pattern that does without, such as shop-*.prod",
        });
    }
    if !text.contains("=>") && !java_trim(text).is_empty() {
        traps.push(Trap {
            code: "no-arrow",
            message: "there is no =>, so that all of it is about the endpoints of every call"
                .to_owned(),
            hint: "write what calls => what endpoints, or => before it where this is meant",
        });
    }
    traps
}

/// The traps of one side of a condition.
pub(super) fn of_expression(expression: &Expression, side: Side) -> Vec<Trap> {
    let mut traps = Vec::new();
    for clause in &expression.clauses {
        of_clause(clause, side, &mut traps);
    }
    traps
}

fn of_clause(clause: &Clause, side: Side, traps: &mut Vec<Trap>) {
    let key = &clause.key;
    let mut add = |code, message: String, hint| traps.push(Trap { code, message, hint });
    if clause.matches.is_empty() && clause.mismatches.is_empty() {
        add(
            "key-without-value",
            format!("{key} has no value, so that it never matches"),
            "write key=value; key=* means any value",
        );
    }
    let may_miss = matches!(clause.source, Source::Attachment(_) | Source::Parameter(_))
        && !ALWAYS_THERE.contains(&&**key);
    if !clause.mismatches.is_empty() && may_miss {
        match side {
            Side::Then => add(
                "missing-key-never-differs",
                format!("endpoints without {key} are left out by {key}!=…, too"),
                "give every provider the parameter, or add a rule for those without it",
            ),
            Side::When => add(
                "missing-key-never-differs",
                format!("calls without {key} are not meant by {key}!=…, either"),
                "add a condition for calls without it, or write what the value must be",
            ),
        }
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
    if clause.source == Source::Sentinel && side == Side::Then {
        let misplaced = misplaced(key);
        add("call-on-the-right", misplaced.message, misplaced.hint);
    }
    if matches!(clause.source, Source::Argument(_)) && !clause.mismatches.is_empty() {
        add(
            "missing-argument-differs",
            format!("in Java {key}!=… matches calls that have no such argument"),
            "match the method as well, so that only calls with this argument are meant",
        );
    }
    for pattern in clause.matches.iter().chain(&clause.mismatches) {
        if let Some(name) = pattern.variable_as_text().filter(|_| side == Side::When) {
            add(
                "variable-on-the-left",
                format!("left of =>, {name} is plain text and no variable"),
                "move it right of =>, where it is the caller's parameter",
            );
        }
        if let Some(text) = pattern.extra_star() {
            add(
                "only-last-star",
                format!("only the last * of {text} stands for any text"),
                "use one *",
            );
        }
        let Some(range) = pattern.range() else { continue };
        if range.is_none() {
            add(
                "bad-range",
                format!("{range} is read as a range of whole numbers, and never matches"),
                "write 1~10, 10~ or ~10; for a text with ~ in it, the part before and *: abc*",
            );
        } else if range.is_open() {
            add(
                "open-range",
                format!(
                    "Java reads {range} differently: left of => it never matches, right of => it always does"
                ),
                "write both ends of the range while Java consumers read this rule",
            );
        } else if let Some(why) = range.differs_in_java() {
            add(
                "range-differs",
                format!("Java reads {range} differently: {why}"),
                "keep to numbers from 1 to 2147483647 while Java consumers read this rule",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::Compat;

    #[test]
    fn traps_are_named() {
        let codes = |text: &str, side| -> Vec<&'static str> {
            let expression = Expression::parse(text, side, Compat::Documented).unwrap();
            of_expression(&expression, side).iter().map(|trap| trap.code).collect()
        };
        assert_eq!(codes("region!=bj", Side::Then), ["missing-key-never-differs"]);
        assert_eq!(codes("attachments[user]!=u7", Side::When), ["missing-key-never-differs"]);
        assert_eq!(codes("attachments[a.b]=1", Side::When), ["dotted-attachment"]);
        assert_eq!(codes("arguments[0]=5~", Side::When), ["open-range"]);
        assert_eq!(codes("host=10.*.3.*", Side::When), ["only-last-star"]);
        assert_eq!(codes("host=1 & x", Side::When), ["key-without-value"]);
        assert_eq!(codes("region=$region", Side::When), ["variable-on-the-left"]);
        assert_eq!(codes("arguments[0]=0~5", Side::When), ["range-differs"]);
        assert_eq!(codes("arguments[0]=~5", Side::When), ["range-differs"]);
        assert_eq!(codes("arguments[0]=-7~-5", Side::When), ["range-differs"]);
        assert_eq!(codes("arguments[0]=1~9999999999", Side::When), ["range-differs"]);
        assert_eq!(codes("host=a~b", Side::Then), ["bad-range"]);
        assert_eq!(codes("host=~", Side::Then), ["bad-range"]);
        for good in ["host=10.0.3.* & method=a,b", "method!=a & host!=10.* & arguments[0]=1~5"] {
            assert!(codes(good, Side::When).is_empty(), "{good}");
        }
        assert!(codes("region=$region & host!=10.9.* & port!=1", Side::Then).is_empty());
    }

    #[test]
    fn traps_of_the_whole_text_are_named() {
        let codes = |text: &str| -> Vec<&'static str> {
            of_text(text).iter().map(|trap| trap.code).collect()
        };
        assert_eq!(codes("region=hz"), ["no-arrow"]);
        assert_eq!(codes("application=my-provider.prod => region=hz"), ["prefix-inside"]);
        assert!(codes("consumer.host = 1 => provider.region = hz").is_empty());
        assert!(codes("=> region=hz").is_empty());
    }
}
