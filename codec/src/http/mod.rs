//! What messages over HTTP mean: HTTP/1.1, HTTP/2, and gRPC as a dialect of
//! them. Pure functions over heads that a library has read already.
//!
//! * [`Dialect`]: plain HTTP or gRPC, by the content type of the request.
//! * [`grpc_web`]: gRPC as browsers speak it, made gRPC and back.
//! * [`health`]: gRPC's calls about a server itself.
//! * [`head`]: a request as routing asks for it.
//! * [`hop`]: what belongs to one connection and is not passed on, and how a head
//!   is said in the other version of HTTP.
//! * [`answer`]: the mesh's own answers: problem+json, or a gRPC status.
//! * [`substitute`]: what a rule answers in a provider's place.
//! * [`outcome`]: how a call ended, from its response.
//! * [`h2c`]: from HTTP/1.1 to HTTP/2 on one connection.
//! * [`framing`]: where HTTP/1.1 requests end, read strictly.
//!
//! Not here: sockets, frames, HPACK and flow control (the `h2` and `hyper`
//! crates, driven by `proxy::http`).

pub mod answer;
mod dialect;
pub mod framing;
pub mod grpc;
pub mod grpc_web;
pub mod h2c;
pub mod head;
pub mod health;
pub mod hop;
mod octets;
pub mod outcome;
pub mod substitute;

pub use dialect::Dialect;
pub use head::Head;
pub use hop::Version;
pub use octets::is_token;
