//! One worker thread: its runtime, its listening sockets, and its end.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use governance::Service;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};

use crate::access_log::WorkerLog;
use crate::config::{Limits, Protocol, Timeouts};
use crate::control::Subscriptions;
use crate::engines::Engines;
use crate::listener::{Destination, ListenerContext};
use crate::metrics::WorkerMetrics;
use crate::redirected::OwnConnections;
use crate::server::Phase;
use crate::snapshot::Published;
use crate::worker::Worker;

/// How long to leave a listener alone that cannot accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a worker is made from.
pub(crate) struct Seed {
    pub(crate) listeners: Vec<WorkerListener>,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) access_log: Option<WorkerLog>,
    pub(crate) published: Arc<Published>,
    pub(crate) subscriptions: Subscriptions,
    /// Those of all workers, where a listener asks where connections were going to.
    pub(crate) own_connections: Option<Arc<OwnConnections>>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// One listener's share of this worker.
pub(crate) struct WorkerListener {
    pub(crate) name: String,
    pub(crate) default_service: Option<String>,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) use_original_dst: bool,
    /// The application's table, for an inbound listener.
    pub(crate) app: Option<Arc<Service>>,
    /// Notified when that says that it stops.
    pub(crate) app_stops: Arc<Notify>,
    pub(crate) socket: std::net::TcpListener,
}

/// Starts a worker. It ends when its phase says so.
///
/// # Errors
/// When the system gives no thread. A worker that gets no runtime or socket
/// says so in the log and takes the process with it.
pub(crate) fn start(number: usize, seed: Seed) -> io::Result<JoinHandle<()>> {
    // Shown from the first, however long the thread takes to begin.
    for listener in &seed.listeners {
        seed.metrics.listener(&listener.name, listener.use_original_dst);
    }
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let ended = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .and_then(|runtime| runtime.block_on(work(seed)));
        if let Err(error) = ended {
            tracing::error!(worker = number, %error, "a worker cannot run");
            std::process::exit(2);
        }
    })
}

async fn work(seed: Seed) -> io::Result<()> {
    let Seed {
        listeners,
        limits,
        timeouts,
        metrics,
        access_log,
        published,
        subscriptions,
        own_connections,
        phase,
    } = seed;
    let worker = Rc::new(Worker::new(
        limits,
        timeouts,
        metrics,
        access_log,
        published,
        subscriptions,
        own_connections,
    ));
    let mut contexts = Vec::with_capacity(listeners.len());
    let mut sockets = Vec::with_capacity(listeners.len());
    for (index, listener) in listeners.into_iter().enumerate() {
        let destination = match listener.app {
            Some(table) => Destination::App(table),
            None => Destination::Mesh { default_service: listener.default_service },
        };
        contexts.push(Rc::new(ListenerContext::new(
            index as u32,
            listener.name,
            destination,
            &listener.protocols,
            listener.use_original_dst,
            listener.app_stops,
            &worker.metrics,
        )));
        sockets.push(TcpListener::from_std(listener.socket)?);
    }
    let engines = Engines::new(worker, contexts.clone(), phase.clone());
    engines.start();
    let accepting: Vec<_> = sockets
        .into_iter()
        .zip(contexts)
        .map(|(socket, context)| {
            tokio::task::spawn_local(accept(engines.clone(), context, socket, phase.clone()))
        })
        .collect();

    let mut phases = phase;
    let until = |wanted: Phase| async move {
        // An error means that nobody is left to serve for.
        let _ = phases.wait_for(|phase| *phase >= wanted).await;
        phases
    };
    let phases = until(Phase::Drain).await;
    for task in &accepting {
        task.abort();
    }
    if *phases.borrow() == Phase::Drain {
        let mut phases = phases.clone();
        tokio::select! {
            () = engines.drain() => {}
            _ = phases.wait_for(|phase| *phase == Phase::Stop) => {}
        }
    }
    Ok(())
}

/// Takes callers in, until it is aborted.
async fn accept(
    engines: Rc<Engines>,
    listener: Rc<ListenerContext>,
    socket: TcpListener,
    phase: watch::Receiver<Phase>,
) {
    loop {
        match socket.accept().await {
            Ok((connection, peer)) => {
                if listener.connections.get() >= engines.worker.limits.connections {
                    engines.worker.metrics.connection_refused();
                    tracing::warn!(listener = listener.name, %peer, "refused: too many connections");
                    continue;
                }
                let engines = engines.clone();
                let serve = engines.serve(listener.clone(), connection, peer, phase.clone());
                tokio::task::spawn_local(serve);
            }
            Err(error) => {
                tracing::warn!(listener = listener.name, %error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
