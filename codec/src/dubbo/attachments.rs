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
    /// Where the map starts, with its length if it has one before it.
    map_at: usize,
    /// Whether entries may follow.
    open: bool,
    /// Where the entry last returned starts.
    entry_at: usize,
    /// Where its value starts.
    value_at: usize,
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
        let map_at = offset;
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
        Ok(Attachments {
            input,
            form: Form::Hessian2(skip),
            open,
            entry_at: 0,
            value_at: 0,
            map_at,
        })
    }

    /// The map document at `input` of a fastjson2 body; null or the body's end
    /// are read as an empty one.
    pub(super) fn jsonb(mut body: Input<'a>) -> Result<Self, DecodeError> {
        let what = "attachments";
        let map_at = body.at();
        let mut skip = jsonb::Skip::default();
        if body.is_at_end() {
            return Ok(Attachments {
                input: body,
                form: Form::Jsonb(skip),
                open: false,
                entry_at: 0,
                value_at: 0,
                map_at,
            });
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
        Ok(Attachments { input, form: Form::Jsonb(skip), open, entry_at: 0, value_at: 0, map_at })
    }

    /// Whether there is a map at all: null and the body's end are not.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Where the map starts, with its length if it has one before it.
    pub(super) fn map_at(&self) -> usize {
        self.map_at
    }

    /// Where the entry last returned starts; at the end, where the end mark is.
    pub(super) fn entry_at(&self) -> usize {
        self.entry_at
    }

    /// Where the value of the entry last returned starts.
    pub(super) fn value_at(&self) -> usize {
        self.value_at
    }

    /// Where reading goes on.
    pub(super) fn at(&self) -> usize {
        self.input.at()
    }

    /// How many names were given a symbol so far.
    pub(super) fn symbols(&self) -> usize {
        match &self.form {
            Form::Hessian2(_) => 0,
            Form::Jsonb(skip) => skip.symbols(),
        }
    }

    /// The next entry, if its key and value are both short ASCII strings of a
    /// hessian2 body; otherwise nothing is read. See
    /// [`hessian2::scalar::plain_string`].
    #[inline(always)]
    pub(super) fn next_plain(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let Form::Hessian2(_) = self.form else { return None };
        let mut input = self.input;
        let key = hessian2::scalar::plain_string(&mut input)?;
        let value = hessian2::scalar::plain_string(&mut input)?;
        if !self.open {
            return None;
        }
        self.input = input;
        Some((key, value))
    }

    /// The next entry whose key is text; others cannot be asked for by name.
    fn entry(&mut self) -> Result<Option<(Text<'a>, Leaf<'a>)>, DecodeError> {
        loop {
            let input = &mut self.input;
            self.entry_at = input.at();
            let (key, value) = match &mut self.form {
                Form::Hessian2(skip) => {
                    if input.peek() == Some(b'Z') {
                        break;
                    }
                    let key = match Leaf::hessian2(input, skip)? {
                        Leaf::Text(key) => Some(key),
                        _ => None,
                    };
                    self.value_at = input.at();
                    (key, Leaf::hessian2(input, skip)?)
                }
                Form::Jsonb(skip) => {
                    if input.peek() == Some(0xa5) {
                        break;
                    }
                    let key = skip.name(input)?.map(Text::Jsonb);
                    self.value_at = input.at();
                    (key, Leaf::jsonb(input, skip)?)
                }
            };
            if let Some(key) = key {
                return Ok(Some((key, value)));
            }
        }
        self.input.byte("end of the attachments")?;
        Ok(None)
    }
}

impl<'a> Iterator for Attachments<'a> {
    type Item = Result<(Text<'a>, Leaf<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.open {
            return None;
        }
        let entry = self.entry();
        self.open = matches!(entry, Ok(Some(_)));
        entry.transpose()
    }
}
