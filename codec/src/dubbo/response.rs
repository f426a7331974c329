//! Responses: what a call came to.

use crate::error::DecodeError;
use crate::fault::Outcome;
use crate::hessian2;
use crate::input::Input;
use crate::jsonb;

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

/// How the call ended. An exception counts as the provider's own only where
/// the body can be read.
pub(super) fn outcome(frame: &[u8]) -> Outcome {
    let Ok(header) = Header::read(frame) else { return Outcome::ProviderError };
    if header.status != header::OK {
        return Outcome::ProviderError;
    }
    match ResponseType::read(header.serialization(), &mut Input::new(frame, header::LEN)) {
        Ok(kind) if kind.is_exception() => Outcome::BusinessException,
        Ok(_) | Err(DecodeError::Opaque { .. }) => Outcome::Success,
        Err(_) => Outcome::ProviderError,
    }
}
