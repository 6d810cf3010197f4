//! The guard against rolled-back channel state.
//!
//! Who starts from an old copy of Lightning's store shows its partners states that were revoked since,
//! and loses what is in the channels. So a mark that grows stands in two places that are not copied
//! back together by accident: inside the store, and in the journal. It grows at every start and stop,
//! and once a second while the store is written to; the store's is written first. At the start the two
//! are compared, before Lightning says anything to anybody.
//!
//! Not for: the whole data folder put back, journal and all. No mark on the same disk can tell; the
//! library asks each partner for its newest state when they meet, and stops where it has fallen
//! behind.

use std::sync::Arc;

use ldk_node::lightning::io::ErrorKind;
use ldk_node::lightning::util::persist::KVStoreSync;

use super::store::Store;
use crate::store::{JournalError, JournalHandle, LightningMark};

/// Where the mark is in the library's store: a namespace of our own.
const NAMESPACE: &str = "boltgrid";
const KEY: &str = "mark";
/// Bytes of a mark in the store: the line, then the count.
const MARK_LEN: usize = 24;

/// Why Lightning must not start from what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The store is older than what this node has done since.
    #[error(
        "Lightning's store is an old copy: it is at {store}, and this node was at {journal}. To start \
         from it would show partners revoked states and lose what is in the channels. Put the newest \
         `lightning` folder back. If it is lost, ask each partner to close its channel by force, \
         move the folder away, and run `boltgrid wallet restore`, which brings the on-chain money \
         back"
    )]
    RolledBack {
        /// Where the store is.
        store: u64,
        /// Where the journal is.
        journal: u64,
    },
    /// There is no store, or it is another one, or it was never marked.
    #[error(
        "Lightning's store is not the one that this node has used: it is missing, new, or from \
         another node. Put the `lightning` folder back into the data folder. If it is lost, ask each \
         partner to close its channel by force, move what is there now away, and run \
         `boltgrid wallet restore`, which brings the on-chain money back"
    )]
    AnotherStore,
    /// The journal is older than the store.
    #[error(
        "the journal is an old copy: it is at {journal}, and Lightning's store at {store}. What this \
         node has signed since is missing from it. Put the newest journal back; or, if it is lost, \
         move it away and keep the node off for four intervals, so that nothing is signed twice"
    )]
    JournalRolledBack {
        /// Where the store is.
        store: u64,
        /// Where the journal is.
        journal: u64,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store.
    #[error(
        "Lightning's store cannot be read or written: {0}; check that the disk has room and works"
    )]
    Store(String),
    /// The operating system gives no random bytes.
    #[error("no randomness for a new store: {0}")]
    Randomness(#[source] getrandom::Error),
}

/// Keeps the two marks in step.
pub(super) struct Guard {
    store: Arc<Store>,
    journal: JournalHandle,
    mark: LightningMark,
    writes: u64,
}

impl Guard {
    /// Compares the marks, and makes both grow.
    ///
    /// # Errors
    ///
    /// [`GuardError`], where Lightning must not start.
    pub(super) async fn open(
        store: Arc<Store>,
        journal: JournalHandle,
    ) -> Result<Self, GuardError> {
        let found = read(&store)?;
        let mark = match check(found, journal.lightning_mark().await?)? {
            Some(mark) => mark,
            None => first()?,
        };
        if found.is_some() && journal.lightning_mark().await?.is_none() {
            tracing::warn!(
                "the journal does not know Lightning's store; if the store is an old copy, money in \
                 channels will be lost: stop now if in doubt"
            );
        }
        let mut guard = Self { store, journal, mark, writes: 0 };
        guard.grow().await?;
        Ok(guard)
    }

    /// Makes the marks of a store and a journal begin anew together: after a restore from words, when
    /// nothing of the old channels is there any more.
    pub(super) async fn begin_anew(
        store: Arc<Store>,
        journal: JournalHandle,
    ) -> Result<(), GuardError> {
        Self { store, journal, mark: first()?, writes: 0 }.grow().await
    }

    /// Makes both grow, if the store was written to since. To be called every second and at the end.
    pub(super) async fn keep_up(&mut self) -> Result<(), GuardError> {
        if self.store.health().writes() == self.writes { Ok(()) } else { self.grow().await }
    }

    async fn grow(&mut self) -> Result<(), GuardError> {
        // Its own write, and no other: what is written meanwhile is for the next time.
        let writes = self.store.health().writes().saturating_add(1);
        self.mark.count = self.mark.count.saturating_add(1);
        let bytes = [self.mark.line.as_slice(), &self.mark.count.to_be_bytes()].concat();
        let store = Arc::clone(&self.store);
        let write = move || KVStoreSync::write(store.as_ref(), NAMESPACE, "", KEY, bytes);
        let written = tokio::task::spawn_blocking(write).await;
        written
            .map_err(|panicked| GuardError::Store(panicked.to_string()))?
            .map_err(|error| GuardError::Store(error.to_string()))?;
        self.journal.put_lightning_mark(self.mark).await?;
        self.writes = writes;
        Ok(())
    }
}

/// What the two marks say: which one to go on from, if there is one.
fn check(
    store: Option<LightningMark>,
    journal: Option<LightningMark>,
) -> Result<Option<LightningMark>, GuardError> {
    match (store, journal) {
        (None, None) => Ok(None),
        (Some(store), None) => Ok(Some(store)),
        (None, Some(_)) => Err(GuardError::AnotherStore),
        (Some(store), Some(journal)) if store.line != journal.line => Err(GuardError::AnotherStore),
        (Some(store), Some(journal)) => {
            let (store_at, journal_at) = (store.count, journal.count);
            if store_at < journal_at {
                Err(GuardError::RolledBack { store: store_at, journal: journal_at })
            } else if store_at > journal_at.saturating_add(1) {
                Err(GuardError::JournalRolledBack { store: store_at, journal: journal_at })
            } else {
                Ok(Some(store))
            }
        }
    }
}

fn first() -> Result<LightningMark, GuardError> {
    let mut line = [0; 16];
    getrandom::fill(&mut line).map_err(GuardError::Randomness)?;
    Ok(LightningMark { line, count: 0 })
}

fn read(store: &Store) -> Result<Option<LightningMark>, GuardError> {
    let bytes = match KVStoreSync::read(store, NAMESPACE, "", KEY) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GuardError::Store(error.to_string())),
    };
    let damaged = || GuardError::Store("its mark is damaged".to_owned());
    let bytes: [u8; MARK_LEN] = bytes.try_into().map_err(|_| damaged())?;
    let (line, count) = bytes.split_at(16);
    Ok(Some(LightningMark {
        line: line.try_into().map_err(|_| damaged())?,
        count: u64::from_be_bytes(count.try_into().map_err(|_| damaged())?),
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use ldk_node::io::sqlite_store::SQLITE_DB_FILE_NAME;

    use super::*;
    use crate::store::Store as DataFolder;

    const LINE: LightningMark = LightningMark { line: [1; 16], count: 7 };

    fn at(count: u64) -> Option<LightningMark> {
        Some(LightningMark { count, ..LINE })
    }

    #[test]
    fn a_store_goes_on_only_where_the_journal_left_it() {
        let other = Some(LightningMark { line: [2; 16], count: 7 });
        assert!(matches!(check(None, None), Ok(None)));
        assert!(matches!(check(at(7), at(7)), Ok(Some(mark)) if mark == LINE));
        // The power failed between the two.
        assert!(matches!(check(at(7), at(6)), Ok(Some(mark)) if mark == LINE));
        assert!(matches!(
            check(at(6), at(7)),
            Err(GuardError::RolledBack { store: 6, journal: 7 })
        ));
        assert!(matches!(check(at(8), at(6)), Err(GuardError::JournalRolledBack { .. })));
        assert!(matches!(check(other, at(7)), Err(GuardError::AnotherStore)));
        assert!(matches!(check(None, at(7)), Err(GuardError::AnotherStore)));
        // The journal was damaged and moved away, as it asks for.
        assert!(matches!(check(at(7), None), Ok(Some(mark)) if mark == LINE));
    }

    async fn open(dir: &Path) -> Result<Guard, GuardError> {
        let journal = DataFolder::open(dir).unwrap();
        let store = Arc::new(Store::open(&dir.join("lightning")).unwrap());
        Guard::open(store, journal.journal()).await
    }

    #[tokio::test]
    async fn an_old_copy_of_the_store_is_refused_and_the_newest_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("lightning").join(SQLITE_DB_FILE_NAME);
        let (old, newest) = (dir.path().join("old"), dir.path().join("newest"));
        drop(open(dir.path()).await.unwrap());
        fs::copy(&store, &old).unwrap();
        drop(open(dir.path()).await.unwrap());
        fs::rename(&store, &newest).unwrap();
        fs::copy(&old, &store).unwrap();
        let refused = open(dir.path()).await.err();
        assert!(matches!(refused, Some(GuardError::RolledBack { store: 1, journal: 2 })));
        fs::remove_file(&store).unwrap();
        assert!(matches!(open(dir.path()).await.err(), Some(GuardError::AnotherStore)));
        fs::rename(&newest, &store).unwrap();
        assert_eq!(open(dir.path()).await.unwrap().mark.count, 3);
    }

    #[tokio::test]
    async fn the_marks_grow_when_the_store_was_written_to_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let journal = DataFolder::open(dir.path()).unwrap();
        let store = Arc::new(Store::open(&dir.path().join("lightning")).unwrap());
        let mut guard = Guard::open(Arc::clone(&store), journal.journal()).await.unwrap();
        guard.keep_up().await.unwrap();
        assert_eq!(guard.mark.count, 1);
        KVStoreSync::write(store.as_ref(), "monitors", "", "a", vec![1]).unwrap();
        guard.keep_up().await.unwrap();
        guard.keep_up().await.unwrap();
        assert_eq!(journal.journal().lightning_mark().await.unwrap().unwrap().count, 2);
        assert_eq!(read(&store).unwrap().unwrap().count, 2);
    }
}
