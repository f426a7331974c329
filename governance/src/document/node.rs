//! YAML values that know where they stand.

use super::mapping::Mapping;
use super::report::Report;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Position {
    /// Line, from 1; 0 for the document as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 for the document as a whole.
    pub column: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it starts. For a value reached by an alias, where the anchored
    /// value stands.
    pub position: Position,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text, number, boolean, date or null: YAML leaves that to the reader.
    Scalar(Scalar),
    /// `[a, b]`.
    Sequence(Vec<Node>),
    /// `{a: b}`, in the order written; no key stands twice.
    Mapping(Vec<(Node, Node)>),
}

/// A scalar as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, quotes and escapes undone.
    pub text: String,
    /// Whether it stood without quotes (and without a `!!str` tag), so that it
    /// may be something else than text.
    pub is_plain: bool,
}

/// What a scalar is by the rules of YAML 1.1, as SnakeYAML resolves it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resolved<'a> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Date,
    Text(&'a str),
}

impl Scalar {
    /// Whether it is nothing: empty, `~` or `null` without quotes.
    pub fn is_null(&self) -> bool {
        self.is_plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// As SnakeYAML's `Resolver` and `SafeConstructor` read it (YAML 1.1).
    pub(crate) fn resolve(&self) -> Resolved<'_> {
        let text = self.text.as_str();
        if !self.is_plain {
            return Resolved::Text(text);
        }
        if self.is_null() {
            return Resolved::Null;
        }
        match text {
            "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                return Resolved::Bool(true);
            }
            "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                return Resolved::Bool(false);
            }
            _ => {}
        }
        if let Some(number) = integer_1_1(text) {
            return Resolved::Int(number);
        }
        if let Some(number) = float_1_1(text) {
            return Resolved::Float(number);
        }
        if is_date(text) { Resolved::Date } else { Resolved::Text(text) }
    }
}

/// An integer in YAML 1.1's notations: decimal, octal (leading 0), binary,
/// hexadecimal, sexagesimal, each with underscores.
fn integer_1_1(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let first = *digits.as_bytes().first()?;
    if !first.is_ascii_digit() {
        return None;
    }
    let plain = digits.replace('_', "");
    let number = if let Some(binary) = plain.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = plain.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()?
    } else if plain.contains(':') {
        if first == b'0' {
            return None;
        }
        let mut total: i128 = 0;
        for (index, part) in plain.split(':').enumerate() {
            let value: i128 = part.parse().ok().filter(|_| !part.starts_with(['+', '-']))?;
            if index > 0 && (part.len() > 2 || value >= 60) {
                return None;
            }
            total = total.checked_mul(60)?.checked_add(value)?;
        }
        total
    } else if plain.len() > 1 && plain.starts_with('0') {
        i128::from_str_radix(&plain, 8).ok()?
    } else if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        plain.parse().ok()?
    } else {
        return None;
    };
    Some(if negative { -number } else { number })
}

/// A float in YAML 1.1's notations, without the sexagesimal one.
fn float_1_1(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let mut digits = 0;
    let mut points = 0;
    let mut bytes = unsigned.bytes().peekable();
    let mut exponent = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'_' if digits > 0 || points > 0 => {}
            b'.' if !exponent => points += 1,
            b'e' | b'E' if digits > 0 && !exponent => {
                exponent = true;
                if matches!(bytes.peek(), Some(b'-' | b'+')) {
                    bytes.next();
                }
                bytes.peek()?;
            }
            _ => return None,
        }
    }
    if digits == 0 || points > 1 || points == 0 && !exponent {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A date or a time stamp: SnakeYAML makes a `Date` of it.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    if !digits(0..4) || bytes.get(4) != Some(&b'-') {
        return false;
    }
    if bytes.len() == 10 {
        return digits(5..7) && bytes.get(7) == Some(&b'-') && digits(8..10);
    }
    // A longer one needs a time behind it.
    let Some((date, time)) = text.split_once(['T', 't', ' ', '\t']) else { return false };
    let parts: Vec<&str> = date.split('-').collect();
    matches!(parts.as_slice(), [_, month, day] if [month, day].iter().all(|part| {
        (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    })) && time.trim_start().split(':').count() >= 3
        && time.trim_start().starts_with(|first: char| first.is_ascii_digit())
}

impl Node {
    /// A word for what it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// Whether it is nothing: `key:` without a value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Reads a mapping; `what` names the value in messages.
    pub fn mapping<'n>(&'n self, what: &str, report: &mut Report) -> Option<Mapping<'n>> {
        match &self.value {
            Value::Mapping(entries) => Some(Mapping::new(entries, self.position)),
            _ => {
                self.wrong_type(what, "a mapping (key: value)", report);
                None
            }
        }
    }

    /// Reads a list; `what` names the value in messages.
    pub fn list(&self, what: &str, report: &mut Report) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => {
                self.wrong_type(what, "a list", report);
                None
            }
        }
    }

    /// Reads a text: any scalar but null, as it is written.
    pub fn text(&self, what: &str, report: &mut Report) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => {
                self.wrong_type(what, "a text", report);
                None
            }
        }
    }

    /// Reads `true` or `false`.
    pub fn boolean(&self, what: &str, report: &mut Report) -> Option<bool> {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_plain && scalar.text == "true" => Some(true),
            Value::Scalar(scalar) if scalar.is_plain && scalar.text == "false" => Some(false),
            _ => {
                self.wrong_type(what, "true or false", report);
                None
            }
        }
    }

    /// Reads a whole number within a range.
    pub fn integer(
        &self,
        what: &str,
        range: std::ops::RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<u64> {
        let text = match &self.value {
            Value::Scalar(scalar) if scalar.is_plain => scalar.text.as_str(),
            _ => "",
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            self.wrong_type(what, "a whole number", report);
            return None;
        }
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                report.error(
                    self.position,
                    "out-of-range",
                    format!(
                        "{what} is {text}, but must be from {} to {}",
                        range.start(),
                        range.end()
                    ),
                    "",
                );
                None
            }
        }
    }

    pub(crate) fn wrong_type(&self, what: &str, wanted: &str, report: &mut Report) {
        let found = match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => format!("{:?}", shorten(&scalar.text)),
            _ => self.kind().to_owned(),
        };
        report.error(
            self.position,
            "wrong-type",
            format!("{what} must be {wanted}, but is {found}"),
            "",
        );
    }
}

/// At most 60 characters of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Resolved<'_> {
        // Leaked on purpose: a test.
        let scalar = Box::leak(Box::new(Scalar { text: text.to_owned(), is_plain: true }));
        scalar.resolve()
    }

    #[test]
    fn scalars_resolve_as_in_yaml_1_1() {
        for (text, expected) in [
            ("", Resolved::Null),
            ("~", Resolved::Null),
            ("yes", Resolved::Bool(true)),
            ("Off", Resolved::Bool(false)),
            ("y", Resolved::Text("y")),
            ("12", Resolved::Int(12)),
            ("-1_000", Resolved::Int(-1000)),
            ("010", Resolved::Int(8)),
            ("0x1F", Resolved::Int(31)),
            ("0b11", Resolved::Int(3)),
            ("1:30", Resolved::Int(90)),
            ("09", Resolved::Text("09")),
            ("3.0", Resolved::Float(3.0)),
            ("1e3", Resolved::Float(1000.0)),
            ("v3.0", Resolved::Text("v3.0")),
            ("1.2.3", Resolved::Text("1.2.3")),
            ("10.0.0.1:20880", Resolved::Text("10.0.0.1:20880")),
            ("2026-11-23", Resolved::Date),
            ("2026-11-23 10:00:00", Resolved::Date),
            ("2026-11-x", Resolved::Text("2026-11-x")),
            ("+", Resolved::Text("+")),
            (".", Resolved::Text(".")),
        ] {
            assert_eq!(resolve(text), expected, "{text:?}");
        }
    }
}
