//! The arguments in a request's first message.

use std::cell::OnceCell;

use crate::dubbo::{Leaf, Serialization};
use crate::error::DecodeError;
use crate::head::Argument;
use crate::input::Input;
use crate::{hessian2, jsonb};

use super::wrapper::{self, Part, Parts};

/// A gRPC message's prefix: whether it is compressed, and its length.
pub const PREFIX: usize = 5;

/// How many bytes the first message of a body has, prefix included; `None` while
/// less than the prefix has come. A peer says it: compare it with a limit before so
/// much is waited for.
pub fn length(body: &[u8]) -> Option<u64> {
    let [_, length @ ..] = body.first_chunk::<PREFIX>()?;
    Some(PREFIX as u64 + u64::from(u32::from_be_bytes(*length)))
}

/// A request's first message: of a unary call the only one, of a stream the first.
/// Reads nothing until asked.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    body: &'a [u8],
    types: OnceCell<Result<String, DecodeError>>,
}

impl<'a> Message<'a> {
    /// The message at the start of a body, which may go on behind it; or as much of
    /// it as has come: what stands in that can be read.
    pub fn new(body: &'a [u8]) -> Self {
        Message { body, types: OnceCell::new() }
    }

    /// The parts of the wrapper that have come.
    fn parts(&self) -> Result<Parts<'a>, DecodeError> {
        let what = "message";
        let end = length(self.body).ok_or(DecodeError::Truncated { what, offset: 0 })?;
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        match self.body.first() {
            Some(0) if end <= self.body.len() => {
                Ok(Parts::new(Input::between(self.body, PREFIX, end)))
            }
            Some(0) => Ok(Parts::cut(Input::new(self.body, PREFIX))),
            found => Err(DecodeError::Unexpected {
                what,
                expected: "a message that is not compressed",
                found: found.copied().unwrap_or_default(),
                offset: 0,
            }),
        }
    }

    /// What the arguments are written in.
    ///
    /// # Errors
    /// When the message is compressed, or no wrapper that can be read: a message in
    /// protobuf itself.
    pub fn serialization(&self) -> Result<Serialization, DecodeError> {
        for part in self.parts()? {
            if let Part::SerializeType(name) = part? {
                return wrapper::serialization(name).ok_or(PROTOBUF.opaque());
            }
        }
        Err(PROTOBUF.opaque())
    }

    /// The argument at `index`, or `None` when there are fewer.
    ///
    /// # Errors
    /// As [`Message::serialization`], or where the serialization cannot be read, or
    /// the argument has not come.
    pub fn argument(&self, index: usize) -> Result<Option<Argument<'a>>, DecodeError> {
        let serialization = self.serialization()?;
        let Some((start, end)) = self.place_of(index)? else { return Ok(None) };
        let argument = leaf(serialization, Input::between(self.body, start, end))?;
        Ok(Some(argument.into()))
    }

    /// The bytes of the argument at `index`, or `None` when there are fewer.
    ///
    /// # Errors
    /// As [`Message::argument`].
    pub fn argument_bytes(&self, index: usize) -> Result<Option<&'a [u8]>, DecodeError> {
        self.serialization()?;
        let place = self.place_of(index)?;
        Ok(place.and_then(|(start, end)| self.body.get(start..end)))
    }

    /// From where to where an argument stands.
    fn place_of(&self, index: usize) -> Result<Option<(usize, usize)>, DecodeError> {
        let mut left = index;
        for part in self.parts()? {
            let Part::Argument { start, end } = part? else { continue };
            if left == 0 {
                return Ok(Some((start, end)));
            }
            left -= 1;
        }
        Ok(None)
    }

    /// The parameter types as a JVM descriptor (`Ljava/lang/String;I`).
    ///
    /// # Errors
    /// As [`Message::serialization`].
    pub fn parameter_types(&self) -> Result<&str, DecodeError> {
        let types = self.types.get_or_init(|| {
            self.serialization()?;
            let mut descriptor = String::new();
            for part in self.parts()? {
                if let Part::Type(name) = part? {
                    push_descriptor(&String::from_utf8_lossy(name), &mut descriptor);
                }
            }
            Ok(descriptor)
        });
        types.as_deref().map_err(Clone::clone)
    }
}

/// What is not wrapped is the service's own message.
const PROTOBUF: Serialization = Serialization::Other(22);

fn leaf(serialization: Serialization, mut input: Input<'_>) -> Result<Leaf<'_>, DecodeError> {
    match serialization {
        Serialization::Hessian2 => Leaf::hessian2(&mut input, &mut hessian2::Skip::default()),
        Serialization::Fastjson2 => {
            let mut document = jsonb::document(&mut input, "argument")?;
            Leaf::jsonb(&mut document, &mut jsonb::Skip::default())
        }
        other => Err(other.opaque()),
    }
}

/// `Class.getName()` says arrays and what is in them as a descriptor does, but for
/// the dots; primitives and other classes it does not.
fn push_descriptor(name: &str, out: &mut String) {
    match name {
        "boolean" => out.push('Z'),
        "byte" => out.push('B'),
        "char" => out.push('C'),
        "short" => out.push('S'),
        "int" => out.push('I'),
        "long" => out.push('J'),
        "float" => out.push('F'),
        "double" => out.push('D'),
        array if array.starts_with('[') => out.push_str(&array.replace('.', "/")),
        class => {
            out.push('L');
            out.push_str(&class.replace('.', "/"));
            out.push(';');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(wrapper: &[u8]) -> Vec<u8> {
        let mut body = vec![0];
        body.extend_from_slice(&(wrapper.len() as u32).to_be_bytes());
        body.extend_from_slice(wrapper);
        body
    }

    #[test]
    fn what_has_come_can_be_read() {
        let mut body = framed(b"\x0a\x08hessian4\x12\x02\x01x\x1a\x10java.lang.String");
        body.extend_from_slice(b"\x00\x00\x00\x00\x01more");
        let whole = length(&body).unwrap() as usize;
        let argument = whole - 18;
        for end in 0..=body.len() {
            let message = Message::new(&body[..end]);
            let truncated = |found: &DecodeError| {
                assert!(matches!(found, DecodeError::Truncated { .. }), "{end}")
            };
            match message.argument(0) {
                Ok(found) => assert_eq!(found, Some(Argument::Text("x".into())), "{end}"),
                Err(error) => truncated(&error),
            }
            assert_eq!(message.argument(0).is_ok(), end >= argument, "{end}");
            // That there is no more is known at the end.
            match message.argument(1) {
                Ok(found) => assert!(found.is_none() && end >= whole, "{end}"),
                Err(error) => truncated(&error),
            }
            match message.parameter_types() {
                Ok(found) => assert!(found == "Ljava/lang/String;" && end >= whole, "{end}"),
                Err(error) => truncated(&error),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (body, why) in [
            (framed(b"\x0a\x03Ann\x10\x02"), "serialization 22 (protobuf)"),
            (framed(b""), "serialization 22 (protobuf)"),
            (framed(b"\x0a\x04kryo\x12\x01x"), "serialization 8 (kryo)"),
            (b"\x01\x00\x00\x00\x01x".to_vec(), "a message that is not compressed, found 0x01"),
            (b"\x00\xff\xff\xff\xff".to_vec(), "the data ends here"),
        ] {
            let error = Message::new(&body).argument(0).unwrap_err().to_string();
            assert!(error.contains(why), "{error} for {why}");
        }
    }

    #[test]
    fn an_argument_ends_where_the_wrapper_says() {
        // A string of two that claims the next field's bytes.
        let body = framed(b"\x0a\x08hessian4\x12\x02\x05x\x1a\x10java.lang.String");
        let argument = Message::new(&body).argument(0);
        assert!(matches!(argument, Err(DecodeError::Truncated { .. })), "{argument:?}");
    }

    #[test]
    fn classes_become_descriptors() {
        let mut out = String::new();
        for name in ["int", "[B", "[Ljava.lang.String;", "lab.A$B", "boolean"] {
            push_descriptor(name, &mut out);
        }
        assert_eq!(out, "I[B[Ljava/lang/String;Llab/A$B;Z");
    }
}
