//! Deciding calls that are written down instead of received.

mod call;

pub use call::WrittenCall;
