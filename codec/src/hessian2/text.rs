//! Strings where they stand.
//!
//! Hessian counts a string in Java's UTF-16 units, not in bytes, and writes
//! each unit by itself as one to three bytes (CESU-8): a character outside the
//! basic plane is two surrogates of three bytes each. Finding a string's end
//! therefore means counting. Four-byte UTF-8, which Java never writes but other
//! writers do, counts as two units.

use std::borrow::Cow;

/// A string in the bytes of a message.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// From the first character; with all further chunks and their headers if
    /// `first_units` is not the whole.
    bytes: &'a [u8],
    /// Units in the first chunk, when more follow.
    first_units: Option<usize>,
}

impl<'a> Text<'a> {
    /// The empty string.
    pub const EMPTY: Text<'static> = Text { bytes: &[], first_units: None };

    pub(super) fn whole(bytes: &'a [u8]) -> Self {
        Text { bytes, first_units: None }
    }

    pub(super) fn chunked(bytes: &'a [u8], first_units: usize) -> Self {
        Text { bytes, first_units: Some(first_units) }
    }

    /// The string's bytes as written, where it stands in one piece. Equal
    /// strings without characters outside the basic plane are equal here.
    pub fn raw(&self) -> Option<&'a [u8]> {
        match self.first_units {
            None => Some(self.bytes),
            Some(_) => None,
        }
    }

    /// The bytes it takes in the message, without its first chunk's header.
    /// Decoded it takes no more than half as many again.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// The string, borrowed when it stands in one piece and holds no
    /// surrogates. A surrogate without its partner, which Java allows and UTF-8
    /// does not, becomes U+FFFD.
    pub fn to_str(&self) -> Cow<'a, str> {
        if let Some(raw) = self.raw()
            && let Ok(text) = std::str::from_utf8(raw)
        {
            return Cow::Borrowed(text);
        }
        let mut units = Vec::with_capacity(self.bytes.len());
        let mut rest = self.bytes;
        match self.first_units {
            None => push_units(rest, &mut units),
            Some(first) => {
                let mut chunk = Some((first, false));
                while let Some((count, last)) = chunk {
                    let Some(end) = units_end(rest, 0, count) else { break };
                    let (piece, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                    push_units(piece, &mut units);
                    rest = tail;
                    if last {
                        break;
                    }
                    chunk = chunk_header(rest, 0).map(|(units, last, used)| {
                        rest = rest.get(used..).unwrap_or_default();
                        (units, last)
                    });
                }
            }
        }
        Cow::Owned(String::from_utf16_lossy(&units))
    }
}

/// Appends CESU-8 (or UTF-8) as UTF-16 units; what is neither becomes U+FFFD.
fn push_units(bytes: &[u8], units: &mut Vec<u16>) {
    const BAD: u16 = 0xfffd;
    let mut rest = bytes.iter().copied();
    while let Some(first) = rest.next() {
        let mut next = || rest.next().map_or(0, |byte| u32::from(byte & 0x3f));
        match first {
            0..0x80 => units.push(u16::from(first)),
            0xc0..0xe0 => units.push(((u32::from(first) & 0x1f) << 6 | next()) as u16),
            0xe0..0xf0 => {
                units.push(((u32::from(first) & 0x0f) << 12 | next() << 6 | next()) as u16);
            }
            0xf0..0xf8 => {
                let code = (u32::from(first) & 0x07) << 18 | next() << 12 | next() << 6 | next();
                let mut pair = [0; 2];
                match char::from_u32(code) {
                    Some(c) => units.extend_from_slice(c.encode_utf16(&mut pair)),
                    None => units.push(BAD),
                }
            }
            _ => units.push(BAD),
        }
    }
}

/// Where the `count` units that start at `start` end. `None`: the bytes end
/// first.
#[inline]
pub(super) fn units_end(bytes: &[u8], start: usize, count: usize) -> Option<usize> {
    let end = start.checked_add(count)?;
    if is_ascii(bytes.get(start..end)?) { Some(end) } else { wide_end(bytes, start, count) }
}

/// `[u8]::is_ascii`, made for the short strings that most are: it is inlined
/// and takes the last bytes in one piece.
#[inline(always)]
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().fold(0, |all, byte| all | byte) < 0x80;
    };
    if bytes.len() > 64 {
        return bytes.is_ascii();
    }
    let (words, _) = bytes.as_chunks::<8>();
    let all =
        words.iter().fold(u64::from_ne_bytes(*last), |all, word| all | u64::from_ne_bytes(*word));
    all & HIGH == 0
}

/// [`units_end`] of a string that is not ASCII alone.
fn wide_end(bytes: &[u8], start: usize, count: usize) -> Option<usize> {
    let mut left = count;
    let mut at = start;
    // A unit is at least one byte, so the next `left` bytes are all inside the
    // string; counting them leaves a third at most (of CJK: two thirds).
    while left > 0 {
        let block = bytes.get(at..at.checked_add(left)?)?;
        at += block.len();
        left = left.saturating_sub(count_units(block));
    }
    // The last character began in the last block but may reach beyond it.
    let (back, lead) = (1..=4usize)
        .filter_map(|back| Some((back, *bytes.get(at.checked_sub(back)?)?)))
        .find(|(_, byte)| !is_continuation(*byte))?;
    let width = match lead {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    let end = at - back + width;
    (end <= bytes.len()).then_some(end.max(at))
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Units begun in `block`: one per leading byte, two where it leads four.
/// Written as sums over small runs so that the compiler makes vectors of it.
fn count_units(block: &[u8]) -> usize {
    block
        .chunks(64)
        .map(|run| {
            let units: u8 =
                run.iter().map(|&b| u8::from(!is_continuation(b)) + u8::from(b >= 0xf0)).sum();
            usize::from(units)
        })
        .sum()
}

/// The header of a string's chunk at `at`: units, whether it is the last, and
/// the header's length.
pub(super) fn chunk_header(bytes: &[u8], at: usize) -> Option<(usize, bool, usize)> {
    let tag = *bytes.get(at)?;
    let byte = |offset: usize| bytes.get(at + offset).map(|&b| usize::from(b));
    Some(match tag {
        0x00..=0x1f => (usize::from(tag), true, 1),
        0x30..=0x33 => (usize::from(tag - 0x30) << 8 | byte(1)?, true, 2),
        b'S' => (byte(1)? << 8 | byte(2)?, true, 3),
        b'R' => (byte(1)? << 8 | byte(2)?, false, 3),
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_its_units_do() {
        let ints = [0x80, 0x90, 0xbf, 0xe5, 0xad];
        for text in [
            "",
            "x",
            "é",
            "字",
            "字x",
            "x字",
            "ééx",
            "xxé字",
            "字字字字字字字字字",
            "ascii only, but long",
        ] {
            let units = text.encode_utf16().count();
            let bytes = [b"before", text.as_bytes(), &ints].concat();
            // What follows may look like the inside of a character.
            assert_eq!(units_end(&bytes, 6, units), Some(6 + text.len()), "{text}");
            if !text.is_empty() {
                assert_eq!(units_end(&bytes[..5 + text.len()], 6, units), None, "{text}");
            }
        }
    }

    #[test]
    fn long_strings_end_where_their_units_do() {
        for unit in ["x", "é", "字", "xé", "é字x", "x字字字"] {
            for times in [31, 64, 100, 1000, 21_845] {
                let text = unit.repeat(times);
                let units = text.encode_utf16().count();
                let bytes = [text.as_bytes(), &[0x80; 70]].concat();
                assert_eq!(units_end(&bytes, 0, units), Some(text.len()), "{times} {unit}");
            }
        }
    }

    #[test]
    fn pairs_of_surrogates_are_one_character() {
        let java = Text::whole(b"a\xed\xa0\xbd\xed\xb8\x80b");
        assert_eq!(java.to_str(), "a\u{1f600}b");
        assert_eq!(units_end(b"a\xed\xa0\xbd\xed\xb8\x80b\x90", 0, 4), Some(8));
        // Four bytes, as other writers have it, are two units.
        assert_eq!(units_end("a\u{1f600}b".as_bytes(), 0, 4), Some(6));
        assert_eq!(Text::whole("a\u{1f600}b".as_bytes()).to_str(), "a\u{1f600}b");
        // One without its partner.
        assert_eq!(Text::whole(b"\xed\xa0\xbdx").to_str(), "\u{fffd}x");
    }

    #[test]
    fn chunks_are_put_together() {
        let chunks = b"ab\x53\x00\x03\xe5\xad\x97cd";
        assert_eq!(Text::chunked(chunks, 2).to_str(), "ab\u{5b57}cd");
        assert_eq!(Text::chunked(b"ab\x00", 2).to_str(), "ab");
        assert_eq!(Text::chunked(b"ab\x52\x00\x01c\x30\x01d", 2).to_str(), "abcd");
    }
}
