//! What exists right now? Services, their instances and rule documents, from
//! etcd (or the embedded store, which speaks etcd's language) and from files.
//!
//! This crate knows where Dubbo keeps its facts, not what they mean: URLs and
//! rule texts are handed over unparsed, for `governance` to read. Layout, in
//! reading order:
//!
//! * [`settings`]: what a registry is told.
//! * [`view`]: the immutable picture it publishes.
//! * [`registry`]: the handle; starting and subscribing. Behind it, `keeper`
//!   owns the `catalog`, which turns what the `store` and the `files` tell into
//!   views; `snapshot` keeps the last good one on disk.
//! * [`mod@look`]: one look at the store, for commands that answer one question;
//!   [`rule_store`]: rule documents written and taken back, for commands, too.
//! * [`registration`] and [`presence`]: putting an application into the store.
//! * [`key`]: how Dubbo writes a URL into a key.
//! * [`counters`]: numbers for `/metrics`.
//! * [`embedded`]: a store for the first minute, which speaks etcd's v3 API.

pub mod counters;
pub mod embedded;
pub mod key;
pub mod look;
pub mod presence;
pub mod registration;
pub mod registry;
pub mod rule_store;
pub mod settings;
pub mod view;

mod application;
mod catalog;
mod files;
mod keeper;
mod layout;
mod listing;
mod rules;
mod snapshot;
mod store;

pub use counters::Counters;
pub use key::KeyError;
pub use look::{StoreError, look};
pub use registration::{Registration, RegistrationState};
pub use registry::Registry;
pub use rule_store::RuleStore;
pub use settings::{Settings, StartError};
pub use view::{
    Instance, LastGoodReason, Origin, RuleDocument, RulePlace, Service, ServiceState, StoreStatus,
    Unreadable, View,
};
