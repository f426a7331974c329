//! A call that is written down instead of received.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use codec::{Argument, DecodeError, HttpRequest, RequestHead, Target};

use super::Spoken;

/// A call that is written down: for `explain`, and for tests of rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WrittenCall {
    /// What it is spoken in, where somebody says.
    pub protocol: Option<Spoken>,
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
    /// What it is in HTTP's own terms; attachments are then its headers.
    pub http: Option<WrittenHttp>,
}

/// A request in HTTP's own terms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WrittenHttp {
    /// `GET`, `POST`…
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port.
    pub authority: String,
    /// The path, with its query.
    pub path: String,
}

impl WrittenCall {
    /// What Dubbo has as an attachment and Triple in a header of another name.
    fn moved(&self, name: &str) -> Option<&str> {
        let value = match (self.protocol, name) {
            (Some(Spoken::Triple), "group") => &self.group,
            (Some(Spoken::Triple), "version") => &self.version,
            _ => return None,
        };
        (!value.is_empty()).then_some(value)
    }
}

impl RequestHead for WrittenCall {
    fn target(&self) -> Result<Target<'_>, DecodeError> {
        Ok(Target { service: &self.service, method: &self.method, version: &self.version })
    }

    fn group(&self) -> Result<&str, DecodeError> {
        Ok(&self.group)
    }

    fn field(&self, name: &str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        let found = match self.http {
            None => self.attachments.get(name),
            Some(_) => self
                .attachments
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value),
        };
        let found = found.map(String::as_str).or_else(|| self.moved(name));
        Ok(found.map(Cow::Borrowed))
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

    fn http(&self) -> Option<HttpRequest<'_>> {
        self.http.as_ref().map(|http| HttpRequest {
            method: &http.method,
            scheme: &http.scheme,
            authority: &http.authority,
            path: &http.path,
        })
    }
}
