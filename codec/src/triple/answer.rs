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

use crate::fault::Fault;
use crate::http::{answer, grpc};

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
