//! Keys that stand in the store as long as this process says so: put under a
//! lease that is kept alive, put again after a loss, removed at the end.
//!
//! As Java does it: the value is the lease's id in decimal, the TTL 30 s. Runs
//! over a connection of its own, so that a slow watch never costs a lease.

use std::convert::Infallible;
use std::sync::Arc;

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::counters::Counters;
use crate::settings::Settings;
use crate::store::connect::{Backoff, connect, within};

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not in the store, or nobody can tell; being tried.
    Waiting,
    /// In the store, under this lease.
    Registered {
        /// The lease, as etcd numbers it.
        lease: i64,
    },
    /// Over.
    Ended,
}

/// URLs that stand in the store as long as this lives.
#[derive(Debug)]
pub struct Registration {
    state: watch::Receiver<RegistrationState>,
    /// Its drop is the sign to end.
    _alive: oneshot::Sender<Infallible>,
}

impl Registration {
    pub(crate) fn start(
        runtime: &Handle,
        settings: Arc<Settings>,
        counters: Arc<Counters>,
        keys: Vec<String>,
    ) -> Registration {
        let (alive, ended) = oneshot::channel();
        let (publish, state) = watch::channel(RegistrationState::Waiting);
        let registrar = Registrar { settings, counters, keys, lease: None, publish };
        runtime.spawn(registrar.run(ended));
        Registration { state, _alive: alive }
    }

    /// Where it stands now, and every change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        self.state.clone()
    }

    /// Waits until the URLs stand in the store.
    pub async fn registered(&self) {
        let mut state = self.state.clone();
        // An error says that the runtime is shutting down.
        let _ = state.wait_for(|state| matches!(state, RegistrationState::Registered { .. })).await;
    }

    /// Removes the URLs and waits until the store has done so, or cannot be
    /// reached: then the lease's end does it.
    pub async fn end(self) {
        let Registration { mut state, _alive: alive } = self;
        drop(alive);
        let _ = state.wait_for(|state| *state == RegistrationState::Ended).await;
    }
}

/// What the task has.
struct Registrar {
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    keys: Vec<String>,
    lease: Option<i64>,
    publish: watch::Sender<RegistrationState>,
}

impl Registrar {
    async fn run(mut self, mut ended: oneshot::Receiver<Infallible>) {
        let settings = Arc::clone(&self.settings);
        let mut backoff = Backoff::new(&settings);
        for endpoint in settings.store.iter().cycle() {
            let kept = tokio::select! {
                kept = self.keep(endpoint, &mut backoff) => kept,
                _ = &mut ended => {
                    self.revoke(endpoint).await;
                    return;
                }
            };
            let Err(error) = kept;
            tracing::warn!(
                endpoint,
                error,
                keys = self.keys.len(),
                "registration cannot be kept; trying again"
            );
            self.publish.send_replace(RegistrationState::Waiting);
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                _ = &mut ended => {
                    self.revoke(endpoint).await;
                    return;
                }
            }
        }
        // No store at all.
        let _ = ended.await;
        self.publish.send_replace(RegistrationState::Ended);
    }

    /// Registers and keeps alive until something goes wrong.
    async fn keep(&mut self, endpoint: &str, backoff: &mut Backoff) -> Result<Infallible, String> {
        let settings = Arc::clone(&self.settings);
        let client = connect(endpoint, &settings).await?;
        let mut leases = client.lease_client();
        let pause = settings.lease_ttl / 3;
        loop {
            let lease = self.put(&client).await?;
            backoff.reset();
            self.publish.send_replace(RegistrationState::Registered { lease });
            let request = leases.keep_alive(lease);
            let (mut keeper, mut answers) = within(&settings, "keeping the lease", request).await?;
            loop {
                let renew = async {
                    keeper.keep_alive().await?;
                    answers.message().await
                };
                match within(&settings, "keeping the lease", renew).await? {
                    Some(answer) if answer.ttl() > 0 => tokio::time::sleep(pause).await,
                    Some(_) => break,
                    None => return Err("keeping the lease: the store ended the stream".to_owned()),
                }
            }
            tracing::warn!(lease, "the lease is gone; registering again");
            Counters::add(&self.counters.lease_losses);
            self.lease = None;
        }
    }

    /// Puts what is missing, under the lease that is still there or a new one.
    async fn put(&mut self, client: &Client) -> Result<i64, String> {
        if let Some(lease) = self.lease {
            let mut leases = client.lease_client();
            let left =
                within(&self.settings, "asking for the lease", leases.time_to_live(lease, None))
                    .await?;
            if left.ttl() <= 0 {
                Counters::add(&self.counters.lease_losses);
                self.lease = None;
            }
        }
        let lease = match self.lease {
            Some(lease) => lease,
            None => {
                let ttl =
                    i64::try_from(self.settings.lease_ttl.as_secs()).unwrap_or(i64::MAX).max(1);
                let mut leases = client.lease_client();
                let granted =
                    within(&self.settings, "granting a lease", leases.grant(ttl, None)).await?;
                self.lease = Some(granted.id());
                granted.id()
            }
        };
        let mut kv = client.kv_client();
        for key in &self.keys {
            // A key under this lease is as it should be: no event for nothing.
            let missing = Compare::lease(key.as_str(), CompareOp::NotEqual, lease);
            let options = PutOptions::new().with_lease(lease);
            let put = TxnOp::put(key.as_str(), lease.to_string(), Some(options));
            let txn = Txn::new().when([missing]).and_then([put]);
            within(&self.settings, "registering", kv.txn(txn)).await?;
        }
        Ok(lease)
    }

    async fn revoke(&self, endpoint: &str) {
        if let Some(lease) = self.lease {
            let revoked = async {
                let client = connect(endpoint, &self.settings).await?;
                within(&self.settings, "ending the lease", client.lease_client().revoke(lease))
                    .await
            };
            if let Err(error) = revoked.await {
                tracing::warn!(
                    endpoint,
                    error,
                    lease,
                    "registration not removed; its lease will end by itself"
                );
            }
        }
        self.publish.send_replace(RegistrationState::Ended);
    }
}
