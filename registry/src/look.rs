//! One look at the store: everything about some services, and all rules, as
//! they stand now. Nothing is watched and nothing is kept.
//!
//! For commands that answer one question. What a proxy needs is
//! [`Registry`](crate::Registry).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::catalog::Catalog;
use crate::layout::Layout;
use crate::settings::{Settings, StartError};
use crate::snapshot::Snapshot;
use crate::store::connect::connect;
use crate::store::list::{list_at, list_keys};
use crate::store::range::{Entry, Update, Wanted};
use crate::view::View;

/// Why a command gets nothing from the store. For whoever gave it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The settings are no good.
    #[error(transparent)]
    Settings(#[from] StartError),
    /// No endpoint is named.
    #[error("no store is named")]
    NoStore,
    /// No endpoint answers; what the last one that was tried did.
    #[error("the store at {endpoint} does not answer: {reason}")]
    Store {
        /// The endpoint.
        endpoint: String,
        /// What went wrong there.
        reason: String,
    },
}

/// Lists the instances of `services` and the rules of the store, all as of one
/// revision. Rule files of the settings are not read.
///
/// # Errors
/// See [`StoreError`].
pub async fn look(settings: Settings, services: &[&str]) -> Result<Arc<View>, StoreError> {
    let settings = settings.checked()?;
    let mut failed = None;
    for endpoint in &settings.store {
        match look_at(endpoint, &settings, services).await {
            Ok(view) => return Ok(view),
            Err(reason) => failed = Some(StoreError::Store { endpoint: endpoint.clone(), reason }),
        }
    }
    Err(failed.unwrap_or(StoreError::NoStore))
}

/// The interfaces that somebody provides, or once did.
///
/// # Errors
/// See [`StoreError`].
pub async fn interfaces(settings: Settings) -> Result<Vec<String>, StoreError> {
    let settings = settings.checked()?;
    let layout = Layout::new(&settings);
    let mut failed = None;
    for endpoint in &settings.store {
        let listed = async {
            let client = connect(endpoint, &settings).await?;
            list_keys(&client, &layout.all(), settings.request_timeout).await
        };
        match listed.await {
            Ok(listed) => {
                let key = |entry: &Entry| layout.interface(std::str::from_utf8(&entry.key).ok()?);
                let names: BTreeSet<String> = listed.entries.iter().filter_map(key).collect();
                return Ok(names.into_iter().collect());
            }
            Err(reason) => failed = Some(StoreError::Store { endpoint: endpoint.clone(), reason }),
        }
    }
    Err(failed.unwrap_or(StoreError::NoStore))
}

async fn look_at(
    endpoint: &str,
    settings: &Settings,
    services: &[&str],
) -> Result<Arc<View>, String> {
    let client = connect(endpoint, settings).await?;
    let now = SystemTime::now();
    let mut catalog = Catalog::new(settings, Snapshot::default(), Arc::default(), now);
    for service in services {
        catalog.subscribe(service, now);
    }
    let mut seen = Wanted::new();
    let mut at = 0;
    // What is listed may name more to list: applications, then their instances.
    while let Some(wanted) = catalog.take_wanted() {
        let new: Vec<_> = wanted.keys().filter(|range| !seen.contains_key(*range)).collect();
        for range in new {
            let listed = list_at(&client, range, at, settings.request_timeout).await?;
            if at == 0 {
                at = listed.revision;
                let endpoint = endpoint.to_owned();
                catalog.apply(Update::Connected { endpoint, revision: at }, now);
            }
            let range = range.clone();
            catalog.apply(Update::Listed { range, entries: listed.entries, revision: at }, now);
        }
        seen.extend(wanted);
    }
    Ok(catalog.take_view().unwrap_or_default())
}
