//! The one task that owns the catalog: takes in what is subscribed, what the
//! store and the files tell; publishes views and keeps the last good one on
//! disk.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::rules::Documents;
use crate::snapshot::Snapshot;
use crate::store::range::{Update, Wanted};
use crate::view::View;

/// Views follow each other no faster than this; the first after a pause goes
/// out at once.
const PACE: Duration = Duration::from_millis(5);
/// How long changes gather before they are written to disk.
const WRITE_AFTER: Duration = Duration::from_millis(500);
/// How often the disk copy is renewed without a change, for its age to be right.
const WRITE_AGAIN: Duration = Duration::from_secs(3600);

/// Everything the keeper hears and says.
pub(crate) struct Lines {
    /// The services to watch; only grows.
    pub(crate) subscribed: watch::Receiver<BTreeSet<String>>,
    pub(crate) documents: mpsc::Receiver<Documents>,
    pub(crate) updates: mpsc::Receiver<Update>,
    pub(crate) wanted: watch::Sender<Wanted>,
    pub(crate) publish: watch::Sender<Arc<View>>,
}

/// Runs until no handle is left.
pub(crate) async fn run(
    mut catalog: Catalog,
    mut lines: Lines,
    state: Option<PathBuf>,
    counters: Arc<Counters>,
) {
    let mut disk = Disk::new(state, catalog.snapshot(SystemTime::now()), counters);
    let mut publish_at: Option<Instant> = None;
    let mut published = Instant::now();
    let mut expire_at: Option<Instant> = None;
    loop {
        if let Some(wanted) = catalog.take_wanted() {
            lines.wanted.send_replace(wanted);
        }
        let connected = lines.publish.borrow().store.connected;
        let far = Instant::now() + WRITE_AGAIN;
        tokio::select! {
            changed = lines.subscribed.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = SystemTime::now();
                for name in lines.subscribed.borrow_and_update().iter() {
                    catalog.subscribe(name, now);
                }
            }
            Some(documents) = lines.documents.recv() => catalog.set_files(documents),
            Some(update) = lines.updates.recv() => {
                let lost = matches!(update, Update::Lost { .. });
                catalog.apply(update, SystemTime::now());
                if lost && connected {
                    disk.due();
                }
            }
            () = sleep_until(publish_at.unwrap_or(far)), if publish_at.is_some() => {
                publish_at = None;
                if let Some(view) = catalog.take_view() {
                    published = Instant::now();
                    lines.publish.send_replace(view);
                    disk.look(&catalog);
                }
            }
            () = sleep_until(expire_at.unwrap_or(far)), if expire_at.is_some() => {}
            () = sleep_until(disk.at) => disk.write(&catalog),
        }
        // Cheap where nothing is held back, which is nearly always.
        let now = SystemTime::now();
        expire_at = catalog.expire(now).map(|at| {
            let pause = at.duration_since(now).unwrap_or_default();
            Instant::now() + pause.max(PACE)
        });
        if publish_at.is_none() && catalog.changed() {
            publish_at = Some(Instant::now().max(published + PACE));
        }
    }
}

/// The copy on disk.
struct Disk {
    folder: Option<PathBuf>,
    written: Snapshot,
    /// When to write next.
    at: Instant,
    writing: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

impl Disk {
    fn new(folder: Option<PathBuf>, written: Snapshot, counters: Arc<Counters>) -> Disk {
        Disk { folder, written, at: Instant::now() + WRITE_AGAIN, writing: None, counters }
    }

    fn due(&mut self) {
        self.at = self.at.min(Instant::now() + WRITE_AFTER);
    }

    /// Plans a write if there is something new to remember.
    fn look(&mut self, catalog: &Catalog) {
        if self.folder.is_some() && !catalog.snapshot(SystemTime::now()).same_facts(&self.written) {
            self.due();
        }
    }

    fn write(&mut self, catalog: &Catalog) {
        self.at = Instant::now() + WRITE_AGAIN;
        let Some(folder) = self.folder.clone() else { return };
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            self.due();
            return;
        }
        let snapshot = catalog.snapshot(SystemTime::now());
        self.written = snapshot.clone();
        let counters = Arc::clone(&self.counters);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = snapshot.write(&folder) {
                tracing::warn!(folder = %folder.display(), %error, "last good view not written");
                Counters::add(&counters.snapshot_errors);
            }
        }));
    }
}
