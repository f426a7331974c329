//! Why a proxy cannot run: for whoever starts it.
//!
//! Not here: mistakes in a configuration (findings, see [`crate::config`]) and
//! faults of a call (`codec::Fault`).

use std::io;
use std::net::SocketAddr;

/// Why a proxy could not start, or had to stop. For whoever runs it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener's address cannot be used.
    #[error("listener `{name}` cannot listen on {bind}: {source}")]
    Bind {
        /// The listener.
        name: String,
        /// Its address.
        bind: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// An inbound listener's application address cannot be used.
    #[error("listener `{name}` cannot use `app: {app}`: {source}")]
    App {
        /// The listener.
        name: String,
        /// Its application.
        app: String,
        /// What is wrong with it.
        source: governance::url::UrlError,
    },
    /// What an inbound listener shall register cannot be registered.
    #[error("listener `{name}` cannot register its application: {source}")]
    Register {
        /// The listener.
        name: String,
        /// What is wrong with a URL.
        source: registry::KeyError,
    },
    /// The admin address cannot be used.
    #[error("admin cannot listen on {addr}: {source}")]
    Admin {
        /// Its address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The access log cannot be opened.
    #[error("the access log cannot be opened: {0}")]
    AccessLog(#[source] io::Error),
    /// The registry cannot start.
    #[error(transparent)]
    Registry(#[from] registry::StartError),
    /// A thread or runtime cannot be made, or a signal not be watched.
    #[error("the system refuses a thread, runtime or signal handler: {0}")]
    System(#[from] io::Error),
}
