//! Triple, Dubbo 3's protocol: gRPC over HTTP/2 with words of its own in the
//! headers, and, where the service is a plain Java interface, with arguments and
//! results in a protobuf wrapper.
//!
//! ```text
//!  :path           /lab.EchoService/echo        the interface and the method
//!  content-type    application/grpc+proto
//!  tri-service-version, tri-service-group       where the service has them
//!  tri-consumer-appname                         who calls
//!  grpc-timeout                                 for unary calls only
//!  any other header                             an attachment
//!
//!  DATA: 00 | u32 length | TripleRequestWrapper {
//!            1 serializeType   "hessian4", "fastjson2"…
//!            2 args            each serialized by itself
//!            3 argTypes        "java.lang.String", as Class.getName() says it
//!        }
//! ```
//!
//! An answer is one of gRPC, with its attachments among the trailers. An exception
//! of the provider's own code is `grpc-status: 0`, with `tri-exception-code` in the
//! head and the serialized exception in the body. Services that are described in
//! protobuf send their messages without the wrapper.
//!
//! * [`message`]: the arguments in a request's first message.
//! * [`wrapper`]: the protobuf around them.
//! * [`fields`]: attachments as headers.
//! * [`answer`]: the mesh's own answers, as a Java consumer reads them.
//! * [`json`]: calls in JSON, over plain HTTP.
//!
//! Not here: what Triple shares with gRPC ([`crate::http`], whose
//! [`Head`](crate::http::Head) and [`outcome`](crate::http::outcome) know this
//! dialect).

pub mod answer;
pub mod fields;
pub mod json;
pub mod message;
pub mod wrapper;

use ::http::{HeaderMap, HeaderName};

pub use message::Message;

/// The version of a service (`TripleHeaderEnum`, as all of these).
pub const VERSION: HeaderName = HeaderName::from_static("tri-service-version");
/// The group of a service.
pub const GROUP: HeaderName = HeaderName::from_static("tri-service-group");
/// The application that calls.
pub const APPLICATION: HeaderName = HeaderName::from_static("tri-consumer-appname");
/// How long the caller waits, in milliseconds; read by providers of 3.3 from calls
/// in JSON.
pub const TIMEOUT: HeaderName = HeaderName::from_static("tri-service-timeout");
/// How attachments are really spelled whose names have capitals: a JSON object.
pub const SPELLING: HeaderName = HeaderName::from_static("tri-header-convert");
/// Says in an answer's head that the body is an exception of the provider's code.
pub const EXCEPTION: HeaderName = HeaderName::from_static("tri-exception-code");

/// Whether a request says that it is one of Triple: Java's consumers name their
/// application always, and no other gRPC client does.
pub fn is_triple(headers: &HeaderMap) -> bool {
    [APPLICATION, VERSION, GROUP, TIMEOUT].iter().any(|name| headers.contains_key(name))
}

/// Whether the head of an answer announces an exception. A provider says
/// `tri-exception-code` for an exception that it then fails to serialize, too:
/// only with `grpc-status: 0` was it one.
pub fn announces_exception(headers: &HeaderMap) -> bool {
    // 0 is TRI_EXCEPTION_CODE_NOT_EXISTS.
    headers.get(EXCEPTION).is_some_and(|code| code.as_bytes() != b"0")
}
