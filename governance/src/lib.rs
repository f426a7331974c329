//! What should happen to this call?
//!
//! Synchronous and deterministic: no I/O, no clock and no dice of its own. Time
//! and random numbers are passed in. In reading order:
//!
//! * [`endpoint`]: who can answer, read from Dubbo provider URLs.
//! * [`rules`]: the rule documents in force, each checked before it counts.
//! * [`service`]: endpoints and rules of one service, compiled into tables.
//! * [`mod@decide`]: one call, one decision.
//! * [`cluster`]: what becomes of a call beyond one attempt, where a configurator says.
//! * [`directives`]: what a route orders for its calls beyond their endpoint.
//! * [`document`]: YAML with positions, and findings about it.
//! * [`explain`]: deciding calls that are written down.
//!
//! Not here: where endpoints and rules come from (the `registry` crate) and
//! sending the call (the `proxy` crate).

mod balance;
pub mod cluster;
pub mod decide;
pub mod directives;
pub mod document;
pub mod endpoint;
pub mod explain;
mod hash;
mod java;
mod known_terms;
pub mod parameters;
mod route;
pub mod rules;
mod script;
pub mod service;
mod set;
pub mod settings;
pub mod url;

pub use cluster::{ClusterPolicy, Mock};
pub use decide::{Caller, Decision, Dice, Idle, Loads, Request, Resolution, Scratch, decide};
pub use directives::{Directives, Mirrors, TrafficPolicy};
pub use document::{Finding, Severity};
pub use endpoint::{Endpoint, EndpointId, EndpointIds};
pub use parameters::Parameters;
pub use rules::{Affected, Applied, Compat, Origin, RuleSet};
pub use script::{ScriptFailure, ScriptLimits, ScriptReason};
pub use service::{Options, Service};

#[cfg(test)]
mod decide_tests;
