//! The embedded store: one node that speaks etcd's v3 API, so that a first
//! minute needs no etcd. Outgrowing it is one address.
//!
//! All versions since the last compaction are in memory and in one redb file;
//! every write is on the disk before it is answered. It is for one machine and
//! some hundred thousand keys: there is no replication, no authentication, no
//! TLS. History older than 5,000 to 10,000 revisions is compacted by itself.
//!
//! * [`mvcc`]: the versions; [`lease`]: the leases; [`request`]: what each
//!   request does to them. Pure.
//! * [`disk`]: the file. [`engine`]: the one thread that writes.
//! * [`services`], [`watch`]: etcd's services. [`error`]: etcd's refusals.

mod disk;
mod engine;
mod error;
mod lease;
mod mvcc;
mod request;
mod services;
mod watch;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::routing::get;
use etcd_client::proto::{
    PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer,
};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub use disk::DiskError;
use engine::Engine;

/// A client that does not answer a ping in time is gone.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// How long open connections may take to end after a stop.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why the store ended. For whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener's own address cannot be found out.
    #[error("the store's address is unknown: {0}")]
    Address(std::io::Error),
    /// The data cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The data cannot be written any more.
    #[error("the store cannot write to its disk: {0}")]
    Write(Box<redb::Error>),
    /// The listener failed.
    #[error("the store cannot serve: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The writer ended by a panic.
    #[error("the store's writer panicked")]
    Panicked,
}

/// Serves the store of a folder until `shutdown` is done; the folder is made
/// when missing. Answers `GET /version` and `GET /health` on the same port. Has
/// to be called on a tokio runtime.
///
/// When it returns, everything answered is on the disk and the file is closed.
pub async fn serve(
    listener: TcpListener,
    data: &Path,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Address)?;
    let folder = data.to_owned();
    let opened = tokio::task::spawn_blocking(move || disk::Disk::open(&folder)).await;
    let (disk, loaded) = opened.map_err(|_| ServeError::Panicked)??;
    let (engine, writer) = Engine::start(disk, loaded);
    tracing::info!(%address, data = %data.display(), revision = engine.revision(), "embedded store serves");

    let (close, closing) = tokio::sync::watch::channel(false);
    let routes = routes(&engine, address, &closing);
    let stop = {
        let mut closing = closing.clone();
        async move { closed(&mut closing).await }
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(PING.0))
        .http2_keepalive_timeout(Some(PING.1))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop);
    let expiry = {
        let engine = engine.clone();
        async move { engine.expire_leases().await }
    };
    let mut server = std::pin::pin!(server);
    let served = tokio::select! {
        served = &mut server => served,
        () = shutdown => Ok(()),
        // Only when the writer has ended, which it does on a disk error.
        () = expiry => Ok(()),
    };
    close.send_replace(true);
    // A client that does not let go must not hold up the stop.
    let _ = tokio::time::timeout(GOODBYE, server).await;
    engine.stop().await;
    let written = tokio::task::spawn_blocking(|| writer.join()).await;
    served?;
    match written {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(ServeError::Write(Box::new(error))),
        Ok(Err(_)) | Err(_) => Err(ServeError::Panicked),
    }
}

/// Waits until the store is to stop.
async fn closed(closing: &mut tokio::sync::watch::Receiver<bool>) {
    // An error says that the store is gone.
    let _ = closing.wait_for(|closing| *closing).await;
}

fn routes(
    engine: &Engine,
    address: SocketAddr,
    closing: &tokio::sync::watch::Receiver<bool>,
) -> Routes {
    let engine = || engine.clone();
    let url = (!address.ip().is_unspecified()).then(|| format!("http://{address}"));
    let version = format!(r#"{{"etcdserver":"{0}","etcdcluster":"{0}"}}"#, services::VERSION);
    let json = |text: String| get(async move || ([("content-type", "application/json")], text));
    let router = Routes::new(PbKvServer::new(services::Kv { engine: engine() }))
        .add_service(PbLeaseServer::new(services::Lease {
            engine: engine(),
            closing: closing.clone(),
        }))
        .add_service(PbWatchServer::new(watch::Watch {
            engine: engine(),
            closing: closing.clone(),
        }))
        .add_service(PbClusterServer::new(services::Cluster { engine: engine(), url }))
        .add_service(PbMaintenanceServer::new(services::Maintenance { engine: engine() }))
        .into_axum_router()
        .route("/version", json(version))
        .route("/health", json(r#"{"health":"true"}"#.to_owned()));
    Routes::from(router)
}
