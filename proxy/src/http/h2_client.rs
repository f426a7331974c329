//! HTTP/2 connections to endpoints: shared by all callers of a worker, and one
//! more only where the endpoint takes no more streams on those there are.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use governance::EndpointId;
use h2::Reason;
use h2::client::{self, ResponseFuture, SendRequest};
use http::Request;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Http;
use super::body::{Body, BodyError, Source as _, Upload};
use super::faults::unfit;
use super::gather::{Gathered, Turn, gather};
use super::liveness::Liveness;
use super::pump::{Pump, Pumped};
use super::socket::Socket;
use super::upstream::{Held, Keep, NotConnected, Outgoing, Received, SendError, Terms, Uploading};
use super::{CONNECTION_WINDOW, FRAME, STREAM_WINDOW};
use crate::metrics::{Side, WorkerMetrics};
use crate::route::Route;

/// Connections to one endpoint at most, where it takes few streams on each.
const CONNECTIONS: usize = 16;
/// Stands for "the endpoint has not said yet how many streams it takes".
const UNSAID: usize = usize::MAX - 1;

type Driver = client::Connection<Gathered, Bytes>;

/// One connection.
pub(super) struct Connection {
    peer: Rc<str>,
    state: RefCell<State>,
    /// Notified when it is connected, or gone.
    changed: Notify,
    in_flight: Cell<usize>,
    /// Since when it has had no call, where it has none.
    used: Cell<Instant>,
    keep: RefCell<Keep>,
}

enum State {
    Connecting,
    Open(SendRequest<Bytes>),
    Failed,
    Closed,
}

/// A stream of a connection, for as long as this lives.
pub(super) struct Lease(Rc<Connection>);

impl Lease {
    fn new(connection: Rc<Connection>) -> Self {
        connection.in_flight.set(connection.in_flight.get() + 1);
        connection.keep.borrow_mut().take();
        Lease(connection)
    }

    pub(super) fn peer(&self) -> Rc<str> {
        self.0.peer.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
        if self.0.in_flight.get() > 0 {
            return;
        }
        self.0.used.set(Instant::now());
        if self.0.is_spent() {
            *self.0.state.borrow_mut() = State::Closed;
        }
    }
}

/// A connection to the endpoint that takes one more call.
pub(super) async fn get(
    http: &Rc<Http>,
    route: &Route,
    terms: &Terms,
) -> Result<Lease, NotConnected> {
    let endpoint = route.hop.endpoint;
    loop {
        let waits_for = match choose(http, endpoint, terms.streams) {
            Choice::Take(lease) => return Ok(lease),
            Choice::Wait(connection) => connection,
            Choice::Full(calls) => return Err(NotConnected::Full(calls)),
            Choice::Connect => {
                let peer = route.method.address_of(route.index).unwrap_or_default().into();
                Connection::start(http, endpoint, peer, terms)
            }
        };
        let _waiting = terms.wait()?;
        let changed = waits_for.changed.notified();
        if matches!(*waits_for.state.borrow(), State::Connecting) {
            changed.await;
        }
        if matches!(*waits_for.state.borrow(), State::Failed) {
            return Err(NotConnected::Failed);
        }
    }
}

enum Choice {
    Take(Lease),
    Wait(Rc<Connection>),
    Connect,
    Full(usize),
}

/// The least busy connection that has room; where there is none, one more, one
/// at a time; where there are enough, the least busy one.
fn choose(http: &Http, endpoint: EndpointId, streams: usize) -> Choice {
    let mut pool = http.pool.http2.borrow_mut();
    let Some(connections) = pool.get_mut(&endpoint) else { return Choice::Connect };
    connections.retain(|connection| connection.is_usable(&http.worker.metrics));
    let pending = http.worker.limits.pending.min(streams);
    let mut best: Option<(&Rc<Connection>, usize)> = None;
    let mut connecting = None;
    for connection in connections.iter() {
        match &*connection.state.borrow() {
            State::Connecting => connecting = Some(connection),
            State::Open(send) => {
                let in_flight = connection.in_flight.get();
                if in_flight < send.current_max_send_streams().min(pending) {
                    return Choice::Take(Lease::new(connection.clone()));
                }
                if best.is_none_or(|(_, least)| in_flight < least) {
                    best = Some((connection, in_flight));
                }
            }
            State::Failed | State::Closed => {}
        }
    }
    match (connecting, best) {
        (Some(connection), _) => Choice::Wait(connection.clone()),
        (None, _) if connections.len() < CONNECTIONS => Choice::Connect,
        (None, Some((connection, least))) if least < pending => {
            Choice::Take(Lease::new(connection.clone()))
        }
        (None, Some((_, least))) => Choice::Full(least),
        (None, None) => Choice::Connect,
    }
}

impl Connection {
    fn start(
        http: &Rc<Http>,
        endpoint: EndpointId,
        peer: Rc<str>,
        terms: &Terms,
    ) -> Rc<Connection> {
        let connection = Rc::new(Connection {
            peer,
            state: RefCell::new(State::Connecting),
            changed: Notify::new(),
            in_flight: Cell::new(0),
            used: Cell::new(Instant::now()),
            keep: terms.keep().into(),
        });
        let mut pool = http.pool.http2.borrow_mut();
        pool.entry(endpoint).or_default().push(connection.clone());
        tokio::task::spawn_local(connection.clone().run(http.clone(), endpoint, terms.clone()));
        connection
    }

    /// Whether a request may be given to it, now or when it is connected. One
    /// that was asked to send no more (GOAWAY) is left to finish what it has.
    fn is_usable(&self, metrics: &WorkerMetrics) -> bool {
        if self.is_spent() {
            if self.in_flight.get() == 0 {
                *self.state.borrow_mut() = State::Closed;
            }
            return false;
        }
        let mut state = self.state.borrow_mut();
        let send = match &mut *state {
            State::Connecting => return true,
            State::Failed | State::Closed => return false,
            State::Open(send) => send,
        };
        // Ready or failed at once, because no request waits on this handle.
        let ready = send.poll_ready(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Err(error)) = ready else { return true };
        if error.is_go_away() && error.is_remote() {
            metrics.go_away_received(Side::Upstream);
        }
        // Without a handle it ends when its streams do.
        *state = State::Closed;
        false
    }

    /// Whether it takes no more calls, because a destination rule says so.
    fn is_spent(&self) -> bool {
        !matches!(*self.state.borrow(), State::Connecting) && self.keep.borrow().is_over()
    }

    /// Lets go of a connection that had no call for long enough, or takes no more.
    pub(super) fn end_if_idle(&self) -> bool {
        let is_idle = self.used.get().elapsed() >= self.keep.borrow().idle || self.is_spent();
        if !is_idle || self.in_flight.get() > 0 || !matches!(*self.state.borrow(), State::Open(_)) {
            return false;
        }
        *self.state.borrow_mut() = State::Closed;
        true
    }

    async fn run(self: Rc<Self>, http: Rc<Http>, endpoint: EndpointId, terms: Terms) {
        let worker = &http.worker;
        let heard = Liveness::heard();
        let (send, mut driver, turn) = match self.open(&http, heard.clone(), terms).await {
            Ok(opened) => opened,
            Err(error) => {
                worker.connect_failed(endpoint, &self.peer, &error);
                *self.state.borrow_mut() = State::Failed;
                self.changed.notify_waiters();
                return;
            }
        };
        let liveness = http.watch(Side::Upstream, heard, driver.ping_pong());
        *self.state.borrow_mut() = State::Open(send);
        self.changed.notify_waiters();
        worker.health.connected(endpoint);
        worker.metrics.connection_opened(Side::Upstream);
        tracing::info!(endpoint = &*self.peer, protocol = "http2", "connected");

        turn.begin();
        let driven = poll_fn(|cx| {
            let driven = Pin::new(&mut driver).poll(cx);
            if driven.is_pending() {
                turn.end(cx);
            }
            driven
        });
        let end = tokio::select! {
            end = driven => end.map_err(|error| error.to_string()),
            () = liveness.is_dead() => Err("it does not answer pings".to_owned()),
        };
        worker.metrics.connection_closed(Side::Upstream);
        match end {
            Ok(()) => tracing::info!(endpoint = &*self.peer, "disconnected"),
            Err(error) => {
                tracing::info!(endpoint = &*self.peer, error, "disconnected");
                worker.health.failed(endpoint, Instant::now());
            }
        }
        *self.state.borrow_mut() = State::Closed;
        self.changed.notify_waiters();
    }

    /// Connects, and waits for the endpoint's settings: they say how many streams
    /// it takes, and that it speaks HTTP/2 at all.
    async fn open(
        &self,
        http: &Http,
        heard: Arc<AtomicBool>,
        terms: Terms,
    ) -> io::Result<(SendRequest<Bytes>, Driver, Turn)> {
        let worker = &http.worker;
        let limit = terms.connect;
        let socket = worker.dial_within(&*self.peer, limit).await?;
        terms.probe(worker, &socket.socket);
        let (socket, turn) = gather(Socket::dialed(socket, worker.metrics.clone(), heard));
        let handshake = async {
            let (send, mut driver) = client::Builder::new()
                .enable_push(false)
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(FRAME)
                .max_header_list_size(worker.limits.head)
                .initial_max_send_streams(UNSAID)
                .handshake::<_, Bytes>(socket)
                .await?;
            poll_fn(|cx| match Pin::new(&mut driver).poll(cx) {
                Poll::Ready(end) => Poll::Ready(Err(end.err())),
                Poll::Pending if send.current_max_send_streams() == UNSAID => Poll::Pending,
                Poll::Pending => Poll::Ready(Ok(())),
            })
            .await
            .or_else(|error| error.map_or_else(|| Err(Reason::NO_ERROR.into()), Err))?;
            Ok::<_, h2::Error>((send, driver))
        };
        match timeout(limit, handshake).await {
            Ok(Ok((send, driver))) => Ok((send, driver, turn)),
            Ok(Err(error)) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP/2: {error}")))
            }
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no HTTP/2: it took the connection and sent no settings",
            )),
        }
    }
}

/// A request whose head was given to the connection.
struct Written {
    response: ResponseFuture,
    /// Writes its body.
    pump: Option<Pump<Upload>>,
    /// Of a request without a body nothing is lost, should the endpoint say that it did not
    /// look at it.
    again: Option<Outgoing>,
}

impl Lease {
    fn write(&self, request: Outgoing) -> Result<Written, SendError> {
        // A handle of its own: the connection's is never one that a request waits on.
        let mut send = match &*self.0.state.borrow() {
            State::Open(send) => send.clone(),
            _ => return Err(SendError::Unsent(request)),
        };
        let (parts, upload) = *request;
        let ends = upload.is_end();
        let again = ends.then(|| Box::new((parts.clone(), Upload::empty())));
        let (response, stream) =
            send.send_request(Request::from_parts(parts, ()), ends).map_err(|error| {
                tracing::debug!(peer = &*self.0.peer, %error, "a request could not be written");
                SendError::Lost
            })?;
        let pump = (!ends).then(|| Pump::new(upload, stream));
        Ok(Written { response, pump, again })
    }

    /// Sends a request and waits for the head of its answer. What of the request
    /// is left then goes on beside the answer.
    pub(super) async fn send(self, request: Outgoing) -> Result<Received, SendError> {
        let Written { mut response, mut pump, again } = self.write(request)?;
        let answered = poll_fn(|cx| {
            if let Some(writing) = &mut pump
                && let Poll::Ready(end) = Pin::new(writing).poll(cx)
            {
                pump = None;
                if let Pumped::SourceFailed(error) = end {
                    return Poll::Ready(Err(match error {
                        BodyError::TooLarge(_) | BodyError::Unfit(_) => {
                            SendError::Unfit(unfit(error))
                        }
                        BodyError::Reset(_) | BodyError::Lost | BodyError::Late => {
                            SendError::BrokenOff
                        }
                    }));
                }
            }
            Pin::new(&mut response).poll(cx).map_err(why)
        })
        .await;
        let answered = match (answered, again) {
            (Err(SendError::Reset(Reason::REFUSED_STREAM)), Some(again)) => {
                return Err(SendError::Refused(again));
            }
            (answered, _) => answered?,
        };
        let upload = pump.map(Uploading::start);
        let (parts, stream) = answered.into_parts();
        let body = if stream.is_end_stream() { Body::Empty } else { Body::Http2(stream) };
        Ok(Received { parts, body, held: Held::Http2(self), upload, upgrade: None })
    }
}

fn why(error: h2::Error) -> SendError {
    match error.reason() {
        Some(reason) if error.is_reset() => SendError::Reset(reason),
        // The endpoint says that it did not look at the stream (RFC 9113, section
        // 6.8): as good as refused.
        Some(_) if error.is_go_away() && error.is_remote() => {
            SendError::Reset(Reason::REFUSED_STREAM)
        }
        _ => SendError::Lost,
    }
}
