//! The forms, as hessian-lite writes them: always the shortest.

use bytes::{BufMut, BytesMut};

/// Units in a string's chunk that is not the last (`writeString`).
const STRING_CHUNK: usize = 0x8000;
/// Bytes in a binary's chunk: what fits the buffer of hessian-lite 4
/// (`Hessian2Output.SIZE` less a chunk's header).
const BINARY_CHUNK: usize = 8189;

/// Appends a null.
pub fn null(out: &mut BytesMut) {
    out.put_u8(b'N');
}

/// Appends a boolean.
pub fn bool(out: &mut BytesMut, value: bool) {
    out.put_u8(if value { b'T' } else { b'F' });
}

/// Appends an int.
pub fn int(out: &mut BytesMut, value: i32) {
    match value {
        -0x10..=0x2f => out.put_u8((value + 0x90) as u8),
        -0x800..=0x7ff => {
            out.put_u8((0xc8 + (value >> 8)) as u8);
            out.put_u8(value as u8);
        }
        -0x40000..=0x3ffff => {
            out.put_u8((0xd4 + (value >> 16)) as u8);
            out.put_u16(value as u16);
        }
        _ => {
            out.put_u8(b'I');
            out.put_i32(value);
        }
    }
}

/// Appends a long.
pub fn long(out: &mut BytesMut, value: i64) {
    match value {
        -0x08..=0x0f => out.put_u8((value + 0xe0) as u8),
        -0x800..=0x7ff => {
            out.put_u8((0xf8 + (value >> 8)) as u8);
            out.put_u8(value as u8);
        }
        -0x40000..=0x3ffff => {
            out.put_u8((0x3c + (value >> 16)) as u8);
            out.put_u16(value as u16);
        }
        -0x8000_0000..=0x7fff_ffff => {
            out.put_u8(0x59);
            out.put_i32(value as i32);
        }
        _ => {
            out.put_u8(b'L');
            out.put_i64(value);
        }
    }
}

/// Appends a double. Java's short forms lose the sign of -0.0; here it is
/// written in full.
pub fn double(out: &mut BytesMut, value: f64) {
    let whole = value as i32;
    if f64::from(whole) == value && !(value == 0.0 && value.is_sign_negative()) {
        match whole {
            0 => return out.put_u8(0x5b),
            1 => return out.put_u8(0x5c),
            -0x80..=0x7f => {
                out.put_u8(0x5d);
                return out.put_i8(whole as i8);
            }
            -0x8000..=0x7fff => {
                out.put_u8(0x5e);
                return out.put_i16(whole as i16);
            }
            _ => {}
        }
    }
    let mills = (value * 1000.0) as i32;
    if 0.001 * f64::from(mills) == value && value != 0.0 {
        out.put_u8(0x5f);
        out.put_i32(mills);
    } else {
        out.put_u8(b'D');
        out.put_f64(value);
    }
}

/// Appends a date, in milliseconds since 1970.
pub fn date(out: &mut BytesMut, millis: i64) {
    match i32::try_from(millis / 60_000) {
        Ok(minutes) if millis % 60_000 == 0 => {
            out.put_u8(0x4b);
            out.put_i32(minutes);
        }
        _ => {
            out.put_u8(0x4a);
            out.put_i64(millis);
        }
    }
}

/// Appends a string.
pub fn string(out: &mut BytesMut, value: &str) {
    let mut rest = value;
    let mut units = if value.is_ascii() { value.len() } else { value.encode_utf16().count() };
    while units > STRING_CHUNK {
        // A pair of surrogates is not split between chunks.
        let (bytes, taken) = prefix_of(rest, STRING_CHUNK);
        let (piece, tail) = rest.split_at(bytes);
        out.put_u8(b'R');
        out.put_u16(taken as u16);
        characters(out, piece);
        rest = tail;
        units -= taken;
    }
    match units {
        0..=0x1f => out.put_u8(units as u8),
        0x20..=0x3ff => out.put_u16(0x3000 | units as u16),
        _ => {
            out.put_u8(b'S');
            out.put_u16(units as u16);
        }
    }
    characters(out, rest);
}

/// The bytes and UTF-16 units of the longest prefix of at most `limit` units.
fn prefix_of(text: &str, limit: usize) -> (usize, usize) {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        if units + c.len_utf16() > limit {
            return (at, units);
        }
        units += c.len_utf16();
    }
    (text.len(), units)
}

/// Appends characters as Java does: each UTF-16 unit by itself.
fn characters(out: &mut BytesMut, text: &str) {
    let mut plain = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| c.len_utf16() == 2) {
        out.put_slice(&text.as_bytes()[plain..at]);
        plain = at + c.len_utf8();
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.put_u8(0xe0 | (*unit >> 12) as u8);
            out.put_u8(0x80 | (*unit >> 6 & 0x3f) as u8);
            out.put_u8(0x80 | (*unit & 0x3f) as u8);
        }
    }
    out.put_slice(&text.as_bytes()[plain..]);
}

/// Appends a binary.
pub fn binary(out: &mut BytesMut, value: &[u8]) {
    let mut rest = value;
    while rest.len() > BINARY_CHUNK {
        let (piece, tail) = rest.split_at(BINARY_CHUNK);
        out.put_u8(b'A');
        out.put_u16(BINARY_CHUNK as u16);
        out.put_slice(piece);
        rest = tail;
    }
    match rest.len() {
        length @ 0..=0x0f => out.put_u8(0x20 | length as u8),
        length @ 0x10..=0x3ff => out.put_u16(0x3400 + length as u16),
        length => {
            out.put_u8(b'B');
            out.put_u16(length as u16);
        }
    }
    out.put_slice(rest);
}

/// Appends a reference to the `index`th list, map or object of the message.
pub fn reference(out: &mut BytesMut, index: i32) {
    out.put_u8(0x51);
    int(out, index);
}
