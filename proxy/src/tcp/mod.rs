//! Plain TCP: bytes are passed on unread, and one connection is one call.
//!
//! * here: which endpoint a connection goes to, and what is counted of it. The
//!   same steps as in [`crate::forward`], one after the other, because here a call
//!   may well be a future: it lasts long and allocates once.
//! * [`mod@copy`]: the bytes.
//!
//! A connection is routed, balanced and counted as a call of the method `connect`
//! of its service. It has no deadline: none of the rules' timeouts holds for it.
//!
//! Not here: which connections are plain TCP (see [`crate::detect`]).

mod copy;
mod head;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::{Fault, Outcome, Reason};
use governance::{EndpointId, Mock};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::config::Protocol;
use crate::listener::{Destination, ListenerContext};
use crate::methods::Method;
use crate::metrics::Side;
use crate::observe::{Record, observe_record};
use crate::route::{self, Ask, Refusal, Tried};
use crate::worker::Worker;
use copy::{Copied, Ending, copy};
use head::Connect;

/// Bytes read from a socket at once.
const SCRATCH: usize = 64 << 10;
/// Unanswered probes after which a peer is gone, as with heartbeats.
const PROBES: u32 = 3;

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
    id: EndpointId,
    address: String,
    socket: TcpStream,
}

impl Tcp {
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Tcp { worker, scratch: RefCell::new(vec![0; SCRATCH].into()), open: Cell::new(0) }
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Serves a caller until both sides have ended.
    pub(crate) async fn serve(
        &self,
        listener: &ListenerContext,
        caller: TcpStream,
        peer: SocketAddr,
    ) {
        let _open = Counted::new(&self.open);
        let service = match &listener.destination {
            Destination::App(table) => Some(table.name()),
            Destination::Mesh { default_service } => default_service.as_deref(),
        };
        let head = Connect { service };
        let host = peer.ip().to_string();
        let connection = Connection { listener, head, peer, host, started: Instant::now() };
        match self.connect(&connection).await {
            Ok(endpoint) => self.carry(&connection, caller, endpoint).await,
            Err(fault) => self.refuse(&connection, &fault),
        }
    }

    /// Steps 1 to 4 and 6: finds an endpoint that takes the connection.
    async fn connect(&self, connection: &Connection<'_>) -> Result<Connected, Fault> {
        let worker = &self.worker;
        let mut tried = Tried::new();
        let mut changes = None;
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
            let id = route.hop.endpoint;
            let address = route.method.address_of(route.index).unwrap_or_default();
            match worker.dial(&address).await {
                Ok(socket) => {
                    worker.health.connected(id);
                    return Ok(Connected { method: route.method, id, address, socket });
                }
                Err(error) => {
                    worker.connect_failed(id, &address, &error);
                    worker.metrics.retried();
                    tried.push(id);
                }
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
        let Connected { method, id, address, socket: endpoint } = connected;
        let worker = &self.worker;
        let connecting = connection.started.elapsed();
        for socket in [&caller, &endpoint] {
            if let Err(error) = keep_alive(socket, worker.timeouts.heartbeat) {
                tracing::debug!(peer = %connection.peer, %error, "no keep-alive");
            }
        }
        worker.metrics.connection_opened(Side::Upstream);
        worker.metrics.call_started();
        worker.health.sent(id);

        let Copied { ending, up, down } =
            copy(&worker.metrics, &self.scratch, &caller, &endpoint).await;
        drop((caller, endpoint));

        let now = Instant::now();
        // What an endpoint's latency is to calls, its handshake's is to connections.
        worker.health.ended(id, Some(connecting), now);
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

/// Has the system find out whether a silent peer is still there.
fn keep_alive(socket: &TcpStream, idle: Duration) -> io::Result<()> {
    // The system counts whole seconds.
    let idle = idle.max(Duration::from_secs(1));
    let probes = TcpKeepalive::new().with_time(idle).with_interval(idle).with_retries(PROBES);
    SockRef::from(socket).set_tcp_keepalive(&probes)
}

/// One more, for as long as this lives.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Counted(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
