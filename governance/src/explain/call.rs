//! A call that is written down instead of received.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use codec::{Argument, DecodeError, RequestHead, Target};

/// A call that is written down: for `explain`, and for tests of rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WrittenCall {
    /// The service's name.
    pub service: String,
    /// The method.
    pub method: String,
    /// The service version; empty for none.
    pub version: String,
    /// The service group; empty for none.
    pub group: String,
    /// The parameter types, as a JVM descriptor.
    pub parameter_types: String,
    /// The arguments.
    pub arguments: Vec<Argument<'static>>,
    /// The attachments.
    pub attachments: BTreeMap<String, String>,
    /// How long the caller waits.
    pub timeout: Option<Duration>,
}

impl RequestHead for WrittenCall {
    fn target(&self) -> Result<Target<'_>, DecodeError> {
        Ok(Target { service: &self.service, method: &self.method, version: &self.version })
    }

    fn group(&self) -> Result<&str, DecodeError> {
        Ok(&self.group)
    }

    fn field(&self, name: &str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        Ok(self.attachments.get(name).map(|value| Cow::Borrowed(value.as_str())))
    }

    fn argument(&self, index: usize) -> Result<Option<Argument<'_>>, DecodeError> {
        Ok(self.arguments.get(index).cloned())
    }

    fn parameter_types(&self) -> Result<&str, DecodeError> {
        Ok(&self.parameter_types)
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    fn is_one_way(&self) -> bool {
        false
    }
}
