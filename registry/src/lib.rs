//! What exists right now? Services, their instances and rule documents, from
//! etcd (or the embedded store, which speaks etcd's language) and from files.
//!
//! This crate knows where Dubbo keeps its facts, not what they mean: URLs and
//! rule texts are handed over unparsed, for `governance` to read. Layout, in
//! reading order:
//!
//! * [`settings`]: what a registry is told.
//! * [`view`]: the immutable picture it publishes.
//! * [`registry`]: the handle; starting, subscribing, registering.
//! * [`counters`]: numbers for `/metrics`.

pub mod counters;
pub mod embedded;
pub mod key;
pub mod registry;
pub mod settings;
pub mod view;

mod application;
mod catalog;
mod files;
mod keeper;
mod layout;
mod listing;
mod snapshot;
mod store;

pub use counters::Counters;
pub use registry::{Registration, RegistrationState, Registry};
pub use settings::{Settings, StartError};
pub use view::{
    Instance, LastGoodReason, Origin, RuleDocument, Service, ServiceState, StoreStatus, View,
};
