//! [`Value`]s to bytes, as far as a value of our own needs it.

use bytes::{BufMut, BytesMut};

use crate::value::Value;

use super::write;

/// Appends one value. A [`Value::Ref`] is a number in a message that was read and
/// means nothing in another one: it is written as null.
pub fn value(out: &mut BytesMut, written: &Value) {
    append(out, written, &mut 0);
}

/// `symbols` counts the names of classes written so far.
fn append(out: &mut BytesMut, value: &Value, symbols: &mut i32) {
    let name = |out: &mut BytesMut, class: &str, symbols: &mut i32| {
        write::type_name(out, class, *symbols);
        *symbols += 1;
    };
    match value {
        Value::Null | Value::Ref(_) => write::null(out),
        Value::Bool(bool) => write::bool(out, *bool),
        Value::Int(int) => write::int(out, *int),
        Value::Long(long) => write::long(out, *long),
        Value::Double(double) => {
            out.put_u8(0xb5);
            out.put_f64(*double);
        }
        Value::String(text) => write::string(out, text),
        Value::Binary(bytes) => {
            out.put_u8(0x91);
            write::int(out, bytes.len() as i32);
            out.put_slice(bytes);
        }
        Value::Date(millis) => {
            out.put_u8(0xab);
            out.put_i64(*millis);
        }
        Value::List(list) => {
            if let Some(class) = &list.class {
                name(out, class, symbols);
            }
            write::array(out, list.items.len());
            list.items.iter().for_each(|item| append(out, item, symbols));
        }
        Value::Map(map) => {
            if let Some(class) = &map.class {
                name(out, class, symbols);
            }
            write::map(out, |out| {
                for (key, value) in &map.entries {
                    append(out, key, symbols);
                    append(out, value, symbols);
                }
            });
        }
        Value::Object(object) => {
            name(out, &object.class.name, symbols);
            write::map(out, |out| {
                for (field, value) in object.class.fields.iter().zip(&object.values) {
                    write::string(out, field);
                    append(out, value, symbols);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hessian2::Limits;
    use crate::input::Input;

    #[test]
    fn what_is_written_is_read_back() {
        let text = |text: &str| Value::String(text.to_owned());
        let point = |x| Value::object("lab.Point", vec![("x", Value::Int(x))]);
        for written in [
            Value::Null,
            Value::Bool(true),
            Value::Int(-70_000),
            Value::Long(1 << 40),
            Value::Double(1.5),
            text("grün"),
            Value::Binary(vec![7; 300]),
            Value::Date(1_700_000_000_123),
            Value::list((0..40).map(Value::Int).collect()),
            Value::map(vec![(text("a"), Value::list(vec![])), (Value::Int(2), Value::Null)]),
            Value::list(vec![point(1), point(2)]),
        ] {
            let mut bytes = BytesMut::new();
            value(&mut bytes, &written);
            let read = crate::jsonb::Decoder::new(Input::new(&bytes, 0), Limits::default());
            assert_eq!({ read }.value().unwrap(), written);
        }
    }
}
