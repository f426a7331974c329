//! A request's or response's attachments, one at a time.

use crate::error::DecodeError;
use crate::input::Input;
use crate::{hessian2, jsonb};

use super::leaf::{Leaf, Text};

/// The attachments of one message, read as they are asked for. Allocates
/// nothing. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Attachments<'a> {
    input: Input<'a>,
    form: Form<'a>,
    /// Whether entries may follow.
    open: bool,
}

#[derive(Debug, Clone)]
enum Form<'a> {
    Hessian2(hessian2::Skip),
    Jsonb(jsonb::Skip<'a>),
}

impl<'a> Attachments<'a> {
    /// The map at `input` of a hessian2 body; null or the body's end are read
    /// as an empty one.
    pub(super) fn hessian2(
        mut input: Input<'a>,
        mut skip: hessian2::Skip,
    ) -> Result<Self, DecodeError> {
        let what = "attachments";
        let offset = input.at();
        let open = match input.peek() {
            None => false,
            Some(b'N') => input.byte(what).map(|_| false)?,
            Some(b'H') => input.byte(what).map(|_| true)?,
            Some(b'M') => {
                input.byte(what)?;
                skip.type_name(&mut input)?;
                true
            }
            Some(found) => {
                return Err(DecodeError::Unexpected { what, expected: "a map", found, offset });
            }
        };
        Ok(Attachments { input, form: Form::Hessian2(skip), open })
    }

    /// The map document at `input` of a fastjson2 body; null or the body's end
    /// are read as an empty one.
    pub(super) fn jsonb(mut body: Input<'a>) -> Result<Self, DecodeError> {
        let what = "attachments";
        let mut skip = jsonb::Skip::default();
        if body.is_at_end() {
            return Ok(Attachments { input: body, form: Form::Jsonb(skip), open: false });
        }
        let mut input = jsonb::document(&mut body, what)?;
        let mut offset = input.at();
        let mut tag = input.byte(what)?;
        if tag == 0x92 {
            skip.type_name(&mut input)?;
            offset = input.at();
            tag = input.byte(what)?;
        }
        let open = match tag {
            0xa6 => true,
            0xaf => false,
            found => {
                return Err(DecodeError::Unexpected { what, expected: "a map", found, offset });
            }
        };
        Ok(Attachments { input, form: Form::Jsonb(skip), open })
    }

    #[inline]
    fn entry(&mut self) -> Result<Option<(Text<'a>, Leaf<'a>)>, DecodeError> {
        loop {
            let input = &mut self.input;
            let (end, key) = match &mut self.form {
                Form::Hessian2(_) if input.peek() == Some(b'Z') => (true, None),
                Form::Hessian2(skip) => match Leaf::hessian2(input, skip)? {
                    Leaf::Text(key) => (false, Some(key)),
                    _ => (false, None),
                },
                Form::Jsonb(_) if input.peek() == Some(0xa5) => (true, None),
                Form::Jsonb(skip) => (false, skip.name(input)?.map(Text::Jsonb)),
            };
            if end {
                input.byte("end of the attachments")?;
                return Ok(None);
            }
            let value = match &mut self.form {
                Form::Hessian2(skip) => Leaf::hessian2(input, skip)?,
                Form::Jsonb(skip) => Leaf::jsonb(input, skip)?,
            };
            // A key that is no text cannot be asked for by name.
            if let Some(key) = key {
                return Ok(Some((key, value)));
            }
        }
    }
}

impl<'a> Iterator for Attachments<'a> {
    type Item = Result<(Text<'a>, Leaf<'a>), DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if !self.open {
            return None;
        }
        let entry = self.entry();
        self.open = matches!(entry, Ok(Some(_)));
        entry.transpose()
    }
}
