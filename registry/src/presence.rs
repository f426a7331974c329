//! Registers an application while its port answers.
//!
//! For an inbound sidecar: the registration lives and dies with the process
//! behind it, not with the sidecar. A probe is a TCP connection that is closed
//! at once; Dubbo's servers do not mind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::key::KeyError;
use crate::registration::Registration;
use crate::registry::Registry;

/// Probes in a row that have to fail before the port counts as dead.
const FAILURES: u32 = 2;
/// An application that said it stops and still answers after this long has changed
/// its mind. Java's own last pause is 10 s.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// What to probe and what to register.
#[derive(Debug, Clone)]
pub struct Presence {
    /// Where the application listens (`host:port`).
    pub app: String,
    /// The URLs to register, as consumers shall see them.
    pub urls: Vec<String>,
    /// The pause between two probes, and the longest time one may take. One
    /// second is a good value.
    pub interval: Duration,
    /// Notified when the application says that it stops: its registration is taken
    /// back at once, although its port still answers for a while.
    pub stops: Arc<Notify>,
}

/// A running presence; the registration ends when it is dropped.
#[derive(Debug)]
pub struct PresenceHandle {
    alive: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl PresenceHandle {
    /// Whether the port answers, and every change.
    pub fn alive(&self) -> watch::Receiver<bool> {
        self.alive.clone()
    }

    /// Removes the registration and waits until that is done.
    pub async fn end(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // An error says that the runtime is shutting down.
            let _ = task.await;
        }
    }
}

/// Starts probing, on the runtime of the registry.
pub fn start(registry: &Registry, presence: Presence) -> Result<PresenceHandle, KeyError> {
    // Found wrong now rather than when the application comes up.
    registry.keys(&presence.urls)?;
    let (publish, alive) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let task = registry.runtime().spawn(run(registry.clone(), presence, publish, stopped));
    Ok(PresenceHandle { alive, stop, task: Some(task) })
}

async fn run(
    registry: Registry,
    presence: Presence,
    publish: watch::Sender<bool>,
    mut stopped: watch::Receiver<bool>,
) {
    let app = presence.app.as_str();
    let mut registration: Option<Registration> = None;
    let mut failures = 0;
    let mut said_stop: Option<Instant> = None;
    loop {
        let probe = tokio::time::timeout(presence.interval, TcpStream::connect(app));
        let answers = tokio::select! {
            answers = probe => matches!(answers, Ok(Ok(_))),
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        failures = if answers { 0 } else { failures + 1 };
        if !answers || said_stop.is_some_and(|at| at.elapsed() >= STOPS_WITHIN) {
            said_stop = None;
        }
        if answers && registration.is_none() && said_stop.is_none() {
            tracing::info!(
                app,
                urls = presence.urls.len(),
                "the application answers; registering it"
            );
            registration = registry.register(&presence.urls).ok();
            publish.send_replace(true);
        } else if failures == FAILURES
            && let Some(registration) = registration.take()
        {
            tracing::warn!(app, "the application does not answer; removing its registration");
            publish.send_replace(false);
            registration.end().await;
        }
        let says_stop = tokio::select! {
            () = tokio::time::sleep(presence.interval) => false,
            () = presence.stops.notified() => true,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        if says_stop {
            said_stop = Some(Instant::now());
            if let Some(registration) = registration.take() {
                tracing::info!(app, "the application stops; removing its registration");
                publish.send_replace(false);
                registration.end().await;
            }
        }
    }
    if let Some(registration) = registration.take() {
        registration.end().await;
    }
}
