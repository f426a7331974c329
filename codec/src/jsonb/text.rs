//! Strings in their encodings.

use std::borrow::Cow;

/// How a string's bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// One byte a character; ASCII as a rule, but Java's Latin-1 strings are
    /// written this way too.
    Latin1,
    /// UTF-8.
    Utf8,
    /// UTF-16 with a byte order mark, big-endian without.
    Utf16,
    /// UTF-16, little-endian: what Java on x86 writes for any string that is
    /// not Latin-1.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
    /// GB18030. Its ASCII part is read, the rest becomes U+FFFD.
    Gb18030,
}

/// A string in the bytes of a document.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) charset: Charset,
}

impl<'a> Text<'a> {
    /// The bytes it takes in the document, without its head. Decoded it takes no
    /// more than three times as many.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// The string, borrowed where its bytes are UTF-8 already. What its
    /// encoding does not allow becomes U+FFFD.
    pub fn to_str(&self) -> Cow<'a, str> {
        match self.charset {
            Charset::Latin1 if self.bytes.is_ascii() => String::from_utf8_lossy(self.bytes),
            Charset::Latin1 => self.bytes.iter().copied().map(char::from).collect(),
            Charset::Utf8 => String::from_utf8_lossy(self.bytes),
            Charset::Gb18030 => self
                .bytes
                .iter()
                .map(|&b| if b.is_ascii() { char::from(b) } else { char::REPLACEMENT_CHARACTER })
                .collect(),
            Charset::Utf16Le => utf16(self.bytes, u16::from_le_bytes),
            Charset::Utf16Be => utf16(self.bytes, u16::from_be_bytes),
            Charset::Utf16 => match self.bytes {
                [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
                [0xfe, 0xff, rest @ ..] | rest => utf16(rest, u16::from_be_bytes),
            },
        }
    }

    /// The bytes as written, in an encoding that writes ASCII as itself.
    pub fn raw(&self) -> Option<&'a [u8]> {
        match self.charset {
            Charset::Latin1 | Charset::Utf8 | Charset::Gb18030 => Some(self.bytes),
            Charset::Utf16 | Charset::Utf16Le | Charset::Utf16Be => None,
        }
    }
}

fn utf16<'a>(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'a, str> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    Cow::Owned(
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
    )
}
