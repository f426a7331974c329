//! The registry against real stores: a real etcd server, and the embedded store
//! where the two have to be the same.

#![allow(clippy::unwrap_used)]

mod conformance;
mod differential;
mod discovery;
mod leases;
mod registration;
mod rule_store;
mod stage;
mod watches;
