//! The mesh's own answers.
//!
//! Java's failover cluster repeats a call whose answer has an error status: it
//! raises an `RpcException` inside the cluster's loop. An exception that comes
//! as the *result* of a call (status 20) is handed to the caller as it is. So a
//! fault that the same call would meet again is sent as a result, and one that
//! may pass as a status.

use bytes::{BufMut, BytesMut};

use crate::fault::{Fault, Reason};
use crate::hessian2::write as hessian2;
use crate::jsonb::write as jsonb;
use crate::substitute::Substitute;
use crate::value::Value;

use super::header::{self, Header};
use super::origin::Origin;
use super::response::ResponseType;
use super::serialization::Serialization;

/// How a reason is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An error status with the fault's text: Java raises an `RpcException` and
    /// may try again.
    Status(u8),
    /// Status 20 and an `org.apache.dubbo.rpc.RpcException` of this code: the
    /// caller gets it at once.
    Exception(i32),
}

/// The form of each reason. Status numbers are those of
/// `org.apache.dubbo.remoting.exchange.Response`, codes those of
/// `org.apache.dubbo.rpc.RpcException`.
pub fn form(reason: Reason) -> Form {
    match reason {
        // CHANNEL_INACTIVE: NETWORK_EXCEPTION in Java.
        Reason::ConnectionLost | Reason::AppUnreachable => Form::Status(35),
        // SERVER_TIMEOUT: TIMEOUT_EXCEPTION.
        Reason::Timeout => Form::Status(31),
        // SERVER_THREADPOOL_EXHAUSTED_ERROR: NETWORK_EXCEPTION.
        Reason::Overloaded => Form::Status(100),
        // NO_INVOKER_AVAILABLE_AFTER_FILTER.
        Reason::UnknownService | Reason::NoEndpoint => Form::Exception(6),
        // FORBIDDEN_EXCEPTION.
        Reason::Denied => Form::Exception(4),
        // NETWORK_EXCEPTION.
        Reason::Unreachable => Form::Exception(1),
        // LIMIT_EXCEEDED_EXCEPTION.
        Reason::TooLarge => Form::Exception(7),
        // SERIALIZATION_EXCEPTION.
        Reason::Unreadable => Form::Exception(5),
        // UNKNOWN_EXCEPTION.
        Reason::RuleFailed | Reason::Injected | Reason::Answered => Form::Exception(0),
    }
}

/// SERVER_ERROR, for faults that cannot be written as exceptions.
const SERVER_ERROR: u8 = 80;

/// Appends the answer to the request of `origin`.
pub(super) fn write(origin: Origin, fault: &Fault, out: &mut BytesMut) {
    let message = fault.to_string();
    let (serialization, form) = match (origin.serialization, form(fault.reason)) {
        // The answer need not be in the request's serialization: Java reads
        // each frame by the id in its own header, and has hessian2 always.
        // What else it would take for an exception is unknown: a status then.
        (Serialization::Other(_), Form::Exception(_)) => {
            (Serialization::Hessian2, Form::Status(SERVER_ERROR))
        }
        (Serialization::Other(_), form) => (Serialization::Hessian2, form),
        known => known,
    };
    let start = out.len();
    let status = match form {
        Form::Status(status) => status,
        Form::Exception(_) => header::OK,
    };
    Header { flags: serialization.id(), status, id: origin.id, body_len: 0 }.write(out);
    match (serialization, form) {
        (Serialization::Fastjson2, Form::Status(_)) => {
            jsonb::document(out, |out| jsonb::string(out, &message));
        }
        (Serialization::Fastjson2, Form::Exception(code)) => {
            jsonb::document(out, |out| jsonb::int(out, 0));
            jsonb::document(out, |out| jsonb_exception(out, RPC_EXCEPTION, Some(code), &message));
        }
        (_, Form::Status(_)) => hessian2::string(out, &message),
        (_, Form::Exception(code)) => {
            hessian2::int(out, 0);
            hessian2_exception(out, RPC_EXCEPTION, Some(code), &message);
        }
    }
    header::set_body_len(out, start);
}

/// Appends an answer that no provider gave to the request of `origin`.
pub(super) fn write_substitute(origin: Origin, answer: &Substitute, out: &mut BytesMut) {
    let start = out.len();
    // As above: an exception is not written to whom it might not reach as one.
    let (serialization, status) = match (origin.serialization, answer) {
        (Serialization::Other(_), Substitute::Exception { .. }) => {
            (Serialization::Hessian2, SERVER_ERROR)
        }
        (Serialization::Other(_), Substitute::Value(_)) => (Serialization::Hessian2, header::OK),
        (known, _) => (known, header::OK),
    };
    Header { flags: serialization.id(), status, id: origin.id, body_len: 0 }.write(out);
    let is_jsonb = serialization == Serialization::Fastjson2;
    let kind = |out: &mut BytesMut, kind: ResponseType| match is_jsonb {
        true => jsonb::document(out, |out| jsonb::int(out, kind.number().into())),
        false => hessian2::int(out, kind.number().into()),
    };
    match answer {
        Substitute::Exception { class, message } if status != header::OK => {
            hessian2::string(out, &format!("{class}: {message}"));
        }
        Substitute::Exception { class, message } => {
            kind(out, ResponseType::Exception);
            exception(serialization, class, message, out);
        }
        Substitute::Value(Value::Null) => kind(out, ResponseType::Null),
        Substitute::Value(value) => {
            kind(out, ResponseType::Value);
            if is_jsonb {
                jsonb::document(out, |out| crate::jsonb::encode::value(out, value));
            } else {
                crate::hessian2::Encoder::new().value(out, value);
            }
        }
    }
    header::set_body_len(out, start);
}

/// Appends an exception of a Java class, in fastjson2's form where that is the
/// serialization, and else in hessian2's.
pub fn exception(serialization: Serialization, class: &str, message: &str, out: &mut BytesMut) {
    let code = (class == RPC_EXCEPTION).then_some(0);
    if serialization == Serialization::Fastjson2 {
        jsonb::document(out, |out| jsonb_exception(out, class, code, message));
    } else {
        hessian2_exception(out, class, code, message);
    }
}

/// The class of the mesh's own exceptions.
pub const RPC_EXCEPTION: &str = "org.apache.dubbo.rpc.RpcException";

/// The exception as hessian-lite writes one: its own field, then those of
/// `Throwable`, whose cause is the exception itself until it is given one.
fn hessian2_exception(out: &mut BytesMut, class: &str, code: Option<i32>, message: &str) {
    out.put_u8(b'C');
    hessian2::string(out, class);
    let fields = ["code", "suppressedExceptions", "stackTrace", "cause", "detailMessage"];
    let fields = if code.is_some() { &fields[..] } else { &fields[1..] };
    hessian2::int(out, fields.len() as i32);
    for field in fields {
        hessian2::string(out, field);
    }
    out.put_u8(0x60);
    if let Some(code) = code {
        hessian2::int(out, code);
    }
    out.put_u8(0x70);
    hessian2::string(out, "java.util.Collections$EmptyList");
    out.put_u8(0x70);
    hessian2::string(out, "[java.lang.StackTraceElement");
    hessian2::reference(out, 0);
    hessian2::string(out, message);
}

/// The exception as fastjson2 writes one with `WriteClassName`.
fn jsonb_exception(out: &mut BytesMut, class: &str, code: Option<i32>, message: &str) {
    jsonb::type_name(out, class, 0);
    jsonb::map(out, |out| {
        if let Some(code) = code {
            jsonb::string(out, "code");
            jsonb::int(out, code);
        }
        jsonb::string(out, "detailMessage");
        jsonb::string(out, message);
        jsonb::string(out, "stackTrace");
        jsonb::array(out, 0);
    });
}
