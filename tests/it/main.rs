//! The proxy between scripted peers: every byte of both sides is the test's.
//!
//! Real peers are in `tests/interop`.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod calls;
mod counters;
mod faults;
mod peers;
mod upstream_loss;
mod wire;
