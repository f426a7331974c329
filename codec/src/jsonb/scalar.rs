//! Strings, integers and lengths where they stand.

use crate::error::DecodeError;
use crate::input::Input;

use super::text::{Charset, Text};

/// A string or null.
///
/// # Errors
/// When something else stands there, or the data ends inside.
#[inline]
pub fn string<'a>(
    input: &mut Input<'a>,
    what: &'static str,
) -> Result<Option<Text<'a>>, DecodeError> {
    let offset = input.at();
    match input.byte(what)? {
        0xaf => Ok(None),
        tag => match string_after(input, tag, what)? {
            Some(text) => Ok(Some(text)),
            None => Err(DecodeError::Unexpected { what, expected: "a string", found: tag, offset }),
        },
    }
}

/// The rest of a string whose tag is already taken; `None` when the tag is not
/// a string's.
#[inline]
pub(super) fn string_after<'a>(
    input: &mut Input<'a>,
    tag: u8,
    what: &'static str,
) -> Result<Option<Text<'a>>, DecodeError> {
    let (charset, length) = match tag {
        0x49..=0x78 => (Charset::Latin1, usize::from(tag - 0x49)),
        0x79 => (Charset::Latin1, length(input, what)?),
        0x7a => (Charset::Utf8, length(input, what)?),
        0x7b => (Charset::Utf16, length(input, what)?),
        0x7c => (Charset::Utf16Le, length(input, what)?),
        0x7d => (Charset::Utf16Be, length(input, what)?),
        0x7e => (Charset::Gb18030, length(input, what)?),
        _ => return Ok(None),
    };
    Ok(Some(Text { bytes: input.take(length, what)?, charset }))
}

/// A length or count, which is never more than the bytes left.
///
/// # Errors
/// When it is no 32-bit integer, negative, or more than the bytes left.
pub fn length(input: &mut Input<'_>, what: &'static str) -> Result<usize, DecodeError> {
    let offset = input.at();
    let tag = input.byte(what)?;
    let Some(length) = int32_after(input, tag, what)? else {
        return Err(DecodeError::Unexpected { what, expected: "a length", found: tag, offset });
    };
    match usize::try_from(length) {
        Ok(length) if length <= input.remaining() => Ok(length),
        Ok(_) => Err(DecodeError::Truncated { what, offset }),
        Err(_) => Err(DecodeError::TooLarge {
            what,
            found: u64::from(length as u32),
            limit: i32::MAX as u64,
        }),
    }
}

/// An integer of any width.
///
/// # Errors
/// When something else stands there, or the data ends inside.
pub fn integer(input: &mut Input<'_>, what: &'static str) -> Result<i64, DecodeError> {
    let offset = input.at();
    let tag = input.byte(what)?;
    if let Some(int) = int32_after(input, tag, what)? {
        return Ok(i64::from(int));
    }
    int64_after(input, tag, what)?.ok_or(DecodeError::Unexpected {
        what,
        expected: "an integer",
        found: tag,
        offset,
    })
}

/// The rest of an integer of at most 32 bits; `None` when the tag is not one's.
#[inline]
pub(super) fn int32_after(
    input: &mut Input<'_>,
    tag: u8,
    what: &'static str,
) -> Result<Option<i32>, DecodeError> {
    Ok(Some(match tag {
        0x00..=0x2f => i32::from(tag),
        0xf0..=0xff => i32::from(tag as i8),
        0x30..=0x3f => (i32::from(tag) - 0x38) << 8 | i32::from(input.byte(what)?),
        0x40..=0x47 => {
            (i32::from(tag) - 0x44) << 16 | i32::from(u16::from_be_bytes(input.array(what)?))
        }
        0x48 => i32::from_be_bytes(input.array(what)?),
        0xbd => i32::from(input.byte(what)? as i8),
        0xbc => i32::from(i16::from_be_bytes(input.array(what)?)),
        _ => return Ok(None),
    }))
}

/// The rest of a `long`; `None` when the tag is not one's.
pub(super) fn int64_after(
    input: &mut Input<'_>,
    tag: u8,
    what: &'static str,
) -> Result<Option<i64>, DecodeError> {
    Ok(Some(match tag {
        0xd8..=0xef => i64::from(tag) - 0xd8 - 8,
        0xc8..=0xd7 => (i64::from(tag) - 0xd0) << 8 | i64::from(input.byte(what)?),
        0xc0..=0xc7 => {
            (i64::from(tag) - 0xc4) << 16 | i64::from(u16::from_be_bytes(input.array(what)?))
        }
        0xbf => i64::from(i32::from_be_bytes(input.array(what)?)),
        0xbe => i64::from_be_bytes(input.array(what)?),
        _ => return Ok(None),
    }))
}

/// A float or double, in any of its forms.
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

/// The rest of a float or double; `None` when the tag is not one's.
pub(super) fn double_after(
    input: &mut Input<'_>,
    tag: u8,
    what: &'static str,
) -> Result<Option<f64>, DecodeError> {
    Ok(Some(match tag {
        0xb2 => 0.0,
        0xb3 => 1.0,
        0xb4 | 0xb6 => integer(input, what)? as f64,
        0xb5 => f64::from_be_bytes(input.array(what)?),
        0xb7 => f64::from(f32::from_be_bytes(input.array(what)?)),
        _ => return Ok(None),
    }))
}
