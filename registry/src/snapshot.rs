//! The last good view on disk, for a restart while the store is away.
//!
//! One JSON file, replaced as a whole (written beside, then renamed). Readers
//! take what they understand: unknown fields are ignored, missing ones empty. A
//! file of a newer version, or one that cannot be read, counts as none.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::view::{Origin, RuleDocument, ServiceState, View};

/// The version written; higher ones are not read.
const VERSION: u32 = 1;
/// How long a service that nobody subscribes any more is remembered.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
const FILE: &str = "view.json";

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    #[serde(default)]
    version: u32,
    /// The newest revision seen, for people who look at the file.
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    pub(crate) services: BTreeMap<String, KnownService>,
    #[serde(default)]
    pub(crate) rules: Vec<KnownRule>,
}

/// The instances of a service, as last confirmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownService {
    /// When, in seconds since 1970.
    #[serde(default)]
    pub(crate) seen: u64,
    #[serde(default)]
    pub(crate) instances: Vec<String>,
}

/// A rule of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownRule {
    pub(crate) key: String,
    pub(crate) store_key: String,
    #[serde(default)]
    pub(crate) revision: i64,
    pub(crate) text: String,
}

impl KnownRule {
    fn document(&self) -> RuleDocument {
        let origin = Origin::Store { key: self.store_key.clone(), revision: self.revision };
        let (key, text) = (self.key.clone(), self.text.clone());
        RuleDocument { key, text, origin, unreadable: None }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

impl Snapshot {
    /// What of this view is worth remembering, together with what was
    /// remembered of services it does not show.
    pub(crate) fn of(view: &View, before: &Snapshot, now: SystemTime) -> Snapshot {
        let oldest = seconds(now).saturating_sub(KEEP.as_secs());
        let mut services: BTreeMap<String, KnownService> = before
            .services
            .iter()
            .filter(|(name, known)| !view.services.contains_key(*name) && known.seen >= oldest)
            .map(|(name, known)| (name.clone(), known.clone()))
            .collect();
        for (name, service) in &view.services {
            let seen = match service.state {
                ServiceState::Pending => continue,
                ServiceState::Live => seconds(now),
                ServiceState::LastGood { since, .. } => seconds(since),
            };
            if service.instances.is_empty() {
                continue;
            }
            let instances =
                service.instances.iter().map(|instance| instance.url.to_string()).collect();
            services.insert(name.clone(), KnownService { seen, instances });
        }
        let rules = view
            .rules
            .values()
            .filter(|rule| rule.unreadable.is_none())
            .filter_map(|rule| match &rule.origin {
                Origin::File(_) => None,
                Origin::Store { key, revision } => Some(KnownRule {
                    key: rule.key.clone(),
                    store_key: key.clone(),
                    revision: *revision,
                    text: rule.text.clone(),
                }),
            })
            .collect();
        Snapshot { version: VERSION, revision: view.store.revision, services, rules }
    }

    /// The rules whose place in the store is under a prefix.
    pub(crate) fn rules_under(&self, prefix: &str) -> Vec<Arc<RuleDocument>> {
        let here = self.rules.iter().filter(|rule| rule.store_key.starts_with(prefix));
        here.map(|rule| Arc::new(rule.document())).collect()
    }

    /// Whether `other` remembers the same, no matter when it was seen.
    pub(crate) fn same_facts(&self, other: &Snapshot) -> bool {
        self.rules == other.rules
            && self.services.len() == other.services.len()
            && self.services.iter().zip(&other.services).all(
                |((name, known), (other, known_too))| {
                    name == other && known.instances == known_too.instances
                },
            )
    }

    /// Reads the snapshot of a folder, making the folder when it is missing. A
    /// bad snapshot is logged and set aside.
    pub(crate) fn read(folder: &Path) -> io::Result<Snapshot> {
        fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(error),
        };
        let reason = match serde_json::from_str::<Snapshot>(&text) {
            Ok(snapshot) if snapshot.version <= VERSION => return Ok(snapshot),
            Ok(snapshot) => format!("version {} is newer than {VERSION}", snapshot.version),
            Err(error) => error.to_string(),
        };
        let aside = path.with_extension("json.bad");
        tracing::warn!(path = %path.display(), reason, "last good view not usable; set aside, starting without it");
        fs::rename(&path, &aside)?;
        Ok(Snapshot::default())
    }

    /// Replaces the snapshot of a folder.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(FILE);
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    }
}
