//! What a node keeps on disk, in one folder that only one process may use.
//!
//! * the [`journal`]: what binds us. SQLite, fully synchronised: a record that returned is on disk.
//! * the [`archive`]: what we merely know. sled: lost or damaged, it is fetched again from peers.
//!
//! Not for: Lightning's own state, keys, or configuration.

pub mod archive;
mod elsewhere;
mod folder;
pub mod journal;

use std::path::Path;
use std::sync::Arc;

pub use archive::{
    Archive, ArchiveError, BalanceRecord, BookRecord, ByHandRecord, ChannelChange, ChannelRecord,
    ClearingRecord, CohortRecord, DayRecord, DecisionRecord, DisputeRecord, SignedBytes,
};
pub(crate) use elsewhere::{ElsewhereError, KeptElsewhere, keep_write_ahead_log};
pub use folder::{FolderError, FolderLock};
pub use journal::{JournalError, JournalHandle, LightningMark};

use journal::Journal;

/// File of the journal inside the data folder.
const JOURNAL_FILE: &str = "journal.sqlite";
/// Folder of the archive inside the data folder.
const ARCHIVE_DIR: &str = "archive";

/// An open data folder.
///
/// Invariant: while it or an [`Archive`] of it lives, no other process has the folder open.
/// Dropping it writes out what is queued and closes the journal.
#[derive(Debug)]
pub struct Store {
    journal: Journal,
    archive: Archive,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder itself.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Store {
    /// Opens the data folder, makes it where there is none, and locks it.
    ///
    /// Reads the whole journal once to check it; call it before there is anything to keep waiting.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; a damaged archive is no error but is moved aside with a warning.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = Arc::new(FolderLock::acquire(dir)?);
        let journal = Journal::open(&dir.join(JOURNAL_FILE), Arc::clone(&lock))?;
        folder::sync(dir)?;
        let archive = Archive::open(&dir.join(ARCHIVE_DIR), lock)?;
        Ok(Self { journal, archive })
    }

    /// A handle to what binds us.
    #[must_use]
    pub fn journal(&self) -> JournalHandle {
        self.journal.handle()
    }

    /// A handle to what we merely know.
    #[must_use]
    pub fn archive(&self) -> Archive {
        self.archive.clone()
    }
}
