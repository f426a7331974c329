//! JSONB, fastjson2's binary form: Dubbo 3's other default serialization.
//!
//! Dubbo writes each value of a body as a four-byte length and one JSONB
//! document, so that values can be stepped over without looking inside; see
//! [`document`]. Inside a document:
//!
//! * [`decode`]: a document to a [`crate::value::Value`].
//! * [`encode`]: and back.
//! * [`text`]: strings in their encodings.
//! * [`scalar`]: strings, integers, lengths and names where they stand.
//! * [`mod@write`]: the forms, as Java writes them.
//! * [`skip`]: stepping over values, and remembering names given a symbol.
//!
//! Wire forms follow `com.alibaba.fastjson2.JSONB.Constants` and
//! `JSONReaderJSONB` (2.0.57), how Dubbo uses them
//! `FastJson2ObjectInput`/`FastJson2ObjectOutput` of Dubbo 3.3.

pub mod decode;
pub mod encode;
mod graph;
mod number;
pub mod scalar;
pub mod skip;
pub mod text;
pub mod write;

use crate::error::DecodeError;
use crate::input::Input;

pub use decode::Decoder;
pub use skip::Skip;
pub use text::Text;

/// The next length-prefixed document, as Dubbo frames it.
///
/// # Errors
/// When the data ends before the length says so.
#[inline]
pub fn document<'a>(input: &mut Input<'a>, what: &'static str) -> Result<Input<'a>, DecodeError> {
    let length = u32::from_be_bytes(input.array(what)?) as usize;
    let start = input.at();
    input.take(length, what)?;
    // Offsets in errors stay those of the whole body.
    Ok(Input::between(input.bytes(), start, start + length))
}

/// The next length-prefixed document, which must be one string or null.
///
/// # Errors
/// When it is something else, or the data ends inside.
#[inline]
pub fn string_document<'a>(
    input: &mut Input<'a>,
    what: &'static str,
) -> Result<Option<Text<'a>>, DecodeError> {
    scalar::string(&mut document(input, what)?, what)
}
