//! What rules can ask of a plain TCP connection: next to nothing.

use std::borrow::Cow;
use std::time::Duration;

use codec::{Argument, DecodeError, RequestHead, Target};

/// The method that a connection counts as.
const METHOD: &str = "connect";

/// A connection to a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connect<'a> {
    pub(super) service: Option<&'a str>,
}

impl RequestHead for Connect<'_> {
    fn target(&self) -> Result<Target<'_>, DecodeError> {
        let what = "the service of a plain TCP connection";
        let service = self.service.ok_or(DecodeError::Truncated { what, offset: 0 })?;
        Ok(Target { service, method: METHOD, version: "" })
    }

    fn group(&self) -> Result<&str, DecodeError> {
        Ok("")
    }

    fn field(&self, _: &str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        Ok(None)
    }

    fn argument(&self, _: usize) -> Result<Option<Argument<'_>>, DecodeError> {
        Ok(None)
    }

    fn parameter_types(&self) -> Result<&str, DecodeError> {
        Ok("")
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }

    fn is_one_way(&self) -> bool {
        false
    }
}
