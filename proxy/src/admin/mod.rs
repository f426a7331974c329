//! What a person or an orchestrator asks of a running proxy, over HTTP/1.1:
//! `/livez`, `/readyz`, `/metrics`, and an index of them at `/`.
//!
//! Runs on the control runtime, apart from the workers, and only answers: GET and
//! HEAD, nothing that changes the process. Peers are not trusted: what they may
//! hold open is bounded in number and time.

mod readiness;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::metrics::{self, Metrics};

pub use readiness::Readiness;

/// Connections served at a time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// How long peers may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a request's head, and for the next request on an idle connection.
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
}

/// A page and what the index says of it.
struct Page {
    path: &'static str,
    about: &'static str,
    answer: fn(&AdminState) -> Answer,
}

const PAGES: [Page; 4] = [
    Page { path: "/", about: "this list", answer: index },
    Page { path: "/livez", about: "200 while the process runs", answer: live },
    Page {
        path: "/readyz",
        about: "200 when calls are taken, else 503 and the reasons",
        answer: ready,
    },
    Page { path: "/metrics", about: "counters in the Prometheus text format", answer: scrape },
];

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
        let answer = answer(&state, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
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

struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn plain(status: StatusCode, body: String) -> Answer {
        Answer { status, content_type: PLAIN, body }
    }
}

fn answer(state: &AdminState, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let allowed = method == Method::GET || method == Method::HEAD;
    let answer = match PAGES.iter().find(|page| page.path == path) {
        Some(page) if allowed => (page.answer)(state),
        Some(_) => Answer::plain(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not served here, only GET and HEAD\n"),
        ),
        None => Answer::plain(
            StatusCode::NOT_FOUND,
            format!("there is nothing at this path; there is:\n{}", list()),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn list() -> String {
    PAGES.iter().map(|page| format!("{:<10} {}\n", page.path, page.about)).collect()
}

fn index(_: &AdminState) -> Answer {
    Answer::plain(StatusCode::OK, format!("Spanwire {}\n\n{}", env!("CARGO_PKG_VERSION"), list()))
}

fn live(_: &AdminState) -> Answer {
    Answer::plain(StatusCode::OK, "ok\n".to_owned())
}

fn ready(state: &AdminState) -> Answer {
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

fn scrape(state: &AdminState) -> Answer {
    Answer {
        status: StatusCode::OK,
        content_type: metrics::CONTENT_TYPE,
        body: state.metrics.render(),
    }
}

#[cfg(test)]
mod tests;
