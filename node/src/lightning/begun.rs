//! Which payments were begun: a note of each in Lightning's store, written before the library is told
//! to pay, and gone once somebody has kept how it ended.
//!
//! The library writes its own record of a payment only after it has sent it. Who is killed between the
//! two finds nothing recorded afterwards, though the payment may be under way; and asked to pay again
//! the library looks for a route before it looks whether it pays already, and says that there is none.
//! Taken for a failure, that would be paid twice. So what is noted is under way until its end is told.
//!
//! Not for: what the library never sent, and never tells of either; it stays under way for ever.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_protocol::lightning::PaymentHash;
use ldk_node::lightning::io;
use ldk_node::lightning::util::persist::KVStoreSync;

use super::store::Store;

/// Where the notes are in the library's store: a namespace of our own, a key for each hash.
const NAMESPACE: &str = "boltgrid";
const NOTES: &str = "begun";

/// The notes.
pub(super) struct Begun {
    store: Arc<Store>,
    hashes: Mutex<BTreeSet<PaymentHash>>,
}

impl Begun {
    /// The notes of earlier runs. Blocks.
    pub(super) fn open(store: Arc<Store>) -> io::Result<Self> {
        let keys = KVStoreSync::list(store.as_ref(), NAMESPACE, NOTES)?;
        let hashes = keys.iter().filter_map(|key| key.parse().ok()).collect();
        Ok(Self { store, hashes: Mutex::new(hashes) })
    }

    /// Notes a payment; false where it is noted. Returns when it is on disk.
    pub(super) fn begin(&self, hash: PaymentHash) -> io::Result<bool> {
        if !self.lock().insert(hash) {
            return Ok(false);
        }
        let key = hash.to_string();
        KVStoreSync::write(self.store.as_ref(), NAMESPACE, NOTES, &key, vec![1])?;
        Ok(true)
    }

    /// Whether a payment is noted.
    pub(super) fn has(&self, hash: &PaymentHash) -> bool {
        self.lock().contains(hash)
    }

    /// Strikes a note out: the payment has ended, or was not begun after all.
    pub(super) fn end(&self, hash: &PaymentHash) -> io::Result<()> {
        if !self.has(hash) {
            return Ok(());
        }
        let key = hash.to_string();
        KVStoreSync::remove(self.store.as_ref(), NAMESPACE, NOTES, &key, false)?;
        self.lock().remove(hash);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<PaymentHash>> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: PaymentHash = PaymentHash::from_bytes([0xa7; 32]);

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_begun_is_known_after_a_restart_and_begun_once() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Begun::open(Arc::new(Store::open(dir.path()).unwrap())).unwrap();
        let begun = open();
        assert!(!begun.has(&HASH));
        assert!(begun.begin(HASH).unwrap());
        drop(begun);
        let begun = open();
        assert!(begun.has(&HASH));
        assert!(!begun.begin(HASH).unwrap());
        begun.end(&HASH).unwrap();
        drop(begun);
        assert!(open().begin(HASH).unwrap());
    }
}
