//! Compares values with the JSON that the vectors describe them in.

use codec::value::Value;
use serde_json::Value as Json;

/// Every list, map and object in the order in which they begin.
fn containers<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::List(list) => {
            found.push(value);
            list.items.iter().for_each(|item| containers(item, found));
        }
        Value::Map(map) => {
            found.push(value);
            for (key, value) in &map.entries {
                containers(key, found);
                containers(value, found);
            }
        }
        Value::Object(object) => {
            found.push(value);
            object.values.iter().for_each(|value| containers(value, found));
        }
        _ => {}
    }
}

/// Checks the values of one message against what the Java library read.
pub(crate) struct Check<'v> {
    containers: Vec<&'v Value>,
    /// The containers around the value being checked.
    around: Vec<&'v Value>,
}

impl<'v> Check<'v> {
    /// All values of the message.
    pub(crate) fn of(message: &'v [Value]) -> Self {
        let mut all = Vec::new();
        message.iter().for_each(|value| containers(value, &mut all));
        Check { containers: all, around: Vec::new() }
    }

    /// Whether `value` is what `json` describes.
    pub(crate) fn is(&mut self, value: &'v Value, json: &Json) -> Result<(), String> {
        let wrong = || Err(format!("{value:?} is not {json}"));
        let special = |key: &str| json.get(key);
        if let Some(levels) = special("@cycle_up") {
            let up = self.around.len() - levels.as_u64().unwrap() as usize;
            let Value::Ref(index) = value else { return wrong() };
            let same = std::ptr::eq(self.containers[*index as usize], self.around[up]);
            return if same { Ok(()) } else { wrong() };
        }
        if let Value::Ref(index) = value {
            return self.is(self.containers[*index as usize], json);
        }
        self.around.push(value);
        let result = self.is_itself(value, json);
        self.around.pop();
        result
    }

    fn is_itself(&mut self, value: &'v Value, json: &Json) -> Result<(), String> {
        let special = |key: &str| json.get(key);
        let ok = match value {
            Value::Null => json.is_null(),
            Value::Bool(bool) => json.as_bool() == Some(*bool),
            // fastjson2 writes an enum constant as its ordinal.
            Value::Int(_) if special("@enum").is_some() => true,
            Value::Int(int) => json.as_i64() == Some((*int).into()),
            Value::Long(long) => json.as_i64() == Some(*long),
            Value::Double(double) => match json {
                Json::String(text) => {
                    text.to_lowercase().contains(&double.to_string().to_lowercase())
                }
                json => {
                    let expected = json.as_f64().unwrap();
                    expected == *double || expected as f32 == *double as f32
                }
            },
            Value::String(text) => match special("@repeat") {
                Some(unit) => {
                    let times = json["times"].as_u64().unwrap() as usize;
                    *text == unit.as_str().unwrap().repeat(times)
                }
                None if special("@enum").is_some() => json["name"].as_str() == Some(text),
                None => json.as_str() == Some(text),
            },
            Value::Binary(bytes) => match (special("@bytes"), special("@bytes_pattern")) {
                (Some(hex), _) => {
                    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    hex.as_str() == Some(&text)
                }
                (None, Some(_)) => {
                    let pattern = |i: usize| (i * 31 + (i >> 8)) as u8;
                    json["length"].as_u64() == Some(bytes.len() as u64)
                        && bytes.iter().enumerate().all(|(i, byte)| *byte == pattern(i))
                }
                _ => false,
            },
            Value::Date(millis) => special("@date_ms").and_then(Json::as_i64) == Some(*millis),
            Value::Ref(_) => unreachable!("references are followed first"),
            Value::List(list) => {
                let items = json.as_array().ok_or_else(|| format!("a list is not {json}"))?;
                // Sets are in Java's order on both sides.
                for (item, expected) in list.items.iter().zip(items) {
                    self.is(item, expected)?;
                }
                items.len() == list.items.len()
            }
            // fastjson2 names no class where the declared type tells it.
            Value::Map(_) if special("@class").is_some() => {
                self.fields(value, json)?;
                true
            }
            Value::Map(map) => {
                let pairs: Vec<(Json, Json)> = match (special("@pairs"), json.as_object()) {
                    (Some(pairs), _) => {
                        let pairs = pairs.as_array().unwrap();
                        pairs.iter().map(|pair| (pair[0].clone(), pair[1].clone())).collect()
                    }
                    (None, Some(object)) => {
                        object.iter().map(|(k, v)| (k.clone().into(), v.clone())).collect()
                    }
                    _ => return Err(format!("a map is not {json}")),
                };
                for (key, value) in &map.entries {
                    let mut fits = Vec::new();
                    for (expected_key, expected) in &pairs {
                        if self.is(key, expected_key).is_ok() {
                            fits.push(self.is(value, expected));
                        }
                    }
                    match fits.len() {
                        1 => fits.remove(0)?,
                        n => return Err(format!("{n} entries of {json} have the key {key:?}")),
                    }
                }
                pairs.len() == map.entries.len()
            }
            Value::Object(object) => {
                if let Some(class) = special("@enum") {
                    return if class == object.class.name.as_str()
                        && object.get("name").and_then(Value::as_str) == json["name"].as_str()
                    {
                        Ok(())
                    } else {
                        Err(format!("{object:?} is not {json}"))
                    };
                }
                let Some(class) = special("@class").and_then(Json::as_str) else {
                    // Collections and times that hessian-lite writes through
                    // classes of its own (`CollSer`, `LocalDateHandle`).
                    return if object.class.name.starts_with("java")
                        || object.class.name.contains("hessian")
                    {
                        Ok(())
                    } else {
                        Err(format!("{object:?} is not {json}"))
                    };
                };
                if !class.starts_with("lab.") || special("message").is_some() {
                    return Ok(());
                }
                self.fields(value, json)?;
                class == object.class.name
            }
        };
        if ok { Ok(()) } else { Err(format!("{value:?} is not {json}")) }
    }

    fn fields(&mut self, value: &'v Value, json: &Json) -> Result<(), String> {
        for (field, expected) in json.as_object().unwrap() {
            if field == "@class" {
                continue;
            }
            match value.get(field) {
                Some(field) => self.is(field, expected)?,
                // fastjson2 leaves out what has its type's default value.
                None if expected.is_null()
                    || *expected == 0
                    || *expected == 0.0
                    || *expected == false => {}
                None => return Err(format!("no {field} in {value:?}")),
            }
        }

        Ok(())
    }
}
