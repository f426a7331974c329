//! HTTP/1.1, HTTP/2 and gRPC between scripted peers: the `h2` crate's own client
//! and server, or bytes.
//!
//! Real peers are in `tests/interop`.

pub mod peers;

mod attacks;
mod bridges;
mod browsers;
mod budgets;
mod destinations;
mod drains;
mod failures;
mod floods;
mod grpc;
mod grpc_web;
mod h2c;
mod hashing;
mod health;
pub mod http1;
mod orders;
mod policies;
mod pools;
mod routing;
mod streams;
mod tunnels;
