//! Stepping over values, and remembering names given a symbol.

use smallvec::SmallVec;

use crate::error::DecodeError;
use crate::hessian2::Limits;
use crate::input::Input;

use super::scalar;
use super::text::Text;

/// Steps over values of one document. Names written once and referred to by a
/// number later (symbols) are remembered where they stand.
#[derive(Debug, Clone)]
pub struct Skip<'a> {
    /// By number: fastjson2 counts them up from 0.
    symbols: SmallVec<[Text<'a>; 4]>,
    /// Those numbered in another way; few, as they are searched one by one.
    odd_symbols: SmallVec<[(i32, Text<'a>); 1]>,
    limits: Limits,
}

/// How many symbols may be numbered otherwise than counting up.
const ODD_SYMBOLS: usize = 64;

/// A map that lasts until its end mark.
const UNTIL_END: u64 = u64::MAX;

impl Default for Skip<'_> {
    fn default() -> Self {
        Skip { symbols: SmallVec::new(), odd_symbols: SmallVec::new(), limits: Limits::SKIP }
    }
}

impl<'a> Skip<'a> {
    /// How many names were given a symbol so far.
    pub(crate) fn symbols(&self) -> usize {
        self.symbols.len() + self.odd_symbols.len()
    }

    /// A map's key: a string, or a symbol for one. `None` for null and for
    /// keys that are not text, which are stepped over.
    ///
    /// # Errors
    /// When the bytes are no value or a symbol was never defined.
    pub fn name(&mut self, input: &mut Input<'a>) -> Result<Option<Text<'a>>, DecodeError> {
        let what = "name";
        match input.peek() {
            Some(0x49..=0x7e | 0xaf) => scalar::string(input, what),
            Some(0x7f) => {
                input.byte(what)?;
                self.symbol(input).map(Some)
            }
            _ => self.value(input).map(|()| None),
        }
    }

    /// What follows a symbol's tag: a number, or a string and the number it
    /// gets.
    pub(super) fn symbol(&mut self, input: &mut Input<'a>) -> Result<Text<'a>, DecodeError> {
        let what = "symbol";
        let offset = input.at();
        let tag = input.byte(what)?;
        if let Some(number) = scalar::int32_after(input, tag, what)? {
            let odd = || self.odd_symbols.iter().find(|(known, _)| *known == number);
            let known = usize::try_from(number).ok().and_then(|number| self.symbols.get(number));
            return known.or_else(|| odd().map(|(_, text)| text)).copied().ok_or(
                DecodeError::Dangling {
                    what,
                    index: u64::from(number as u32),
                    defined: self.symbols() as u64,
                    offset,
                },
            );
        }
        let Some(text) = scalar::string_after(input, tag, what)? else {
            return Err(DecodeError::Unexpected {
                what,
                expected: "a string or number",
                found: tag,
                offset,
            });
        };
        self.define(input, text)?;
        Ok(text)
    }

    /// Reads the number `text` gets.
    fn define(&mut self, input: &mut Input<'a>, text: Text<'a>) -> Result<(), DecodeError> {
        let number = scalar::integer(input, "symbol")? as i32;
        if usize::try_from(number) == Ok(self.symbols.len()) {
            Limits::check("symbols", self.symbols.len() + 1, self.limits.classes)?;
            self.symbols.push(text);
        } else {
            Limits::check("symbols out of order", self.odd_symbols.len() + 1, ODD_SYMBOLS)?;
            self.odd_symbols.push((number, text));
        }
        Ok(())
    }

    /// A type's name after its tag: a string and its symbol, or a symbol.
    ///
    /// # Errors
    /// As [`Skip::name`].
    pub fn type_name(&mut self, input: &mut Input<'a>) -> Result<Text<'a>, DecodeError> {
        if input.peek() == Some(0x7f) {
            input.byte("type")?;
        }
        self.symbol(input)
    }

    /// Steps over one value.
    ///
    /// # Errors
    /// When the bytes are no value, end inside one, or nest deeper than the
    /// limit.
    pub fn value(&mut self, input: &mut Input<'a>) -> Result<(), DecodeError> {
        let mut outer: SmallVec<[u64; 16]> = SmallVec::new();
        let mut left = 1;
        loop {
            while left == 0 {
                match outer.pop() {
                    Some(level) => left = level,
                    None => return Ok(()),
                }
            }
            if left != UNTIL_END {
                left -= 1;
            } else if input.peek() == Some(0xa5) {
                input.byte("end")?;
                left = 0;
                continue;
            }
            let inside = self.head(input)?;
            if inside != 0 {
                Limits::check("nesting", outer.len() + 1, self.limits.depth)?;
                outer.push(left);
                left = inside;
            }
        }
    }

    /// Steps over a scalar, or over the head of a container: then says how
    /// many values are inside.
    fn head(&mut self, input: &mut Input<'a>) -> Result<u64, DecodeError> {
        let what = "value";
        let offset = input.at();
        let tag = input.byte(what)?;
        let mut fixed = |count| input.take(count, what).map(|_| 0);
        match tag {
            0x00..=0x2f | 0xd8..=0xff | 0xaf..=0xb3 => Ok(0),
            0x30..=0x3f | 0xc8..=0xd7 | 0xbd => fixed(1),
            0x40..=0x47 | 0xc0..=0xc7 | 0xbc => fixed(2),
            0x48 | 0xa9 | 0xac | 0xad | 0xb7 | 0xbf => fixed(4),
            0xab | 0xb5 | 0xbe => fixed(8),
            0x49..=0x7e => scalar::string_after(input, tag, what).map(|_| 0),
            0x7f => self.symbol(input).map(|_| 0),
            0x90 | 0xb4 | 0xb6 | 0xb8 | 0xba => scalar::integer(input, what).map(|_| 0),
            0x91 | 0xbb => {
                let length = scalar::length(input, "binary")?;
                input.take(length, "binary").map(|_| 0)
            }
            0xb9 => {
                scalar::integer(input, "decimal scale")?;
                Ok(1)
            }
            0xa7 => {
                input.take(3, what)?;
                scalar::integer(input, what).map(|_| 0)
            }
            0xa8 => {
                input.take(7, what)?;
                scalar::integer(input, what).map(|_| 0)
            }
            0xaa => {
                input.take(7, what)?;
                scalar::integer(input, what)?;
                scalar::string(input, "time zone").map(|_| 0)
            }
            0xae => {
                scalar::integer(input, what)?;
                scalar::integer(input, what).map(|_| 0)
            }
            0x92 => self.type_name(input).map(|_| 1),
            0x93 => scalar::string(input, "reference").map(|_| 0),
            0x94..=0xa3 => Ok(u64::from(tag - 0x94)),
            0xa4 => scalar::length(input, "array length").map(|count| count as u64),
            0xa6 => Ok(UNTIL_END),
            found => Err(DecodeError::Unexpected { what, expected: "a value", found, offset }),
        }
    }
}
