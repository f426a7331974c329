//! A request on its way to an endpoint, and what comes back.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::Fault;
use codec::http::Version;
use governance::TrafficPolicy;
use governance::directives::ConnectionPool;
use h2::Reason;
use http::{request, response};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::body::{Body, BodyError, Upload};
use super::pump::{Pump, Pumped};
use super::{Http, h1_client, h2_client};
use crate::orders::{Connection as InUse, Destination, Place, Waiting};
use crate::route::Route;
use crate::tcp;
use crate::worker::Worker;

/// How long a connection is kept without a call.
const IDLE: Duration = Duration::from_secs(60);

/// A request on its way. Boxed, because it goes from one step to the next and every one
/// that waits would hold it twice.
pub(super) type Outgoing = Box<(request::Parts, Upload)>;

/// An answer whose head came.
pub(super) struct Received {
    pub(super) parts: response::Parts,
    pub(super) body: Body,
    pub(super) held: Held,
    /// What is left of the request.
    pub(super) upload: Option<Uploading>,
    /// What came with a 101.
    pub(super) upgrade: Option<hyper::upgrade::OnUpgrade>,
}

/// What is left of a request, written beside its answer; no further than this lives.
pub(super) struct Uploading {
    task: AbortHandle,
    goes_on: bool,
    failed: Rc<Cell<Option<BodyError>>>,
}

impl Uploading {
    pub(super) fn start(pump: Pump<Upload>) -> Self {
        let failed = Rc::new(Cell::new(None));
        let told = failed.clone();
        let task = tokio::task::spawn_local(async move {
            if let Pumped::SourceFailed(error) = pump.await {
                told.set(Some(error));
            }
        });
        Uploading { task: task.abort_handle(), goes_on: false, failed }
    }

    /// The rest is wanted, whatever becomes of this.
    pub(super) fn go_on(mut self) {
        self.goes_on = true;
    }

    /// Why it went on no more, where that is for no fault of the endpoint.
    pub(super) fn unfit(&self) -> Option<BodyError> {
        let is_unfit =
            |error: &BodyError| matches!(error, BodyError::TooLarge(_) | BodyError::Unfit(_));
        self.failed.get().filter(is_unfit)
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        if !self.goes_on {
            self.task.abort();
        }
    }
}

/// The connection that an answer comes by, held for as long as it does.
pub(super) enum Held {
    Http1(h1_client::Sender),
    Http2(#[allow(dead_code, reason = "counts by being dropped")] h2_client::Lease),
}

impl Held {
    /// The answer came whole: the connection can take another request.
    pub(super) fn give_back(self) {
        match self {
            Held::Http1(sender) => sender.give_back(),
            Held::Http2(lease) => drop(lease),
        }
    }
}

/// Why no answer came.
pub(super) enum SendError {
    /// Nothing of it was sent: here it is.
    Unsent(Outgoing),
    /// The endpoint says that it did not look at it: here it is.
    Refused(Outgoing),
    /// The endpoint ended the stream, and says why.
    Reset(Reason),
    /// The caller broke the request off.
    BrokenOff,
    /// The connection broke after it was sent.
    Lost,
    /// The request cannot be passed on.
    Unfit(Fault),
}

/// On what terms a destination rule has connections made and kept.
#[derive(Clone)]
pub(super) struct Terms {
    destination: Option<(Arc<TrafficPolicy>, Rc<Destination>)>,
    /// How long making one may take.
    pub(super) connect: Duration,
    /// Calls in flight on one connection of HTTP/2 at most.
    pub(super) streams: usize,
}

/// How long a connection is kept.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    /// How long without a call.
    pub(super) idle: Duration,
    /// How long at all.
    until: Option<Instant>,
    /// How many more calls it takes.
    left: Option<u32>,
}

impl Keep {
    /// It takes one more call.
    pub(super) fn take(&mut self) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
    }

    /// Whether it takes no more.
    pub(super) fn is_over(&self) -> bool {
        self.left == Some(0) || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Terms {
    pub(super) fn of(worker: &Worker, route: &Route) -> Terms {
        let destination = route.orders.policy.as_ref();
        let destination =
            destination.map(|one| (one.clone(), worker.destination(one, Instant::now())));
        let mut terms =
            Terms { destination, connect: worker.timeouts.connect, streams: usize::MAX };
        if let Some(pool) = terms.pool() {
            let streams = pool.max_concurrent_streams.map(|streams| streams as usize);
            let connect = pool.connect_timeout;
            terms.streams = streams.unwrap_or(terms.streams);
            terms.connect = connect.unwrap_or(terms.connect);
        }
        terms
    }

    fn pool(&self) -> Option<&ConnectionPool> {
        self.destination.as_ref()?.0.connection_pool.as_ref()
    }

    /// How long a connection is kept that is made now.
    pub(super) fn keep(&self) -> Keep {
        let pool = self.pool();
        Keep {
            idle: pool.and_then(|pool| pool.idle_timeout).unwrap_or(IDLE),
            until: pool.and_then(|pool| pool.max_connection_duration).map(|d| Instant::now() + d),
            left: pool.and_then(|pool| pool.max_requests_per_connection),
        }
    }

    /// A place among the calls in flight.
    ///
    /// # Errors
    /// When as many are as a rule allows.
    pub(super) fn enter(&self, is_retry: bool) -> Result<Option<Place>, Fault> {
        let Some((policy, destination)) = &self.destination else { return Ok(None) };
        destination.enter(policy, is_retry, Instant::now()).map(Some)
    }

    /// A place among the calls that wait for a connection.
    ///
    /// # Errors
    /// When as many do as a rule allows.
    pub(super) fn wait(&self) -> Result<Option<Waiting>, NotConnected> {
        let Some((policy, destination)) = &self.destination else { return Ok(None) };
        destination.wait(policy).map(Some).map_err(NotConnected::Refused)
    }

    /// A place among the connections of HTTP/1.1 that have a call; waits for one.
    ///
    /// # Errors
    /// When as many wait as a rule allows.
    pub(super) async fn in_use(&self) -> Result<Option<InUse>, NotConnected> {
        let Some((policy, destination)) = &self.destination else { return Ok(None) };
        destination.connect_or_wait(policy).await.map(Some).map_err(NotConnected::Refused)
    }

    /// Has the system find out whether a silent endpoint is still there, where a rule says
    /// how.
    pub(super) fn probe(&self, worker: &Worker, socket: &TcpStream) {
        let Some((policy, _)) = &self.destination else { return };
        if self.pool().is_some_and(|pool| pool.keepalive.is_some())
            && let Err(error) = tcp::Terms::new(&worker.timeouts, Some(policy)).keep_alive(socket)
        {
            tracing::debug!(%error, "a connection is not probed");
        }
    }
}

/// Why there is no connection.
pub(super) enum NotConnected {
    /// None could be made; the endpoint is marked.
    Failed,
    /// All are full: so many calls wait.
    Full(usize),
    /// A destination rule allows no more.
    Refused(Fault),
}

/// A connection that takes one request.
pub(super) enum Connected {
    Http1(h1_client::Sender),
    Http2(h2_client::Lease),
}

impl Connected {
    pub(super) async fn get(
        http: &Rc<Http>,
        route: &Route,
        version: Version,
        can_repeat: bool,
        terms: &Terms,
    ) -> Result<Connected, NotConnected> {
        Ok(match version {
            Version::Http1 => {
                Connected::Http1(h1_client::get(http, route, can_repeat, terms).await?)
            }
            Version::Http2 => Connected::Http2(h2_client::get(http, route, terms).await?),
        })
    }

    pub(super) fn peer(&self) -> Rc<str> {
        match self {
            Connected::Http1(sender) => sender.peer(),
            Connected::Http2(lease) => lease.peer(),
        }
    }

    pub(super) async fn send(self, request: Outgoing) -> Result<Received, SendError> {
        match self {
            Connected::Http1(sender) => sender.send(request).await,
            Connected::Http2(lease) => lease.send(request).await,
        }
    }
}
