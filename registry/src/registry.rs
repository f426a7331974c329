//! The handle of a running registry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::files::{self, Files};
use crate::keeper::{self, Lines};
use crate::key::{KeyError, registration_key};
use crate::registration::Registration;
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
    settings: Arc<Settings>,
    runtime: tokio::runtime::Handle,
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
        Ok(Registry { subscribed: Arc::new(subscribe), view, counters, settings, runtime })
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

    /// Registers provider (or consumer) URLs under a lease of their own, until
    /// the handle is dropped or ended. Returns at once; [`Registration::state`]
    /// tells when the store has them. After a loss they are registered again.
    /// Without a store it waits for ever.
    pub fn register(&self, urls: &[String]) -> Result<Registration, KeyError> {
        let keys = self.keys(urls)?;
        let (settings, counters) = (Arc::clone(&self.settings), Arc::clone(&self.counters));
        Ok(Registration::start(&self.runtime, settings, counters, keys))
    }

    /// The keys under which these URLs would be registered.
    pub(crate) fn keys(&self, urls: &[String]) -> Result<Vec<String>, KeyError> {
        urls.iter().map(|url| registration_key(&self.settings.root, url)).collect()
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }
}
