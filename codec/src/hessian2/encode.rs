//! [`Value`]s to bytes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use crate::value::{Class, Value};

use super::write;

/// Writes the values of one message, which share classes, types and references.
///
/// Every list, map and object takes the next number, as a reader counts them,
/// so a [`Value::Ref`] is written as it is.
#[derive(Debug, Default)]
pub struct Encoder {
    classes: HashMap<Arc<Class>, usize>,
    types: HashMap<Arc<str>, i32>,
}

impl Encoder {
    /// At the start of a message.
    pub fn new() -> Self {
        Encoder::default()
    }

    /// Appends one value.
    pub fn value(&mut self, out: &mut BytesMut, value: &Value) {
        match value {
            Value::Null => write::null(out),
            Value::Bool(bool) => write::bool(out, *bool),
            Value::Int(int) => write::int(out, *int),
            Value::Long(long) => write::long(out, *long),
            Value::Double(double) => write::double(out, *double),
            Value::String(text) => write::string(out, text),
            Value::Binary(bytes) => write::binary(out, bytes),
            Value::Date(millis) => write::date(out, *millis),
            Value::Ref(index) => write::reference(out, *index as i32),
            Value::List(list) => {
                let count = list.items.len();
                match (&list.class, count) {
                    (None, 0..=7) => out.put_u8(0x78 | count as u8),
                    (None, _) => out.put_u8(0x58),
                    (Some(_), 0..=7) => out.put_u8(0x70 | count as u8),
                    (Some(_), _) => out.put_u8(b'V'),
                }
                if let Some(class) = &list.class {
                    self.type_name(out, class);
                }
                if count > 7 {
                    write::int(out, count as i32);
                }
                list.items.iter().for_each(|item| self.value(out, item));
            }
            Value::Map(map) => {
                match &map.class {
                    None => out.put_u8(b'H'),
                    Some(class) => {
                        out.put_u8(b'M');
                        self.type_name(out, class);
                    }
                }
                for (key, value) in &map.entries {
                    self.value(out, key);
                    self.value(out, value);
                }
                out.put_u8(b'Z');
            }
            Value::Object(object) => {
                match self.class(out, &object.class) {
                    index @ 0..=15 => out.put_u8(0x60 | index as u8),
                    index => {
                        out.put_u8(b'O');
                        write::int(out, index as i32);
                    }
                }
                // A reader takes as many values as the class has fields.
                for index in 0..object.class.fields.len() {
                    self.value(out, object.values.get(index).unwrap_or(&Value::Null));
                }
            }
        }
    }

    fn type_name(&mut self, out: &mut BytesMut, name: &Arc<str>) {
        match self.types.get(name) {
            Some(index) => write::int(out, *index),
            None => {
                self.types.insert(name.clone(), self.types.len() as i32);
                write::string(out, name);
            }
        }
    }

    /// The class's number; defines the class first where it is new.
    fn class(&mut self, out: &mut BytesMut, class: &Arc<Class>) -> usize {
        if let Some(index) = self.classes.get(class) {
            return *index;
        }
        let index = self.classes.len();
        self.classes.insert(class.clone(), index);
        out.put_u8(b'C');
        write::string(out, &class.name);
        write::int(out, class.fields.len() as i32);
        for field in &class.fields {
            write::string(out, field);
        }
        index
    }
}

/// Writes one value that is a whole message.
pub fn to_bytes(value: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    Encoder::new().value(&mut out, value);
    out
}
