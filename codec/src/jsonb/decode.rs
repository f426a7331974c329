//! A document to a [`Value`].

use std::sync::Arc;

use crate::error::DecodeError;
use crate::hessian2::Limits;
use crate::hessian2::limits::Budget;
use crate::input::Input;
use crate::value::{Class, List, Map, Object, Value};

use super::graph::{Graph, Step};
use super::skip::Skip;
use super::{number, scalar};

/// Reads one document.
///
/// Objects that name their class become [`Value::Object`], others
/// [`Value::Map`]; times of `java.time` become their ISO text.
#[derive(Debug)]
pub struct Decoder<'a> {
    input: Input<'a>,
    /// Names given a symbol.
    names: Skip<'a>,
    graph: Graph<'a>,
    budget: Budget,
}

impl<'a> Decoder<'a> {
    /// Reads from `input` on.
    pub fn new(input: Input<'a>, limits: Limits) -> Self {
        Decoder {
            input,
            names: Skip::default(),
            graph: Graph::default(),
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
    /// When the bytes are no value, end inside one, refer to a symbol that was
    /// not defined, or ask for more than the limits.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        self.value_at(Step::Root, None)
    }

    /// Reads the value at `step` of the container around it; an object, if it
    /// is one, of `class`.
    fn value_at(&mut self, step: Step<'a>, class: Option<Arc<str>>) -> Result<Value, DecodeError> {
        self.budget.value()?;
        let what = "value";
        let offset = self.input.at();
        let input = &mut self.input;
        let tag = input.byte(what)?;
        if let Some(int) = scalar::int32_after(input, tag, what)? {
            return Ok(Value::Int(int));
        }
        if let Some(long) = scalar::int64_after(input, tag, what)? {
            return Ok(Value::Long(long));
        }
        if let Some(double) = scalar::double_after(input, tag, what)? {
            return Ok(Value::Double(double));
        }
        if let Some(text) = scalar::string_after(input, tag, what)? {
            self.budget.text(text.encoded_len())?;
            return Ok(Value::String(text.to_str().into_owned()));
        }
        Ok(match tag {
            0xaf => Value::Null,
            0xb0 => Value::Bool(false),
            0xb1 => Value::Bool(true),
            0x7f => {
                let text = self.names.symbol(input)?;
                self.budget.text(text.encoded_len())?;
                Value::String(text.to_str().into_owned())
            }
            0x90 => {
                let unit = scalar::integer(input, "char")? as u16;
                Value::String(String::from_utf16_lossy(&[unit]))
            }
            0x91 => {
                let length = scalar::length(input, "binary")?;
                self.budget.text(length)?;
                Value::Binary(input.take(length, "binary")?.to_vec())
            }
            0xb8..=0xbb => number::big(input, tag)?,
            0xa7..=0xae => number::time(input, tag)?,
            0x92 => {
                let name = self.names.type_name(input)?;
                self.budget.text(name.encoded_len())?;
                self.budget.enter()?;
                let class = full_name(&name.to_str()).into();
                let value = self.value_at(step, Some(class))?;
                self.budget.leave();
                value
            }
            0x93 => {
                let path = match scalar::string(input, "reference")? {
                    Some(text) => text.to_str().into_owned(),
                    None => String::new(),
                };
                self.budget.text(path.len())?;
                let found = self.graph.find(&path, &mut self.budget)?;
                match found {
                    Some(index) => Value::Ref(index),
                    None => Value::map(vec![("$ref".into(), Value::String(path))]),
                }
            }
            0x94..=0xa3 => self.list(step, usize::from(tag - 0x94), class)?,
            0xa4 => {
                let count = scalar::length(input, "array length")?;
                self.list(step, count, class)?
            }
            0xa6 => self.map(step, class)?,
            found => {
                return Err(DecodeError::Unexpected { what, expected: "a value", found, offset });
            }
        })
    }

    fn list(
        &mut self,
        step: Step<'a>,
        count: usize,
        class: Option<Arc<str>>,
    ) -> Result<Value, DecodeError> {
        self.budget.enter()?;
        self.budget.reserve(count)?;
        self.graph.enter(step);
        let mut items = Vec::new();
        for index in 0..count {
            items.push(self.value_at(Step::Index(index), None)?);
        }
        self.graph.leave();
        self.budget.leave();
        Ok(Value::List(List { class, items }))
    }

    fn map(&mut self, step: Step<'a>, class: Option<Arc<str>>) -> Result<Value, DecodeError> {
        self.budget.enter()?;
        self.graph.enter(step);
        let mut entries = Vec::new();
        while self.input.peek() != Some(0xa5) {
            let (key, step) = match self.input.peek() {
                Some(0x49..=0x7f | 0xaf) => {
                    self.budget.value()?;
                    match self.names.name(&mut self.input)? {
                        Some(text) => {
                            self.budget.text(text.encoded_len())?;
                            (Value::String(text.to_str().into_owned()), Step::Name(text))
                        }
                        None => (Value::Null, Step::Unnamed),
                    }
                }
                _ => (self.value_at(Step::Unnamed, None)?, Step::Unnamed),
            };
            entries.push((key, self.value_at(step, None)?));
        }
        self.input.byte("end")?;
        self.graph.leave();
        self.budget.leave();
        Ok(match class {
            Some(class) if is_bean(&class, &entries) => object(&class, entries),
            class => Value::Map(Map { class, entries }),
        })
    }
}

/// The class that fastjson2 abbreviates (`TypeUtils.NAME_MAPPINGS`), for the
/// common ones.
fn full_name(name: &str) -> &str {
    match name {
        "M" | "HashMap" => "java.util.HashMap",
        "LM" | "LinkedHashMap" => "java.util.LinkedHashMap",
        "TM" | "TreeMap" => "java.util.TreeMap",
        "A" | "ArrayList" => "java.util.ArrayList",
        "LA" | "LinkedList" => "java.util.LinkedList",
        other => other,
    }
}

/// Whether an object of `class` is one of named fields; maps are written the
/// same way.
fn is_bean(class: &str, entries: &[(Value, Value)]) -> bool {
    let is_map =
        class.ends_with("Map") && (class.starts_with("java.util.") || !class.contains('.'));
    !is_map && entries.iter().all(|(key, _)| matches!(key, Value::String(_)))
}

fn object(class: &str, entries: Vec<(Value, Value)>) -> Value {
    let mut fields: Vec<String> = Vec::with_capacity(entries.len());
    let mut values = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Value::String(name) = key else { continue };
        // A field that is a reference is written again, as null (2.0.57).
        let repeated = value == Value::Null
            && fields.last() == Some(&name)
            && matches!(values.last(), Some(Value::Ref(_)));
        if !repeated {
            fields.push(name);
            values.push(value);
        }
    }
    Value::Object(Object { class: Arc::new(Class { name: class.to_owned(), fields }), values })
}
