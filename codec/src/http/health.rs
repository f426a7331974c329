//! Calls of gRPC that are about a server itself, whichever services it has: health checks
//! (gRPC's `health-checking.md`, `grpc/health/v1/health.proto`), of which the messages are
//! read and written here, and reflection (`server-reflection.md`).
//!
//! Not here: who is meant by them, and what is answered (`proxy::http`).

use std::collections::BTreeMap;

use ::http::header::CONTENT_TYPE;
use ::http::request::Parts;
use ::http::{HeaderMap, HeaderValue, Response};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::grpc::{self, Code};
use crate::error::DecodeError;
use crate::triple::message::{self, PREFIX};

/// The service of health checks.
pub const HEALTH: &str = "grpc.health.v1.Health";

/// Services that tell about the server that is asked. Every server may have them, so that
/// their names do not say which one is meant.
const ABOUT_SERVERS: [&str; 3] =
    [HEALTH, "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// The service and method of a call of gRPC that is about a server itself; `None` for
/// any other.
pub fn about_server(parts: &Parts) -> Option<(&str, &str)> {
    let path = parts.uri.path().strip_prefix('/')?;
    // Of nearly every other call, this is all that is looked at.
    if !path.starts_with("grpc.") {
        return None;
    }
    let (service, method) = path.split_once('/')?;
    ABOUT_SERVERS.contains(&service).then_some((service, method))
}

/// How a server or one of its services is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    /// Nothing is said.
    Unknown = 0,
    /// It takes calls.
    Serving = 1,
    /// It takes none.
    NotServing = 2,
    /// There is no such service; only said to those who watch for it.
    ServiceUnknown = 3,
}

/// `HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct Told {
    #[prost(enumeration = "Status", tag = "1")]
    status: i32,
}

/// `HealthListResponse`.
#[derive(Clone, PartialEq, Message)]
struct Listed {
    #[prost(btree_map = "string, message", tag = "1")]
    statuses: BTreeMap<String, Told>,
}

/// The service that a health check asks about, from the start of its body; empty for the
/// server as a whole.
///
/// # Errors
/// When the message has not come whole, is compressed, or is none.
pub fn asked(body: &[u8]) -> Result<String, DecodeError> {
    let what = "health check";
    let length = message::length(body).ok_or(DecodeError::Truncated { what, offset: 0 })?;
    let unexpected = |expected, offset| DecodeError::Unexpected {
        what,
        expected,
        found: body.get(offset).copied().unwrap_or_default(),
        offset,
    };
    if body.first() != Some(&0) {
        return Err(unexpected("a message that is not compressed", 0));
    }
    let end = usize::try_from(length).unwrap_or(usize::MAX);
    let truncated = DecodeError::Truncated { what, offset: PREFIX };
    let message = body.get(PREFIX..end).ok_or(truncated)?;
    let question = Question::decode(message)
        .map_err(|_| unexpected("a HealthCheckRequest in protobuf", PREFIX))?;
    Ok(question.service)
}

/// A status as a message of gRPC's.
pub fn message(status: Status) -> Bytes {
    framed(&Told { status: status.into() })
}

/// The statuses of services by their names as a message of gRPC's.
pub fn list(statuses: impl IntoIterator<Item = (String, Status)>) -> Bytes {
    let told = |(name, status): (_, Status)| (name, Told { status: status.into() });
    framed(&Listed { statuses: statuses.into_iter().map(told).collect() })
}

/// A message as gRPC sends it.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX + length);
    framed.put_u8(0);
    framed.put_u32(length as u32);
    framed.extend_from_slice(&message.encode_to_vec());
    framed.freeze()
}

/// The head of an answer with messages.
pub fn head() -> Response<()> {
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

/// The end of an answer; `text` is for people, and may be empty.
pub fn trailers(code: Code, text: &str) -> HeaderMap {
    let mut trailers = HeaderMap::from_iter([(grpc::STATUS, HeaderValue::from(code as u16))]);
    if let Ok(text) = HeaderValue::try_from(grpc::percent_encoded(text))
        && !text.is_empty()
    {
        trailers.insert(grpc::MESSAGE, text);
    }
    trailers
}

#[cfg(test)]
mod tests {
    use ::http::Request;

    use super::*;

    #[test]
    fn what_is_about_a_server_is_told_by_its_path() {
        for (path, expected) in [
            ("/grpc.health.v1.Health/Check", Some((HEALTH, "Check"))),
            (
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                Some(("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo")),
            ),
            ("/grpc.health.v1.Healthy/Check", None),
            ("/prefix/grpc.health.v1.Health/Check", None),
            ("/lab.Echo/Say", None),
            ("/grpc.health.v1.Health", None),
        ] {
            let parts = Request::post(path).body(()).unwrap().into_parts().0;
            assert_eq!(about_server(&parts), expected, "{path}");
        }
    }

    #[test]
    fn a_question_names_a_service_or_none() {
        assert_eq!(asked(b"\0\0\0\0\0").as_deref(), Ok(""));
        assert_eq!(asked(b"\0\0\0\0\x06\x0a\x04shop").as_deref(), Ok("shop"));
        // Fields that are not known yet are passed over.
        assert_eq!(asked(b"\0\0\0\0\x08\x10\x01\x0a\x04shop").as_deref(), Ok("shop"));
        for end in 0..11 {
            let cut = asked(&b"\0\0\0\0\x06\x0a\x04shop"[..end]);
            assert!(matches!(cut, Err(DecodeError::Truncated { .. })), "{end}: {cut:?}");
        }
        for (body, why) in [
            (&b"\x01\0\0\0\0"[..], "not compressed"),
            (b"\0\0\0\0\x02\x0a\x04", "HealthCheckRequest"),
            (b"\0\0\0\0\x03\x0a\x01\xff", "HealthCheckRequest"),
        ] {
            let error = asked(body).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_status_is_a_message() {
        assert_eq!(message(Status::Serving), &b"\0\0\0\0\x02\x08\x01"[..]);
        assert_eq!(message(Status::NotServing), &b"\0\0\0\0\x02\x08\x02"[..]);
        assert_eq!(message(Status::Unknown), &b"\0\0\0\0\0"[..]);
    }

    #[test]
    fn a_list_has_every_service() {
        let statuses = [("", Status::Serving), ("shop", Status::NotServing)];
        let list = list(statuses.map(|(name, status)| (name.to_owned(), status)));
        // Of entries protobuf leaves out an empty key.
        let expected = b"\0\0\0\0\x12\x0a\x04\x12\x02\x08\x01\x0a\x0a\x0a\x04shop\x12\x02\x08\x02";
        assert_eq!(list, &expected[..]);
    }

    #[test]
    fn an_end_may_say_why() {
        assert_eq!(trailers(Code::Ok, "").len(), 1);
        let trailers = trailers(Code::NotFound, "no %");
        assert_eq!(
            (&trailers[grpc::STATUS], &trailers[grpc::MESSAGE]),
            (&"5".parse().unwrap(), &"no %25".parse().unwrap())
        );
    }
}
