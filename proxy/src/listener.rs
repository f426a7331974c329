//! What a call needs to know of the listener it came in by.

use std::cell::Cell;
use std::sync::Arc;

use governance::Service;

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
}

impl ListenerContext {
    pub(crate) fn new(index: u32, name: String, destination: Destination) -> Self {
        ListenerContext { index, name, destination, connections: Cell::new(0) }
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
