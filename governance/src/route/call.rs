//! A call as rules see it.

use std::borrow::Cow;

use codec::{Argument, DecodeError, RequestHead};

use crate::decide::Caller;
use crate::java::{ShortText, double_text, long_text};
use crate::rules::Compat;
use crate::rules::condition::{Clause, Expression, SENTINEL, Source};

/// A call, its caller, and what it asked for.
pub(crate) struct CallView<'a> {
    pub(crate) head: &'a dyn RequestHead,
    pub(crate) caller: Caller<'a>,
    pub(crate) service: &'a str,
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    /// The method; for a generic call, the one that it names.
    pub(crate) method: Cow<'a, str>,
    pub(crate) compat: Compat,
}

/// A value that a rule asks a call for.
enum Found<'a> {
    Text(Cow<'a, str>),
    Short(ShortText),
    Missing,
    Unreadable(DecodeError),
}

/// Why an expression does not apply to a call.
pub(crate) struct Mismatch<'r> {
    clause: &'r Clause,
    error: Option<DecodeError>,
}

impl Mismatch<'_> {
    /// A note for explanations.
    pub(crate) fn note(&self, call: &CallView<'_>) -> String {
        let key = &self.clause.key;
        if let Some(error) = &self.error {
            return format!("does not apply: {key} cannot be read: {error}");
        }
        match call.find(&self.clause.source) {
            Found::Text(text) => format!("does not apply: {key} is {text:?}"),
            Found::Short(text) => format!("does not apply: {key} is {}", text.as_str()),
            Found::Missing | Found::Unreadable(_) => {
                format!("does not apply: the call has no {key}")
            }
        }
    }
}

impl<'a> CallView<'a> {
    /// The method that is called: of a generic call, the one that its first
    /// argument names (`RpcUtils.getMethodName`).
    pub(crate) fn method_of(head: &'a dyn RequestHead, method: &'a str) -> Cow<'a, str> {
        head.meant_method().unwrap_or(Cow::Borrowed(method))
    }

    /// Whether an expression applies to this call.
    pub(crate) fn check<'r>(&self, expression: &'r Expression) -> Result<(), Mismatch<'r>> {
        for clause in &expression.clauses {
            let short;
            let text;
            let value = match self.find(&clause.source) {
                Found::Text(found) => {
                    text = found;
                    &*text
                }
                Found::Short(found) => {
                    short = found;
                    short.as_str()
                }
                Found::Missing => return Err(Mismatch { clause, error: None }),
                Found::Unreadable(error) => return Err(Mismatch { clause, error: Some(error) }),
            };
            if !clause.is_match(value, &|_| None) {
                return Err(Mismatch { clause, error: None });
            }
        }
        Ok(())
    }

    fn find(&self, source: &Source) -> Found<'_> {
        match source {
            Source::Method => Found::Text(Cow::Borrowed(&self.method)),
            Source::Argument(index) => match self.head.argument(*index) {
                Ok(Some(argument)) => text_of(argument),
                Ok(None) if self.compat == Compat::Java => Found::Text(Cow::Borrowed(SENTINEL)),
                Ok(None) => Found::Missing,
                Err(error) => Found::Unreadable(error),
            },
            Source::Attachment(name) => match self.head.field(name) {
                Ok(Some(value)) => Found::Text(value),
                Ok(None) => Found::Missing,
                Err(error) => Found::Unreadable(error),
            },
            Source::Parameter(key) => match self.parameter(key) {
                Some(value) => Found::Text(Cow::Borrowed(value)),
                None => Found::Missing,
            },
            Source::Sentinel => Found::Text(Cow::Borrowed(SENTINEL)),
        }
    }

    /// A parameter of the caller, as of a Dubbo consumer URL
    /// `consumer://<address>/<service>?application=…&<labels>`, with what is
    /// part of its address (`URL.toOriginalMap`).
    pub(crate) fn parameter(&self, key: &str) -> Option<&'a str> {
        match key {
            "protocol" => Some("consumer"),
            "host" | "address" => Some(self.caller.address),
            "path" => Some(self.service),
            _ => self.plain_parameter(key),
        }
    }

    /// A parameter of the caller that a rule's right side names with `$`
    /// (`URL.getRawParameter`).
    pub(crate) fn variable(&self, key: &str) -> Option<&'a str> {
        match key {
            "protocol" => Some("consumer"),
            "host" => Some(self.caller.address),
            "port" => Some("0"),
            "path" => Some(self.service),
            "username" | "password" => None,
            _ => self.plain_parameter(key),
        }
    }

    /// A parameter of the caller's URL, without the parts of its address.
    pub(crate) fn plain_parameter(&self, key: &str) -> Option<&'a str> {
        if let Some(label) = self.caller.labels.get(key) {
            return Some(label);
        }
        let own = match key {
            "application" => self.caller.application,
            "interface" => self.service,
            "group" => self.group,
            "version" => self.version,
            "side" => "consumer",
            _ => "",
        };
        (!own.is_empty()).then_some(own)
    }
}

/// An argument as Java's `String.valueOf` writes it. An object's text cannot be
/// known.
fn text_of(argument: Argument<'_>) -> Found<'_> {
    match argument {
        Argument::Null => Found::Text(Cow::Borrowed("null")),
        Argument::Bool(true) => Found::Text(Cow::Borrowed("true")),
        Argument::Bool(false) => Found::Text(Cow::Borrowed("false")),
        Argument::Int(value) => Found::Short(long_text(value)),
        Argument::Double(value) => Found::Short(double_text(value)),
        Argument::Text(text) => Found::Text(text),
        Argument::Other(_) => Found::Missing,
    }
}

impl Clause {
    /// Whether a value is as the clause wants it
    /// (`AbstractConditionMatcher.isMatch`): no mismatch may apply, and one
    /// match must, where there are any.
    pub(crate) fn is_match<'v>(
        &self,
        value: &str,
        variable: &dyn Fn(&str) -> Option<&'v str>,
    ) -> bool {
        if self.matches.is_empty() && self.mismatches.is_empty() {
            return false;
        }
        !self.mismatches.iter().any(|pattern| pattern.is_match(value, variable))
            && (self.matches.is_empty()
                || self.matches.iter().any(|pattern| pattern.is_match(value, variable)))
    }

    /// Whether a variable of the caller is needed to answer.
    pub(crate) fn needs_caller(&self) -> bool {
        self.matches
            .iter()
            .chain(&self.mismatches)
            .any(|pattern| matches!(pattern, crate::rules::condition::Pattern::Variable(_)))
    }
}
