//! Whole requests, for a client of our own.

use bytes::BytesMut;
use thiserror::Error;

use crate::hessian2::{Encoder, write};
use crate::value::Value;

use super::head::GENERIC_PARAMETER_TYPES;
use super::header::{self, Header};
use super::serialization::Serialization;

/// The protocol version that Java 2.6 to 3.x name, and that makes a provider
/// send attachments with its answers.
const PROTOCOL_VERSION: &str = "2.0.2";

/// A request to be written in hessian2.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The interface.
    pub service: String,
    /// Its version; empty for none.
    pub version: String,
    /// Its group; empty for none.
    pub group: String,
    /// The method.
    pub method: String,
    /// Its parameter types, as a JVM descriptor; see [`descriptor`].
    pub parameter_types: String,
    /// The arguments, as many as there are types.
    pub arguments: Vec<Value>,
    /// Attachments besides those that Java sends with every call (`path`,
    /// `interface`, `version`, `group`), which these can replace.
    pub attachments: Vec<(String, String)>,
}

impl Call {
    /// The same call by way of `GenericService.$invoke`, for which the provider
    /// needs no types of ours: objects are maps with their `class` as an entry.
    /// `java_types` names the parameters as Java source does.
    pub fn into_generic(self, java_types: &[String]) -> Call {
        let strings = |items: &[String]| {
            Value::List(crate::value::List {
                class: Some("[string".into()),
                items: items.iter().map(|item| Value::String(item.clone())).collect(),
            })
        };
        let arguments = Value::List(crate::value::List {
            class: Some("[object".into()),
            items: self.arguments,
        });
        let mut attachments = self.attachments;
        attachments.push(("generic".to_owned(), "true".to_owned()));
        Call {
            method: "$invoke".to_owned(),
            parameter_types: GENERIC_PARAMETER_TYPES.to_owned(),
            arguments: vec![Value::String(self.method), strings(java_types), arguments],
            attachments,
            service: self.service,
            version: self.version,
            group: self.group,
        }
    }

    /// Appends the request frame.
    pub fn write(&self, id: u64, one_way: bool, out: &mut BytesMut) {
        let start = out.len();
        let two_way = if one_way { 0 } else { header::TWO_WAY };
        let flags = header::REQUEST | two_way | Serialization::Hessian2.id();
        Header { flags, status: 0, id, body_len: 0 }.write(out);
        let version = if self.version.is_empty() { "0.0.0" } else { &self.version };
        for text in [PROTOCOL_VERSION, &self.service, version, &self.method, &self.parameter_types]
        {
            write::string(out, text);
        }
        let mut encoder = Encoder::new();
        for argument in &self.arguments {
            encoder.value(out, argument);
        }
        let own = [
            ("path", self.service.as_str()),
            ("interface", &self.service),
            ("version", version),
            ("group", &self.group),
        ];
        let own = own.into_iter().filter(|(name, value)| {
            !value.is_empty() && !self.attachments.iter().any(|(given, _)| given == name)
        });
        let given = self.attachments.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let entries = own.chain(given).map(|(name, value)| (name.into(), value.into())).collect();
        encoder.value(out, &Value::map(entries));
        header::set_body_len(out, start);
    }
}

/// A name that is no Java type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no Java type (such as int, java.lang.String or long[])")]
pub struct NotAType(pub String);

/// The JVM descriptor of Java types as source code names them: `int` and
/// `java.lang.String[]` become `I[Ljava/lang/String;`. Generic parameters and a
/// missing package of `java.lang` are not filled in.
///
/// # Errors
/// When a name is not a type's.
pub fn descriptor<'t>(java_types: impl IntoIterator<Item = &'t str>) -> Result<String, NotAType> {
    let mut descriptor = String::new();
    for java_type in java_types {
        let mut element = java_type.trim();
        while let Some(inner) = element.strip_suffix("[]") {
            descriptor.push('[');
            element = inner.trim_end();
        }
        match element {
            "boolean" => descriptor.push('Z'),
            "byte" => descriptor.push('B'),
            "char" => descriptor.push('C'),
            "short" => descriptor.push('S'),
            "int" => descriptor.push('I'),
            "long" => descriptor.push('J'),
            "float" => descriptor.push('F'),
            "double" => descriptor.push('D'),
            class => {
                let part = |part: &str| {
                    part.starts_with(|c: char| c.is_alphabetic() || "_$".contains(c))
                        && part.chars().all(|c| c.is_alphanumeric() || "_$".contains(c))
                };
                if !class.split('.').all(part) {
                    return Err(NotAType(java_type.to_owned()));
                }
                descriptor.push('L');
                descriptor.push_str(&class.replace('.', "/"));
                descriptor.push(';');
            }
        }
    }
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_types_have_descriptors() {
        let types = ["int", "java.lang.String[]", "lab.Outer$Inner", "long[][]"];
        let expected = "I[Ljava/lang/String;Llab/Outer$Inner;[[J";
        assert_eq!(descriptor(types).as_deref(), Ok(expected));
        assert_eq!(descriptor([]).as_deref(), Ok(""));
        for bad in ["", "[]", "java..String", "List<String>", "1x"] {
            assert_eq!(descriptor([bad]), Err(NotAType(bad.to_owned())));
        }
    }
}
