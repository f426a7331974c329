//! The forms, as fastjson2 writes them.

use bytes::{BufMut, BytesMut};

/// Appends a four-byte length and what `write` appends.
pub fn document(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    write(out);
    let length = out.len() - start - 4;
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&(length as u32).to_be_bytes());
    }
}

/// Appends a null.
pub fn null(out: &mut BytesMut) {
    out.put_u8(0xaf);
}

/// Appends a boolean.
pub fn bool(out: &mut BytesMut, value: bool) {
    out.put_u8(if value { 0xb1 } else { 0xb0 });
}

/// Appends an int.
pub fn int(out: &mut BytesMut, value: i32) {
    match value {
        -0x10..=0x2f => out.put_u8(value as u8),
        -0x800..=0x7ff => {
            out.put_u8((0x38 + (value >> 8)) as u8);
            out.put_u8(value as u8);
        }
        -0x40000..=0x3ffff => {
            out.put_u8((0x44 + (value >> 16)) as u8);
            out.put_u16(value as u16);
        }
        _ => {
            out.put_u8(0x48);
            out.put_i32(value);
        }
    }
}

/// Appends a long.
pub fn long(out: &mut BytesMut, value: i64) {
    match value {
        -0x08..=0x0f => out.put_u8((value + 0xd8 + 8) as u8),
        -0x800..=0x7ff => {
            out.put_u8((0xd0 + (value >> 8)) as u8);
            out.put_u8(value as u8);
        }
        -0x40000..=0x3ffff => {
            out.put_u8((0xc4 + (value >> 16)) as u8);
            out.put_u16(value as u16);
        }
        -0x8000_0000..=0x7fff_ffff => {
            out.put_u8(0xbf);
            out.put_i32(value as i32);
        }
        _ => {
            out.put_u8(0xbe);
            out.put_i64(value);
        }
    }
}

/// Appends a string: ASCII as such, anything else as UTF-8.
pub fn string(out: &mut BytesMut, value: &str) {
    match (value.is_ascii(), value.len()) {
        (true, length @ 0..=47) => out.put_u8(0x49 + length as u8),
        (ascii, length) => {
            out.put_u8(if ascii { 0x79 } else { 0x7a });
            int(out, length as i32);
        }
    }
    out.put_slice(value.as_bytes());
}

/// Appends the class of the value that follows, and the symbol it gets.
pub fn type_name(out: &mut BytesMut, name: &str, symbol: i32) {
    out.put_u8(0x92);
    string(out, name);
    int(out, symbol);
}

/// Appends a map, whose keys and values `write` appends in turn.
pub fn map(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(0xa6);
    write(out);
    out.put_u8(0xa5);
}

/// Appends the head of an array of `count` values.
pub fn array(out: &mut BytesMut, count: usize) {
    match count {
        0..=15 => out.put_u8(0x94 + count as u8),
        _ => {
            out.put_u8(0xa4);
            int(out, count as i32);
        }
    }
}
