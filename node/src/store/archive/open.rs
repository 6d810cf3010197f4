//! Opening the archive, whatever state it is in: what does not open is moved aside.

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sled::{Db, Mode};

use super::{Archive, ArchiveError};
use crate::store::FolderLock;

/// Memory for cached pages; sled's own default is a gigabyte.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How often sled writes out what it was given.
const FLUSH_EVERY_MS: u64 = 500;
/// Version of trees, keys and values. An earlier one is moved aside like a damaged archive, a later one
/// is refused: whoever went back to an earlier program by mistake loses nothing.
const SCHEMA: u32 = 1;
/// Where the version stands, in the default tree.
const SCHEMA_KEY: &[u8] = b"schema";

/// Why an archive is not used as it is.
enum Unusable {
    /// It can be given up, since everything in it can be fetched again.
    Stale(String),
    /// It is of this later version.
    Newer(u32),
    /// It is not the archive's fault, so it is kept.
    Failed(sled::Error),
}

impl Archive {
    /// Opens the archive at `path`, or makes it. One that is damaged or of an earlier version is moved
    /// to `<path>.aside`, in place of an earlier one there; one of a later version is an error.
    ///
    /// After a process that did not close it in order, all of it is read: some seconds for a month
    /// of a large grid.
    pub(in crate::store) fn open(path: &Path, lock: Arc<FolderLock>) -> Result<Self, ArchiveError> {
        let opened = match Self::open_as_is(path, &lock) {
            Err(Unusable::Stale(problem)) => {
                let aside = move_aside(path)
                    .map_err(|source| ArchiveError::MoveAside { path: path.to_owned(), source })?;
                tracing::warn!(
                    problem,
                    aside = %aside.display(),
                    "the archive was moved aside; what it held is fetched again from peers"
                );
                Self::open_as_is(path, &lock)
            }
            opened => opened,
        };
        opened.map_err(|unusable| match unusable {
            Unusable::Stale(problem) => sled::Error::ReportableBug(problem).into(),
            Unusable::Newer(found) => {
                ArchiveError::Schema { path: path.to_owned(), found, known: SCHEMA }
            }
            Unusable::Failed(error) => error.into(),
        })
    }

    fn open_as_is(path: &Path, lock: &Arc<FolderLock>) -> Result<Self, Unusable> {
        // A damaged file makes sled return an error or, at times, panic.
        panic::catch_unwind(AssertUnwindSafe(|| Self::open_trees(path, lock)))
            .unwrap_or_else(|_| Err(Unusable::Stale("sled panicked when opening it".to_owned())))
    }

    fn open_trees(path: &Path, lock: &Arc<FolderLock>) -> Result<Self, Unusable> {
        let database = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .mode(Mode::LowSpace)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .open()?;
        check_schema(&database)?;
        let tree = |name: &str| database.open_tree(name);
        let archive = Self {
            readings: tree("readings")?,
            books: tree("books")?,
            clearings: tree("clearings")?,
            settlements: tree("settlements")?,
            payments: tree("payments")?,
            by_hand: tree("by_hand")?,
            disputes: tree("disputes")?,
            balances: tree("balances")?,
            channel_log: tree("channel_log")?,
            evidence: tree("evidence")?,
            peers: tree("peers")?,
            anomalies: tree("anomalies")?,
            quality_events: tree("quality_events")?,
            quality_windows: tree("quality_windows")?,
            substitutes: tree("substitutes")?,
            corrections: tree("corrections")?,
            days: tree("days")?,
            cohorts: tree("cohorts")?,
            openings: tree("openings")?,
            decisions: tree("decisions")?,
            database,
            _lock: Arc::clone(lock),
        };
        if lock.was_left_open() {
            archive.read_all()?;
        }
        Ok(archive)
    }

    /// Finds the damage that sled itself would find, or panic at, only when it comes by.
    fn read_all(&self) -> Result<(), sled::Error> {
        let intervals = [&self.readings, &self.books, &self.clearings, &self.settlements];
        let others = [&self.payments, &self.disputes, &self.evidence, &self.peers];
        let money = [&self.balances, &self.channel_log, &self.by_hand];
        let checks = [&self.anomalies, &self.quality_events, &self.quality_windows];
        let masked = [&self.cohorts, &self.openings];
        let missing = [&self.substitutes, &self.corrections, &self.days, &self.decisions];
        for tree in intervals
            .into_iter()
            .chain(others)
            .chain(money)
            .chain(checks)
            .chain(masked)
            .chain(missing)
        {
            for entry in tree {
                entry?;
            }
        }
        Ok(())
    }
}

fn check_schema(database: &Db) -> Result<(), Unusable> {
    let expected = SCHEMA.to_be_bytes();
    match database.get(SCHEMA_KEY)? {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(match found.as_ref().try_into().map(u32::from_be_bytes) {
            Ok(found) if found > SCHEMA => Unusable::Newer(found),
            Ok(_) | Err(_) => Unusable::Stale(format!("schema {found:?} is not {expected:?}")),
        }),
        None if database.was_recovered() => Err(Unusable::Stale("it has no schema".to_owned())),
        None => {
            database.insert(SCHEMA_KEY, &expected)?;
            database.flush()?;
            Ok(())
        }
    }
}

impl From<sled::Error> for Unusable {
    fn from(error: sled::Error) -> Self {
        match &error {
            sled::Error::Io(cause) if !is_about_content(cause.kind()) => Self::Failed(error),
            sled::Error::Io(_)
            | sled::Error::Corruption { .. }
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::CollectionNotFound(_) => Self::Stale(error.to_string()),
        }
    }
}

/// Whether an I/O error tells of what is in a file, and not of the disk or of permissions.
fn is_about_content(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("aside");
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::id::ParticipantId;

    use super::*;

    #[test]
    fn an_archive_of_an_earlier_version_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Arc::new(FolderLock::acquire(dir.path()).unwrap());
        let path = dir.path().join("archive");
        let me = ParticipantId::from_bytes([1; 32]);

        let archive = Archive::open(&path, Arc::clone(&lock)).unwrap();
        archive.put_peer(&me, b"record").unwrap();
        archive.database.insert(SCHEMA_KEY, &[0; 4]).unwrap();
        drop(archive);

        let archive = Archive::open(&path, lock).unwrap();
        assert_eq!(archive.peers().unwrap(), []);
        assert!(dir.path().join("archive.aside").is_dir());
    }

    #[test]
    fn an_archive_of_a_later_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Arc::new(FolderLock::acquire(dir.path()).unwrap());
        let path = dir.path().join("archive");
        let me = ParticipantId::from_bytes([1; 32]);
        let schema = |version: u32| {
            let database = sled::open(&path).unwrap();
            database.insert(SCHEMA_KEY, &version.to_be_bytes()).unwrap();
        };
        let archive = Archive::open(&path, Arc::clone(&lock)).unwrap();
        archive.put_peer(&me, b"record").unwrap();
        drop(archive);

        schema(SCHEMA + 1);
        let refused = Archive::open(&path, Arc::clone(&lock)).unwrap_err().to_string();
        assert!(refused.contains("schema 2") && refused.contains("a later one"), "{refused}");
        assert!(!dir.path().join("archive.aside").exists());
        schema(SCHEMA);
        assert_eq!(Archive::open(&path, lock).unwrap().peers().unwrap().len(), 1);
    }
}
