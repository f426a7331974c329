//! Sockets, workers, pools, and the one forward path.
//!
//! Two sides that share only immutable snapshots and counters. The *control*
//! side watches the registry and the configuration and publishes; each *worker*
//! is one thread with its own listeners, connections and memory. In reading
//! order:
//!
//! * [`config`]: what a proxy is told.
//! * [`server`]: starts both sides and shuts them down.
//! * [`control`]: builds the snapshots that workers route by; [`presence`]
//!   announces the application behind an inbound listener.
//! * [`worker_thread`], [`worker`], [`listener`]: one worker and how calls come in;
//!   [`detect`] tells what they speak, [`engines`] hands them over.
//! * [`forward`]: the way of a call, in eight steps; [`route`] is its first
//!   three, [`observe`] its seventh, [`callback`] its other direction,
//!   [`parked`] where it waits for a service that is new.
//! * [`framed`]: connections of whole-frame, multiplexed protocols; [`tcp`]: those
//!   whose bytes are passed on unread.
//! * [`health`], [`methods`], [`snapshot`]: what a worker looks up on the way.
//! * [`metrics`], [`access_log`], [`admin`]: what people and machines see.
//!
//! Not here: what bytes mean (`codec`), what should happen to a call
//! (`governance`), where services and rules come from (`registry`).

pub mod access_log;
pub mod admin;
mod callback;
pub mod config;
mod control;
mod detect;
mod engines;
pub mod error;
mod forward;
mod framed;
mod health;
mod http;
mod listener;
mod methods;
pub mod metrics;
mod observe;
mod parked;
mod presence;
mod route;
pub mod server;
mod snapshot;
mod tcp;
mod worker;
mod worker_thread;
