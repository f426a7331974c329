//! Sockets, workers, pools and the one forward path.

pub mod config;
pub mod metrics;
