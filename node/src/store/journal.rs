//! The journal: what this node has signed, one entry per slot for good (write-ahead, P21).
//!
//! One thread owns the database, since SQLite blocks; everyone else holds a [`JournalHandle`] and
//! awaits its answer. A record that returned is on disk, and a slot that is filled stays as it is.
//! Not for: what others signed, or anything that can be fetched again.

mod table;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_protocol::units::Interval;
use tokio::sync::{mpsc, oneshot};

use super::FolderLock;
use table::Table;

/// Work waiting for the journal's thread: askers wait for their answers, so a few per task.
const QUEUE: usize = 64;

/// The end of the meter's chain: a signed reading and the interval at whose start it was made.
pub type LastReading = (Interval, Arc<[u8]>);

/// How far Lightning's own store was when it was last looked at; the store holds the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LightningMark {
    /// Which store: chosen by chance when it was made.
    pub line: [u8; 16],
    /// Grows with what is written into it.
    pub count: u64,
}

type Work = Box<dyn FnOnce(&mut Table) + Send>;

/// Why the journal did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The slot is filled with something else.
    #[error("{slot:?} was signed before with other bytes, and nothing is signed anew")]
    SlotTaken {
        /// The slot.
        slot: Slot,
    },
    /// The file is not what was written.
    #[error(
        "the journal {path} is damaged ({problem}); it says what this node has signed: restore it \
         from a backup, or move it away and keep the node off for four intervals, so that nothing \
         is signed twice"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is of a later version of this program.
    #[error(
        "the journal {path} has schema {found} and this boltgrid knows up to {known}; it says what \
         this node has signed, so it is left alone: run the version that wrote it, or a later one"
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Our schema.
        known: i64,
    },
    /// The database would not promise what the journal promises.
    #[error("the journal {path} cannot be made durable: {setting} is {value}")]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// Which setting.
        setting: &'static str,
        /// What it is.
        value: String,
    },
    /// An interval beyond what can be stored; no clock gets there.
    #[error("interval {0} is too large to be stored")]
    IntervalTooLarge(Interval),
    /// SQLite or the disk under it failed.
    #[error("the journal cannot be read or written: {0}; check that the disk has room and works")]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system gave no thread.
    #[error("the journal's thread cannot be started: {0}")]
    Thread(#[source] io::Error),
    /// The journal was closed, or its thread ended.
    #[error("the journal is closed")]
    Closed,
}

/// The journal's thread. Dropping it does what is queued, closes the file and joins the thread.
pub(super) struct Journal {
    handle: JournalHandle,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Access to the journal, for any task. After the journal is closed, everything is an error.
#[derive(Clone)]
pub struct JournalHandle {
    queue: mpsc::Sender<Work>,
}

impl Journal {
    /// Opens and checks the file, or makes it, and starts the thread.
    pub(super) fn open(path: &Path, lock: Arc<FolderLock>) -> Result<Self, JournalError> {
        let table = Table::open(path)?;
        let (queue, work) = mpsc::channel(QUEUE);
        let closing = Arc::new(AtomicBool::new(false));
        let thread_closing = Arc::clone(&closing);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                serve(table, work, &thread_closing);
                drop(lock);
            })
            .map_err(JournalError::Thread)?;
        Ok(Self { handle: JournalHandle { queue }, closing, thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> JournalHandle {
        self.handle.clone()
    }
}

fn serve(mut table: Table, mut queue: mpsc::Receiver<Work>, closing: &AtomicBool) {
    while let Some(work) = queue.blocking_recv() {
        work(&mut table);
        if closing.load(Ordering::Acquire) {
            // Takes no more, but what is queued is still done.
            queue.close();
        }
    }
    table.close();
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        // Wakes the thread where nothing is queued; with a full queue it is awake.
        drop(self.handle.queue.try_send(Box::new(|_| ())));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl JournalHandle {
    /// Records entries, all or none. Returns when they are on disk.
    ///
    /// An entry whose slot already holds the same bytes is fine.
    ///
    /// # Errors
    ///
    /// [`JournalError::SlotTaken`] when a slot holds other bytes: then nothing is recorded, and
    /// nothing of it may be sent.
    pub async fn record(&self, entries: Vec<JournalEntry>) -> Result<(), JournalError> {
        self.ask(move |table| table.record(&entries)).await
    }

    /// All entries of `interval` and after it, by interval, but for those of escrows.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn load_since(&self, interval: Interval) -> Result<Vec<JournalEntry>, JournalError> {
        self.ask(move |table| table.load_since(interval)).await
    }

    /// The records of payments, from the last summary on, by the order of their writing.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn load_payments(&self) -> Result<Vec<JournalEntry>, JournalError> {
        self.ask(|table| table.load_payments()).await
    }

    /// What was signed in the last few intervals before `before`, counted back from the latest one
    /// with a trade that both sides signed.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn load_last_signed_by_both(
        &self,
        before: Interval,
        intervals: u64,
    ) -> Result<Vec<JournalEntry>, JournalError> {
        self.ask(move |table| table.load_last_signed_by_both(before, intervals)).await
    }

    /// The records of escrows, by the order of their writing.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn load_escrows(&self) -> Result<Vec<JournalEntry>, JournalError> {
        self.ask(|table| table.load_escrows()).await
    }

    /// The latest reading, however long ago.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn last_reading(&self) -> Result<Option<LastReading>, JournalError> {
        self.ask(|table| table.last_reading()).await
    }

    /// What was signed for a slot.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn get(&self, slot: Slot) -> Result<Option<Arc<[u8]>>, JournalError> {
        self.ask(move |table| table.get(slot)).await
    }

    /// Forgets everything before `interval` but the last reading, and the records of payments from
    /// their last summary on; returns how many entries.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn prune_before(&self, interval: Interval) -> Result<usize, JournalError> {
        self.ask(move |table| table.prune_before(interval)).await
    }

    /// How far Lightning's store was; none where this node has had none.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn lightning_mark(&self) -> Result<Option<LightningMark>, JournalError> {
        self.ask(|table| table.lightning_mark()).await
    }

    /// Records how far Lightning's store is. Returns when it is on disk.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub async fn put_lightning_mark(&self, mark: LightningMark) -> Result<(), JournalError> {
        self.ask(move |table| table.put_lightning_mark(&mark)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Table) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, answered) = oneshot::channel();
        // An asker that has gone away misses its answer, not the work.
        let work: Work = Box::new(move |table| drop(answer.send(question(table))));
        self.queue.send(work).await.map_err(|_| JournalError::Closed)?;
        answered.await.map_err(|_| JournalError::Closed)?
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

impl fmt::Debug for JournalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JournalHandle")
    }
}
