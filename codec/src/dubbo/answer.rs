//! Whole responses, for a client of our own.

use std::borrow::Cow;

use crate::error::DecodeError;
use crate::hessian2::{Decoder, Limits};
use crate::input::Input;
use crate::jsonb;
use crate::value::Value;

use super::header;
use super::leaf::{Leaf, Text};
use super::response::{ResponseHead, ResponseType};
use super::serialization::Serialization;

/// What came back for a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// How the call ended.
    pub result: Result<Value, Refusal>,
    /// The response's attachments, in order; the values of those that are no
    /// scalars are left out.
    pub attachments: Vec<(String, String)>,
}

/// A call that brought no value.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The provider's code raised this exception.
    Exception(Value),
    /// The provider's RPC layer answered with an error status.
    Status {
        /// The status; see [`status_name`].
        status: u8,
        /// The provider's text.
        message: String,
    },
}

impl Answer {
    /// Reads a whole response frame.
    ///
    /// # Errors
    /// When the body is opaque, malformed, or over the limits.
    pub fn read(frame: &[u8], limits: Limits) -> Result<Answer, DecodeError> {
        let head = ResponseHead::new(frame)?;
        let status = head.header().status;
        if status != header::OK {
            let message = head.error_message()?.into_owned();
            let result = Err(Refusal::Status { status, message });
            return Ok(Answer { result, attachments: Vec::new() });
        }
        let kind = head.response_type()?;
        let value = match kind.has_value() {
            true => value(&head, limits)?,
            false => Value::Null,
        };
        let mut attachments = Vec::new();
        for entry in head.attachments()?.into_iter().flatten() {
            let (key, value): (Text<'_>, Leaf<'_>) = entry?;
            let text = value.to_text().map(Cow::into_owned).unwrap_or_default();
            attachments.push((key.to_str().into_owned(), text));
        }
        let result = if kind.is_exception() { Err(Refusal::Exception(value)) } else { Ok(value) };
        Ok(Answer { result, attachments })
    }
}

fn value(head: &ResponseHead<'_>, limits: Limits) -> Result<Value, DecodeError> {
    let serialization = head.header().serialization();
    let mut body: Input<'_> = head.body();
    ResponseType::read(serialization, &mut body)?;
    match serialization {
        Serialization::Hessian2 => Decoder::new(body, limits).value(),
        Serialization::Fastjson2 => {
            jsonb::Decoder::new(jsonb::document(&mut body, "value")?, limits).value()
        }
        other => Err(other.opaque()),
    }
}

/// A status's name in `org.apache.dubbo.remoting.exchange.Response`.
pub fn status_name(status: u8) -> &'static str {
    match status {
        header::OK => "OK",
        25 => "SERIALIZATION_ERROR",
        30 => "CLIENT_TIMEOUT",
        31 => "SERVER_TIMEOUT",
        35 => "CHANNEL_INACTIVE",
        40 => "BAD_REQUEST",
        50 => "BAD_RESPONSE",
        60 => "SERVICE_NOT_FOUND",
        70 => "SERVICE_ERROR",
        80 => "SERVER_ERROR",
        90 => "CLIENT_ERROR",
        100 => "SERVER_THREADPOOL_EXHAUSTED_ERROR",
        _ => "unknown status",
    }
}
