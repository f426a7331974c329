//! What a call needs to know of the listener it came in by.

use std::cell::Cell;
use std::sync::Arc;

use governance::Service;
use tokio::sync::Notify;

/// One listener, as one worker sees it.
#[derive(Debug)]
pub(crate) struct ListenerContext {
    /// Its place in the configuration.
    pub(crate) index: u32,
    /// Its name in logs and metrics.
    pub(crate) name: String,
    /// Where its calls go.
    pub(crate) destination: Destination,
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
        app_stops: Arc<Notify>,
    ) -> Self {
        let (connections, app_is_up) = (Cell::new(0), Cell::new(false));
        ListenerContext { index, name, destination, connections, app_is_up, app_stops }
    }
}

/// Where a listener's calls go.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To the mesh: each call is routed by what it asks for.
    Mesh {
        /// Where calls that cannot be read go.
        default_service: Option<String>,
    },
    /// To the application behind this proxy, whatever they ask for.
    App(Arc<Service>),
}
