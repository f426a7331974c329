//! Who serves which connections of one worker: one engine for each kind of
//! protocol, and [`Engines::serve`] to hand a new connection to the right one.
//!
//! A protocol that is not a `FrameCodec` comes in here: a field, an arm of the
//! match, and its part in the drain.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::dubbo::Dubbo;
use codec::http::Version;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::detect::{Detected, detect};
use crate::framed::Engine;
use crate::http::Http;
use crate::listener::{Admitted, ListenerContext};
use crate::redirected::Origin;
use crate::server::Phase;
use crate::tcp::{Tcp, close_with_reset};
use crate::worker::Worker;

/// How often a drain looks whether it is done.
const DRAIN_TICK: Duration = Duration::from_millis(20);

/// The engines of one worker.
pub(crate) struct Engines {
    pub(crate) worker: Rc<Worker>,
    dubbo: Rc<Engine<Dubbo>>,
    http: Rc<Http>,
    tcp: Rc<Tcp>,
}

impl Engines {
    pub(crate) fn new(
        worker: Rc<Worker>,
        listeners: Vec<Rc<ListenerContext>>,
        phase: watch::Receiver<Phase>,
    ) -> Rc<Self> {
        let dubbo = Engine::new(worker.clone(), listeners);
        let http = Http::new(worker.clone(), phase);
        let tcp = Rc::new(Tcp::new(worker.clone()));
        Rc::new(Engines { worker, dubbo, http, tcp })
    }

    /// Starts what runs beside the connections.
    pub(crate) fn start(&self) {
        self.dubbo.start();
        self.http.start();
    }

    /// Finds out what a caller speaks, and has it served. One that has not said when
    /// `phase` comes to [`Phase::Drain`] is let go.
    ///
    /// Whoever serves it has a task of its own for that, as large as its protocol needs:
    /// an idle connection holds it all.
    pub(crate) async fn serve(
        self: Rc<Self>,
        listener: Rc<ListenerContext>,
        socket: TcpStream,
        peer: SocketAddr,
        mut phase: watch::Receiver<Phase>,
    ) {
        let admitted = Admitted::new(&listener, &self.worker.metrics);
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "the caller is gone already");
            return;
        }
        let origin = self.origin(&listener, &socket, peer);
        let detected = match &origin {
            Some(Origin::Own) => return close_own(&listener, &socket, peer),
            // Nothing has to be told, and nothing waited for: the server may speak first.
            Some(Origin::Service(_)) => Detected::Tcp,
            _ => tokio::select! {
                biased;
                detected = detect(&socket, &listener.takes, &self.worker.timeouts) => detected,
                _ = phase.wait_for(|phase| *phase >= Phase::Drain) => return,
            },
        };
        listener.detections.found(detected);
        let Ok(socket) = (match detected {
            Detected::Timeout => registered_anew(socket),
            _ => Ok(socket),
        }) else {
            return;
        };
        match listener.takes.served_as(detected) {
            Some(Detected::Dubbo) => self.dubbo.clone().serve(admitted, socket, peer),
            Some(Detected::Http1) => self.http.serve(admitted, socket, peer, Version::Http1),
            Some(Detected::Http2) => self.http.serve(admitted, socket, peer, Version::Http2),
            Some(Detected::Tcp) => self.tcp.serve(admitted, socket, peer, origin),
            _ => refuse(&listener, peer, detected),
        }
    }

    /// Where a connection was going to, where the listener asks.
    fn origin(
        &self,
        listener: &ListenerContext,
        socket: &TcpStream,
        peer: SocketAddr,
    ) -> Option<Origin> {
        let own = self.worker.own_connections.as_ref().filter(|_| listener.use_original_dst)?;
        let origin = Origin::of(socket, peer, &self.worker.snapshot().1.addresses, own);
        listener.detections.was_going(&origin);
        Some(origin)
    }

    /// Tells callers to send no more calls, answers what is in flight, and closes
    /// each connection once it is quiet.
    pub(crate) async fn drain(&self) {
        self.dubbo.go_away();
        self.http.go_away();
        let open =
            || self.dubbo.close_quiet_callers(Instant::now()) + self.http.open() + self.tcp.open();
        while open() > 0 {
            tokio::time::sleep(DRAIN_TICK).await;
        }
    }
}

/// Refuses a connection that this proxy made, and that came back to it.
fn close_own(listener: &ListenerContext, socket: &TcpStream, peer: SocketAddr) {
    tracing::warn!(
        listener = listener.name,
        %peer,
        "closed: this proxy made it, and a rule of the system redirected it back; let the rule except what the proxy connects to, for example by its user"
    );
    close_with_reset(socket);
}

/// Says why a connection is closed that nobody serves. The caller sees it reset:
/// in what language to tell it more is not known.
/// The same socket, readable again if bytes are there: detection looked at them, and waited
/// for others.
fn registered_anew(socket: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(socket.into_std()?)
}

fn refuse(listener: &ListenerContext, peer: SocketAddr, detected: Detected) {
    let listener = &listener.name;
    match detected {
        Detected::Tls => tracing::warn!(
            listener,
            %peer,
            "closed: it speaks TLS, which this build does not serve; let it connect without"
        ),
        Detected::Dubbo | Detected::Http1 | Detected::Http2 => tracing::warn!(
            listener,
            %peer,
            speaks = detected.label(),
            "closed: the listener's `protocols` do not have what it speaks"
        ),
        Detected::Tcp | Detected::Unknown => tracing::warn!(
            listener,
            %peer,
            "closed: its first bytes are of no protocol that the listener takes"
        ),
        Detected::Timeout => tracing::info!(listener, %peer, "closed: it says nothing"),
        Detected::Closed => tracing::debug!(listener, %peer, "it hung up without a word"),
    }
}
