//! What can be wrong with a peer's bytes.
//!
//! Not here: faults of a call (see [`crate::fault`]) and mistakes in rules or
//! configuration (they belong to `governance` and `proxy`).

use thiserror::Error;

/// Why bytes from a peer could not be read. `Incomplete` is not among them: a
/// frame that has not arrived whole is not an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes are not this protocol's.
    #[error("{what} at byte {offset}: expected {expected}, found 0x{found:02x}")]
    Unexpected {
        /// The field that was being read.
        what: &'static str,
        /// What the specification allows there.
        expected: &'static str,
        /// The byte that stood there.
        found: u8,
        /// Where, counted from the start of the body or frame.
        offset: usize,
    },
    /// The frame or body ends inside a field.
    #[error("{what} at byte {offset}: the data ends here")]
    Truncated {
        /// The field that was being read.
        what: &'static str,
        /// Where it started.
        offset: usize,
    },
    /// A length, depth or count is over its limit. Raised before anything is
    /// allocated for it.
    #[error("{what} of {found} is over the limit of {limit}")]
    TooLarge {
        /// What was too large: `frame`, `string`, `nesting`…
        what: &'static str,
        /// What the peer asked for.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A reference to an object, class or type that was never defined.
    #[error("{what} at byte {offset}: reference {index} of only {defined}")]
    Dangling {
        /// The kind of reference.
        what: &'static str,
        /// The index asked for.
        index: u64,
        /// How many were defined so far.
        defined: u64,
        /// Where.
        offset: usize,
    },
    /// The body is in a serialization that can be passed on but not read.
    #[error("serialization {id} ({name}) is passed on but cannot be read")]
    Opaque {
        /// The protocol's number for it.
        id: u8,
        /// Its name, where it is a known one.
        name: &'static str,
    },
    /// Something that has to be there is not.
    #[error("{what} is missing")]
    Missing {
        /// What.
        what: &'static str,
    },
}

/// Why attachments could not be changed. The frame can be sent as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// The body cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// The attachment's value is no scalar. Later values may refer to what is
    /// inside it by number, so that it can be neither removed nor replaced
    /// without rewriting them.
    #[error("attachment `{0}` holds an object, which later values may refer to")]
    Shared(String),
    /// The response is of a type without attachments, and none may be added.
    #[error("the response has no attachments")]
    NoAttachments,
    /// The frame would be longer than a header can say.
    #[error("the frame would exceed 4 GiB")]
    TooLong,
}
