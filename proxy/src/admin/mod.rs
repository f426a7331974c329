//! What a person or an orchestrator asks of a running proxy, over HTTP/1.1:
//! `/livez`, `/readyz`, `/metrics`, `/rules`, `/explain`, and an index of them at
//! `/`.
//!
//! Runs on the control runtime, apart from the workers, and only answers: nothing
//! changes the process, not even the one POST, whose body is a question. Peers are
//! not trusted: what they may hold open or send is bounded in number, size and
//! time. [`client`] is the other side, for commands.

pub mod client;
mod explain;
mod page;
mod readiness;
mod rules;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use self::page::{Answer, Ask, Page, find, list, wants};
use crate::explain::Live;
use crate::metrics::{self, Metrics};

pub use readiness::Readiness;

/// Connections served at a time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// The largest question taken, in bytes.
const QUESTION: usize = 64 << 10;
/// Names the fault of an explained call, whichever form the answer has.
const FAULT: HeaderName = HeaderName::from_static("spanwire-fault");

/// How long peers may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a request's head, for its body, and for the next request on an idle
    /// connection.
    head: Duration,
    /// A connection is asked to end at this age, however busy, so that a peer
    /// that reads slowly cannot hold its answer's memory for ever.
    age: Duration,
    /// For the last answer on a connection that was asked to end.
    last_answer: Duration,
}

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    age: Duration::from_secs(300),
    last_answer: Duration::from_secs(10),
};

/// What the pages show.
#[derive(Debug)]
pub struct AdminState {
    /// Shown at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Shown at `/readyz`.
    pub readiness: Arc<Readiness>,
    /// Shown at `/rules`, asked at `/explain`.
    pub(crate) live: Live,
}

const PAGES: [Page; 7] = [
    Page { method: Method::GET, path: "/", below: false, about: "this list", answer: index },
    Page {
        method: Method::GET,
        path: "/livez",
        below: false,
        about: "200 while the process runs",
        answer: live,
    },
    Page {
        method: Method::GET,
        path: "/readyz",
        below: false,
        about: "200 when calls are taken, else 503 and the reasons",
        answer: ready,
    },
    Page {
        method: Method::GET,
        path: "/metrics",
        below: false,
        about: "counters in the Prometheus text format",
        answer: scrape,
    },
    Page {
        method: Method::GET,
        path: "/rules",
        below: false,
        about: "every rule document and what became of it; ?output=json",
        answer: rules::all,
    },
    Page {
        method: Method::GET,
        path: "/rules/",
        below: true,
        about: "the rule in force under a key",
        answer: rules::one,
    },
    Page {
        method: Method::POST,
        path: "/explain",
        below: false,
        about: "how a call would be decided now; ?output=text",
        answer: explain::explain,
    },
];

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Listens on `addr` and answers in the background, on the current tokio runtime,
/// until that runtime ends. Returns the address it listens on (with the port that
/// the system chose, when `addr`'s is 0).
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(addr: SocketAddr, state: Arc<AdminState>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(addr).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(accept(listener, state, PATIENCE));
    Ok(bound)
}

async fn accept(listener: TcpListener, state: Arc<AdminState>, patience: Patience) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return; // only a closed semaphore refuses, and nobody closes this one
        };
        match listener.accept().await {
            Ok((socket, _)) => {
                let state = state.clone();
                tokio::spawn(async move {
                    converse(socket, state, patience).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Most often the process is out of file descriptors; trying again
                // at once would only burn the CPU.
                tracing::warn!(%error, "the admin listener cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection to its end. Its errors are the peer's affair.
async fn converse(socket: TcpStream, state: Arc<AdminState>, patience: Patience) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(&state, request, patience).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.head)
            .max_buf_size(16 << 10)
            .serve_connection(TokioIo::new(socket), service)
    );
    if let Ok(ended) = timeout(patience.age, connection.as_mut()).await {
        if let Err(error) = ended {
            tracing::debug!(%error, "an admin connection broke");
        }
        return;
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(patience.last_answer, connection).await;
}

async fn answer(
    state: &AdminState,
    request: Request<Incoming>,
    patience: Patience,
) -> Response<Full<Bytes>> {
    let (text, json) = (wants(&request, "text", "text/plain"), wants(&request, "json", JSON));
    let (head, body) = request.into_parts();
    let answer = match find(&head.method, &head.uri) {
        Ok((page, rest)) if page.method != Method::POST => {
            (page.answer)(state, &Ask { rest, json, text, body: &[] })
        }
        Ok((page, rest)) => match read(body, patience).await {
            Ok(body) => (page.answer)(state, &Ask { rest, json, text, body: &body }),
            Err(answer) => answer,
        },
        Err(answer) => answer,
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [(header::ALLOW, answer.allow), (FAULT, answer.fault)] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Reads a question, within its bounds.
async fn read(body: Incoming, patience: Patience) -> Result<Bytes, Answer> {
    let too_large = || {
        let told = format!("more than {QUESTION} bytes are not read\n");
        Err(Answer::plain(StatusCode::PAYLOAD_TOO_LARGE, told))
    };
    // What is announced need not be waited for.
    if body.size_hint().lower() > QUESTION as u64 {
        return too_large();
    }
    match timeout(patience.head, Limited::new(body, QUESTION).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
        Ok(Err(error)) => Err(Answer::plain(
            StatusCode::BAD_REQUEST,
            format!("the body cannot be read: {error}\n"),
        )),
        Err(_) => Err(Answer::plain(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time\n".to_owned(),
        )),
    }
}

fn index(_: &AdminState, _: &Ask<'_>) -> Answer {
    Answer::plain(StatusCode::OK, format!("Spanwire {}\n\n{}", env!("CARGO_PKG_VERSION"), list()))
}

fn live(_: &AdminState, _: &Ask<'_>) -> Answer {
    Answer::plain(StatusCode::OK, "ok\n".to_owned())
}

fn ready(state: &AdminState, _: &Ask<'_>) -> Answer {
    let reasons = state.readiness.reasons();
    if reasons.is_empty() {
        return Answer::plain(StatusCode::OK, "ok\n".to_owned());
    }
    let mut body = "not ready\n".to_owned();
    for (part, reason) in reasons {
        body.push_str(&format!("{part}: {reason}\n"));
    }
    Answer::plain(StatusCode::SERVICE_UNAVAILABLE, body)
}

fn scrape(state: &AdminState, _: &Ask<'_>) -> Answer {
    let content_type = metrics::CONTENT_TYPE;
    Answer { content_type, ..Answer::plain(StatusCode::OK, state.metrics.render()) }
}

#[cfg(test)]
mod tests;
