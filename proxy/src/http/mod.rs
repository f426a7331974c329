//! HTTP/1.1, HTTP/2, gRPC and Triple: each request on a connection is a call, and its
//! body and its answer's are streams.
//!
//! * [`forward`]: the way of a call, in the same eight steps as in
//!   [`crate::forward`]. Here a call is a future: it lasts as long as its streams do,
//!   and whoever drops it ends it on both sides. [`routing`]: steps 2 and 3 of it;
//!   [`attempt`]: steps 4 to 6.
//! * [`about_server`]: calls that name no service, such as health checks, and the answers
//!   of those that are about this proxy; [`health_watch`]: one of them that lasts.
//! * [`h2_server`], [`h1_server`]: callers' connections; [`h2c`]: from the second to the
//!   first; [`caller`]: what a call knows of its own; [`coarse`]: a clock for them.
//! * [`upstream`], [`h2_client`], [`h1_client`]: connections to endpoints.
//! * [`body`], [`pump`], [`answer`]: bodies on their way, piece by piece; [`first`]: a
//!   Triple call's first message, where a rule asks for an argument.
//! * [`several`]: calls to several endpoints; [`substitute`]: answers in a provider's place;
//!   [`failback`]: failed calls repeated in the background; [`turn`]: calls over a limit.
//! * [`grpc_web`]: gRPC as browsers speak it, translated where it comes in.
//! * [`orders`]: what a route orders for a call, carried out; [`tape`]: bodies that may be
//!   sent again; [`mirror`]: copies.
//! * [`gather`]: what HTTP/2 writes in one turn; [`call`]: what is counted; [`faults`]: what
//!   the mesh says itself; [`tunnel`]: upgrades; [`liveness`]: who is gone;
//!   [`linger`]: what is left of an answered request.
//!
//! Not here: what heads mean (`codec::http`) and how the bytes are read (the `h2`
//! and `hyper` crates).

mod about_server;
mod answer;
mod attempt;
mod body;
mod call;
mod caller;
mod coarse;
mod failback;
mod faults;
mod first;
mod forward;
mod gather;
mod grpc_web;
mod h1_client;
mod h1_server;
mod h2_client;
mod h2_server;
mod h2c;
mod health_watch;
mod linger;
mod liveness;
mod mirror;
mod orders;
mod pump;
mod routing;
mod several;
mod socket;
mod substitute;
mod tape;
mod tunnel;
mod turn;
mod upstream;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use codec::http::Version;
use foldhash::fast::FixedState;
use governance::EndpointId;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use crate::effort::{Failbacks, Kept};
use crate::listener::Admitted;
use crate::server::Phase;
use crate::worker::Worker;
use caller::Caller;
use liveness::Liveness;
use socket::Socket;

/// Bytes of one stream that a peer may send before they are asked for.
const STREAM_WINDOW: u32 = 256 << 10;
/// Of all streams of a connection: so many that streams nobody reads do not stop
/// the others.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The largest frame taken. Larger ones cost less for each byte.
const FRAME: u32 = 64 << 10;
/// The smallest buffer that hyper has for a connection (its own lower bound).
const SMALLEST_BUFFER: usize = 8 << 10;

/// The HTTP connections of one worker.
pub(crate) struct Http {
    worker: Rc<Worker>,
    pool: Pool,
    watched: RefCell<Vec<Weak<Liveness>>>,
    /// Bodies that may have to be sent again.
    kept: Kept,
    /// Failed calls that are repeated in the background.
    failbacks: Failbacks,
    /// Calls that wait for others to end.
    waiting: Cell<usize>,
    phase: watch::Receiver<Phase>,
    draining: Cell<bool>,
    drain: Notify,
    open: Cell<usize>,
}

/// Connections to endpoints.
#[derive(Default)]
struct Pool {
    http1: RefCell<HashMap<EndpointId, Vec<h1_client::Idle>, FixedState>>,
    http2: RefCell<HashMap<EndpointId, Vec<Rc<h2_client::Connection>>, FixedState>>,
}

/// The version of HTTP in which an endpoint of this protocol is spoken to; `None`
/// where it is not spoken to in HTTP.
pub(crate) fn spoken_by(protocol: &str) -> Option<Version> {
    match protocol {
        "http1" => Some(Version::Http1),
        "http2" | "grpc" | "tri" => Some(Version::Http2),
        _ => None,
    }
}

/// A caller that is connected.
struct Open(Rc<Http>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

impl Http {
    pub(crate) fn new(worker: Rc<Worker>, phase: watch::Receiver<Phase>) -> Rc<Self> {
        Rc::new(Http {
            worker,
            pool: Pool::default(),
            watched: RefCell::default(),
            kept: Kept::default(),
            failbacks: Failbacks::default(),
            waiting: Cell::new(0),
            phase,
            draining: Cell::new(false),
            drain: Notify::new(),
            open: Cell::new(0),
        })
    }

    /// Starts what runs beside the connections.
    pub(crate) fn start(self: &Rc<Self>) {
        tokio::task::spawn_local(self.clone().keep_alive());
    }

    /// How many callers are connected; a tunnel is one.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Whether no more calls are wanted.
    fn is_leaving(&self) -> bool {
        *self.phase.borrow() != Phase::Run
    }

    /// Asks every caller for no more calls, in its version's own way. Connections
    /// end when the calls on them have.
    pub(crate) fn go_away(&self) {
        self.draining.set(true);
        self.drain.notify_waiters();
        self.wake_watched();
    }

    /// Serves a caller until its connection ends, in a task of its own.
    pub(crate) fn serve(
        self: &Rc<Self>,
        admitted: Admitted,
        socket: TcpStream,
        peer: SocketAddr,
        version: Version,
    ) {
        let open = self.opened();
        let admitted = Rc::new(admitted);
        let caller = Rc::new(Caller::new(&admitted, peer, version));
        let socket = Socket::accepted(socket, self.worker.metrics.clone(), Liveness::heard());
        match version {
            Version::Http1 => {
                tokio::task::spawn_local(h1_server::serve(open, admitted, caller, socket))
            }
            Version::Http2 => {
                tokio::task::spawn_local(h2_server::serve(open, admitted, caller, socket))
            }
        };
    }

    /// Counts a caller for as long as what this returns lives.
    fn opened(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        Open(self.clone())
    }

    /// Waits until callers are to be asked for no more calls.
    async fn drains(&self) {
        let told = self.drain.notified();
        if !self.draining.get() {
            told.await;
        }
    }

    /// How much hyper may buffer of a connection.
    fn h1_buffer(&self) -> usize {
        (self.worker.limits.head as usize).max(SMALLEST_BUFFER)
    }
}
