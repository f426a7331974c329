//! The embedded store on disk: one redb file.
//!
//! Tables: `revisions` (main, sub) to a record, `leases` id to TTL, `meta` name
//! to number. Every commit is on the disk before it is answered; the
//! [`engine`](super::engine) puts what waits into one commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use etcd_client::proto::PbKeyValue;
use prost::Message;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::lease::Leases;
use super::mvcc::{Mvcc, Record};

const REVISIONS: TableDefinition<'_, (i64, i64), &[u8]> = TableDefinition::new("revisions");
const LEASES: TableDefinition<'_, i64, i64> = TableDefinition::new("leases");
const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");

/// The layout written; higher ones are refused.
const FORMAT: i64 = 1;
const FILE: &str = "store.redb";

/// Why the store's data cannot be used. For whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The folder cannot be made.
    #[error("data folder \"{}\" cannot be made: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file cannot be opened: another process has it, or it is damaged.
    #[error("\"{}\" cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// Written by a later version.
    #[error("\"{}\" has format {found}, this version reads up to {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// A record that cannot be decoded.
    #[error("\"{}\" is damaged at revision {main}.{sub}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The revision's transaction.
        main: i64,
        /// The number within it.
        sub: i64,
    },
}

/// What one commit changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) written: Vec<Arc<Record>>,
    pub(crate) removed: Vec<Arc<Record>>,
    pub(crate) granted: Vec<(i64, i64)>,
    pub(crate) ended: Vec<i64>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty()
            && self.removed.is_empty()
            && self.granted.is_empty()
            && self.ended.is_empty()
    }
}

/// What was found on disk.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) mvcc: Mvcc,
    pub(crate) leases: Leases,
    pub(crate) cluster: u64,
    pub(crate) member: u64,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Disk {
    database: Database,
    path: PathBuf,
}

impl Disk {
    /// Opens the store of a folder, or makes an empty one.
    pub(crate) fn open(folder: &Path) -> Result<(Disk, Loaded), DiskError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| DiskError::Folder { path: folder.to_owned(), source })?;
        let path = folder.join(FILE);
        let failed =
            |source: redb::Error| DiskError::Open { path: path.clone(), source: Box::new(source) };
        let database = Database::create(&path).map_err(|error| failed(error.into()))?;
        prepare(&database).map_err(failed)?;
        let loaded = load(&database, &path, &failed)?;
        Ok((Disk { database, path }, loaded))
    }

    /// Writes changes; they are on the disk when this returns.
    pub(crate) fn commit(&self, changes: &Changes, mvcc: (i64, i64)) -> Result<(), redb::Error> {
        let (revision, compacted) = mvcc;
        let write = self.database.begin_write()?;
        {
            let mut revisions = write.open_table(REVISIONS)?;
            let mut bytes = Vec::new();
            for record in &changes.written {
                bytes.clear();
                bytes.push(u8::from(record.tombstone));
                bytes.extend(record.kv.encode_to_vec());
                revisions.insert((record.main, record.sub), bytes.as_slice())?;
            }
            for record in &changes.removed {
                revisions.remove((record.main, record.sub))?;
            }
            let mut leases = write.open_table(LEASES)?;
            for (id, ttl) in &changes.granted {
                leases.insert(*id, *ttl)?;
            }
            for id in &changes.ended {
                leases.remove(*id)?;
            }
            let mut meta = write.open_table(META)?;
            meta.insert("revision", revision)?;
            meta.insert("compacted", compacted)?;
        }
        write.commit()?;
        Ok(())
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> i64 {
        let size = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        i64::try_from(size).unwrap_or(i64::MAX)
    }
}

/// Makes what a new file lacks.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        write.open_table(REVISIONS)?;
        write.open_table(LEASES)?;
        let mut meta = write.open_table(META)?;
        for (name, value) in [
            ("format", FORMAT),
            ("cluster", fastrand::i64(1..i64::MAX)),
            ("member", fastrand::i64(1..i64::MAX)),
            ("revision", 1),
            ("compacted", -1),
        ] {
            if meta.get(name)?.is_none() {
                meta.insert(name, value)?;
            }
        }
    }
    write.commit()?;
    Ok(())
}

fn load(
    database: &Database,
    path: &Path,
    failed: &impl Fn(redb::Error) -> DiskError,
) -> Result<Loaded, DiskError> {
    let read = database.begin_read().map_err(|error| failed(error.into()))?;
    let meta = read.open_table(META).map_err(|error| failed(error.into()))?;
    let number = |name: &str| -> Result<i64, DiskError> {
        let value = meta.get(name).map_err(|error| failed(error.into()))?;
        Ok(value.map_or(0, |value| value.value()))
    };
    let found = number("format")?;
    if found > FORMAT {
        return Err(DiskError::Format { path: path.to_owned(), found });
    }
    let mut mvcc = Mvcc::new(number("revision")?, number("compacted")?);
    let mut leases = Leases::default();
    let now = Instant::now();
    let table = read.open_table(LEASES).map_err(|error| failed(error.into()))?;
    for lease in table.iter().map_err(|error| failed(error.into()))? {
        let (id, ttl) = lease.map_err(|error| failed(error.into()))?;
        leases.restore(id.value(), ttl.value(), now);
    }
    let table = read.open_table(REVISIONS).map_err(|error| failed(error.into()))?;
    for record in table.iter().map_err(|error| failed(error.into()))? {
        let (key, value) = record.map_err(|error| failed(error.into()))?;
        let (main, sub) = key.value();
        let damaged = || DiskError::Damaged { path: path.to_owned(), main, sub };
        let (flag, bytes) = value.value().split_first().ok_or_else(damaged)?;
        let kv = PbKeyValue::decode(bytes).map_err(|_| damaged())?;
        let record = Record { main, sub, tombstone: *flag != 0, kv };
        leases.follow(&record);
        mvcc.load(record);
    }
    let id = |name| Ok::<u64, DiskError>(number(name)?.unsigned_abs());
    Ok(Loaded { mvcc, leases, cluster: id("cluster")?, member: id("member")? })
}
