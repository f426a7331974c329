//! Where the values come from that a condition compares.

use super::expression::{Mistake, Side};

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

impl Source {
    pub(super) fn of(key: &str, side: Side) -> Result<Source, Mistake> {
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
    pub(super) fn of_java(key: &str, side: Side) -> Source {
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

pub(super) fn misplaced(key: &str) -> Mistake {
    Mistake {
        message: format!("{key} is a property of the call, but right of => endpoints are matched"),
        hint: "move it left of =>",
    }
}
