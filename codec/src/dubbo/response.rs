//! Responses: what a call came to.

use std::borrow::Cow;

use crate::error::DecodeError;
use crate::fault::Outcome;
use crate::hessian2;
use crate::input::Input;
use crate::jsonb;

use super::attachments::Attachments;
use super::header::{self, Header};
use super::serialization::Serialization;

/// What a response of status 20 announces (`DubboCodec.RESPONSE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseType {
    /// 0: an exception of the provider's code.
    Exception,
    /// 1: a value.
    Value,
    /// 2: null, or the answer of a void method.
    Null,
    /// 3: an exception, and attachments after it.
    ExceptionWithAttachments,
    /// 4: a value, and attachments after it.
    ValueWithAttachments,
    /// 5: null, and attachments.
    NullWithAttachments,
}

impl ResponseType {
    /// The type with this number.
    pub fn from_number(number: i64) -> Option<ResponseType> {
        Some(match number {
            0 => ResponseType::Exception,
            1 => ResponseType::Value,
            2 => ResponseType::Null,
            3 => ResponseType::ExceptionWithAttachments,
            4 => ResponseType::ValueWithAttachments,
            5 => ResponseType::NullWithAttachments,
            _ => return None,
        })
    }

    /// Its number on the wire.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The same, with attachments after it.
    pub fn with_attachments(self) -> ResponseType {
        match self {
            ResponseType::Exception => ResponseType::ExceptionWithAttachments,
            ResponseType::Value => ResponseType::ValueWithAttachments,
            ResponseType::Null => ResponseType::NullWithAttachments,
            with => with,
        }
    }

    /// Whether an exception follows.
    pub fn is_exception(self) -> bool {
        matches!(self, ResponseType::Exception | ResponseType::ExceptionWithAttachments)
    }

    /// Whether a value or exception follows.
    pub fn has_value(self) -> bool {
        !matches!(self, ResponseType::Null | ResponseType::NullWithAttachments)
    }

    /// Whether attachments follow.
    pub fn has_attachments(self) -> bool {
        matches!(
            self,
            ResponseType::ExceptionWithAttachments
                | ResponseType::ValueWithAttachments
                | ResponseType::NullWithAttachments
        )
    }

    /// Reads the type at the start of a body.
    pub(super) fn read(
        serialization: Serialization,
        body: &mut Input<'_>,
    ) -> Result<ResponseType, DecodeError> {
        let what = "response type";
        let offset = body.at();
        let number = match serialization {
            Serialization::Hessian2 => i64::from(hessian2::scalar::int(body, what)?),
            Serialization::Fastjson2 => {
                jsonb::scalar::integer(&mut jsonb::document(body, what)?, what)?
            }
            Serialization::Other(_) => return Err(serialization.opaque()),
        };
        ResponseType::from_number(number).ok_or(DecodeError::Unexpected {
            what,
            expected: "0 to 5",
            found: number as u8,
            offset,
        })
    }
}

/// A response frame, read as far as somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    frame: &'a [u8],
    header: Header,
}

impl<'a> ResponseHead<'a> {
    /// The head of a whole response frame.
    ///
    /// # Errors
    /// When the frame is shorter than the fixed header, or no Dubbo frame.
    pub fn new(frame: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(ResponseHead { frame, header: Header::read(frame)? })
    }

    /// The fixed header.
    pub fn header(&self) -> Header {
        self.header
    }

    /// What the body announces. Only for [`header::OK`] responses.
    ///
    /// # Errors
    /// When the body is opaque or malformed.
    pub fn response_type(&self) -> Result<ResponseType, DecodeError> {
        ResponseType::read(self.header.serialization(), &mut self.body())
    }

    /// The text of a response whose status is not [`header::OK`].
    ///
    /// # Errors
    /// When the body is opaque or malformed.
    pub fn error_message(&self) -> Result<Cow<'a, str>, DecodeError> {
        let what = "error message";
        let mut body = self.body();
        if body.is_at_end() {
            return Ok(Cow::Borrowed(""));
        }
        Ok(match self.header.serialization() {
            Serialization::Hessian2 => hessian2::scalar::string(&mut body, what)?
                .map_or(Cow::Borrowed(""), |text| text.to_str()),
            Serialization::Fastjson2 => jsonb::string_document(&mut body, what)?
                .map_or(Cow::Borrowed(""), |text| text.to_str()),
            other => return Err(other.opaque()),
        })
    }

    /// The attachments; `None` when the response is of a type without them.
    ///
    /// # Errors
    /// When the body is opaque, or malformed up to them.
    pub fn attachments(&self) -> Result<Option<Attachments<'a>>, DecodeError> {
        let mut body = self.body();
        let serialization = self.header.serialization();
        let kind = ResponseType::read(serialization, &mut body)?;
        if !kind.has_attachments() {
            return Ok(None);
        }
        match serialization {
            Serialization::Hessian2 => {
                let mut skip = hessian2::Skip::default();
                skip.values(&mut body, u64::from(kind.has_value()))?;
                Attachments::hessian2(body, skip).map(Some)
            }
            Serialization::Fastjson2 => {
                if kind.has_value() {
                    jsonb::document(&mut body, "value")?;
                }
                Attachments::jsonb(body).map(Some)
            }
            other => Err(other.opaque()),
        }
    }

    pub(super) fn body(&self) -> Input<'a> {
        Input::new(self.frame, header::LEN)
    }
}

/// How the call ended. An exception counts as the provider's own only where
/// the body can be read.
pub(super) fn outcome(frame: &[u8]) -> Outcome {
    let Ok(response) = ResponseHead::new(frame) else { return Outcome::ProviderError };
    if response.header.status != header::OK {
        return Outcome::ProviderError;
    }
    match response.response_type() {
        Ok(kind) if kind.is_exception() => Outcome::BusinessException,
        Ok(_) | Err(DecodeError::Opaque { .. }) => Outcome::Success,
        Err(_) => Outcome::ProviderError,
    }
}
