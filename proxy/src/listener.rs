//! What a call needs to know of the listener it came in by.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use governance::Service;
use tokio::sync::Notify;

use crate::config::Protocol;
use crate::detect::Takes;
use crate::metrics::{DetectionMetrics, Side, WorkerMetrics};

/// One listener, as one worker sees it.
#[derive(Debug)]
pub(crate) struct ListenerContext {
    /// Its place in the configuration.
    pub(crate) index: u32,
    /// Its name in logs and metrics.
    pub(crate) name: String,
    /// Where its calls go.
    pub(crate) destination: Destination,
    /// What it takes.
    pub(crate) takes: Takes,
    /// Whether connections are redirected to it.
    pub(crate) use_original_dst: bool,
    /// Of HTTP/2, only gRPC.
    pub(crate) grpc_only: bool,
    /// What its connections turned out to speak.
    pub(crate) detections: Arc<DetectionMetrics>,
    /// Open connections.
    pub(crate) connections: Cell<usize>,
    /// Whether the application behind it is connected, and did not ask for no more
    /// calls since.
    pub(crate) app_is_up: Cell<bool>,
    /// Tells the other threads that the application stops.
    pub(crate) app_stops: Arc<Notify>,
}

impl ListenerContext {
    pub(crate) fn new(
        index: u32,
        name: String,
        destination: Destination,
        protocols: &[Protocol],
        use_original_dst: bool,
        app_stops: Arc<Notify>,
        metrics: &WorkerMetrics,
    ) -> Self {
        let detections = metrics.listener(&name, use_original_dst);
        let takes = Takes::new(protocols);
        let grpc_only = !protocols.contains(&Protocol::Http2);
        let (connections, app_is_up) = (Cell::new(0), Cell::new(false));
        ListenerContext {
            index,
            name,
            destination,
            takes,
            use_original_dst,
            grpc_only,
            detections,
            connections,
            app_is_up,
            app_stops,
        }
    }
}

/// A caller's connection, counted for as long as this lives.
pub(crate) struct Admitted {
    /// Which it came in by.
    pub(crate) listener: Rc<ListenerContext>,
    metrics: Arc<WorkerMetrics>,
}

impl Admitted {
    pub(crate) fn new(listener: &Rc<ListenerContext>, metrics: &Arc<WorkerMetrics>) -> Self {
        listener.connections.set(listener.connections.get() + 1);
        metrics.connection_opened(Side::Downstream);
        Admitted { listener: listener.clone(), metrics: metrics.clone() }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.listener.connections.set(self.listener.connections.get() - 1);
        self.metrics.connection_closed(Side::Downstream);
    }
}

/// Where a listener's calls go.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To the mesh: each call is routed by what it asks for.
    Mesh {
        /// Where calls that cannot be read go, and plain TCP that was not redirected.
        default_service: Option<String>,
    },
    /// To the application behind this proxy, whatever they ask for.
    App(Arc<Service>),
}
