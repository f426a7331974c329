//! Values as JSON, for people.
//!
//! | value | JSON |
//! |---|---|
//! | null, boolean, string | the same |
//! | int, long | number, exact also beyond 2^53 |
//! | double | number; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | binary | base64 text (RFC 4648, padded) |
//! | date | `"2024-02-29T23:59:58.123Z"` |
//! | list | array |
//! | map | object; keys that are no strings are written as text; with a container for a key, an array of `[key, value]` |
//! | object | object of its fields; its class under `"@class"` if asked for |
//! | `java.math.BigDecimal` | its decimal text |
//! | a container met before | `{"$ref": "$.path.to[0].it"}`, as fastjson writes it |
//!
//! Back from JSON, a number becomes the narrowest of int, long and double, and
//! an object becomes a map, or an object of the class its `"@class"` names.
//! [`typed_from_json`] goes by a Java type instead.

use serde_json::{Map as JsonMap, Number, Value as Json};

use super::{List, Map, Object, Value};

/// The key under which an object's class is shown.
pub const CLASS_KEY: &str = "@class";

/// Whether an object's class is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classes {
    /// Under [`CLASS_KEY`].
    Shown,
    /// Not at all.
    Hidden,
}

/// The value as JSON; the table is in the module's documentation.
pub fn to_json(value: &Value, classes: Classes) -> Json {
    Printer { classes, containers: Vec::new(), around: 0 }.value(value, Step::Root)
}

/// Bytes of the path of a `$ref`, at most: many may be asked for.
const PATH_BYTES: usize = 256;

struct Printer<'v> {
    classes: Classes,
    /// Every container begun: the one around it, and its step there.
    containers: Vec<(usize, Step<'v>)>,
    /// The container being written.
    around: usize,
}

/// How a value hangs in the container around it.
#[derive(Clone, Copy)]
enum Step<'v> {
    Root,
    Index(usize),
    Field(&'v str),
    Key(&'v Value),
    /// The key (0) or value (1) of the entry at this index.
    Pair(usize, usize),
}

impl<'v> Printer<'v> {
    fn value(&mut self, value: &'v Value, step: Step<'v>) -> Json {
        match value {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Int(int) => Json::from(*int),
            Value::Long(long) => Json::from(*long),
            Value::Double(double) => match Number::from_f64(*double) {
                Some(number) => Json::Number(number),
                None if double.is_nan() => "NaN".into(),
                None if *double > 0.0 => "Infinity".into(),
                None => "-Infinity".into(),
            },
            Value::String(text) => Json::String(text.clone()),
            Value::Binary(bytes) => Json::String(super::base64::encode(bytes)),
            Value::Date(millis) => Json::String(super::time::to_iso(*millis)),
            Value::Ref(index) => serde_json::json!({ "$ref": self.path(*index as usize) }),
            Value::List(_) | Value::Map(_) | Value::Object(_) => {
                self.containers.push((self.around, step));
                let outer = std::mem::replace(&mut self.around, self.containers.len() - 1);
                let json = match value {
                    Value::List(list) => self.list(list),
                    Value::Map(map) => self.map(map),
                    Value::Object(object) => self.object(object),
                    _ => Json::Null,
                };
                self.around = outer;
                json
            }
        }
    }

    /// Where container `number` stands; the outer part of a long path is left
    /// out.
    fn path(&self, mut number: usize) -> String {
        let mut steps = Vec::new();
        let mut length = 0;
        while let Some((around, step)) = self.containers.get(number) {
            let step = match step {
                Step::Root => {
                    steps.push("$".to_owned());
                    break;
                }
                Step::Index(index) => format!("[{index}]"),
                Step::Field(name) => format!(".{name}"),
                Step::Key(key) => format!(".{}", key_text(key).unwrap_or_default()),
                Step::Pair(entry, side) => format!("[{entry}][{side}]"),
            };
            length += step.len();
            if length > PATH_BYTES {
                steps.push("…".to_owned());
                break;
            }
            steps.push(step);
            number = *around;
        }
        steps.reverse();
        steps.concat()
    }

    fn list(&mut self, list: &'v List) -> Json {
        let items = list.items.iter().enumerate();
        Json::Array(items.map(|(index, item)| self.value(item, Step::Index(index))).collect())
    }

    fn map(&mut self, map: &'v Map) -> Json {
        let keys: Option<Vec<String>> = map.entries.iter().map(|(key, _)| key_text(key)).collect();
        match keys {
            Some(keys) => {
                let entries = keys.into_iter().zip(&map.entries);
                Json::Object(
                    entries
                        .map(|(text, (key, value))| (text, self.value(value, Step::Key(key))))
                        .collect(),
                )
            }
            None => {
                let entries = map.entries.iter().enumerate();
                Json::Array(
                    entries
                        .map(|(index, (key, value))| {
                            let key = self.value(key, Step::Pair(index, 0));
                            let value = self.value(value, Step::Pair(index, 1));
                            Json::Array(vec![key, value])
                        })
                        .collect(),
                )
            }
        }
    }

    fn object(&mut self, object: &'v Object) -> Json {
        let class = &object.class;
        if class.name == "java.math.BigDecimal"
            && let Some(Value::String(text)) = object.get("value")
        {
            return Json::String(text.clone());
        }
        let mut json = JsonMap::new();
        if self.classes == Classes::Shown {
            json.insert(CLASS_KEY.to_owned(), Json::String(class.name.clone()));
        }
        for (name, value) in class.fields.iter().zip(&object.values) {
            let value = self.value(value, Step::Field(name));
            json.insert(name.clone(), value);
        }
        Json::Object(json)
    }
}

/// A scalar key as text; `None` for a container.
fn key_text(key: &Value) -> Option<String> {
    Some(match key {
        Value::String(text) => text.clone(),
        Value::List(_) | Value::Map(_) | Value::Object(_) | Value::Ref(_) => return None,
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Long(long) => long.to_string(),
        Value::Double(double) => double.to_string(),
        Value::Binary(bytes) => super::base64::encode(bytes),
        Value::Date(millis) => super::time::to_iso(*millis),
    })
}

/// The value that JSON stands for, by its own looks.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(long) => i32::try_from(long).map_or(Value::Long(long), Value::Int),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => Value::list(items.iter().map(from_json).collect()),
        Json::Object(fields) => match fields.get(CLASS_KEY) {
            Some(Json::String(class)) => {
                let fields = fields.iter().filter(|(name, _)| *name != CLASS_KEY);
                Value::object(
                    class,
                    fields.map(|(name, value)| (name.as_str(), from_json(value))).collect(),
                )
            }
            _ => Value::map(
                fields
                    .iter()
                    .map(|(key, value)| (Value::String(key.clone()), from_json(value)))
                    .collect(),
            ),
        },
    }
}

/// Why JSON is not of the Java type that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no {expected}")]
pub struct NotOfType {
    /// The JSON that was given.
    pub found: String,
    /// The type, and what JSON for it looks like.
    pub expected: &'static str,
}

/// The value that JSON stands for as the Java type `java_type` (`long`,
/// `java.util.Date`, `byte[]`, …). Types not known here are read by
/// [`from_json`].
///
/// # Errors
/// When the JSON is not of a known type.
pub fn typed_from_json(json: &Json, java_type: &str) -> Result<Value, NotOfType> {
    let not = |expected| NotOfType { found: json.to_string(), expected };
    let boxed = java_type.starts_with("java.lang.");
    match java_type.strip_prefix("java.lang.").unwrap_or(java_type) {
        _ if json.is_null() => match java_type {
            "boolean" | "byte" | "short" | "int" | "long" | "float" | "double" | "char" => {
                Err(not("primitive value, which cannot be null"))
            }
            _ => Ok(Value::Null),
        },
        "boolean" | "Boolean" => json.as_bool().map(Value::Bool).ok_or_else(|| not("boolean")),
        "byte" | "Byte" => int(json, i8::MIN.into(), i8::MAX.into()).ok_or_else(|| not("byte")),
        "short" | "Short" => {
            int(json, i16::MIN.into(), i16::MAX.into()).ok_or_else(|| not("short"))
        }
        "int" | "Integer" => int(json, i32::MIN, i32::MAX).ok_or_else(|| not("int")),
        "long" | "Long" => json.as_i64().map(Value::Long).ok_or_else(|| not("long")),
        "float" | "Float" | "double" | "Double" => match json.as_str() {
            Some("NaN") => Ok(Value::Double(f64::NAN)),
            Some("Infinity") => Ok(Value::Double(f64::INFINITY)),
            Some("-Infinity") => Ok(Value::Double(f64::NEG_INFINITY)),
            _ => json.as_f64().map(Value::Double).ok_or_else(|| not("number")),
        },
        "char" | "Character" => match json.as_str() {
            Some(text) if text.encode_utf16().count() == 1 => Ok(text.into()),
            _ => Err(not("char (a string of one character)")),
        },
        "String" if boxed => json.as_str().map(Value::from).ok_or_else(|| not("string")),
        "byte[]" => json
            .as_str()
            .and_then(super::base64::decode)
            .map(Value::Binary)
            .ok_or_else(|| not("byte[] (base64 text)")),
        "java.util.Date" => json
            .as_i64()
            .or_else(|| super::time::from_iso(json.as_str()?))
            .map(Value::Date)
            .ok_or_else(|| not("date (milliseconds, or 2024-02-29T23:59:58.123Z)")),
        "java.math.BigDecimal" => match json {
            Json::Number(number) => Ok(big_decimal(&number.to_string())),
            Json::String(text) => Ok(big_decimal(text)),
            _ => Err(not("decimal number or its text")),
        },
        _ => Ok(from_json(json)),
    }
}

fn int(json: &Json, min: i32, max: i32) -> Option<Value> {
    let int = i32::try_from(json.as_i64()?).ok()?;
    (min..=max).contains(&int).then_some(Value::Int(int))
}

/// A `java.math.BigDecimal`, as `BigDecimalSerializer` (`StringValueSerializer`)
/// writes it.
fn big_decimal(text: &str) -> Value {
    Value::object("java.math.BigDecimal", vec![("value", text.into())])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_has_its_json() {
        let value = Value::object(
            "lab.All",
            vec![
                ("long", Value::Long(i64::MAX)),
                ("double", Value::Double(1.5)),
                ("nan", Value::Double(f64::NAN)),
                ("binary", Value::Binary(vec![1, 2, 255, 4])),
                ("date", Value::Date(1_709_251_198_123)),
                ("list", Value::list(vec![Value::Null, Value::Bool(true), Value::Ref(0)])),
                ("map", Value::map(vec![(Value::Int(1), Value::Ref(1))])),
                ("pairs", Value::map(vec![(Value::list(vec![]), Value::Ref(4))])),
                ("decimal", big_decimal("1.50")),
            ],
        );
        let expected = json!({
            "long": i64::MAX, "double": 1.5, "nan": "NaN", "binary": "AQL/BA==",
            "date": "2024-02-29T23:59:58.123Z",
            "list": [null, true, {"$ref": "$"}],
            "map": {"1": {"$ref": "$.list"}},
            "pairs": [[[], {"$ref": "$.pairs[0][0]"}]],
            "decimal": "1.50",
        });
        assert_eq!(to_json(&value, Classes::Hidden), expected);
        let shown = to_json(&value, Classes::Shown);
        assert_eq!(shown[CLASS_KEY], "lab.All");
    }

    #[test]
    fn json_becomes_the_narrowest_value() {
        let json =
            json!({"a": [1, 3_000_000_000_u32, 1.5, "x", null], "o": {"@class": "lab.P", "n": 1}});
        let Value::Map(map) = from_json(&json) else { panic!("no map") };
        assert_eq!(
            map.entries[0].1,
            Value::list(vec![
                Value::Int(1),
                Value::Long(3_000_000_000),
                Value::Double(1.5),
                "x".into(),
                Value::Null
            ])
        );
        assert_eq!(map.entries[1].1, Value::object("lab.P", vec![("n", Value::Int(1))]));
        assert_eq!(to_json(&from_json(&json), Classes::Shown), json);
    }

    #[test]
    fn a_java_type_decides_where_it_is_known() {
        let typed = |json: Json, java: &str| typed_from_json(&json, java);
        assert_eq!(typed(json!(1), "long"), Ok(Value::Long(1)));
        assert_eq!(typed(json!(1), "java.lang.Double"), Ok(Value::Double(1.0)));
        assert_eq!(typed(json!("AQI="), "byte[]"), Ok(Value::Binary(vec![1, 2])));
        assert_eq!(
            typed(json!("2024-02-29T23:59:58.123Z"), "java.util.Date"),
            Ok(Value::Date(1_709_251_198_123))
        );
        assert_eq!(typed(json!(null), "java.lang.Integer"), Ok(Value::Null));
        assert_eq!(typed(json!({"n": 1}), "lab.P"), Ok(from_json(&json!({"n": 1}))));
        assert_eq!(typed(json!(300), "byte").unwrap_err().to_string(), "300 is no byte");
        assert!(typed(json!(null), "int").is_err());
        assert!(typed(json!("x"), "java.util.Date").is_err());
    }
}
