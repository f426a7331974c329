//! Connections of whole-frame, multiplexed protocols: ids, pending calls,
//! heartbeats, deadlines, drain and write batching, written once for all of
//! them.
//!
//! * [`Engine`]: what the connections of one protocol on one worker share.
//! * [`link`]: one connection; [`drive`]: the task that reads and writes it.
//! * [`input`], [`output`], [`buffers`]: frames in, frames out, and their memory.
//! * [`pending`], [`call`]: calls that wait for an answer.
//! * [`connect`]: connections to endpoints; [`clock`]: deadlines and heartbeats.
//! * [`leaving`]: the application behind an inbound listener stops.
//!
//! Not here: what happens to a call (see [`crate::forward`]) and what the bytes
//! mean (see the `codec` crate).

mod buffers;
mod call;
mod clock;
mod connect;
mod drive;
mod engine;
mod input;
#[cfg(test)]
mod input_tests;
mod leaving;
mod link;
#[cfg(test)]
mod narrow;
mod output;
mod pending;

pub(crate) use call::{Call, Stay};
pub(crate) use engine::Engine;
pub(crate) use link::{Link, State};
