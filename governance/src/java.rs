//! How Java writes numbers, without allocating.

use std::fmt::{self, Write};

/// A short text in place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShortText {
    bytes: [u8; 40],
    length: u8,
}

impl ShortText {
    fn new() -> Self {
        ShortText { bytes: [0; 40], length: 0 }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.length);
        let end = start + text.len();
        self.bytes.get_mut(start..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = u8::try_from(end).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

/// `Long.toString`.
pub(crate) fn long_text(value: i64) -> ShortText {
    let mut text = ShortText::new();
    // 20 digits fit into 40 bytes.
    let _ = write!(text, "{value}");
    text
}

/// `Double.toString`: plain notation from 0.001 to below 10,000,000, else
/// scientific with a point.
pub(crate) fn double_text(value: f64) -> ShortText {
    let mut text = ShortText::new();
    let size = value.abs();
    let written = if value.is_nan() {
        write!(text, "NaN")
    } else if value.is_infinite() {
        write!(text, "{}Infinity", if value < 0.0 { "-" } else { "" })
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        write!(text, "{value:?}")
    } else {
        write_scientific(&mut text, value)
    };
    // The shortest form of a double has at most 24 characters.
    debug_assert!(written.is_ok());
    text
}

fn write_scientific(text: &mut ShortText, value: f64) -> fmt::Result {
    let mut plain = ShortText::new();
    write!(plain, "{value:e}")?;
    let (digits, exponent) = plain.as_str().split_once('e').unwrap_or((plain.as_str(), "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    write!(text, "{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_in_java() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (3.0, "3.0"),
            (1.5, "1.5"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1.25e10, "-1.25E10"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
        ] {
            assert_eq!(double_text(value).as_str(), expected);
        }
        assert_eq!(long_text(i64::MIN).as_str(), "-9223372036854775808");
    }
}
