//! HTTP/1.1 connections to endpoints: one request at a time on each, kept open
//! for the next one.

use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use governance::EndpointId;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::Http;
use super::body::{Body, BodyError, Pulled, Source as _, Upload, body_error_in};
use super::faults::unfit;
use super::linger::Http1;
use super::liveness::Liveness;
use super::socket::Socket;
use super::upstream::{Held, Keep, NotConnected, Outgoing, Received, SendError, Terms};
use crate::metrics::{Side, WorkerMetrics};
use crate::orders::Connection as InUse;
use crate::route::Route;

/// Idle connections kept for each endpoint and worker.
const KEPT: usize = 128;
/// How long a connection may have been idle that takes a request which cannot be
/// repeated: below the shortest wait of common servers (Node: 5 s), because one
/// that closes at this moment may have taken the request or not.
const FRESH: Duration = Duration::from_secs(4);

/// A connection that waits for its next request.
pub(super) struct Idle {
    sender: SendRequest<Pulled<Upload>>,
    peer: Rc<str>,
    since: Instant,
    keep: Keep,
    counted: Weak<Counted>,
}

impl Idle {
    /// Whether it is worth keeping.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(self.since);
        let is_over = self.keep.is_over() || idle >= self.keep.idle;
        !is_over && !self.sender.is_closed()
    }
}

/// A connection that takes one request.
pub(super) struct Sender {
    http: Rc<Http>,
    endpoint: EndpointId,
    sender: SendRequest<Pulled<Upload>>,
    peer: Rc<str>,
    /// It had requests before.
    reused: bool,
    keep: Keep,
    /// Its place among those that have a request.
    in_use: Option<InUse>,
    /// As long as the request's body is still sent.
    upload: Weak<()>,
    counted: Weak<Counted>,
    /// The same while the connection may become a tunnel, which it counts for.
    tunnel: Option<Rc<Counted>>,
}

/// An open connection, counted for as long as this lives.
struct Counted(Arc<WorkerMetrics>);

impl Counted {
    fn new(metrics: &Arc<WorkerMetrics>) -> Rc<Self> {
        metrics.connection_opened(Side::Upstream);
        Rc::new(Counted(metrics.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connection_closed(Side::Upstream);
    }
}

/// An idle connection to the endpoint, or a new one. `can_repeat`: the request
/// does no harm if it is sent twice, and nothing of it is lost by sending it.
pub(super) async fn get(
    http: &Rc<Http>,
    route: &Route,
    can_repeat: bool,
    terms: &Terms,
) -> Result<Sender, NotConnected> {
    let endpoint = route.hop.endpoint;
    let in_use = terms.in_use().await?;
    while let Some(mut idle) = take(http, endpoint, can_repeat) {
        if idle.sender.ready().await.is_ok() {
            return Ok(Sender::new(http, endpoint, idle, true, in_use));
        }
    }
    let _waiting = terms.wait()?;
    let worker = &http.worker;
    let peer: Rc<str> = route.method.address_of(route.index).unwrap_or_default().into();
    let socket = match worker.dial_within(&*peer, terms.connect).await {
        Ok(socket) => socket,
        Err(error) => {
            worker.connect_failed(endpoint, &peer, &error);
            return Err(NotConnected::Failed);
        }
    };
    terms.probe(worker, &socket.socket);
    let socket = Socket::dialed(socket, worker.metrics.clone(), Liveness::heard());
    let opened = http1::Builder::new()
        .preserve_header_case(true)
        .max_header_size(worker.limits.head as usize)
        .max_buf_size(http.h1_buffer())
        .handshake(TokioIo::new(socket))
        .await;
    let Ok((sender, connection)) = opened else { return Err(NotConnected::Failed) };
    worker.health.connected(endpoint);
    let open = Counted::new(&worker.metrics);
    let counted = Rc::downgrade(&open);
    let address = peer.clone();
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(endpoint = &*address, %error, "a connection broke");
        }
        drop(open);
    });
    let idle = Idle { sender, peer, since: Instant::now(), keep: terms.keep(), counted };
    Ok(Sender::new(http, endpoint, idle, false, in_use))
}

/// The connection that was used last.
fn take(http: &Http, endpoint: EndpointId, can_repeat: bool) -> Option<Idle> {
    let mut pool = http.pool.http1.borrow_mut();
    let idle = pool.get_mut(&endpoint)?;
    // Those below it are looked at when their turn comes, or once in a while.
    let now = Instant::now();
    while idle.pop_if(|last| !last.is_open(now)).is_some() {}
    idle.pop_if(|last| can_repeat || now.saturating_duration_since(last.since) < FRESH)
}

impl Sender {
    fn new(
        http: &Rc<Http>,
        endpoint: EndpointId,
        idle: Idle,
        reused: bool,
        in_use: Option<InUse>,
    ) -> Self {
        let Idle { sender, peer, mut keep, counted, .. } = idle;
        keep.take();
        let (http, upload, tunnel) = (http.clone(), Weak::new(), None);
        Sender { http, endpoint, sender, peer, reused, keep, in_use, upload, counted, tunnel }
    }

    pub(super) fn peer(&self) -> Rc<str> {
        self.peer.clone()
    }

    /// The answer came whole. Where it came early, the rest of the request is still sent, and
    /// the connection is for nobody else.
    pub(super) fn give_back(self) {
        let Sender { http, endpoint, sender, peer, keep, in_use, upload, counted, .. } = self;
        if sender.is_closed() || keep.is_over() || upload.strong_count() > 0 {
            return;
        }
        let mut pool = http.pool.http1.borrow_mut();
        let idle = pool.entry(endpoint).or_default();
        if idle.len() < KEPT {
            idle.push(Idle { sender, peer, since: Instant::now(), keep, counted });
        }
        drop(pool);
        drop(in_use);
    }

    /// Gives a request to the connection, whose answer comes by what this returns.
    fn write(
        &mut self,
        request: Outgoing,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Pulled<Upload>>>>> + use<>
    {
        let (mut parts, mut upload) = *request;
        if !upload.is_end() {
            self.upload = upload.life();
            // For these two hyper writes no body unless the head says that there is one.
            let is_unsaid = !parts.headers.contains_key(CONTENT_LENGTH);
            if is_unsaid && matches!(parts.method, Method::GET | Method::HEAD) {
                let chunked = HeaderValue::from_static("chunked");
                parts.headers.insert(TRANSFER_ENCODING, chunked);
            }
        }
        self.sender.try_send_request(Request::from_parts(parts, Pulled(upload)))
    }

    pub(super) async fn send(mut self, request: Outgoing) -> Result<Received, SendError> {
        let asked = request.0.headers.contains_key(UPGRADE);
        self.tunnel = self.counted.upgrade().filter(|_| asked);
        let may_repeat = self.reused && can_repeat(&request.0.method, &request.1);
        let again = may_repeat.then(|| Box::new((request.0.clone(), Upload::empty())));
        let mut response = match self.write(request).await {
            Ok(response) => response,
            Err(mut error) => {
                if let Some(request) = error.take_message() {
                    let (parts, Pulled(upload)) = request.into_parts();
                    return Err(SendError::Unsent(Box::new((parts, upload))));
                }
                let error = error.error();
                tracing::debug!(peer = &*self.peer, %error, "no answer came");
                return Err(match (body_error_in(error), again) {
                    (Some(error @ (BodyError::TooLarge(_) | BodyError::Unfit(_))), _) => {
                        SendError::Unfit(unfit(error))
                    }
                    (Some(_), _) => SendError::BrokenOff,
                    // The server closed the idle connection while we sent.
                    (None, Some(again)) if !error.is_parse() => SendError::Unsent(again),
                    _ => SendError::Lost,
                });
            }
        };
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if switches && !asked {
            tracing::warn!(peer = &*self.peer, "it goes on with another protocol, unasked");
            return Err(SendError::Lost);
        }
        let upgrade = switches.then(|| hyper::upgrade::on(&mut response));
        let (parts, incoming) = response.into_parts();
        let body = Body::Http1(Http1::new(incoming));
        Ok(Received { parts, body, held: Held::Http1(self), upload: None, upgrade })
    }
}

/// Whether a request does no harm if it is sent twice (RFC 9110, section 9.2.2).
pub(super) fn can_repeat(method: &Method, upload: &Upload) -> bool {
    let idempotent =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    idempotent.contains(method) && upload.is_end()
}
