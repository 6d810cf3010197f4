//! Lightning's own store: the library's SQLite file, watched.
//!
//! What a channel's state is stands here and nowhere else. The library goes on where a write fails,
//! with a state that is no longer on disk; so the first write that fails is remembered, and ends the
//! node ([`Health`]). And every write is counted, so that the guard against rolled-back state
//! ([`super::guard`]) knows when there is something new.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ldk_node::io::sqlite_store::{KV_TABLE_NAME, SQLITE_DB_FILE_NAME, SqliteStore};
use ldk_node::lightning::io;
use ldk_node::lightning::util::persist::{KVStore, KVStoreSync};
use tokio_util::sync::CancellationToken;

use crate::store::keep_write_ahead_log;

/// Whether all that was written is on disk, and how much was written.
#[derive(Debug, Default)]
pub(super) struct Health {
    writes: AtomicU64,
    failure: OnceLock<String>,
    failed: CancellationToken,
}

impl Health {
    /// Writes since the start.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Resolves with what went wrong once a write has failed.
    pub(super) async fn failed(&self) -> String {
        self.failed.cancelled().await;
        self.failure().unwrap_or_default()
    }

    /// What went wrong, if a write has failed.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    fn note<T>(&self, written: &io::Result<T>) {
        match written {
            Ok(_) => {
                self.writes.fetch_add(1, Ordering::AcqRel);
            }
            Err(error) => {
                self.failure.get_or_init(|| error.to_string());
                self.failed.cancel();
            }
        }
    }
}

/// The watched store.
pub(super) struct Store {
    inner: SqliteStore,
    health: Arc<Health>,
}

impl Store {
    /// Opens the store in `dir`, or makes it, so that what is written is there after a power cut.
    ///
    /// # Errors
    ///
    /// What SQLite and the library say.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        prepare_store(dir)?;
        let (file, table) = (SQLITE_DB_FILE_NAME.to_owned(), KV_TABLE_NAME.to_owned());
        let inner = SqliteStore::new(dir.to_owned(), Some(file), Some(table))?;
        Ok(Self { inner, health: Arc::new(Health::default()) })
    }

    pub(super) fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }
}

/// Makes the file in `dir` that the library keeps its state in, so that what is written to it is there
/// after a power cut. To be called before the library opens it.
///
/// # Errors
///
/// What the system and SQLite say.
pub fn prepare_store(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    keep_write_ahead_log(&dir.join(SQLITE_DB_FILE_NAME)).map_err(std::io::Error::other)
}

type Later<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl KVStoreSync for Store {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> io::Result<Vec<u8>> {
        KVStoreSync::read(&self.inner, primary, secondary, key)
    }

    fn write(&self, primary: &str, secondary: &str, key: &str, bytes: Vec<u8>) -> io::Result<()> {
        let written = KVStoreSync::write(&self.inner, primary, secondary, key, bytes);
        self.health.note(&written);
        written
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, lazy: bool) -> io::Result<()> {
        let removed = KVStoreSync::remove(&self.inner, primary, secondary, key, lazy);
        self.health.note(&removed);
        removed
    }

    fn list(&self, primary: &str, secondary: &str) -> io::Result<Vec<String>> {
        KVStoreSync::list(&self.inner, primary, secondary)
    }
}

impl KVStore for Store {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> Later<Vec<u8>> {
        KVStore::read(&self.inner, primary, secondary, key)
    }

    // The order of writes to one key is the order of these calls, so each reaches the inner store
    // before the future is polled.
    fn write(&self, primary: &str, secondary: &str, key: &str, bytes: Vec<u8>) -> Later<()> {
        let writing = KVStore::write(&self.inner, primary, secondary, key, bytes);
        watched(writing, Arc::clone(&self.health))
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, lazy: bool) -> Later<()> {
        let removing = KVStore::remove(&self.inner, primary, secondary, key, lazy);
        watched(removing, Arc::clone(&self.health))
    }

    fn list(&self, primary: &str, secondary: &str) -> Later<Vec<String>> {
        KVStore::list(&self.inner, primary, secondary)
    }
}

fn watched(
    writing: impl Future<Output = io::Result<()>> + Send + 'static,
    health: Arc<Health>,
) -> Later<()> {
    Box::pin(async move {
        let written = writing.await;
        health.note(&written);
        written
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn writes_are_counted_and_kept_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        KVStoreSync::write(&store, "boltgrid", "", "a", vec![1]).unwrap();
        KVStore::write(&store, "boltgrid", "", "b", vec![2]).await.unwrap();
        assert_eq!(store.health().writes(), 2);
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(KVStoreSync::read(&store, "boltgrid", "", "b").unwrap(), [2]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn its_file_has_a_write_ahead_log() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        KVStoreSync::write(&store, "boltgrid", "", "a", vec![1]).unwrap();
        let file = fs::read(dir.path().join(SQLITE_DB_FILE_NAME)).unwrap();
        // Who may write and who may read: 2 is a write-ahead log (SQLite's file format, 1.3.3).
        assert_eq!(file[18..20], [2, 2]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_first_write_that_fails_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        // A key that no store takes stands in for a disk that takes nothing more.
        assert!(KVStore::write(&store, "boltgrid", "", "", vec![1]).await.is_err());
        let health = store.health();
        assert!(!health.failed().await.is_empty());
        assert!(health.failure().is_some());
        assert_eq!(health.writes(), 0);
    }
}
