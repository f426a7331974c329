//! What routing and governance may ask of a request, whatever its protocol.
//!
//! Nothing is decoded until somebody asks: a head borrows the frame's bytes and
//! answers from them. Implementations cache what they had to search for, so
//! asking twice is cheap.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::DecodeError;

/// The routing key of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target<'a> {
    /// Dubbo interface (path), Bolt service, gRPC `package.Service`, HTTP host.
    pub service: &'a str,
    /// Method name; for a generic call the method it names is an argument, and
    /// this is `$invoke`.
    pub method: &'a str,
    /// Service version; empty when the protocol's "none" was sent.
    pub version: &'a str,
}

/// One argument of a call, as far as rules can match on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument<'a> {
    /// A null.
    Null,
    /// A boolean.
    Bool(bool),
    /// Any integer type.
    Int(i64),
    /// A float or double.
    Double(f64),
    /// A string (borrowed where it stands in one piece in the frame).
    Text(Cow<'a, str>),
    /// Anything else: an object, list, map, date, binary. The text is its Java
    /// class where the bytes name one.
    Other(Cow<'a, str>),
}

/// A request in HTTP's own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    /// `GET`, `POST`…
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port, as the client wrote them.
    pub authority: &'a str,
    /// The path, with its query behind a question mark where there is one.
    pub path: &'a str,
}

/// What may be asked of a request.
pub trait RequestHead {
    /// The routing key. Called once per call, first.
    ///
    /// # Errors
    /// When the body is opaque (another serialization) or malformed; the call
    /// can then only take a listener's default route.
    fn target(&self) -> Result<Target<'_>, DecodeError>;

    /// The method that is meant: of a generic call (Dubbo's `$invoke`), the one
    /// that its first argument names (`RpcUtils.getMethodName`); of any other,
    /// the target's.
    ///
    /// # Errors
    /// As [`RequestHead::target`].
    fn meant_method(&self) -> Result<Cow<'_, str>, DecodeError> {
        let method = self.target()?.method;
        if matches!(method, "$invoke" | "$invokeAsync")
            && let Ok(Some(Argument::Text(name))) = self.argument(0)
        {
            return Ok(name);
        }
        Ok(Cow::Borrowed(method))
    }

    /// Service group; empty when none. Dubbo carries it among the attachments,
    /// so this may have to skip the arguments.
    ///
    /// # Errors
    /// As [`RequestHead::field`].
    fn group(&self) -> Result<&str, DecodeError>;

    /// An attachment or header by its exact name. Values that are not strings
    /// are given as Java's `String.valueOf` gives them.
    ///
    /// # Errors
    /// When the body is opaque or malformed before the field.
    fn field(&self, name: &str) -> Result<Option<Cow<'_, str>>, DecodeError>;

    /// The argument at `index`, or `None` when there are fewer. Reads no
    /// further than that argument.
    ///
    /// # Errors
    /// When the body is opaque or malformed up to that argument.
    fn argument(&self, index: usize) -> Result<Option<Argument<'_>>, DecodeError>;

    /// The bytes of the argument at `index` as they stand in the request, to tell
    /// it from others; `None` when there are fewer, or where a protocol's
    /// arguments are not apart.
    ///
    /// # Errors
    /// As [`RequestHead::argument`].
    fn argument_bytes(&self, index: usize) -> Result<Option<&[u8]>, DecodeError> {
        let _ = index;
        Ok(None)
    }

    /// The parameter types as the call declares them: a JVM descriptor for
    /// Dubbo (`Ljava/lang/String;I`), empty where the protocol has none.
    ///
    /// # Errors
    /// When the body is opaque or malformed.
    fn parameter_types(&self) -> Result<&str, DecodeError>;

    /// How long the caller waits, where the request says so.
    fn timeout(&self) -> Option<Duration>;

    /// Whether no answer is expected.
    fn is_one_way(&self) -> bool;

    /// The request in HTTP's own terms, for protocols over HTTP (gRPC and Triple
    /// among them); `None` for any other.
    fn http(&self) -> Option<HttpRequest<'_>> {
        None
    }
}
