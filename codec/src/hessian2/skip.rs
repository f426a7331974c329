//! Stepping over values without building them.

use smallvec::SmallVec;

use crate::error::DecodeError;
use crate::input::Input;

use super::limits::Limits;
use super::scalar;
use super::text::Text;

/// Steps over values of one message. Keeps what later values may refer to:
/// where the classes and types defined so far stand, and how many fields each
/// class has.
///
/// Made for frames, whose length and so every offset in them fits 32 bits.
/// References to objects and types are stepped over unchecked: they do not
/// change where a value ends.
#[derive(Debug, Clone)]
pub struct Skip {
    classes: SmallVec<[Class; 8]>,
    types: SmallVec<[u32; 4]>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Class {
    /// Where its name stands.
    name: u32,
    fields: u32,
}

/// A list or map that lasts until its end mark.
const UNTIL_END: u64 = u64::MAX;

impl Default for Skip {
    fn default() -> Self {
        Skip::new(Limits::SKIP)
    }
}

impl Skip {
    /// At the start of a message.
    pub fn new(limits: Limits) -> Self {
        Skip { classes: SmallVec::new(), types: SmallVec::new(), limits }
    }

    /// Steps over one value.
    ///
    /// # Errors
    /// When the bytes are no value, end inside one, use a class that was not
    /// defined, or nest or define more than the limits.
    pub fn value(&mut self, input: &mut Input<'_>) -> Result<(), DecodeError> {
        self.values(input, 1)
    }

    /// Steps over `count` values.
    ///
    /// # Errors
    /// As [`Skip::value`].
    pub fn values(&mut self, input: &mut Input<'_>, count: u64) -> Result<(), DecodeError> {
        // Values still to come at each level outside the current one.
        let mut outer: SmallVec<[u64; 16]> = SmallVec::new();
        let mut left = count;
        loop {
            while left == 0 {
                match outer.pop() {
                    Some(level) => left = level,
                    None => return Ok(()),
                }
            }
            if left != UNTIL_END {
                left -= 1;
            } else if input.peek() == Some(b'Z') {
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
    #[inline]
    fn head(&mut self, input: &mut Input<'_>) -> Result<u64, DecodeError> {
        let offset = input.at();
        let what = "value";
        let Some(tag) = input.peek() else {
            return Err(DecodeError::Truncated { what, offset });
        };
        match tag {
            0x00..=0x1f | 0x30..=0x33 | b'R' | b'S' => {
                scalar::string(input, "string")?;
                return Ok(0);
            }
            0x20..=0x2f | 0x34..=0x37 | b'A' | b'B' => {
                while !scalar::binary_piece(input)?.1 {}
                return Ok(0);
            }
            _ => {}
        }
        input.byte(what)?;
        let inside = match tag {
            b'N' | b'T' | b'F' | 0x80..=0xbf | 0xd8..=0xef | 0x5b | 0x5c => 0,
            0xc0..=0xcf | 0xf0..=0xff | 0x5d => fixed(input, 1)?,
            0xd0..=0xd7 | 0x38..=0x3f | 0x5e => fixed(input, 2)?,
            b'I' | 0x59 | 0x5f | 0x4b => fixed(input, 4)?,
            b'L' | b'D' | 0x4a => fixed(input, 8)?,
            0x51 => {
                scalar::int(input, "reference")?;
                0
            }
            0x70..=0x77 => {
                self.type_name(input)?;
                u64::from(tag - 0x70)
            }
            0x78..=0x7f => u64::from(tag - 0x78),
            b'V' => {
                self.type_name(input)?;
                scalar::count(input, "list length")? as u64
            }
            0x58 => scalar::count(input, "list length")? as u64,
            0x55 | b'M' => {
                self.type_name(input)?;
                UNTIL_END
            }
            0x57 | b'H' => UNTIL_END,
            b'C' => {
                self.class(input)?;
                1
            }
            0x60..=0x6f => self.fields_of(u64::from(tag - 0x60), offset)?,
            b'O' => {
                let index = scalar::int(input, "class reference")?;
                self.fields_of(index as u64, offset)?
            }
            found => {
                return Err(DecodeError::Unexpected { what, expected: "a value", found, offset });
            }
        };
        Ok(inside)
    }

    fn class(&mut self, input: &mut Input<'_>) -> Result<(), DecodeError> {
        let name = input.at();
        scalar::string(input, "class name")?;
        let count = scalar::count(input, "field count")?;
        for _ in 0..count {
            scalar::string(input, "field name")?;
        }
        Limits::check("classes", self.classes.len() + 1, self.limits.classes)?;
        self.classes.push(Class { name: name as u32, fields: count as u32 });
        Ok(())
    }

    fn fields_of(&self, index: u64, offset: usize) -> Result<u64, DecodeError> {
        match usize::try_from(index).ok().and_then(|index| self.classes.get(index)) {
            Some(class) => Ok(u64::from(class.fields)),
            None => Err(DecodeError::Dangling {
                what: "class",
                index,
                defined: self.classes.len() as u64,
                offset,
            }),
        }
    }

    /// A list's or map's type: its name, or the number of one named before.
    ///
    /// # Errors
    /// When it is neither, or the data ends inside.
    pub fn type_name(&mut self, input: &mut Input<'_>) -> Result<(), DecodeError> {
        let at = input.at();
        match input.peek() {
            Some(0x00..=0x1f | 0x30..=0x33 | b'R' | b'S') => {
                scalar::string(input, "type")?;
                Limits::check("types", self.types.len() + 1, self.limits.classes)?;
                self.types.push(at as u32);
                Ok(())
            }
            _ => scalar::int(input, "type reference").map(|_| ()),
        }
    }

    /// The class or type of the value at `input`, where the bytes name one. The
    /// value is stepped over.
    ///
    /// # Errors
    /// As [`Skip::value`].
    pub fn class_of<'a>(&mut self, input: &mut Input<'a>) -> Result<Option<Text<'a>>, DecodeError> {
        let mut named = *input;
        self.value(input)?;
        while named.peek() == Some(b'C') {
            named.byte("class")?;
            scalar::string(&mut named, "class name")?;
            for _ in 0..scalar::count(&mut named, "field count")? {
                scalar::string(&mut named, "field name")?;
            }
        }
        let at = match named.byte("value")? {
            tag @ 0x60..=0x6f => self.classes.get(usize::from(tag - 0x60)).map(|class| class.name),
            b'O' => {
                let index = scalar::int(&mut named, "class reference")?;
                self.classes.get(index as usize).map(|class| class.name)
            }
            0x70..=0x77 | b'V' | 0x55 | b'M' => match named.peek() {
                Some(0x00..=0x1f | 0x30..=0x33 | b'R' | b'S') => Some(named.at() as u32),
                _ => {
                    let index = scalar::int(&mut named, "type reference")?;
                    self.types.get(index as usize).copied()
                }
            },
            _ => None,
        };
        match at {
            Some(at) => scalar::string(&mut Input::new(input.bytes(), at as usize), "class name"),
            None => Ok(None),
        }
    }
}

fn fixed(input: &mut Input<'_>, count: usize) -> Result<u64, DecodeError> {
    input.take(count, "number").map(|_| 0)
}
