//! `spanwire control`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Command;
use crate::exit::{Exit, Failure};
use crate::print;

/// Runs the embedded store, which speaks etcd's v3 API
#[derive(Debug, Parser)]
#[command(
    name = "control",
    long_about = "Runs the embedded store, which speaks etcd's v3 API.

It is a single node for development and small installations: proxies, Java's etcd registries and \
etcdctl use it as they use etcd, and moving to a real etcd cluster is a change of address. Every write \
is on the disk before it is answered. There are no passwords: whoever reaches the address can read \
and write everything.",
    after_help = "Examples:
  spanwire control
  spanwire control --listen 0.0.0.0:2379 --data /var/lib/spanwire/store
  ETCDCTL_API=3 etcdctl --endpoints 127.0.0.1:2379 get --prefix /dubbo"
)]
pub(super) struct Control {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2379")]
    listen: SocketAddr,

    /// The folder that keeps the data; made when it is missing
    #[arg(long, value_name = "DIR", default_value = "spanwire-data")]
    data: PathBuf,
}

impl Command for Control {
    fn run(self) -> Result<Exit, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("no threads can be started: {error}"), ""))?;
        runtime.block_on(self.serve())
    }
}

impl Control {
    async fn serve(self) -> Result<Exit, Failure> {
        let stop = stopped()
            .map_err(|error| Failure::new(format!("signals cannot be watched: {error}"), ""))?;
        let listener = TcpListener::bind(self.listen).await.map_err(|error| {
            Failure::new(
                format!("{} cannot be listened on: {error}", self.listen),
                "choose another address with --listen, or stop what listens there",
            )
        })?;
        if !self.listen.ip().is_loopback() {
            tracing::warn!(
                address = %self.listen,
                "the store has no passwords: whoever reaches this address can change everything"
            );
        }
        registry::embedded::serve(listener, &self.data, stop)
            .await
            .map_err(|error| Failure::new(print::chain(&error), ""))?;
        Ok(Exit::Done)
    }
}

/// Is done at the first SIGTERM or SIGINT.
fn stopped() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
