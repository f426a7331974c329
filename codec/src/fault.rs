//! The mesh's own answers, and how a call ended.
//!
//! A [`Fault`] is what Spanwire says when it cannot deliver a call; each
//! protocol's codec says it in that protocol's own language. An [`Outcome`] is
//! what a call came to, whoever answered. Both sets are closed and have total
//! label functions, so that no reason can be missing from the metrics.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Why the mesh answered a call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nobody provides the service at all: neither the store nor the
    /// configuration knows it.
    UnknownService,
    /// The service exists, but no endpoint has the group and version asked for,
    /// or rules left none.
    NoEndpoint,
    /// A rule denied the call.
    Denied,
    /// No connection to any endpoint could be made; the call was never sent.
    Unreachable,
    /// The application behind this proxy takes no connection; the call was never
    /// sent. Another instance of it may.
    AppUnreachable,
    /// The connection broke after the call was sent; whether the provider acted
    /// on it is unknown.
    ConnectionLost,
    /// No answer came within the call's deadline.
    Timeout,
    /// Too much is already waiting for the chosen endpoint; the call was not sent.
    Overloaded,
    /// The request is over the size limit.
    TooLarge,
    /// The request's bytes could not be read.
    Unreadable,
    /// A rule failed while it was applied.
    RuleFailed,
    /// A rule injected a failure (`fault.abort`); the call was not sent.
    Injected,
    /// A rule answers such calls itself: with a redirect, or a response that
    /// stands in it.
    Answered,
}

impl Reason {
    /// Every reason, for metrics that must exist before they happen.
    pub const ALL: [Reason; 13] = [
        Reason::UnknownService,
        Reason::NoEndpoint,
        Reason::Denied,
        Reason::Unreachable,
        Reason::AppUnreachable,
        Reason::ConnectionLost,
        Reason::Timeout,
        Reason::Overloaded,
        Reason::TooLarge,
        Reason::Unreadable,
        Reason::RuleFailed,
        Reason::Injected,
        Reason::Answered,
    ];

    /// The metric label, stable across versions.
    pub fn label(self) -> &'static str {
        match self {
            Reason::UnknownService => "unknown_service",
            Reason::NoEndpoint => "no_endpoint",
            Reason::Denied => "denied",
            Reason::Unreachable => "unreachable",
            Reason::AppUnreachable => "app_unreachable",
            Reason::ConnectionLost => "connection_lost",
            Reason::Timeout => "timeout",
            Reason::Overloaded => "overloaded",
            Reason::TooLarge => "too_large",
            Reason::Unreadable => "unreadable",
            Reason::RuleFailed => "rule_failed",
            Reason::Injected => "injected",
            Reason::Answered => "answered",
        }
    }

    /// Whether the same call, sent again at once, could fare better: through the
    /// same proxy, or, where this is a provider's proxy, through another's. Decides the form of the answer: a caller's own failover
    /// must not repeat a call that cannot succeed.
    pub fn may_pass_on_retry(self) -> bool {
        match self {
            Reason::AppUnreachable
            | Reason::ConnectionLost
            | Reason::Timeout
            | Reason::Overloaded => true,
            Reason::UnknownService
            | Reason::NoEndpoint
            | Reason::Denied
            | Reason::Unreachable
            | Reason::TooLarge
            | Reason::Unreadable
            | Reason::RuleFailed
            | Reason::Injected
            | Reason::Answered => false,
        }
    }

    /// Whether the call is certain not to have reached a provider.
    pub fn is_unsent(self) -> bool {
        !matches!(self, Reason::ConnectionLost | Reason::Timeout)
    }
}

/// The mesh's own answer to a call: what happened, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The closed reason.
    pub reason: Reason,
    /// What happened and why, lowercase, with the values at fault.
    pub detail: Cow<'static, str>,
    /// What the reader can do about it.
    pub hint: Cow<'static, str>,
    /// The answer that a rule orders, where it is not the reason's own.
    pub answer: Option<Box<Answer>>,
}

/// An answer that a rule orders, in the terms of the protocols that have such.
/// Others say what the fault says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// The gRPC status; where absent, the HTTP status says it.
    pub grpc_status: Option<u16>,
    /// Further HTTP headers, such as `location`, by their names in lower case.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body of an HTTP answer; the fault's own text where absent.
    pub body: Option<Box<[u8]>>,
    /// How long the caller waits for it.
    pub delay: Option<Duration>,
}

impl Fault {
    /// A fault with its explanation and advice.
    pub fn new(
        reason: Reason,
        detail: impl Into<Cow<'static, str>>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        Fault { reason, detail: detail.into(), hint: hint.into(), answer: None }
    }

    /// The same, answered as a rule orders it.
    #[must_use]
    pub fn with_answer(mut self, answer: Answer) -> Self {
        self.answer = Some(Box::new(answer));
        self
    }
}

/// The text a caller sees, e.g. `Spanwire [no_endpoint]: …; try: …`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spanwire [{}]: {}", self.reason.label(), self.detail)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// How a call ended, as the endpoint's health and the metrics see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The provider answered with a value (or null).
    Success,
    /// The provider's own code raised an exception: an answer, not a failure.
    BusinessException,
    /// The provider's RPC layer refused or failed the call.
    ProviderError,
    /// One-way: sent, and nothing more is known.
    Sent,
    /// A rule's answer in place of a provider's ([`crate::Substitute`]).
    Degraded,
    /// The mesh answered.
    Fault(Reason),
    /// The caller went away before the answer came.
    Cancelled,
}

impl Outcome {
    /// The metric label, stable across versions.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::BusinessException => "business_exception",
            Outcome::ProviderError => "provider_error",
            Outcome::Sent => "sent",
            Outcome::Degraded => "degraded",
            Outcome::Fault(reason) => reason.label(),
            Outcome::Cancelled => "cancelled",
        }
    }
}
