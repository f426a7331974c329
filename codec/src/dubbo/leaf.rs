//! A value as far as routing looks into it: a scalar, or the name of its class.

use std::borrow::Cow;

use crate::error::DecodeError;
use crate::head::Argument;
use crate::input::Input;
use crate::{hessian2, jsonb};

/// A string where it stands in a body.
#[derive(Debug, Clone, Copy)]
pub enum Text<'a> {
    /// In a hessian2 body.
    Hessian2(hessian2::Text<'a>),
    /// In a fastjson2 body.
    Jsonb(jsonb::Text<'a>),
}

impl<'a> Text<'a> {
    /// The string, borrowed where its bytes are UTF-8 in one piece.
    pub fn to_str(&self) -> Cow<'a, str> {
        match self {
            Text::Hessian2(text) => text.to_str(),
            Text::Jsonb(text) => text.to_str(),
        }
    }

    /// Whether this is `name`; decided on the bytes where that is possible.
    pub fn is(&self, name: &str) -> bool {
        match self.raw() {
            Some(raw) if name.is_ascii() => raw == name.as_bytes(),
            _ => self.to_str() == name,
        }
    }

    /// Whether this starts with `prefix`.
    pub fn starts_with(&self, prefix: &str) -> bool {
        match self.raw() {
            Some(raw) if prefix.is_ascii() => raw.starts_with(prefix.as_bytes()),
            _ => self.to_str().starts_with(prefix),
        }
    }

    /// The bytes as written, in one piece and in an encoding that writes ASCII
    /// as itself.
    fn raw(&self) -> Option<&'a [u8]> {
        match self {
            Text::Hessian2(text) => text.raw(),
            Text::Jsonb(text) => text.raw(),
        }
    }
}

/// A value as far as routing looks into it.
#[derive(Debug, Clone, Copy)]
pub enum Leaf<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of any width.
    Int(i64),
    /// A float or double.
    Double(f64),
    /// A Java `char`, where it is not written as a string: a UTF-16 unit.
    Char(u16),
    /// A string.
    Text(Text<'a>),
    /// Anything else, with its class where the bytes name one.
    Other(Option<Text<'a>>),
}

impl<'a> Leaf<'a> {
    /// The value as Java's `String.valueOf` gives it; `None` for null and for
    /// what is no scalar, whose text only its Java class knows.
    pub fn to_text(&self) -> Option<Cow<'a, str>> {
        Some(match self {
            Leaf::Null | Leaf::Other(_) => return None,
            Leaf::Bool(true) => Cow::Borrowed("true"),
            Leaf::Bool(false) => Cow::Borrowed("false"),
            Leaf::Int(int) => Cow::Owned(int.to_string()),
            Leaf::Double(double) => Cow::Owned(java_double(*double)),
            Leaf::Char(unit) => Cow::Owned(String::from_utf16_lossy(&[*unit])),
            Leaf::Text(text) => text.to_str(),
        })
    }

    /// The value as a whole number, from an integer or its decimal text.
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Leaf::Int(int) => Some(*int),
            Leaf::Text(text) => text.to_str().parse().ok(),
            _ => None,
        }
    }

    /// Reads, or steps over, the value at `input`.
    pub(crate) fn hessian2(
        input: &mut Input<'a>,
        skip: &mut hessian2::Skip,
    ) -> Result<Leaf<'a>, DecodeError> {
        let what = "value";
        let offset = input.at();
        Ok(match input.peek() {
            Some(0x00..=0x1f | 0x30..=0x33 | b'R' | b'S' | b'N') => {
                match hessian2::scalar::string(input, what)? {
                    Some(text) => Leaf::Text(Text::Hessian2(text)),
                    None => Leaf::Null,
                }
            }
            Some(0x80..=0xd7 | b'I') => Leaf::Int(hessian2::scalar::int(input, what)?.into()),
            Some(0x38..=0x3f | 0xd8..=0xff | b'L' | 0x59) => {
                Leaf::Int(hessian2::scalar::long(input, what)?)
            }
            Some(tag @ (b'T' | b'F')) => {
                input.byte(what)?;
                Leaf::Bool(tag == b'T')
            }
            Some(b'D' | 0x5b..=0x5f) => Leaf::Double(hessian2::scalar::double(input, what)?),
            Some(_) => Leaf::Other(skip.class_of(input)?.map(Text::Hessian2)),
            None => return Err(DecodeError::Truncated { what, offset }),
        })
    }

    /// Reads, or steps over, the value at `input`.
    pub(crate) fn jsonb(
        input: &mut Input<'a>,
        skip: &mut jsonb::Skip<'a>,
    ) -> Result<Leaf<'a>, DecodeError> {
        let what = "value";
        let offset = input.at();
        Ok(match input.peek() {
            Some(0x49..=0x7e | 0xaf) => match jsonb::scalar::string(input, what)? {
                Some(text) => Leaf::Text(Text::Jsonb(text)),
                None => Leaf::Null,
            },
            Some(0x00..=0x48 | 0xbc..=0xff) => Leaf::Int(jsonb::scalar::integer(input, what)?),
            Some(0xb0) => input.byte(what).map(|_| Leaf::Bool(false))?,
            Some(0xb1) => input.byte(what).map(|_| Leaf::Bool(true))?,
            Some(0xb2..=0xb7) => Leaf::Double(jsonb::scalar::double(input, what)?),
            Some(0x90) => {
                input.byte(what)?;
                Leaf::Char(jsonb::scalar::integer(input, what)? as u16)
            }
            Some(0x92) => {
                let mut named = *input;
                named.byte(what)?;
                let class = skip.clone().type_name(&mut named)?;
                skip.value(input)?;
                Leaf::Other(Some(Text::Jsonb(class)))
            }
            Some(_) => {
                skip.value(input)?;
                Leaf::Other(None)
            }
            None => return Err(DecodeError::Truncated { what, offset }),
        })
    }
}

impl<'a> From<Leaf<'a>> for Argument<'a> {
    fn from(leaf: Leaf<'a>) -> Self {
        match leaf {
            Leaf::Null => Argument::Null,
            Leaf::Bool(bool) => Argument::Bool(bool),
            Leaf::Int(int) => Argument::Int(int),
            Leaf::Double(double) => Argument::Double(double),
            Leaf::Char(unit) => Argument::Text(String::from_utf16_lossy(&[unit]).into()),
            Leaf::Text(text) => Argument::Text(text.to_str()),
            Leaf::Other(class) => {
                Argument::Other(class.map_or(Cow::Borrowed(""), |text| text.to_str()))
            }
        }
    }
}

/// `Double.toString`: scientific below 10^-3 and from 10^7, always with a
/// fraction.
fn java_double(double: f64) -> String {
    let size = double.abs();
    if double.is_nan() {
        "NaN".to_owned()
    } else if double.is_infinite() {
        if double > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        format!("{double:?}")
    } else {
        let text = format!("{double:E}");
        match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
            _ => text,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_inside_a_jsonb_object_are_known_after_it() {
        // {"@type": "T" as 0, name "a" as 1: 1}, then {"@type": 0, name 1: 2}.
        let bytes = b"\x92\x4aT\x00\xa6\x7f\x4aa\x01\x01\xa5\x92\x00\xa6\x7f\x01\x02\xa5";
        let mut input = Input::new(bytes, 0);
        let mut skip = jsonb::Skip::default();
        for _ in 0..2 {
            let leaf = Leaf::jsonb(&mut input, &mut skip).unwrap();
            let Leaf::Other(Some(class)) = leaf else { panic!("{leaf:?}") };
            assert!(class.is("T"));
        }
        assert!(input.is_at_end());
    }

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        for (double, text) in [
            (0.0, "0.0"),
            (1.5, "1.5"),
            (1e7, "1.0E7"),
            (1.25e-5, "1.25E-5"),
            (9_999_999.0, "9999999.0"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(java_double(double), text);
        }
    }
}
