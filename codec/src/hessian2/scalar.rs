//! The scalar forms, borrowed from the bytes.

use crate::error::DecodeError;
use crate::input::Input;

use super::text::{self, Text};

/// A string or null (as `Hessian2Input.readString`, without its
/// conversions from numbers).
///
/// # Errors
/// When something else stands there, or the data ends inside.
pub fn string<'a>(
    input: &mut Input<'a>,
    what: &'static str,
) -> Result<Option<Text<'a>>, DecodeError> {
    let start = input.at();
    let truncated = DecodeError::Truncated { what, offset: start };
    let Some(tag) = input.peek() else { return Err(truncated) };
    if tag == b'N' {
        input.move_to(start + 1);
        return Ok(None);
    }
    let Some((units, last, used)) = text::chunk_header(input.bytes(), start) else {
        return Err(match tag {
            0x30..=0x33 | b'R' | b'S' => truncated,
            found => DecodeError::Unexpected { what, expected: "a string", found, offset: start },
        });
    };
    let first = start + used;
    let Some(end) = text::units_end(input.bytes(), first, units) else { return Err(truncated) };
    input.move_to(end);
    if last {
        return Ok(Some(Text::whole(input.slice(first, end))));
    }
    rest_of_string(input, what)?;
    Ok(Some(Text::chunked(input.slice(first, input.at()), units)))
}

/// A string in the form nearly all take: at most 31 units, ASCII. Anything else
/// is left where it is, for [`string`] to read.
///
/// A head is some twenty such strings; two registers are returned much faster
/// than [`string`]'s result, which goes through memory.
#[inline(always)]
pub fn plain_string<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let units = input.peek().filter(|tag| *tag <= 0x1f)?;
    let first = input.at() + 1;
    let end = first + usize::from(units);
    let bytes = input.bytes().get(first..end)?;
    if !text::is_ascii(bytes) {
        return None;
    }
    input.move_to(end);
    Some(bytes)
}

/// The chunks after a first one that was not the last.
fn rest_of_string(input: &mut Input<'_>, what: &'static str) -> Result<(), DecodeError> {
    loop {
        let offset = input.at();
        let truncated = DecodeError::Truncated { what, offset };
        let Some(tag) = input.peek() else { return Err(truncated) };
        let Some((units, last, used)) = text::chunk_header(input.bytes(), offset) else {
            return Err(match tag {
                0x30..=0x33 | b'R' | b'S' => truncated,
                found => DecodeError::Unexpected {
                    what,
                    expected: "the string's next chunk",
                    found,
                    offset,
                },
            });
        };
        match text::units_end(input.bytes(), offset + used, units) {
            Some(end) => input.move_to(end),
            None => return Err(truncated),
        }
        if last {
            return Ok(());
        }
    }
}

/// The next piece of a binary: its bytes, and whether it is the last.
///
/// # Errors
/// When something else stands there, or the data ends inside.
pub fn binary_piece<'a>(input: &mut Input<'a>) -> Result<(&'a [u8], bool), DecodeError> {
    let what = "binary";
    let offset = input.at();
    let tag = input.byte(what)?;
    let (length, last) = match tag {
        0x20..=0x2f => (usize::from(tag - 0x20), true),
        0x34..=0x37 => (usize::from(tag - 0x34) << 8 | usize::from(input.byte(what)?), true),
        b'B' => (usize::from(u16::from_be_bytes(input.array(what)?)), true),
        b'A' => (usize::from(u16::from_be_bytes(input.array(what)?)), false),
        found => {
            return Err(DecodeError::Unexpected {
                what,
                expected: "a binary chunk",
                found,
                offset,
            });
        }
    };
    Ok((input.take(length, what)?, last))
}

/// An int, in any of its forms.
///
/// # Errors
/// When something else stands there, or the data ends inside.
pub fn int(input: &mut Input<'_>, what: &'static str) -> Result<i32, DecodeError> {
    let offset = input.at();
    let tag = input.byte(what)?;
    int_after(input, tag, what)?.ok_or(DecodeError::Unexpected {
        what,
        expected: "an int",
        found: tag,
        offset,
    })
}

/// The rest of an int whose tag is already taken; `None` when the tag is
/// not an int's.
pub(super) fn int_after(
    input: &mut Input<'_>,
    tag: u8,
    what: &'static str,
) -> Result<Option<i32>, DecodeError> {
    Ok(Some(match tag {
        0x80..=0xbf => i32::from(tag) - 0x90,
        0xc0..=0xcf => (i32::from(tag) - 0xc8) << 8 | i32::from(input.byte(what)?),
        0xd0..=0xd7 => {
            (i32::from(tag) - 0xd4) << 16 | i32::from(u16::from_be_bytes(input.array(what)?))
        }
        b'I' => i32::from_be_bytes(input.array(what)?),
        _ => return Ok(None),
    }))
}

/// A long, in any of its forms.
///
/// # Errors
/// When something else stands there, or the data ends inside.
pub fn long(input: &mut Input<'_>, what: &'static str) -> Result<i64, DecodeError> {
    let offset = input.at();
    let tag = input.byte(what)?;
    long_after(input, tag, what)?.ok_or(DecodeError::Unexpected {
        what,
        expected: "a long",
        found: tag,
        offset,
    })
}

/// The rest of a long whose tag is already taken; `None` when the tag is not a
/// long's.
pub(super) fn long_after(
    input: &mut Input<'_>,
    tag: u8,
    what: &'static str,
) -> Result<Option<i64>, DecodeError> {
    Ok(Some(match tag {
        0xd8..=0xef => i64::from(tag) - 0xe0,
        0xf0..=0xff => (i64::from(tag) - 0xf8) << 8 | i64::from(input.byte(what)?),
        0x38..=0x3f => {
            (i64::from(tag) - 0x3c) << 16 | i64::from(u16::from_be_bytes(input.array(what)?))
        }
        0x59 => i64::from(i32::from_be_bytes(input.array(what)?)),
        b'L' => i64::from_be_bytes(input.array(what)?),
        _ => return Ok(None),
    }))
}

/// A double, in any of its forms.
///
/// # Errors
/// When something else stands there, or the data ends inside.
pub fn double(input: &mut Input<'_>, what: &'static str) -> Result<f64, DecodeError> {
    let offset = input.at();
    let tag = input.byte(what)?;
    double_after(input, tag, what)?.ok_or(DecodeError::Unexpected {
        what,
        expected: "a double",
        found: tag,
        offset,
    })
}

/// The rest of a double whose tag is already taken; `None` when the tag is not
/// a double's. Form 0x5f is a count of thousandths (`BC_DOUBLE_MILL`), not the
/// specification's 32-bit float.
pub(super) fn double_after(
    input: &mut Input<'_>,
    tag: u8,
    what: &'static str,
) -> Result<Option<f64>, DecodeError> {
    Ok(Some(match tag {
        0x5b => 0.0,
        0x5c => 1.0,
        0x5d => f64::from(input.byte(what)? as i8),
        0x5e => f64::from(i16::from_be_bytes(input.array(what)?)),
        0x5f => 0.001 * f64::from(i32::from_be_bytes(input.array(what)?)),
        b'D' => f64::from_be_bytes(input.array(what)?),
        _ => return Ok(None),
    }))
}

/// A count of elements or fields.
///
/// # Errors
/// When it is no int, or more than the bytes left (each costs at least one).
pub fn count(input: &mut Input<'_>, what: &'static str) -> Result<usize, DecodeError> {
    let offset = input.at();
    let count = int(input, what)?;
    match usize::try_from(count) {
        Ok(count) if count <= input.remaining() => Ok(count),
        Ok(_) => Err(DecodeError::Truncated { what, offset }),
        Err(_) => Err(DecodeError::TooLarge {
            what,
            found: u64::from(count as u32),
            limit: i32::MAX as u64,
        }),
    }
}
