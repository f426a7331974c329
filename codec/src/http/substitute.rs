//! What a rule answers in a provider's place, in the caller's language.
//!
//! | | a value | an exception |
//! |---|---|---|
//! | plain HTTP | 200 and the value as JSON | 500, problem+json |
//! | Triple, values of Java | the value in the wrapper, as a provider writes it | the exception in the wrapper, likewise |
//! | gRPC, and Triple in protobuf | null is a message without fields; another value cannot be said | status `UNKNOWN` |
//!
//! Not here: when it is given (the `governance` crate), and the mesh's own errors (see
//! [`super::answer`]).

use ::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, Response};
use bytes::Bytes;

use super::{Dialect, answer, grpc};
use crate::dubbo::Serialization;
use crate::fault::{Answer, Fault, Reason};
use crate::substitute::Substitute;
use crate::triple::{self, Message};
use crate::value::Value;
use crate::value::json::{Classes, to_json};

/// gRPC's `UNKNOWN`: what its libraries say of an exception that code has raised.
const UNKNOWN: u16 = 2;

/// A gRPC message without fields, with its prefix. Every message of protobuf can be read
/// from it.
const NO_FIELDS: &[u8] = &[0; triple::message::PREFIX];

/// The answer to a request with these headers and of this dialect, of whose body it began
/// with `first`; and its trailers. `None` where the caller's language cannot say it: gRPC
/// has messages of types that are not known here.
pub fn substitute(
    dialect: Dialect,
    request: &HeaderMap,
    first: &[u8],
    answer: &Substitute,
) -> Option<(Response<Bytes>, Option<HeaderMap>)> {
    let wrapped = match dialect {
        Dialect::Triple => Message::new(first).serialization().ok(),
        Dialect::Plain | Dialect::Grpc => None,
    };
    let wrapped = wrapped.filter(|one| !matches!(one, Serialization::Other(_)));
    if let Some(serialization) = wrapped {
        return Some(in_wrapper(serialization, answer));
    }
    match answer {
        Substitute::Exception { class, message } => {
            Some((answer::fault(dialect, &raised(class, message)), None))
        }
        Substitute::Value(value) if dialect == Dialect::Plain => {
            let body = Bytes::from(to_json(value, Classes::Hidden).to_string());
            let mut response = Response::new(body);
            let length = HeaderValue::from(response.body().len());
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().extend([(CONTENT_TYPE, json), (CONTENT_LENGTH, length)]);
            Some((response, None))
        }
        Substitute::Value(Value::Null) if is_protobuf(request) => {
            Some(message(Bytes::from_static(NO_FIELDS)))
        }
        Substitute::Value(_) => None,
    }
}

/// A message, and that all went well.
fn message(message: Bytes) -> (Response<Bytes>, Option<HeaderMap>) {
    let mut response = Response::new(message);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    let trailers = HeaderMap::from_iter([(grpc::STATUS, HeaderValue::from_static("0"))]);
    (response, Some(trailers))
}

fn in_wrapper(
    serialization: Serialization,
    answer: &Substitute,
) -> (Response<Bytes>, Option<HeaderMap>) {
    let (mut response, trailers) = message(triple::answer::message(serialization, answer));
    if matches!(answer, Substitute::Exception { .. }) {
        response.headers_mut().insert(triple::EXCEPTION, triple::answer::BIZ_EXCEPTION);
    }
    (response, trailers)
}

/// Whether gRPC's messages are in protobuf, and not in a format that is named.
fn is_protobuf(request: &HeaderMap) -> bool {
    let content_type = request.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let format = content_type.strip_prefix(b"application/grpc").unwrap_or_default();
    let name = format.split(|byte| *byte == b';').next().unwrap_or_default();
    [&b""[..], b"+proto"].contains(&name.trim_ascii())
}

fn raised(class: &str, message: &str) -> Fault {
    let mut fault = Fault::new(
        Reason::Answered,
        format!("{class}: {message}"),
        "a rule's `mock` has this raised in the provider's place",
    );
    let ordered =
        Answer { grpc_status: Some(UNKNOWN), http_status: Some(500), ..Answer::default() };
    fault.answer = Some(Box::new(ordered));
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    fn thrown() -> Substitute {
        Substitute::Exception { class: "lab.Refused".to_owned(), message: "closed".to_owned() }
    }

    #[test]
    fn plain_http_gets_json_or_a_problem() {
        let request = headers("application/json");
        let value = Substitute::Value(Value::list(vec![Value::Int(1), "x".into()]));
        let (answer, trailers) = substitute(Dialect::Plain, &request, b"", &value).unwrap();
        assert_eq!((&answer.body()[..], trailers), (&b"[1,\"x\"]"[..], None));
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        let (answer, _) = substitute(Dialect::Plain, &request, b"", &thrown()).unwrap();
        assert_eq!(answer.status(), 500);
        assert!(std::str::from_utf8(answer.body()).unwrap().contains("lab.Refused: closed"));
    }

    #[test]
    fn grpc_can_be_told_null_and_an_exception_and_no_other_value() {
        let of = |content_type, answer: &Substitute| {
            substitute(Dialect::Grpc, &headers(content_type), b"", answer)
        };
        for protobuf in ["application/grpc", "application/grpc+proto", "application/grpc; a=b"] {
            let (answer, trailers) = of(protobuf, &Substitute::EMPTY).unwrap();
            assert_eq!((&answer.body()[..], answer.status().as_u16()), (&[0; 5][..], 200));
            assert_eq!(trailers.unwrap()[grpc::STATUS], "0");
        }
        assert!(of("application/grpc+json", &Substitute::EMPTY).is_none());
        assert!(of("application/grpc", &Substitute::Value("x".into())).is_none());
        let (answer, trailers) = of("application/grpc", &thrown()).unwrap();
        assert_eq!((&answer.headers()[grpc::STATUS], trailers), (&HeaderValue::from(2), None));
        let text = answer.headers()[grpc::MESSAGE].to_str().unwrap();
        assert!(text.contains("lab.Refused: closed"), "{text}");
    }

    #[test]
    fn triple_is_answered_as_it_asked() {
        let request = headers("application/grpc+proto");
        let of = |first: &[u8], answer: &Substitute| {
            substitute(Dialect::Triple, &request, first, answer)
        };
        let wrapped = b"\0\0\0\0\x0a\x0a\x08hessian4";
        let (answer, trailers) = of(wrapped, &Substitute::EMPTY).unwrap();
        assert_eq!(
            &answer.body()[..],
            b"\0\0\0\0\x1f\x0a\x08hessian4\x12\x01N\x1a\x10java.lang.Object"
        );
        assert_eq!(trailers.unwrap()[grpc::STATUS], "0");
        assert!(!answer.headers().contains_key(triple::EXCEPTION));
        let (answer, trailers) = of(wrapped, &thrown()).unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[triple::EXCEPTION]),
            (200, &"3".parse().unwrap())
        );
        assert_eq!(trailers.unwrap()[grpc::STATUS], "0");
        let of_fastjson = b"\0\0\0\0\x0b\x0a\x09fastjson2";
        let (answer, _) = of(of_fastjson, &Substitute::Value("x".into())).unwrap();
        let expected =
            b"\0\0\0\0\x25\x0a\x09fastjson2\x12\x06\0\0\0\x02\x4ax\x1a\x10java.lang.Object";
        assert_eq!(&answer.body()[..], expected);
        // In protobuf, or before anything has come.
        for first in [&b"\0\0\0\0\x05\x0a\x03Ann"[..], b""] {
            let (answer, _) = of(first, &Substitute::EMPTY).unwrap();
            assert_eq!(answer.body().len(), 5);
            assert!(of(first, &Substitute::Value("x".into())).is_none());
        }
    }
}
