//! Plain TCP: bytes are passed on unread, and one connection is one call.
//!
//! * here: which endpoint a connection goes to, and what is counted of it. The
//!   same steps as in [`crate::forward`], one after the other, because here a call
//!   may well be a future: it lasts long and allocates once.
//! * [`to`]: which service or address a connection is for.
//! * [`terms`]: how long it may take, and last.
//! * [`mod@copy`]: the bytes.
//!
//! A connection is routed, balanced and counted as a call of the method `connect`
//! of its service. It has no deadline: none of the rules' timeouts holds for it.
//!
//! Not here: which connections are plain TCP (see [`crate::detect`]).

mod clock;
mod copy;
mod head;
mod terms;
mod to;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use codec::{Fault, Outcome, Reason};
use governance::{EndpointId, Mock};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at};

use crate::config::Protocol;
use crate::listener::{Admitted, ListenerContext};
use crate::methods::Method;
use crate::metrics::Side;
use crate::observe::{Record, observe_record};
use crate::orders;
use crate::redirected::Origin;
use crate::route::{self, Ask, Refusal, Tried};
use crate::worker::{Dialed, Worker};
use clock::Clock;
pub(crate) use copy::close_with_reset;
use copy::{Copied, Ending, copy};
use head::Connect;
pub(crate) use terms::Terms;
use to::To;

/// Bytes read from a socket at once.
const SCRATCH: usize = 64 << 10;

/// The plain TCP connections of one worker.
pub(crate) struct Tcp {
    worker: Rc<Worker>,
    scratch: RefCell<Box<[u8]>>,
    open: Cell<usize>,
}

/// One of them.
struct Connection<'a> {
    listener: &'a ListenerContext,
    head: Connect<'a>,
    peer: SocketAddr,
    /// The peer's IP address.
    host: String,
    started: Instant,
}

/// The endpoint that took it.
struct Connected {
    method: Rc<Method>,
    /// `None` for an address that is no service's endpoint.
    id: Option<EndpointId>,
    address: String,
    dialed: Dialed,
    terms: Terms,
    /// Its place among those that a destination rule allows.
    place: Option<orders::Connection>,
}

impl Tcp {
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Tcp { worker, scratch: RefCell::new(vec![0; SCRATCH].into()), open: Cell::new(0) }
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Serves a caller until both sides have ended, in a task of its own.
    pub(crate) fn serve(
        self: &Rc<Self>,
        admitted: Admitted,
        caller: TcpStream,
        peer: SocketAddr,
        origin: Option<Origin>,
    ) {
        self.open.set(self.open.get() + 1);
        let open = Open(self.clone());
        tokio::task::spawn_local(async move {
            open.0.served(&admitted.listener, caller, peer, origin).await;
        });
    }

    async fn served(
        &self,
        listener: &ListenerContext,
        caller: TcpStream,
        peer: SocketAddr,
        origin: Option<Origin>,
    ) {
        let to = To::new(&listener.destination, origin.as_ref());
        let head = Connect { service: to.service() };
        let host = peer.ip().to_string();
        let connection = Connection { listener, head, peer, host, started: Instant::now() };
        let connected = match to {
            To::Service(_) => self.connect(&connection).await,
            To::Address(address) => self.pass_on(&connection, address).await,
            To::Nowhere => Err(to::nowhere()),
        };
        match connected {
            Ok(endpoint) => self.carry(&connection, caller, endpoint).await,
            Err(fault) => {
                if let Some(delay) = fault.answer.as_ref().and_then(|answer| answer.delay) {
                    sleep(delay).await;
                }
                self.refuse(&connection, &fault);
            }
        }
    }

    /// Steps 1 to 4 and 6: finds an endpoint that takes the connection.
    async fn connect(&self, connection: &Connection<'_>) -> Result<Connected, Fault> {
        let worker = &self.worker;
        let mut tried = Tried::new();
        let mut changes = None;
        let mut is_delayed = false;
        loop {
            let ask = Ask {
                protocol: Protocol::Tcp.name(),
                listener: connection.listener,
                head: &connection.head,
                caller: &connection.host,
                started: connection.started,
                now: Instant::now(),
                tried: tried.clone(),
            };
            let route = match route::choose(worker, ask) {
                Ok(route) => route,
                Err(Refusal::Fault(fault)) => return Err(fault),
                Err(Refusal::Mocked { mock, cause }) => {
                    return Err(cause.unwrap_or_else(|| unanswerable(&mock)));
                }
                Err(Refusal::Unlisted) => {
                    // The first time, it may have been listed in between.
                    let Some(changes) = &mut changes else {
                        changes = Some(worker.snapshot_changes());
                        continue;
                    };
                    let until = connection.started + worker.timeouts.call;
                    if !matches!(timeout_at(until.into(), changes.changed()).await, Ok(Ok(()))) {
                        return Err(self.unlisted(connection));
                    }
                    continue;
                }
            };
            if let Some(delay) = route.orders.delay.filter(|_| !is_delayed) {
                is_delayed = true;
                sleep(delay).await;
            }
            let id = route.hop.endpoint;
            let address = route.method.address_of(route.index).unwrap_or_default();
            let policy = route.orders.policy.as_ref();
            let terms = Terms::new(&worker.timeouts, policy.map(|policy| &**policy));
            let destination =
                policy.map(|policy| (policy, worker.destination(policy, Instant::now())));
            let place = match &destination {
                Some((policy, one)) => Some(one.connect(policy)?),
                None => None,
            };
            let dialed = worker.dial_within(&*address, terms.connect).await;
            if let Some((_, one)) = &destination
                && one.ended(id, ending_of(&dialed), &worker.health, Instant::now())
            {
                worker.metrics.ejected();
            }
            match dialed {
                Ok(dialed) => {
                    worker.health.connected(id);
                    let (method, id) = (route.method, Some(id));
                    return Ok(Connected { method, id, address, dialed, terms, place });
                }
                Err(error) => {
                    worker.connect_failed(id, &address, &error);
                    worker.metrics.retried();
                    tried.push(id);
                }
            }
        }
    }

    /// Connects to where the caller was going to, which is no service's address.
    async fn pass_on(
        &self,
        connection: &Connection<'_>,
        address: SocketAddr,
    ) -> Result<Connected, Fault> {
        let worker = &self.worker;
        match worker.dial(address).await {
            Ok(dialed) => {
                let (protocol, listener) = (Protocol::Tcp.name(), connection.listener);
                let method = route::unrouted_method(worker, protocol, listener, &connection.head);
                let terms = Terms::new(&worker.timeouts, None);
                let address = address.to_string();
                Ok(Connected { method, id: None, address, dialed, terms, place: None })
            }
            Err(error) => {
                worker.metrics.connect_failed();
                Err(to::unreachable(address, &error))
            }
        }
    }

    fn unlisted(&self, connection: &Connection<'_>) -> Fault {
        let trouble = self.worker.snapshot().1.store_trouble.clone();
        let trouble = trouble.as_deref().unwrap_or("no answer came within `timeouts.call`");
        route::unknown(connection.head.service.unwrap_or_default(), Some(trouble))
    }

    /// Steps 5 and 7: passes bytes on until both sides have ended.
    async fn carry(&self, connection: &Connection<'_>, caller: TcpStream, connected: Connected) {
        let Connected { method, id, address, dialed, terms, place } = connected;
        let Dialed { socket: endpoint, own } = dialed;
        let worker = &self.worker;
        let connecting = connection.started.elapsed();
        for socket in [&caller, &endpoint] {
            if let Err(error) = terms.keep_alive(socket) {
                tracing::debug!(peer = %connection.peer, %error, "no keep-alive");
            }
        }
        worker.metrics.connection_opened(Side::Upstream);
        worker.metrics.call_started();
        if let Some(id) = id {
            worker.health.sent(id);
        }

        let clock = Clock::start(terms.idle, terms.longest);
        let Copied { ending, up, down } =
            copy(&worker.metrics, &self.scratch, &caller, &endpoint, clock).await;
        drop((caller, endpoint, own, place));

        let now = Instant::now();
        if let Some(id) = id {
            // What an endpoint's latency is to calls, its handshake's is to connections.
            worker.health.ended(id, Some(connecting), now);
        }
        worker.metrics.call_ended();
        worker.metrics.connection_closed(Side::Upstream);
        tracing::debug!(peer = %connection.peer, %ending, "a connection ended");
        let record = Record {
            protocol: Protocol::Tcp.name(),
            caller: connection.peer,
            method: &method,
            head: None,
            endpoint: Some(&address),
            outcome: match ending {
                Ending::Both => Outcome::Success,
                Ending::Caller(_) => Outcome::Cancelled,
                Ending::Endpoint(_) => Outcome::Fault(Reason::ConnectionLost),
                Ending::Expired(_) => Outcome::Fault(Reason::Timeout),
            },
            took: now - connection.started,
            bytes_in: up,
            bytes_out: down,
        };
        observe_record(worker, &record);
    }

    /// Step 8: closing is all that the caller can be told.
    fn refuse(&self, connection: &Connection<'_>, fault: &Fault) {
        let Connection { listener, head, peer, started, .. } = connection;
        tracing::warn!(listener = listener.name, %peer, %fault, "closed");
        let outcome = Outcome::Fault(fault.reason);
        let protocol = Protocol::Tcp.name();
        let method = route::refused_method(&self.worker, protocol, listener, head, outcome);
        let record = Record {
            protocol,
            caller: *peer,
            method: &method,
            head: Some(head),
            endpoint: None,
            outcome,
            took: started.elapsed(),
            bytes_in: 0,
            bytes_out: 0,
        };
        observe_record(&self.worker, &record);
    }
}

/// The fault of a connection that a rule wants answered.
fn unanswerable(mock: &Mock) -> Fault {
    Fault::new(
        Reason::Denied,
        format!("a rule has `mock: {}` take a provider's place", mock.text),
        "a mock answers calls, and plain TCP carries none: leave the service out of the rule",
    )
}

/// How an attempt to connect ended: as Envoy's, all that outlier detection sees.
fn ending_of<T>(dialed: &io::Result<T>) -> orders::Ending {
    match dialed {
        Ok(_) => orders::Ending::Answered { http: 200, grpc: 0 },
        Err(_) => orders::Ending::NotConnected,
    }
}

/// A caller that is counted as connected.
struct Open(Rc<Tcp>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}
