//! Starts a proxy and shuts it down.
//!
//! The control side runs on one thread; each worker on a thread of its own (see
//! `worker_thread`). [`run`] is a whole process, which SIGTERM drains and SIGINT
//! (or a second signal) stops at once; [`Proxy`] is one inside another program.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use governance::{Endpoint, EndpointIds, Options, RuleSet, Service};
use registry::Registry;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};

use crate::access_log::AccessLog;
use crate::admin::{self, AdminState, Readiness};
use crate::config::{self, Config, Direction, Listener};
use crate::control::{Control, Subscriptions};
use crate::error::RunError;
use crate::explain::Live;
use crate::metrics::{Metrics, registry_source, rules_source};
use crate::presence;
use crate::worker_thread::{self, Seed, WorkerListener};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long readiness waits for a store that does not answer. A proxy that
/// restarts during an outage still has what the disk remembers and what is
/// configured, which is better than no proxy.
const STORE_PATIENCE: Duration = Duration::from_secs(3);
/// How long workers may take to end after they were told to stop.
const STOP: Duration = Duration::from_secs(2);

/// What the workers are told of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serve.
    Run,
    /// Serve, and say to those who ask that callers should go elsewhere.
    Leave,
    /// Take no new connections, finish what is in flight.
    Drain,
    /// End now.
    Stop,
}

/// How a proxy is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Finish what is in flight.
    Drain,
    /// Now.
    Stop,
}

/// What is known once a proxy listens.
#[derive(Debug, Clone)]
struct Started {
    listeners: Vec<(String, SocketAddr)>,
    admin: Option<SocketAddr>,
    metrics: Arc<Metrics>,
}

/// Runs a proxy until a signal tells it to end. `path` is the configuration's
/// file, which is watched for changes.
///
/// # Errors
/// See [`RunError`]; nothing was served then.
pub fn run(config: Config, path: Option<PathBuf>) -> Result<(), RunError> {
    control_runtime()?.block_on(async {
        let (end, ends) = mpsc::channel(2);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            loop {
                let how = tokio::select! {
                    _ = terminate.recv() => End::Drain,
                    _ = interrupt.recv() => End::Stop,
                };
                if end.send(how).await.is_err() {
                    return;
                }
            }
        });
        serve(config, path, ends, |_| ()).await
    })
}

/// A proxy on threads of its own, inside another program. Dropping it stops it.
#[derive(Debug)]
pub struct Proxy {
    started: Started,
    end: mpsc::Sender<End>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Proxy {
    /// Starts a proxy; it listens when this returns.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn start(config: Config) -> Result<Proxy, RunError> {
        let (end, ends) = mpsc::channel(2);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let started = |started| {
                // Whoever started it may be gone already.
                let _ = tell.send(started);
            };
            control_runtime()?.block_on(serve(config, None, ends, started))
        })?;
        match told.recv() {
            Ok(started) => Ok(Proxy { started, end, thread: Some(thread) }),
            Err(_) => Err(join(thread).err().unwrap_or_else(|| {
                RunError::System(io::Error::other("the control thread ended before it listened"))
            })),
        }
    }

    /// Where a listener listens, by its name; with the port that the system
    /// chose, where the configuration says port 0.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.started.listeners.iter().find(|(name, _)| name == listener).map(|(_, at)| *at)
    }

    /// Where the admin pages are.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.started.admin
    }

    /// Its counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.started.metrics
    }

    /// Ends as on SIGTERM, and waits for it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn drain(mut self) -> Result<(), RunError> {
        self.finish(End::Drain)
    }

    fn finish(&mut self, how: End) -> Result<(), RunError> {
        // A proxy that ended by itself takes no message, and its result tells why.
        let _ = self.end.try_send(how);
        self.thread.take().map_or(Ok(()), join)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Err(error) = self.finish(End::Stop) {
            tracing::error!(%error, "the proxy ended badly");
        }
    }
}

fn join(thread: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
    thread
        .join()
        .unwrap_or_else(|_| Err(RunError::System(io::Error::other("the control thread panicked"))))
}

fn control_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn serve(
    config: Config,
    path: Option<PathBuf>,
    mut ends: mpsc::Receiver<End>,
    on_start: impl FnOnce(Started),
) -> Result<(), RunError> {
    let metrics = Metrics::new();
    let readiness = Readiness::starting();
    let access_log = match &config.access_log {
        Some(to) => Some(AccessLog::open(to, &metrics).map_err(RunError::AccessLog)?),
        None => None,
    };
    let mut ids = EndpointIds::new();
    let apps = apps(&config, &mut ids)?;
    let app_stops: Vec<Arc<Notify>> = apps.iter().map(|_| Arc::default()).collect();
    for listener in &config.listeners {
        let (name, bind) = (listener.name.clone(), listener.bind);
        is_free(bind).map_err(|source| RunError::Bind { name, bind, source })?;
    }
    let first = bind_all(&config.listeners, |listener| listener.bind)?;
    let bound =
        first.iter().map(std::net::TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let mut sockets = vec![first];
    while sockets.len() < config.workers {
        let mut addresses = bound.iter();
        sockets.push(bind_all(&config.listeners, |listener| {
            addresses.next().copied().unwrap_or(listener.bind)
        })?);
    }
    let registry = Registry::start(registry::Settings {
        store: config.store.clone(),
        state: config.state.clone(),
        rules: config.rules.clone(),
        ..registry::Settings::default()
    })?;
    let subscriptions = Subscriptions::new(registry.clone());
    for service in &config.services {
        subscriptions.subscribe(&service.name);
    }
    let mut control = Control::new(&config, ids);
    let mut view = registry.view();
    metrics.add_source(registry_source(&registry));
    metrics.add_source(rules_source(control.rule_states()));
    if !config.store.is_empty() {
        readiness.hold("store", "it has not answered yet");
        let readiness = readiness.clone();
        tokio::spawn(async move {
            tokio::time::sleep(STORE_PATIENCE).await;
            readiness.release("store");
        });
    }
    control.update(view.borrow_and_update().clone());
    let mut admin = None;
    if let Some(addr) = config.admin {
        let live = Live {
            published: control.published(),
            rules: control.rule_states(),
            timeouts: config.timeouts.clone(),
        };
        let state = AdminState { metrics: metrics.clone(), readiness: readiness.clone(), live };
        let bound = admin::serve(addr, Arc::new(state))
            .await
            .map_err(|source| RunError::Admin { addr, source })?;
        tracing::info!(address = %bound, "admin pages");
        admin = Some(bound);
    }

    let (phase, phases) = watch::channel(Phase::Run);
    let sees_origins = config.listeners.iter().any(|listener| listener.use_original_dst);
    let own_connections = sees_origins.then(Arc::default);
    let mut threads = Vec::with_capacity(config.workers);
    for (number, sockets) in sockets.into_iter().enumerate() {
        let listeners = (config.listeners.iter().zip(sockets).zip(&apps).zip(&app_stops))
            .map(|(((listener, socket), app), app_stops)| WorkerListener {
                name: listener.name.clone(),
                default_service: listener.default_service.clone(),
                protocols: listener.protocols.clone(),
                use_original_dst: listener.use_original_dst,
                app: app.clone(),
                app_stops: app_stops.clone(),
                socket,
            })
            .collect();
        let seed = Seed {
            listeners,
            limits: config.limits.clone(),
            timeouts: config.timeouts.clone(),
            metrics: metrics.worker(),
            access_log: access_log.as_ref().map(AccessLog::worker),
            published: control.published(),
            subscriptions: subscriptions.clone(),
            own_connections: own_connections.clone(),
            phase: phases.clone(),
        };
        threads.push(worker_thread::start(number, seed)?);
    }
    let presences = presence::announce(&config.listeners, &app_stops, &registry)?;
    let mut configs = path.map(|path| config::watch(path, config.clone(), metrics.clone()));
    let names = config.listeners.iter().map(|listener| listener.name.clone());
    let listeners: Vec<_> = names.zip(bound).collect();
    for (listener, bound) in &listeners {
        tracing::info!(listener, %bound, "listening");
    }
    readiness.release("start");
    on_start(Started { listeners, admin, metrics });

    let how = loop {
        tokio::select! {
            changed = view.changed() => {
                if changed.is_err() {
                    tracing::error!("the registry ended; what is known stays in use");
                    break ends.recv().await;
                }
                let latest = view.borrow_and_update().clone();
                if can_route(&latest) {
                    readiness.release("store");
                }
                control.update(latest);
            }
            next = next_config(&mut configs) => {
                let restart = config::needs_restart(&config, &next);
                if !restart.is_empty() {
                    tracing::warn!(keys = restart.join(", "), "a change of these keys needs a restart");
                }
                for service in &next.services {
                    subscriptions.subscribe(&service.name);
                }
                control.configure(&next);
                tracing::info!("the changed configuration is in force");
            }
            how = ends.recv() => break how,
        }
    };
    readiness.hold("draining", "the proxy is shutting down");
    if how == Some(End::Drain) {
        tracing::info!(limit_s = config.timeouts.drain.as_secs(), "draining");
        phase.send_replace(Phase::Leave);
        presence::withdraw(presences).await;
        phase.send_replace(Phase::Drain);
        tokio::select! {
            () = ended(&threads) => {}
            () = tokio::time::sleep(config.timeouts.drain) => {
                tracing::warn!("calls are still in flight; they are cut");
            }
            _ = ends.recv() => {}
        }
    }
    phase.send_replace(Phase::Stop);
    if tokio::time::timeout(STOP, ended(&threads)).await.is_err() {
        tracing::warn!("a worker does not end");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Whether the store answered, or is remembered from before.
fn can_route(view: &registry::View) -> bool {
    let remembered = |service: &Arc<registry::Service>| {
        matches!(service.state, registry::ServiceState::LastGood { .. })
    };
    view.store.connected || view.services.values().any(remembered)
}

/// The next configuration; never, without a file to follow.
async fn next_config(configs: &mut Option<watch::Receiver<Arc<Config>>>) -> Arc<Config> {
    if let Some(configs) = configs
        && configs.changed().await.is_ok()
    {
        return configs.borrow_and_update().clone();
    }
    std::future::pending().await
}

async fn ended(threads: &[JoinHandle<()>]) {
    while !threads.iter().all(JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The table of each inbound listener's application.
fn apps(config: &Config, ids: &mut EndpointIds) -> Result<Vec<Option<Arc<Service>>>, RunError> {
    let table = |listener: &Listener| {
        let Direction::Inbound { app, .. } = &listener.direction else { return Ok(None) };
        let endpoint = Endpoint::from_parts("dubbo", "app", app, [], ids).map_err(|source| {
            RunError::App { name: listener.name.clone(), app: app.clone(), source }
        })?;
        let rules = RuleSet::default();
        let service = Service::compile("app", vec![endpoint], &rules, &Options::default());
        Ok(Some(Arc::new(service.for_every_variant())))
    };
    config.listeners.iter().map(table).collect()
}

/// A socket for each listener, for one worker. The workers' sockets of one
/// address share it: the kernel spreads connections over them.
fn bind_all(
    listeners: &[Listener],
    mut address: impl FnMut(&Listener) -> SocketAddr,
) -> Result<Vec<std::net::TcpListener>, RunError> {
    let mut sockets = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let address = address(listener);
        let name = listener.name.clone();
        sockets.push(bind(address).map_err(|source| RunError::Bind {
            name,
            bind: address,
            source,
        })?);
    }
    Ok(sockets)
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether another process has the address. Sockets that share a port would let
/// two proxies take half of the calls each, without a word.
fn is_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}
