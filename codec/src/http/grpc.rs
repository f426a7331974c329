//! gRPC's words in HTTP headers: the deadline and the status, as the
//! specification "gRPC over HTTP2" defines them.

use std::fmt::Write;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName};

/// Where a call's status stands.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// A text for people, percent-encoded.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// A `google.rpc.Status`, in base64.
pub const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// How long the caller waits.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The status codes that the mesh itself says or tells apart
/// (`google.rpc.Code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // their names are their meaning
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
}

/// The `grpc-timeout` of a request; `None` without one, or where it is not as
/// specified: at most eight digits and a unit.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get(TIMEOUT)?.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// The status code that stands in a response's trailers, or in the head of one
/// without a body; `None` where there is none that can be read.
pub fn status(headers: &HeaderMap) -> Option<u32> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// The HTTP status that says the same as a status code (`google/rpc/code.proto`).
pub fn http_status(code: u16) -> u16 {
    match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// The status code that clients take an HTTP status for which is no gRPC server's
/// (gRPC's `http-grpc-status-mapping.md`).
pub fn code_of_http(status: u16) -> u16 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The status that clients take a stream for that was reset with this code of HTTP/2 (gRPC
/// over HTTP2, section "Errors").
pub fn code_of_reset(reset: u32) -> Code {
    match reset {
        0x7 => Code::Unavailable,
        0x8 => Code::Cancelled,
        0xb => Code::ResourceExhausted,
        0xc => Code::PermissionDenied,
        _ => Code::Internal,
    }
}

/// A text as `grpc-message` carries it: whatever is not printable ASCII, and the
/// percent sign, as `%XX`.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn timeouts_as_specified_and_no_others() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("4u", Some(Duration::from_micros(4))),
            ("5n", Some(Duration::from_nanos(5))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("999999999n", None),
            ("1s", None),
            ("-1S", None),
            ("S", None),
            ("1", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, HeaderValue::from_static(text));
            assert_eq!(timeout(&headers), expected, "{text:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn a_reset_stream_has_a_status() {
        let codes = [0x0, 0x2, 0x7, 0x8, 0xb, 0xc].map(code_of_reset);
        use Code::{Cancelled, Internal, PermissionDenied, ResourceExhausted, Unavailable};
        let expected =
            [Internal, Internal, Unavailable, Cancelled, ResourceExhausted, PermissionDenied];
        assert_eq!(codes, expected);
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("a b: 100%\n\u{fc}\u{7f}"), "a b: 100%25%0A%C3%BC%7F");
    }

    #[test]
    fn a_status_that_is_no_number_is_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers), None);
        headers.insert(STATUS, HeaderValue::from_static("14"));
        assert_eq!(status(&headers), Some(14));
        headers.insert(STATUS, HeaderValue::from_static("x"));
        assert_eq!(status(&headers), None);
    }
}
