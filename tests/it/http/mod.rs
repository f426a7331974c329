//! HTTP/1.1, HTTP/2 and gRPC between scripted peers: the `h2` crate's own client
//! and server, or bytes.
//!
//! Real peers are in `tests/interop`.

mod peers;

mod attacks;
mod bridges;
mod destinations;
mod drains;
mod failures;
mod floods;
mod grpc;
mod health;
mod http1;
mod orders;
mod policies;
mod routing;
mod streams;
