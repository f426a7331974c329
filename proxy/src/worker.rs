//! What the connections of one worker thread share, whatever protocol they
//! speak. Nothing here is `Send`, locked, or handed to another thread.

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use governance::{
    Dice, EndpointId, Options, RuleSet, Scratch, ScriptFailure, Service, TrafficPolicy,
};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::access_log::WorkerLog;
use crate::config::{Limits, Timeouts};
use crate::control::Subscriptions;
use crate::health::Health;
use crate::methods::Methods;
use crate::metrics::WorkerMetrics;
use crate::orders::{Destination, Destinations};
use crate::redirected::{OwnConnection, OwnConnections};
use crate::snapshot::{Published, Snapshot};

/// A script that fails is logged at most so often; it may fail at every call.
const SCRIPT_LOG_PAUSE: Duration = Duration::from_secs(10);

/// One worker.
pub(crate) struct Worker {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) access_log: Option<RefCell<WorkerLog>>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) methods: RefCell<Methods>,
    pub(crate) health: Health,
    destinations: Destinations,
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) dice: RefCell<Random>,
    /// The table of a service that is not routed.
    pub(crate) no_service: Arc<Service>,
    /// The connections that this proxy made, where some could come back to it.
    pub(crate) own_connections: Option<Arc<OwnConnections>>,
    pub(crate) published: Arc<Published>,
    snapshot: RefCell<(u64, Arc<Snapshot>)>,
    clock: Clock,
    script_logged: Cell<Option<Instant>>,
}

impl Worker {
    pub(crate) fn new(
        limits: Limits,
        timeouts: Timeouts,
        metrics: Arc<WorkerMetrics>,
        access_log: Option<WorkerLog>,
        published: Arc<Published>,
        subscriptions: Subscriptions,
        own_connections: Option<Arc<OwnConnections>>,
    ) -> Self {
        let generation = published.generation();
        let snapshot = RefCell::new((generation, published.load()));
        let started = Instant::now();
        Worker {
            limits,
            timeouts,
            metrics,
            own_connections,
            access_log: access_log.map(RefCell::new),
            published,
            snapshot,
            subscriptions,
            methods: RefCell::default(),
            health: Health::default(),
            destinations: Destinations::default(),
            scratch: RefCell::new(Scratch::with_clock(move || started.elapsed())),
            dice: RefCell::new(Random(fastrand::Rng::new())),
            no_service: Arc::new(Service::compile(
                "",
                Vec::new(),
                &RuleSet::default(),
                &Options::default(),
            )),
            clock: Clock::new(),
            script_logged: Cell::new(None),
        }
    }

    /// The current snapshot and its number; the one before for as long as somebody
    /// still looks at that.
    pub(crate) fn snapshot(&self) -> Ref<'_, (u64, Arc<Snapshot>)> {
        let generation = self.published.generation();
        if self.snapshot.borrow().0 != generation
            && let Ok(mut snapshot) = self.snapshot.try_borrow_mut()
        {
            *snapshot = (generation, self.published.load());
        }
        self.snapshot.borrow()
    }

    /// Tells of every later snapshot.
    pub(crate) fn snapshot_changes(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// What is counted of the calls that a policy is about.
    pub(crate) fn destination(&self, policy: &Arc<TrafficPolicy>, now: Instant) -> Rc<Destination> {
        self.destinations.of(policy, &self.published.counters, now)
    }

    /// Connects to an endpoint.
    pub(crate) async fn dial(&self, address: impl ToSocketAddrs) -> io::Result<Dialed> {
        self.dial_within(address, self.timeouts.connect).await
    }

    /// As [`Worker::dial`], where a rule says how long that may take.
    pub(crate) async fn dial_within(
        &self,
        address: impl ToSocketAddrs,
        limit: Duration,
    ) -> io::Result<Dialed> {
        let connect = timeout(limit, TcpStream::connect(address));
        let socket = connect.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let own = self.own_connections.as_ref().and_then(|all| all.enter(&socket));
        socket.set_nodelay(true)?;
        Ok(Dialed { socket, own })
    }

    /// An endpoint could not be connected to: it is left alone for a while.
    pub(crate) fn connect_failed(&self, endpoint: EndpointId, address: &str, error: &io::Error) {
        // Said once: where there is no other endpoint every call tries again.
        if self.health.is_failing(endpoint) {
            tracing::debug!(endpoint = address, %error, "connection failed again");
        } else {
            tracing::warn!(endpoint = address, %error, "connection failed");
        }
        self.health.failed(endpoint, Instant::now());
        self.metrics.connect_failed();
    }

    /// A script had no answer for a call, which was routed without it.
    pub(crate) fn script_failed(&self, failure: &ScriptFailure, now: Instant) {
        self.metrics.script_failed(failure.reason);
        let ScriptFailure { rule, reason, detail } = failure;
        let is_due = |last: Instant| now.saturating_duration_since(last) >= SCRIPT_LOG_PAUSE;
        if self.script_logged.get().is_none_or(is_due) {
            self.script_logged.set(Some(now));
            tracing::warn!(rule = &**rule, reason = reason.label(), detail, "a script failed");
        } else {
            tracing::debug!(rule = &**rule, reason = reason.label(), detail, "a script failed");
        }
    }

    /// `now` in milliseconds since 1970.
    pub(crate) fn unix_ms(&self, now: Instant) -> u64 {
        self.clock.unix_ms(now)
    }
}

/// A connection that was made. What stands in `own` has to live as long as it.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) socket: TcpStream,
    pub(crate) own: Option<OwnConnection>,
}

/// The dice that decisions are thrown with.
#[derive(Debug)]
pub(crate) struct Random(fastrand::Rng);

impl Dice for Random {
    fn roll(&mut self) -> f64 {
        self.0.f64()
    }
}

/// Turns the monotonic time that a batch of calls was read at into wall time,
/// without a system call for each.
#[derive(Debug)]
struct Clock {
    origin: Instant,
    origin_ms: u64,
}

impl Clock {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { origin: Instant::now(), origin_ms: since.as_millis() as u64 }
    }

    fn unix_ms(&self, now: Instant) -> u64 {
        self.origin_ms + now.saturating_duration_since(self.origin).as_millis() as u64
    }
}
