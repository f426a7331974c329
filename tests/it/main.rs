//! The proxy between scripted peers: every byte of both sides is the test's.
//!
//! Real peers are in `tests/interop`.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod callbacks;
mod calls;
mod counters;
mod deadlines;
mod drain;
mod faults;
mod parked;
mod peers;
mod upstream_loss;
mod wire;
