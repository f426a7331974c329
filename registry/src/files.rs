//! Rule files and folders, watched.
//!
//! The system's file events make changes visible at once; a look every few
//! seconds catches what they miss (network and overlay mounts, an exhausted
//! inotify limit). Every look reads all or nothing new: one message carries the
//! whole set. Parsing is not done here.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::Watcher;
use tokio::sync::mpsc;

use crate::rules::Documents;
use crate::settings::StartError;
use crate::view::{Origin, RuleDocument, Unreadable};

/// Editors write in several steps: wait until it is quiet for this long.
const QUIET: Duration = Duration::from_millis(30);
/// How often to look where events work, and where they do not.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_WITHOUT_EVENTS: Duration = Duration::from_secs(1);
/// The largest rule file read, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// What a look at the disk sees of a file without reading it.
type Stamp = (PathBuf, Option<SystemTime>, u64);

/// The watched paths and what was read from them.
#[derive(Debug)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    documents: Documents,
}

impl Files {
    /// Reads everything once; a path that does not exist is an error.
    pub(crate) fn open(paths: Vec<PathBuf>) -> Result<Files, StartError> {
        for path in &paths {
            fs::metadata(path)
                .map_err(|source| StartError::Rules { path: path.clone(), source })?;
        }
        let mut files = Files { paths, stamps: Vec::new(), documents: Documents::new() };
        files.look();
        Ok(files)
    }

    pub(crate) fn documents(&self) -> Documents {
        self.documents.clone()
    }

    /// Looks again; true if the documents changed.
    fn look(&mut self) -> bool {
        let mut found: Vec<PathBuf> = Vec::new();
        let mut kept: Vec<PathBuf> = Vec::new();
        for path in &self.paths {
            match rule_files(path) {
                Ok(files) => found.extend(files),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "rules cannot be read; the last ones stay");
                    let known = self.stamps.iter().map(|stamp| stamp.0.clone());
                    kept.extend(known.filter(|file| file == path || file.parent() == Some(path)));
                }
            }
        }
        let stamps: Vec<Stamp> = found.iter().chain(&kept).map(|file| stamp(file)).collect();
        if stamps == self.stamps {
            return false;
        }
        let mut documents = read(&found);
        for document in self.documents.values() {
            let is_kept = |file: &PathBuf| document.origin == Origin::File(file.clone());
            if kept.iter().any(is_kept) {
                documents.entry(document.key.clone()).or_insert_with(|| Arc::clone(document));
            }
        }
        self.stamps = stamps;
        let changed = documents != self.documents;
        self.documents = documents;
        changed
    }
}

/// Reads files; the first of a key counts.
fn read(files: &[PathBuf]) -> Documents {
    let mut documents = Documents::new();
    for file in files {
        let Some(key) = key_of(file) else { continue };
        let (text, unreadable) = match read_text(file) {
            Ok(text) => (text, None),
            // It went since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => (String::new(), Some(why_unreadable(&error))),
        };
        let origin = Origin::File(file.clone());
        let document = Arc::new(RuleDocument { key: key.clone(), text, origin, unreadable });
        if let Some(first) = documents.get(&key) {
            let first: &Arc<RuleDocument> = first;
            tracing::warn!(file = %file.display(), first = ?first.origin, key, "two rule files of one key; the first counts");
        } else {
            documents.insert(key, document);
        }
    }
    documents
}

/// The rule files at a path: itself, or those directly in the folder, by name.
fn rule_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Ok(vec![path.to_owned()]),
        // The file is gone; its folder is there: somebody removed the rule.
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder_of(path).is_dir() => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if yaml && !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

fn key_of(file: &Path) -> Option<String> {
    let name = file.file_name().and_then(OsStr::to_str)?;
    let key = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name);
    Some(key.to_owned())
}

fn why_unreadable(error: &io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::InvalidData => Unreadable::NotUtf8,
        _ => Unreadable::File(error.to_string()),
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = fs::metadata(file).ok();
    let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    (file.to_owned(), modified, metadata.map_or(0, |metadata| metadata.len()))
}

fn read_text(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > FILE_LIMIT {
        return Err(io::Error::other(format!("larger than {FILE_LIMIT} bytes")));
    }
    fs::read_to_string(file)
}

/// Watches until nobody listens, and sends every new set.
pub(crate) async fn run(mut files: Files, documents: mpsc::Sender<Documents>) {
    let (wake, mut woken) = mpsc::channel::<()>(1);
    let watcher = watch(&files.paths, wake.clone());
    let look = if watcher.is_some() { LOOK } else { LOOK_WITHOUT_EVENTS };
    // What happened before the watch was set up.
    let _ = wake.try_send(());
    loop {
        tokio::select! {
            () = documents.closed() => return,
            // `wake` lives here, so that this never ends.
            _ = woken.recv() => while tokio::time::timeout(QUIET, woken.recv()).await.is_ok() {},
            () = tokio::time::sleep(look) => {}
        }
        let looked = tokio::task::spawn_blocking(move || {
            let changed = files.look();
            (files, changed)
        });
        let Ok((looked, changed)) = looked.await else { return };
        files = looked;
        if changed {
            tracing::info!(documents = files.documents.len(), "rule files changed");
            if documents.send(files.documents()).await.is_err() {
                return;
            }
        }
    }
}

/// Asks the system for events in the folders of all paths. Folders, not files:
/// most editors replace a file instead of writing into it.
fn watch(paths: &[PathBuf], wake: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let told = move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too; waking for it would never end.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = wake.try_send(());
        }
    };
    let watching = notify::recommended_watcher(told).and_then(|mut watcher| {
        for path in paths {
            let folder = if path.is_dir() { path } else { folder_of(path) };
            watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    match watching {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "no file events here; looking every second");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Keys and texts; `?` for what cannot be read.
    fn texts(documents: &Documents) -> Vec<(&str, &str)> {
        fn text(rule: &RuleDocument) -> &str {
            if rule.unreadable.is_some() { "?" } else { &rule.text }
        }
        documents.values().map(|rule| (rule.key.as_str(), text(rule))).collect()
    }

    #[tokio::test]
    async fn changes_arrive_whole_and_what_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.tag-router.yaml"), "one").unwrap();
        fs::write(at("b.yml"), "two").unwrap();
        fs::write(at(".hidden.yaml"), "x").unwrap();
        fs::write(at("notes.txt"), "x").unwrap();
        let files = Files::open(vec![folder.path().to_owned()]).unwrap();
        assert_eq!(texts(&files.documents()), [("a.tag-router", "one"), ("b", "two")]);

        let (sender, mut receiver) = mpsc::channel(1);
        tokio::spawn(run(files, sender));
        fs::write(at("new"), "three").unwrap();
        fs::rename(at("new"), at("a.tag-router.yaml")).unwrap();
        fs::write(at("b.yml"), b"\xff").unwrap();
        fs::write(at("c.yaml"), "four").unwrap();
        let wanted = [("a.tag-router", "three"), ("b", "?"), ("c", "four")];
        let wait = Duration::from_secs(20);
        loop {
            let documents = tokio::time::timeout(wait, receiver.recv()).await.unwrap().unwrap();
            if texts(&documents) == wanted {
                break;
            }
        }
        fs::remove_file(at("c.yaml")).unwrap();
        loop {
            let documents = tokio::time::timeout(wait, receiver.recv()).await.unwrap().unwrap();
            if texts(&documents) == wanted[..2] {
                break;
            }
        }
    }

    #[test]
    fn a_folder_that_is_away_keeps_its_documents() {
        let above = tempfile::tempdir().unwrap();
        let (folder, away) = (above.path().join("mount/rules"), above.path().join("away"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("k.yaml"), "1").unwrap();
        let mut files = Files::open(vec![folder]).unwrap();
        fs::rename(above.path().join("mount"), &away).unwrap();
        assert!(!files.look());
        assert_eq!(texts(&files.documents()), [("k", "1")]);
        fs::remove_file(away.join("rules/k.yaml")).unwrap();
        fs::rename(&away, above.path().join("mount")).unwrap();
        assert!(files.look());
        assert!(files.documents().is_empty());
    }

    #[test]
    fn the_first_of_two_files_of_one_key_counts_and_missing_paths_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("k.yaml"), folder.path().join("k.yml"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "2").unwrap();
        let files = Files::open(vec![two.clone(), folder.path().to_owned()]).unwrap();
        assert_eq!(texts(&files.documents()), [("k", "2")]);
        let missing = Files::open(vec![folder.path().join("no")]);
        assert!(matches!(missing, Err(StartError::Rules { .. })));
    }
}
