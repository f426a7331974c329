//! Bytes to messages and back, for every protocol the mesh speaks, both sides
//! of a connection.
//!
//! This crate knows no rules and opens no socket: it is pure functions over
//! bytes. Layout, in reading order:
//!
//! * [`frame`]: the seam a whole-frame, multiplexed protocol implements.
//! * [`head`]: what routing and governance may ask of a request.
//! * [`fault`]: the mesh's own answers, and the outcome of a call.
//! * [`substitute`]: what a rule answers in a provider's place.
//! * [`input`], [`error`]: bytes from a peer, and what can be wrong with them.
//! * [`dubbo`]: the Dubbo protocol.
//! * [`http`]: what HTTP/1.1, HTTP/2 and gRPC messages mean; their bytes are
//!   read by libraries, in the `proxy` crate.
//! * [`triple`]: Dubbo 3's dialect of gRPC.
//! * [`hessian2`]: the serialization most Dubbo and SOFA bodies are written in.
//! * [`jsonb`]: fastjson2's binary form, Dubbo's other default serialization.
//! * [`value`]: the neutral, self-describing value that bridges and rules use.
//!
//! The forward path that drives these is in the `proxy` crate.

pub mod dubbo;
pub mod error;
pub mod fault;
pub mod frame;
pub mod head;
pub mod hessian2;
pub mod http;
pub mod input;
pub mod jsonb;
pub mod substitute;
pub mod triple;
pub mod value;

pub use error::{DecodeError, EditError};
pub use fault::{Answer, Fault, Outcome, Reason};
pub use frame::{Detect, FrameCodec, Kind, Meta};
pub use head::{Argument, HttpRequest, RequestHead, Target};
pub use substitute::Substitute;
pub use value::Value;
