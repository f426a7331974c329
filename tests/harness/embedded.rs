//! The embedded store on a thread of its own, stopped and started at will.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use registry::embedded::ServeError;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A running embedded store, stopped when dropped.
#[derive(Debug)]
pub struct Embedded {
    data: TempDir,
    address: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), ServeError>>,
}

impl Embedded {
    /// Starts an empty one on a free port.
    pub fn start() -> Result<Embedded> {
        let data = tempfile::tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, running) = serve(address, data.path().to_owned())?;
        Ok(Embedded { data, address, running: Some(running) })
    }

    /// The endpoint to connect to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it and waits until its file is closed.
    pub async fn stop(&mut self) -> Result<()> {
        let Running { stop, thread } = self.running.take().context("not running")?;
        let _ = stop.send(());
        let joined = tokio::task::spawn_blocking(|| thread.join()).await?;
        joined.map_err(|_| anyhow!("the store panicked"))??;
        Ok(())
    }

    /// Starts it again, on the same data and port, after a stop.
    pub fn restart(&mut self) -> Result<()> {
        let (_, running) = serve(self.address, self.data.path().to_owned())?;
        self.running = Some(running);
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Not waited for: its clients may live on this very thread.
        if let Some(Running { stop, .. }) = self.running.take() {
            let _ = stop.send(());
        }
    }
}

fn serve(address: SocketAddr, data: PathBuf) -> Result<(SocketAddr, Running)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::spawn(move || {
        runtime.block_on(async {
            let listener =
                tokio::net::TcpListener::from_std(listener).map_err(ServeError::Address)?;
            registry::embedded::serve(listener, &data, async move { drop(stopped.await) }).await
        })
    });
    Ok((address, Running { stop, thread }))
}
