//! Sockets, workers, pools, and the one forward path.
//!
//! Two sides that share only immutable snapshots and counters. The *control*
//! side watches the registry and the configuration and publishes; each *worker*
//! is one thread with its own listeners, connections and memory. In reading
//! order:
//!
//! * [`config`]: what a proxy is told.
//! * [`server`]: starts both sides and shuts them down.
//! * [`control`]: builds the snapshots that workers route by; [`rule_book`] is
//!   what became of each rule document; [`presence`] announces the application
//!   behind an inbound listener.
//! * [`worker_thread`], [`worker`], [`listener`]: one worker and how calls come in;
//!   [`redirected`] tells where they were going to, [`detect`] what they speak,
//!   [`engines`] hands them over.
//! * [`forward`]: the way of a call, in eight steps; [`route`] is its first
//!   three, [`send`] the next two, [`observe`] its seventh, [`callback`] its other direction,
//!   [`parked`] where it waits for a service that is new.
//! * [`effort`]: calls that a rule wants more for than one attempt; [`actives`]: those
//!   that wait for others to end; [`delayed`]: those that a rule delays.
//! * [`orders`]: what routes and destination rules order, for every protocol: retries,
//!   limits, endpoints left out.
//! * [`framed`]: connections of whole-frame, multiplexed protocols; [`tcp`]: those
//!   whose bytes are passed on unread.
//! * [`health`], [`methods`], [`snapshot`]: what a worker looks up on the way.
//! * [`metrics`], [`access_log`], [`admin`]: what people and machines see;
//!   [`explain`]: how a call would be decided now; [`plan`]: and how after a change
//!   of rules.
//!
//! Not here: what bytes mean (`codec`), what should happen to a call
//! (`governance`), where services and rules come from (`registry`).

pub mod access_log;
mod actives;
pub mod admin;
mod callback;
pub mod config;
mod control;
mod delayed;
mod detect;
mod effort;
mod engines;
pub mod error;
pub mod explain;
mod forward;
mod framed;
mod health;
mod http;
mod listener;
mod methods;
pub mod metrics;
mod observe;
mod orders;
mod parked;
pub mod plan;
mod presence;
mod redirected;
mod route;
pub mod rule_book;
mod send;
pub mod server;
mod snapshot;
mod tcp;
mod worker;
mod worker_thread;
