//! Numbers of any size, and times.

use crate::error::DecodeError;
use crate::hessian2::Limits;
use crate::input::Input;
use crate::value::Value;

use super::scalar;

/// Bytes of an integer that are turned into decimal digits, which takes time
/// quadratic in them.
const BIG_BYTES: usize = 1024;

/// The rest of a `BigInteger` (a `long` where it fits, else its decimal text)
/// or a `BigDecimal`.
pub(super) fn big(input: &mut Input<'_>, tag: u8) -> Result<Value, DecodeError> {
    let what = "big number";
    Ok(match tag {
        0xba => Value::Long(scalar::integer(input, what)?),
        0xbb => Value::String(big_integer(input)?),
        0xb8 => big_decimal(&scalar::integer(input, what)?.to_string(), 0),
        _ => {
            let scale = scalar::integer(input, what)?;
            let offset = input.at();
            let digits = match input.byte(what)? {
                0xbb => big_integer(input)?,
                0xba => scalar::integer(input, what)?.to_string(),
                tag => match scalar::int32_after(input, tag, what)? {
                    Some(int) => int.to_string(),
                    None => scalar::int64_after(input, tag, what)?
                        .ok_or(DecodeError::Unexpected {
                            what,
                            expected: "the unscaled value",
                            found: tag,
                            offset,
                        })?
                        .to_string(),
                },
            };
            big_decimal(&digits, scale)
        }
    })
}

/// As hessian2 has it: an object of one field, its text.
fn big_decimal(digits: &str, scale: i64) -> Value {
    let text = match usize::try_from(scale) {
        Ok(0) => digits.to_owned(),
        Ok(scale) if scale <= BIG_BYTES => {
            let (sign, digits) = match digits.strip_prefix('-') {
                Some(digits) => ("-", digits),
                None => ("", digits),
            };
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        _ => format!("{digits}E{}", scale.wrapping_neg()),
    };
    Value::object("java.math.BigDecimal", vec![("value", Value::String(text))])
}

fn big_integer(input: &mut Input<'_>) -> Result<String, DecodeError> {
    let length = scalar::length(input, "big integer")?;
    Limits::check("big integer", length, BIG_BYTES)?;
    Ok(decimal(input.take(length, "big integer")?))
}

/// The decimal text of a big-endian two's complement number.
fn decimal(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut carry = negative;
    // The magnitude, least significant byte first.
    let magnitude: Vec<u8> = bytes
        .iter()
        .rev()
        .map(|&byte| {
            let byte = if negative { !byte } else { byte };
            let (sum, over) = byte.overflowing_add(u8::from(carry));
            carry = over;
            sum
        })
        .collect();
    let mut groups: Vec<u32> = Vec::new();
    const GROUP: u64 = 1_000_000_000;
    for byte in magnitude.into_iter().rev() {
        let mut carry = u64::from(byte);
        for group in &mut groups {
            let value = (u64::from(*group) << 8) + carry;
            *group = (value % GROUP) as u32;
            carry = value / GROUP;
        }
        if carry > 0 {
            groups.push(carry as u32);
        }
    }
    let Some((first, rest)) = groups.split_last() else { return "0".to_owned() };
    let mut text = if negative { "-".to_owned() } else { String::new() };
    text.push_str(&first.to_string());
    for group in rest.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

/// The rest of a point in time (a date) or of a `java.time` value (its text).
pub(super) fn time(input: &mut Input<'_>, tag: u8) -> Result<Value, DecodeError> {
    let what = "time";
    let millis = match tag {
        0xab => i64::from_be_bytes(input.array(what)?),
        0xac => i64::from(i32::from_be_bytes(input.array(what)?)) * 1000,
        0xad => i64::from(i32::from_be_bytes(input.array(what)?)) * 60_000,
        0xae => {
            let seconds = scalar::integer(input, what)?;
            let nanos = scalar::integer(input, what)?;
            seconds.wrapping_mul(1000).wrapping_add(nanos / 1_000_000)
        }
        _ => return java_time(input, tag).map(Value::String),
    };
    Ok(Value::Date(millis))
}

fn java_time(input: &mut Input<'_>, tag: u8) -> Result<String, DecodeError> {
    let what = "time";
    let mut text = String::new();
    if tag != 0xa7 {
        let year = i16::from_be_bytes(input.array(what)?);
        let [month, day] = input.array(what)?;
        text = format!("{year:04}-{month:02}-{day:02}");
    }
    if tag != 0xa9 {
        let [hour, minute, second] = input.array(what)?;
        let nanos = scalar::integer(input, what)?;
        if !text.is_empty() {
            text.push('T');
        }
        text.push_str(&format!("{hour:02}:{minute:02}:{second:02}"));
        if nanos != 0 {
            text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
        }
    }
    if tag == 0xaa
        && let Some(zone) = scalar::string(input, "time zone")?
    {
        text.push_str(&format!("[{}]", zone.to_str()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_numbers_become_decimal_text() {
        for (number, bytes) in [
            ("0", &[0][..]),
            ("-1", &[0xff]),
            ("255", &[0, 255]),
            ("-32768", &[0x80, 0]),
            ("18446744073709551616", &[1, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("-1000000000000000000000", &[0xc9, 0xca, 0x36, 0x52, 0x3a, 0x21, 0x60, 0, 0]),
        ] {
            assert_eq!(decimal(bytes), number);
        }
        let text = |digits, scale| big_decimal(digits, scale).get("value").cloned();
        assert_eq!(text("150", 2), Some("1.50".into()));
        assert_eq!(text("-5", 3), Some("-0.005".into()));
        assert_eq!(text("5", -3), Some("5E3".into()));
    }
}
