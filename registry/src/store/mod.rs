//! The client side of etcd v3: keeps copies of key ranges up to date over one
//! connection and one watch stream. Knows nothing of Dubbo.
//!
//! * [`range`]: what is mirrored.
//! * [`connect`]: one connection to one endpoint; pauses between attempts.
//! * [`mirror`]: the task that stays connected, whatever happens.
//! * [`session`]: one connection's life: list, watch, probe.
//! * [`list`]: one range, page by page.

pub(crate) mod connect;
pub(crate) mod list;
pub(crate) mod mirror;
pub(crate) mod range;
pub(crate) mod session;
