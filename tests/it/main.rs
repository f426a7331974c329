//! The proxy between scripted peers: every byte of both sides is the test's.
//!
//! Real peers are in `tests/interop`.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod bad_callers;
mod bad_providers;
mod callbacks;
mod calls;
mod counters;
mod crowds;
mod deadlines;
mod drain;
mod faults;
mod liveness;
mod parked;
mod peers;
mod read_only;
mod serializations;
mod splits;
mod start;
mod storm;
mod upstream_loss;
mod wire;
