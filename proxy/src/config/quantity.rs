//! Durations (`500ms`, `1.5s`) and sizes (`8MiB`) as people write them.

use std::fmt;
use std::time::Duration;

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1_000), ("us", 1), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

const SIZES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Reads a duration as configurations write it (`500ms`, `1.5s`; units `us`, `ms`,
/// `s`, `m`, `h`); `None` when the text is none.
pub fn duration(text: &str) -> Option<Duration> {
    quantity(text, &DURATIONS).map(Duration::from_micros)
}

/// Reads a size in bytes; a bare number is one. `None` when the text is none.
pub(super) fn size(text: &str) -> Option<u64> {
    quantity(text, &SIZES).or_else(|| text.parse().ok())
}

/// A decimal number followed by one of `units`, in the smallest unit. What is
/// smaller than that is cut off; a number too large for it is refused.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let part = fraction.parse::<u128>().ok()? * u128::from(factor) / scale;
    whole.checked_add(u64::try_from(part).ok()?)
}

/// A duration in the largest unit that shows it exactly.
pub(super) struct ShownDuration(pub(super) Duration);

impl fmt::Display for ShownDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        for (unit, factor) in
            [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)]
        {
            if micros > 0 && micros.is_multiple_of(factor) {
                return write!(f, "{}{unit}", micros / factor);
            }
        }
        write!(f, "{micros}us")
    }
}

/// A size in the largest binary unit that shows it exactly.
pub(super) struct ShownSize(pub(super) u64);

impl fmt::Display for ShownSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 > 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, micros) in [
            ("500ms", Some(500_000)),
            ("1.5s", Some(1_500_000)),
            ("1s", Some(1_000_000)),
            ("2 m", Some(120_000_000)),
            ("1h", Some(3_600_000_000)),
            ("7us", Some(7)),
            ("0s", Some(0)),
            ("1", None),
            ("s", None),
            ("-1s", None),
            ("1.s", None),
            (".5s", None),
            ("1e3s", None),
            ("1 second", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
            ("0.99999999999999999s", None),
        ] {
            assert_eq!(duration(text), micros.map(Duration::from_micros), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("8MiB", Some(8 << 20)),
            ("8 MiB", Some(8 << 20)),
            ("1.5KiB", Some(1536)),
            ("2GiB", Some(2 << 30)),
            ("10kB", Some(10_000)),
            ("10MB", Some(10_000_000)),
            ("17B", Some(17)),
            ("17", Some(17)),
            ("8mib", None),
            ("many", None),
            ("", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["250us", "500ms", "1s", "90s", "2m", "1h"] {
            assert_eq!(ShownDuration(duration(text).expect("a duration")).to_string(), text);
        }
        for text in ["1000B", "3KiB", "64MiB", "2GiB"] {
            assert_eq!(ShownSize(size(text).expect("a size")).to_string(), text);
        }
    }
}
