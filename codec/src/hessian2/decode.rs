//! Bytes to [`Value`]s.

use std::sync::Arc;

use crate::error::DecodeError;
use crate::input::Input;
use crate::value::{Class, List, Map, Object, Value};

use super::limits::{Budget, Limits};
use super::scalar;

/// Elements a container gets room for before any of them is read: nested
/// containers may each claim as many as there are bytes left.
const FIRST_RESERVE: usize = 64;

/// Reads the values of one message, which share classes, types and references.
#[derive(Debug)]
pub struct Decoder<'a> {
    input: Input<'a>,
    classes: Vec<Arc<Class>>,
    types: Vec<Arc<str>>,
    /// Lists, maps and objects begun so far.
    containers: u32,
    budget: Budget,
}

impl<'a> Decoder<'a> {
    /// Reads from `input` on.
    pub fn new(input: Input<'a>, limits: Limits) -> Self {
        Decoder {
            input,
            classes: Vec::new(),
            types: Vec::new(),
            containers: 0,
            budget: Budget::new(limits),
        }
    }

    /// Where the next value starts.
    pub fn input(&self) -> Input<'a> {
        self.input
    }

    /// Reads one value.
    ///
    /// # Errors
    /// When the bytes are no value, end inside one, refer to what was not
    /// defined, or ask for more than the limits.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        self.budget.value()?;
        loop {
            let offset = self.input.at();
            let what = "value";
            let Some(tag) = self.input.peek() else {
                return Err(DecodeError::Truncated { what, offset });
            };
            match tag {
                0x00..=0x1f | 0x30..=0x33 | b'R' | b'S' => return self.string().map(Value::String),
                0x20..=0x2f | 0x34..=0x37 | b'A' | b'B' => return self.binary(),
                _ => {}
            }
            self.input.byte(what)?;
            if let Some(int) = scalar::int_after(&mut self.input, tag, what)? {
                return Ok(Value::Int(int));
            }
            if let Some(long) = scalar::long_after(&mut self.input, tag, what)? {
                return Ok(Value::Long(long));
            }
            if let Some(double) = scalar::double_after(&mut self.input, tag, what)? {
                return Ok(Value::Double(double));
            }
            return match tag {
                b'N' => Ok(Value::Null),
                b'T' => Ok(Value::Bool(true)),
                b'F' => Ok(Value::Bool(false)),
                0x4a => Ok(Value::Date(i64::from_be_bytes(self.input.array("date")?))),
                0x4b => {
                    let minutes = i32::from_be_bytes(self.input.array("date")?);
                    Ok(Value::Date(i64::from(minutes) * 60_000))
                }
                0x51 => self.reference(offset),
                0x55 => self.typed().and_then(|class| self.list(Some(class), None)),
                b'V' => self.typed().and_then(|class| {
                    let count = scalar::count(&mut self.input, "list length")?;
                    self.list(Some(class), Some(count))
                }),
                0x57 => self.list(None, None),
                0x58 => {
                    let count = scalar::count(&mut self.input, "list length")?;
                    self.list(None, Some(count))
                }
                0x70..=0x77 => self
                    .typed()
                    .and_then(|class| self.list(Some(class), Some(usize::from(tag - 0x70)))),
                0x78..=0x7f => self.list(None, Some(usize::from(tag - 0x78))),
                b'H' => self.map(None),
                b'M' => self.typed().and_then(|class| self.map(Some(class))),
                b'C' => {
                    self.class()?;
                    continue;
                }
                0x60..=0x6f => self.object(u64::from(tag - 0x60), offset),
                b'O' => {
                    let index = scalar::int(&mut self.input, "class reference")?;
                    self.object(u64::from(index as u32), offset)
                }
                found => Err(DecodeError::Unexpected { what, expected: "a value", found, offset }),
            };
        }
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        match scalar::string(&mut self.input, "string")? {
            Some(text) => {
                self.budget.text(text.encoded_len())?;
                Ok(text.to_str().into_owned())
            }
            None => Ok(String::new()),
        }
    }

    fn binary(&mut self) -> Result<Value, DecodeError> {
        let mut bytes = Vec::new();
        loop {
            let (piece, last) = scalar::binary_piece(&mut self.input)?;
            self.budget.text(piece.len())?;
            bytes.extend_from_slice(piece);
            if last {
                return Ok(Value::Binary(bytes));
            }
        }
    }

    fn reference(&mut self, offset: usize) -> Result<Value, DecodeError> {
        let index = scalar::int(&mut self.input, "reference")?;
        match u32::try_from(index) {
            Ok(index) if index < self.containers => Ok(Value::Ref(index)),
            _ => Err(DecodeError::Dangling {
                what: "reference",
                index: u64::from(index as u32),
                defined: u64::from(self.containers),
                offset,
            }),
        }
    }

    /// A list's or map's type: its name, or the number of one named before.
    fn typed(&mut self) -> Result<Arc<str>, DecodeError> {
        let what = "type";
        let offset = self.input.at();
        if let Some(0x00..=0x1f | 0x30..=0x33 | b'R' | b'S') = self.input.peek() {
            let name: Arc<str> = self.string()?.into();
            Limits::check("types", self.types.len() + 1, self.budget.limits.classes)?;
            self.types.push(name.clone());
            return Ok(name);
        }
        let index = scalar::int(&mut self.input, "type reference")?;
        usize::try_from(index).ok().and_then(|index| self.types.get(index)).cloned().ok_or(
            DecodeError::Dangling {
                what,
                index: u64::from(index as u32),
                defined: self.types.len() as u64,
                offset,
            },
        )
    }

    fn list(
        &mut self,
        class: Option<Arc<str>>,
        count: Option<usize>,
    ) -> Result<Value, DecodeError> {
        self.containers += 1;
        self.budget.enter()?;
        let mut items = Vec::new();
        match count {
            Some(count) => {
                self.budget.reserve(count)?;
                items.reserve(count.min(FIRST_RESERVE));
                for _ in 0..count {
                    items.push(self.value()?);
                }
            }
            None => {
                while !self.at_end_mark()? {
                    items.push(self.value()?);
                }
            }
        }
        self.budget.leave();
        Ok(Value::List(List { class, items }))
    }

    fn map(&mut self, class: Option<Arc<str>>) -> Result<Value, DecodeError> {
        self.containers += 1;
        self.budget.enter()?;
        let mut entries = Vec::new();
        while !self.at_end_mark()? {
            let key = self.value()?;
            entries.push((key, self.value()?));
        }
        self.budget.leave();
        Ok(Value::Map(Map { class, entries }))
    }

    fn at_end_mark(&mut self) -> Result<bool, DecodeError> {
        let end = self.input.peek() == Some(b'Z');
        if end {
            self.input.byte("end")?;
        }
        Ok(end)
    }

    fn class(&mut self) -> Result<(), DecodeError> {
        let name = self.name("class name")?;
        let count = scalar::count(&mut self.input, "field count")?;
        Limits::check("classes", self.classes.len() + 1, self.budget.limits.classes)?;
        self.budget.reserve(count)?;
        let mut fields = Vec::with_capacity(count.min(FIRST_RESERVE));
        for _ in 0..count {
            self.budget.value()?;
            fields.push(self.name("field name")?);
        }
        self.classes.push(Arc::new(Class { name, fields }));
        Ok(())
    }

    fn name(&mut self, what: &'static str) -> Result<String, DecodeError> {
        match scalar::string(&mut self.input, what)? {
            Some(text) => {
                self.budget.text(text.encoded_len())?;
                Ok(text.to_str().into_owned())
            }
            None => Ok(String::new()),
        }
    }

    fn object(&mut self, index: u64, offset: usize) -> Result<Value, DecodeError> {
        let class = usize::try_from(index).ok().and_then(|index| self.classes.get(index));
        let Some(class) = class.cloned() else {
            return Err(DecodeError::Dangling {
                what: "class",
                index,
                defined: self.classes.len() as u64,
                offset,
            });
        };
        self.containers += 1;
        self.budget.enter()?;
        self.budget.reserve(class.fields.len())?;
        let mut values = Vec::with_capacity(class.fields.len().min(FIRST_RESERVE));
        for _ in &class.fields {
            values.push(self.value()?);
        }
        self.budget.leave();
        Ok(Value::Object(Object { class, values }))
    }
}

/// Reads one value that is a whole message.
///
/// # Errors
/// As [`Decoder::value`], and when bytes are left.
pub fn from_slice(bytes: &[u8], limits: Limits) -> Result<Value, DecodeError> {
    let mut decoder = Decoder::new(Input::new(bytes, 0), limits);
    let value = decoder.value()?;
    match decoder.input.peek() {
        None => Ok(value),
        Some(found) => Err(DecodeError::Unexpected {
            what: "value",
            expected: "the end",
            found,
            offset: decoder.input.at(),
        }),
    }
}
