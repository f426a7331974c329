//! Asking a running proxy, for commands.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::FAULT;

/// How long a proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer taken, in bytes.
const ANSWER: usize = 16 << 20;

/// Why a proxy did not answer. For whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not the address of an admin listener.
    #[error("\"{0}\" is no admin address: write host:port, or http://host:port")]
    Address(String),
    /// Nobody answers there, or not in HTTP.
    #[error("no proxy answers at {address}: {reason}")]
    Silent {
        /// Who was asked.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// Something else answers there.
    #[error("what answers at {address} cannot explain calls: status {status}")]
    Stranger {
        /// Who was asked.
        address: String,
        /// The status of its answer.
        status: u16,
    },
}

/// What a proxy said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    /// The explanation, in the form that was asked for, and the fault that the
    /// call would meet.
    Decided {
        /// JSON and a line's end, or text.
        text: String,
        /// A [`codec::Reason`]'s label.
        fault: Option<String>,
    },
    /// It cannot answer; findings as JSON: `{"error": [...]}`.
    Refused(String),
}

/// Asks the proxy whose admin pages are at `admin` how it would decide a call now;
/// see `POST /explain`.
///
/// # Errors
/// See [`AskError`].
pub async fn explain(admin: &str, case: &str, json: bool) -> Result<Explained, AskError> {
    let address = address(admin).ok_or_else(|| AskError::Address(admin.to_owned()))?;
    let asked = timeout(PATIENCE, exchange(&address, case, json)).await;
    let silent = |reason: String| AskError::Silent { address: address.clone(), reason };
    let (status, fault, text) = asked
        .map_err(|_| silent(format!("nothing for {PATIENCE:?}")))?
        .map_err(|error| silent(error.to_string()))?;
    match status {
        StatusCode::OK => Ok(Explained::Decided { text, fault }),
        StatusCode::BAD_REQUEST if text.starts_with("{\"error\":") => Ok(Explained::Refused(text)),
        status => Err(AskError::Stranger { address, status: status.as_u16() }),
    }
}

/// `host:port` of what a person wrote.
fn address(admin: &str) -> Option<String> {
    let bare = admin.strip_prefix("http://").unwrap_or(admin).trim_end_matches('/');
    let uri: Uri = bare.parse().ok()?;
    if uri.scheme().is_some() {
        return None;
    }
    let authority = uri.authority()?;
    authority.port_u16()?;
    (uri.path().is_empty() || uri.path() == "/").then(|| authority.to_string())
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    address: &str,
    case: &str,
    json: bool,
) -> Result<(StatusCode, Option<String>, String), Failed> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let connection = tokio::spawn(connection);
    let output = if json { "json" } else { "text" };
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/explain?output={output}"))
        .header(header::HOST, address)
        .header(header::CONTENT_TYPE, "application/yaml")
        .body(Full::new(Bytes::from(case.to_owned())))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
    connection.abort();
    let fault = head.headers.get(FAULT).and_then(|fault| fault.to_str().ok()).map(str::to_owned);
    Ok((head.status, fault, String::from_utf8(body.into())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for good in ["127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1/"] {
            assert_eq!(address(good).as_deref(), Some("127.0.0.1:1"), "{good}");
        }
        assert_eq!(address("http://[::1]:15000").as_deref(), Some("[::1]:15000"));
        for bad in ["", "127.0.0.1", "https://127.0.0.1:1", "http://h:1/rules", "h:99999"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
