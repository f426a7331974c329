//! The mesh's own answers, as a Java consumer reads them.
//!
//! They are gRPC's: a status without a body, and a code that Java makes its own of
//! (`TriRpcStatus.triCodeToDubboCode`). Two things differ. Java takes a plus sign in
//! a message for a space, and a percent sign that begins no escape for the end of
//! the call (`QueryStringDecoder`). And it prefers the message inside
//! `grpc-status-details-bin`, which it decodes once more: other clients would then
//! show the escapes. So there are no details.
//!
//! Unlike Dubbo's (see [`crate::dubbo::reply`]) these answers need no second form:
//! Java's failover may repeat a Triple call that it gave up itself, but none that was
//! answered, whatever the status.

use ::http::{HeaderMap, HeaderValue};
use bytes::{BufMut, Bytes, BytesMut};

use super::message::PREFIX;
use super::wrapper;
use crate::dubbo::Serialization;
use crate::dubbo::reply::exception;
use crate::fault::Fault;
use crate::http::{answer, grpc};
use crate::substitute::Substitute;
use crate::{hessian2, jsonb};

/// What [`EXCEPTION`](super::EXCEPTION) says of an exception of the provider's code
/// (`RpcException.BIZ_EXCEPTION`).
pub const BIZ_EXCEPTION: HeaderValue = HeaderValue::from_static("3");

/// A fault as trailers, or as all of the head of an answer without a body.
pub fn trailers(fault: &Fault) -> HeaderMap {
    let message = grpc::percent_encoded(&fault.to_string()).replace('+', "%2B");
    let message = HeaderValue::from_str(&message);
    HeaderMap::from_iter([
        (grpc::STATUS, HeaderValue::from(answer::code_of(fault))),
        // Percent-encoded text is printable ASCII.
        (grpc::MESSAGE, message.unwrap_or_else(|_| HeaderValue::from_static(""))),
    ])
}

/// An answer that no provider gave, as a provider would: the value, or the exception, in
/// a `TripleResponseWrapper` in a message. A call whose arguments are in one
/// serialization is answered in it.
pub fn message(serialization: Serialization, answer: &Substitute) -> Bytes {
    let is_jsonb = serialization == Serialization::Fastjson2;
    let mut data = BytesMut::new();
    // Java goes by the method that it has called, and not by the type that stands here.
    let class = match answer {
        Substitute::Value(value) if is_jsonb => {
            jsonb::write::document(&mut data, |out| jsonb::encode::value(out, value));
            "java.lang.Object"
        }
        Substitute::Value(value) => {
            hessian2::Encoder::new().value(&mut data, value);
            "java.lang.Object"
        }
        Substitute::Exception { class, message } => {
            exception(serialization, class, message, &mut data);
            class
        }
    };
    let name: &[u8] = if is_jsonb { b"fastjson2" } else { b"hessian4" };
    let mut out = BytesMut::zeroed(PREFIX);
    wrapper::write(&[name, &data, class.as_bytes()], &mut out);
    let length = (out.len() - PREFIX) as u32;
    if let Some(place) = out.get_mut(1..PREFIX) {
        let mut place = place;
        place.put_u32(length);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use ::http::header::CONTENT_TYPE;

    use super::*;
    use crate::fault::Reason;
    use crate::http::Dialect;

    #[test]
    fn java_reads_the_text_as_it_is() {
        let fault = Fault::new(Reason::NoEndpoint, "1+1 is 100 % für", "try 2");
        let response = answer::fault(Dialect::Triple, &fault);
        let headers = response.headers();
        let text = "Spanwire [no_endpoint]: 1%2B1 is 100 %25 f%C3%BCr; try 2";
        assert_eq!(headers[grpc::MESSAGE], text);
        assert_eq!(headers[grpc::STATUS], "14");
        assert_eq!(headers[CONTENT_TYPE], "application/grpc");
        assert!(!headers.contains_key(grpc::DETAILS));
        assert!(response.body().is_empty());
    }
}
