//! Sockets, workers, pools and the one forward path.

pub mod access_log;
pub mod admin;
pub mod config;
pub mod metrics;
