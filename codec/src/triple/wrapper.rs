//! `TripleRequestWrapper`: a protobuf message, read where it stands; and written, for
//! answers.

use bytes::{BufMut, BytesMut};

use crate::dubbo::Serialization;
use crate::error::DecodeError;
use crate::input::Input;

/// What a request's message says, in the order in which it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// How the arguments are serialized.
    SerializeType(&'a [u8]),
    /// From where to where the next argument stands in the bytes.
    Argument {
        /// Its first byte.
        start: usize,
        /// Behind its last.
        end: usize,
    },
    /// The next parameter's type, as `Class.getName()` says it.
    Type(&'a [u8]),
}

/// The parts of a wrapper, one at a time. Fields of other numbers are passed over.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    input: Input<'a>,
    is_cut: bool,
    broken: bool,
}

impl<'a> Parts<'a> {
    /// Reads from `input` to its end.
    pub fn new(input: Input<'a>) -> Self {
        Parts { input, is_cut: false, broken: false }
    }

    /// The same, of a wrapper that goes on behind the input's end.
    pub fn cut(input: Input<'a>) -> Self {
        Parts { is_cut: true, ..Parts::new(input) }
    }

    fn read(&mut self) -> Result<Option<Part<'a>>, DecodeError> {
        let what = "wrapper";
        while !self.input.is_at_end() {
            let offset = self.input.at();
            let key = varint(&mut self.input, what)?;
            let length = match key & 7 {
                0 => {
                    varint(&mut self.input, what)?;
                    continue;
                }
                1 => 8,
                2 => varint(&mut self.input, what)?,
                5 => 4,
                found => {
                    return Err(DecodeError::Unexpected {
                        what,
                        expected: "a protobuf field",
                        found: found as u8,
                        offset,
                    });
                }
            };
            let truncated = DecodeError::Truncated { what, offset };
            let length = usize::try_from(length).map_err(|_| truncated)?;
            let start = self.input.at();
            let bytes = self.input.take(length, what)?;
            match key {
                SERIALIZE_TYPE => return Ok(Some(Part::SerializeType(bytes))),
                ARGUMENT => return Ok(Some(Part::Argument { start, end: self.input.at() })),
                TYPE => return Ok(Some(Part::Type(bytes))),
                _ => {}
            }
        }
        match self.is_cut {
            true => Err(DecodeError::Truncated { what, offset: self.input.at() }),
            false => Ok(None),
        }
    }
}

/// A field's number and its wire type (2: length-delimited).
const SERIALIZE_TYPE: u64 = 1 << 3 | 2;
const ARGUMENT: u64 = 2 << 3 | 2;
const TYPE: u64 = 3 << 3 | 2;

/// Appends a wrapper with these fields, from the first on. A request's and an answer's
/// (`TripleResponseWrapper`: the serialization, the data, their class) differ in nothing
/// but how many fields there are of one number.
pub fn write(fields: &[&[u8]], out: &mut BytesMut) {
    for (field, key) in fields.iter().zip([SERIALIZE_TYPE, ARGUMENT, TYPE]) {
        out.put_u8(key as u8);
        let mut length = field.len();
        while length >= 0x80 {
            out.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        out.put_u8(length as u8);
        out.put_slice(field);
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, DecodeError>;

    /// After an error nothing more comes.
    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let part = self.read().transpose();
        self.broken = matches!(part, Some(Err(_)));
        part
    }
}

/// The serialization that a wrapper names. Java says `hessian4` for hessian2
/// (`ReflectionPackableMethod.convertHessianToWrapper`).
pub fn serialization(serialize_type: &[u8]) -> Option<Serialization> {
    match serialize_type {
        b"hessian4" => Some(Serialization::Hessian2),
        name => Serialization::named(name),
    }
}

fn varint(input: &mut Input<'_>, what: &'static str) -> Result<u64, DecodeError> {
    let offset = input.at();
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = input.byte(what)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(DecodeError::Unexpected { what, expected: "a varint's end", found: 0x80, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(bytes: &[u8]) -> Vec<Result<Part<'_>, DecodeError>> {
        Parts::new(Input::new(bytes, 0)).collect()
    }

    #[test]
    fn other_fields_are_passed_over() {
        // 4: varint 300, 5: eight bytes, 6: four, 7: a string, then field 3.
        let bytes = b"\x20\xac\x02\x29........\x35....\x3a\x01x\x1a\x03int";
        assert_eq!(parts(bytes), [Ok(Part::Type(b"int"))]);
    }

    #[test]
    fn what_is_no_protobuf_is_an_error_and_the_end() {
        let truncated = Err(DecodeError::Truncated { what: "wrapper", offset: 2 });
        assert_eq!(parts(b"\x0a\x05abc"), [truncated]);
        for bytes in
            [&b"\x0b\x0b"[..], &[0xff; 20], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            let parts = parts(bytes);
            assert!(matches!(&parts[..], [Err(_)]), "{parts:?}");
        }
    }

    #[test]
    fn serializations_have_the_names_of_java() {
        assert_eq!(serialization(b"hessian4"), Some(Serialization::Hessian2));
        assert_eq!(serialization(b"hessian2"), Some(Serialization::Hessian2));
        assert_eq!(serialization(b"fastjson2"), Some(Serialization::Fastjson2));
        assert_eq!(serialization(b"protobuf"), Some(Serialization::Other(22)));
        assert_eq!(serialization(b"Ann"), None);
    }
}
