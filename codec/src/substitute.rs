//! What a rule lets a caller have in place of a provider's answer: Dubbo's mocks,
//! and the empty answer of its failsafe and failback clusters.
//!
//! Not here: when it is given (the `governance` crate), and the mesh's own errors
//! (see [`crate::fault`]).

use crate::value::Value;

/// Dubbo's text for exceptions that a mock raises (`MockInvoker.getThrowable`).
pub const MOCKED: &str = "mocked exception for service degradation.";

/// An answer that no provider gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Substitute {
    /// A value, as if the provider's code had returned it.
    Value(Value),
    /// An exception of this Java class, as if the provider's code had raised it.
    Exception {
        /// Its full name.
        class: String,
        /// What it says.
        message: String,
    },
}

impl Substitute {
    /// The answer of a void method, and null for any other.
    pub const EMPTY: Substitute = Substitute::Value(Value::Null);
}
