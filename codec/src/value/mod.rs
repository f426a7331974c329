//! The neutral, self-describing value that bridges, rules and `spanwire call`
//! use.
//!
//! It holds what hessian2 and JSONB can say, no more: integers of two widths,
//! one width of floating point, and containers with or without the name of a
//! Java class. Java's `byte` and `short` are ints here, `float` is a double,
//! `char` a string of one character, as on the wire.
//!
//! Shared and cyclic graphs survive: a container that was met before is a
//! [`Value::Ref`] to it, by its number in the whole message (see there).
//!
//! [`json`] is its form for people.

pub(crate) mod base64;
pub mod json;
mod time;

use std::sync::Arc;

/// A value of any type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 32-bit integer, or a narrower one.
    Int(i32),
    /// A 64-bit integer.
    Long(i64),
    /// A floating-point number.
    Double(f64),
    /// A string. A surrogate without its partner, which Java allows, has become
    /// U+FFFD.
    String(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A point in time, in milliseconds since 1970 (`java.util.Date`).
    Date(i64),
    /// A list, set or array.
    List(List),
    /// A map.
    Map(Map),
    /// An instance of a class, an enum constant or an exception.
    Object(Object),
    /// The list, map or object that was the `n`th to begin in the same message,
    /// counted from 0 over all of its values in the order they are written. May
    /// be one that has not ended yet.
    Ref(u32),
}

/// A list, set or array.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct List {
    /// Its class, where one is named: `java.util.LinkedList`, `[int`.
    pub class: Option<Arc<str>>,
    /// Its elements.
    pub items: Vec<Value>,
}

/// A map, in the order of the bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    /// Its class, where one is named: `java.util.TreeMap`.
    pub class: Option<Arc<str>>,
    /// Its entries. Keys may repeat and may be of any type.
    pub entries: Vec<(Value, Value)>,
}

/// An instance of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its class; shared by all instances in the message.
    pub class: Arc<Class>,
    /// The fields' values, in the order of [`Class::fields`].
    pub values: Vec<Value>,
}

/// A class as one message describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Class {
    /// Its full name.
    pub name: String,
    /// Its fields' names.
    pub fields: Vec<String>,
}

impl Value {
    /// A list that names no class.
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(List { class: None, items })
    }

    /// A map that names no class.
    pub fn map(entries: Vec<(Value, Value)>) -> Value {
        Value::Map(Map { class: None, entries })
    }

    /// An instance of `class` with these fields.
    pub fn object(class: &str, fields: Vec<(&str, Value)>) -> Value {
        let (names, values) =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).unzip();
        let class = Arc::new(Class { name: class.to_owned(), fields: names });
        Value::Object(Object { class, values })
    }

    /// The field or string key `name` of an object or map.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(object) => object.get(name),
            Value::Map(map) => map.entries.iter().find_map(|(key, value)| match key {
                Value::String(key) if key == name => Some(value),
                _ => None,
            }),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The class, where one is named.
    pub fn class(&self) -> Option<&str> {
        match self {
            Value::List(list) => list.class.as_deref(),
            Value::Map(map) => map.class.as_deref(),
            Value::Object(object) => Some(&object.class.name),
            _ => None,
        }
    }
}

impl Object {
    /// The field `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let index = self.class.fields.iter().position(|field| field == name)?;
        self.values.get(index)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}
