//! The lazily read view of a request.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::Duration;

use crate::error::DecodeError;
use crate::head::{Argument, RequestHead as Head, Target};
use crate::input::Input;
use crate::value::Value;
use crate::{hessian2, jsonb};

use super::attachments::Attachments;
use super::header::{self, Header};
use super::leaf::Leaf;
use super::serialization::Serialization;

/// A request frame, read as far as somebody asks.
///
/// Everything is borrowed from the frame, except strings in several pieces or
/// with characters outside the basic plane, which are put together once.
/// Searching for the attachments means stepping over the arguments; where they
/// start is remembered.
#[derive(Debug)]
pub struct RequestHead<'a> {
    frame: &'a [u8],
    flags: u8,
    lead: OnceCell<Lead<'a>>,
    attachments: OnceCell<Attachments<'a>>,
    facts: OnceCell<Facts<'a>>,
}

/// The strings before the arguments.
#[derive(Debug)]
struct Lead<'a> {
    protocol_version: Cow<'a, str>,
    path: Cow<'a, str>,
    version: Cow<'a, str>,
    method: Cow<'a, str>,
    parameter_types: Cow<'a, str>,
    /// Where the first argument starts.
    arguments: usize,
}

/// What every call is asked for among its attachments, found in one pass.
#[derive(Debug, Default)]
struct Facts<'a> {
    group: Cow<'a, str>,
    timeout: Option<i64>,
    deadline: Option<i64>,
    has_callback: bool,
}

impl<'a> RequestHead<'a> {
    /// The head of a whole request frame.
    pub fn new(frame: &'a [u8]) -> Self {
        RequestHead {
            frame,
            flags: frame.get(2).copied().unwrap_or_default(),
            lead: OnceCell::new(),
            attachments: OnceCell::new(),
            facts: OnceCell::new(),
        }
    }

    /// The fixed header.
    ///
    /// # Errors
    /// When the frame is shorter than it, or no Dubbo frame.
    pub fn header(&self) -> Result<Header, DecodeError> {
        Header::read(self.frame)
    }

    /// What the body is written in.
    pub fn serialization(&self) -> Serialization {
        Serialization::of(self.flags)
    }

    /// The Dubbo protocol version the caller names; Java says `2.0.2`.
    ///
    /// # Errors
    /// When the body is opaque or malformed.
    pub fn protocol_version(&self) -> Result<&str, DecodeError> {
        Ok(&self.lead()?.protocol_version)
    }

    /// The attachments, in one pass and without allocating.
    ///
    /// # Errors
    /// When the body is opaque, or malformed up to them.
    pub fn attachments(&self) -> Result<Attachments<'a>, DecodeError> {
        Ok(self.attachments_ref()?.clone())
    }

    /// Whether an argument is a callback (`sys_callback_arg-N`): the provider
    /// will call back over the same connection.
    ///
    /// # Errors
    /// When the body is opaque or malformed.
    pub fn has_callback(&self) -> Result<bool, DecodeError> {
        Ok(self.facts()?.has_callback)
    }

    /// Whether this is a generic call, which names its method in an argument
    /// (`RpcUtils.isGenericCall`).
    ///
    /// # Errors
    /// When the body is opaque or malformed.
    pub fn is_generic(&self) -> Result<bool, DecodeError> {
        let lead = self.lead()?;
        Ok(matches!(&*lead.method, "$invoke" | "$invokeAsync")
            && lead.parameter_types == GENERIC_PARAMETER_TYPES)
    }

    /// All arguments, built. References among them are numbered over the body.
    ///
    /// # Errors
    /// When the body is opaque, malformed, or over the limits.
    pub fn arguments(&self, limits: hessian2::Limits) -> Result<Vec<Value>, DecodeError> {
        let lead = self.lead()?;
        let count = count_parameters(&lead.parameter_types)?;
        let mut body = self.body(lead.arguments);
        let mut arguments = Vec::new();
        match self.serialization() {
            Serialization::Hessian2 => {
                let mut decoder = hessian2::Decoder::new(body, limits);
                for _ in 0..count {
                    arguments.push(decoder.value()?);
                }
            }
            Serialization::Fastjson2 => {
                for _ in 0..count {
                    let document = jsonb::document(&mut body, "argument")?;
                    arguments.push(jsonb::Decoder::new(document, limits).value()?);
                }
            }
            other => return Err(other.opaque()),
        }
        Ok(arguments)
    }

    fn body(&self, at: usize) -> Input<'a> {
        Input::new(self.frame, at)
    }

    #[inline]
    fn lead(&self) -> Result<&Lead<'a>, DecodeError> {
        match self.lead.get() {
            Some(lead) => Ok(lead),
            None => {
                let lead = self.read_lead()?;
                Ok(self.lead.get_or_init(|| lead))
            }
        }
    }

    fn read_lead(&self) -> Result<Lead<'a>, DecodeError> {
        let mut body = self.body(header::LEN);
        let mut string = |what| -> Result<Cow<'a, str>, DecodeError> {
            // Java writes a service without version as 0.0.0, or null.
            Ok(match self.serialization() {
                Serialization::Hessian2 => match hessian2::scalar::plain_string(&mut body) {
                    Some(plain) => plain_text(plain),
                    None => hessian2::scalar::string(&mut body, what)?
                        .map_or(Cow::Borrowed(""), |text| text.to_str()),
                },
                Serialization::Fastjson2 => jsonb::string_document(&mut body, what)?
                    .map_or(Cow::Borrowed(""), |text| text.to_str()),
                other => return Err(other.opaque()),
            })
        };
        let protocol_version = string("protocol version")?;
        let path = string("path")?;
        let version = match string("service version")? {
            none if none == "0.0.0" => Cow::Borrowed(""),
            version => version,
        };
        let method = string("method")?;
        let parameter_types = string("parameter types")?;
        let arguments = body.at();
        Ok(Lead { protocol_version, path, version, method, parameter_types, arguments })
    }

    fn attachments_ref(&self) -> Result<&Attachments<'a>, DecodeError> {
        match self.attachments.get() {
            Some(attachments) => Ok(attachments),
            None => {
                let attachments = self.find_attachments()?;
                Ok(self.attachments.get_or_init(|| attachments))
            }
        }
    }

    fn find_attachments(&self) -> Result<Attachments<'a>, DecodeError> {
        let lead = self.lead()?;
        let count = count_parameters(&lead.parameter_types)?;
        let mut body = self.body(lead.arguments);
        match self.serialization() {
            Serialization::Hessian2 => {
                let mut skip = hessian2::Skip::default();
                skip.values(&mut body, count as u64)?;
                Attachments::hessian2(body, skip)
            }
            Serialization::Fastjson2 => {
                for _ in 0..count {
                    jsonb::document(&mut body, "argument")?;
                }
                Attachments::jsonb(body)
            }
            other => Err(other.opaque()),
        }
    }

    fn facts(&self) -> Result<&Facts<'a>, DecodeError> {
        match self.facts.get() {
            Some(facts) => Ok(facts),
            None => {
                let facts = self.read_facts()?;
                Ok(self.facts.get_or_init(|| facts))
            }
        }
    }

    fn read_facts(&self) -> Result<Facts<'a>, DecodeError> {
        let mut facts = Facts::default();
        let mut attachments = self.attachments_ref()?.clone();
        loop {
            while let Some((key, value)) = attachments.next_plain() {
                match key {
                    b"group" => facts.group = plain_text(value),
                    b"timeout" => facts.timeout = parse_millis(value),
                    b"_TO" | b"_to" => facts.deadline = parse_millis(value),
                    _ if key.starts_with(CALLBACK.as_bytes()) => facts.has_callback = true,
                    _ => {}
                }
            }
            let Some(entry) = attachments.next() else { break };
            let (key, value) = entry?;
            if key.is("group") {
                facts.group = value.to_text().unwrap_or_default();
            } else if key.is("timeout") {
                facts.timeout = value.to_int();
            } else if key.is("_TO") || key.is("_to") {
                facts.deadline = value.to_int();
            } else if key.starts_with(CALLBACK) {
                facts.has_callback = true;
            }
        }
        Ok(facts)
    }
}

impl Head for RequestHead<'_> {
    fn target(&self) -> Result<Target<'_>, DecodeError> {
        let lead = self.lead()?;
        Ok(Target { service: &lead.path, method: &lead.method, version: &lead.version })
    }

    fn group(&self) -> Result<&str, DecodeError> {
        Ok(&self.facts()?.group)
    }

    fn field(&self, name: &str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        let mut attachments = self.attachments_ref()?.clone();
        loop {
            while let Some((key, value)) = attachments.next_plain() {
                if key == name.as_bytes() {
                    return Ok(Some(plain_text(value)));
                }
            }
            let Some(entry) = attachments.next() else { return Ok(None) };
            let (key, value) = entry?;
            if key.is(name) {
                return Ok(value.to_text());
            }
        }
    }

    fn argument(&self, index: usize) -> Result<Option<Argument<'_>>, DecodeError> {
        let lead = self.lead()?;
        if index >= count_parameters(&lead.parameter_types)? {
            return Ok(None);
        }
        let mut body = self.body(lead.arguments);
        let leaf = match self.serialization() {
            Serialization::Hessian2 => {
                let mut skip = hessian2::Skip::default();
                skip.values(&mut body, index as u64)?;
                Leaf::hessian2(&mut body, &mut skip)?
            }
            Serialization::Fastjson2 => {
                for _ in 0..index {
                    jsonb::document(&mut body, "argument")?;
                }
                let mut document = jsonb::document(&mut body, "argument")?;
                Leaf::jsonb(&mut document, &mut jsonb::Skip::default())?
            }
            other => return Err(other.opaque()),
        };
        Ok(Some(leaf.into()))
    }

    fn argument_bytes(&self, index: usize) -> Result<Option<&[u8]>, DecodeError> {
        let lead = self.lead()?;
        if index >= count_parameters(&lead.parameter_types)? {
            return Ok(None);
        }
        let mut body = self.body(lead.arguments);
        match self.serialization() {
            Serialization::Hessian2 => {
                let mut skip = hessian2::Skip::default();
                skip.values(&mut body, index as u64)?;
                let start = body.at();
                skip.values(&mut body, 1)?;
                Ok(Some(body.slice(start, body.at())))
            }
            Serialization::Fastjson2 => {
                for _ in 0..index {
                    jsonb::document(&mut body, "argument")?;
                }
                let start = body.at();
                jsonb::document(&mut body, "argument")?;
                Ok(Some(body.slice(start, body.at())))
            }
            other => Err(other.opaque()),
        }
    }

    fn parameter_types(&self) -> Result<&str, DecodeError> {
        Ok(&self.lead()?.parameter_types)
    }

    /// What is left of the caller's own deadline (`_TO`, sent when the caller
    /// counts its timeout down), else the attachment `timeout`; milliseconds,
    /// as a number or its text (`RpcUtils.getTimeout`).
    fn timeout(&self) -> Option<Duration> {
        let facts = self.facts().ok()?;
        let millis = facts.deadline.or(facts.timeout)?;
        u64::try_from(millis).ok().filter(|&millis| millis > 0).map(Duration::from_millis)
    }

    fn is_one_way(&self) -> bool {
        self.flags & header::TWO_WAY == 0
    }
}

/// The attachment that marks argument N as a callback is this and N
/// (`CallbackServiceCodec.INV_ATT_CALLBACK_KEY`).
const CALLBACK: &str = "sys_callback_arg-";

/// ASCII as text. (`from_utf8_lossy` would say the same, slower.)
fn plain_text(ascii: &[u8]) -> Cow<'_, str> {
    Cow::Borrowed(std::str::from_utf8(ascii).unwrap_or_default())
}

fn parse_millis(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The parameters of `$invoke`: a method's name, its types and its arguments.
pub const GENERIC_PARAMETER_TYPES: &str =
    "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;";

/// How many parameters a JVM descriptor such as `Ljava/lang/String;[I` has.
///
/// # Errors
/// When it is not one.
pub fn count_parameters(descriptor: &str) -> Result<usize, DecodeError> {
    let bytes = descriptor.as_bytes();
    let mut count = 0;
    let mut at = 0;
    while let Some(&letter) = bytes.get(at) {
        at += 1;
        match letter {
            b'[' => continue,
            b'L' => match memchr::memchr(b';', bytes.get(at..).unwrap_or_default()) {
                Some(length) => at += length + 1,
                None => return Err(bad_descriptor(letter, at - 1)),
            },
            b'Z' | b'B' | b'C' | b'S' | b'I' | b'J' | b'F' | b'D' => {}
            other => return Err(bad_descriptor(other, at - 1)),
        }
        count += 1;
    }
    if bytes.last() == Some(&b'[') {
        return Err(bad_descriptor(b'[', bytes.len() - 1));
    }
    Ok(count)
}

fn bad_descriptor(found: u8, offset: usize) -> DecodeError {
    DecodeError::Unexpected { what: "parameter types", expected: "a JVM descriptor", found, offset }
}
