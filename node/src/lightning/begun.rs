//! Which payments were begun: a note of each in Lightning's store, written before the library is told
//! to pay, and gone once somebody has kept how it ended.
//!
//! The library writes its own record of a payment only after it has sent it. Who is killed between the
//! two finds nothing recorded afterwards, though the payment may be under way; and asked to pay again
//! the library looks for a route before it looks whether it pays already, and says that there is none.
//! Taken for a failure, that would be paid twice. So what is noted is under way until its end is told,
//! and where the library has no record of a payment then, the note keeps the end.
//!
//! Not for: what the library never sent, and never tells of either (see [`super::unsent`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::units::Msat;
use ldk_node::lightning::io;
use ldk_node::lightning::util::persist::KVStoreSync;

use super::store::Store;

/// Where the notes are in the library's store: a namespace of our own, a key for each hash.
pub(super) const NAMESPACE: &str = "boltgrid";
const NOTES: &str = "begun";

/// What is noted of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// It was begun.
    UnderWay,
    /// It was paid, which the library has no record of.
    Paid {
        /// The receipt.
        preimage: Preimage,
        /// What others took for passing it on.
        fee: Msat,
    },
    /// It failed for good, which the library has no record of.
    Failed,
}

impl Note {
    fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::UnderWay => vec![1],
            Self::Paid { preimage, fee } => {
                let fee_msat = fee.to_millisatoshi().to_be_bytes();
                [&[2], preimage.as_bytes().as_slice(), &fee_msat].concat()
            }
            Self::Failed => vec![3],
        }
    }

    /// What cannot be read counts as under way: that pays nothing twice.
    fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [2, paid @ ..] => Self::paid(paid).unwrap_or(Self::UnderWay),
            [3] => Self::Failed,
            _ => Self::UnderWay,
        }
    }

    fn paid(bytes: &[u8]) -> Option<Self> {
        let (preimage, fee_msat) = bytes.split_first_chunk::<32>()?;
        let fee = Msat::from_millisatoshi(u64::from_be_bytes(fee_msat.try_into().ok()?)).ok()?;
        Some(Self::Paid { preimage: Preimage::from_bytes(*preimage), fee })
    }
}

/// The notes.
pub(super) struct Begun {
    store: Arc<Store>,
    notes: Mutex<BTreeMap<PaymentHash, Note>>,
}

impl Begun {
    /// The notes of earlier runs. Blocks.
    pub(super) fn open(store: Arc<Store>) -> io::Result<Self> {
        let mut notes = BTreeMap::new();
        for key in KVStoreSync::list(store.as_ref(), NAMESPACE, NOTES)? {
            let Ok(hash) = key.parse() else { continue };
            let bytes = KVStoreSync::read(store.as_ref(), NAMESPACE, NOTES, &key)?;
            notes.insert(hash, Note::from_bytes(&bytes));
        }
        Ok(Self { store, notes: Mutex::new(notes) })
    }

    /// Notes a payment; false where it is noted, unless that it failed. Returns when it is on disk.
    pub(super) fn begin(&self, hash: PaymentHash) -> io::Result<bool> {
        {
            let mut notes = self.lock();
            if notes.get(&hash).is_some_and(|note| *note != Note::Failed) {
                return Ok(false);
            }
            notes.insert(hash, Note::UnderWay);
        }
        self.write(&hash, Note::UnderWay)?;
        Ok(true)
    }

    /// What is noted of a payment.
    pub(super) fn note(&self, hash: &PaymentHash) -> Option<Note> {
        self.lock().get(hash).copied()
    }

    /// The payments that were begun and whose end is not known.
    pub(super) fn under_way(&self) -> Vec<PaymentHash> {
        let notes = self.lock();
        let under_way = notes.iter().filter(|(_, note)| **note == Note::UnderWay);
        under_way.map(|(hash, _)| *hash).collect()
    }

    /// Strikes a note out: the payment was not begun after all, or has ended and the library knows how.
    pub(super) fn strike_out(&self, hash: &PaymentHash) -> io::Result<()> {
        if self.note(hash).is_none() {
            return Ok(());
        }
        let key = hash.to_string();
        KVStoreSync::remove(self.store.as_ref(), NAMESPACE, NOTES, &key, false)?;
        self.lock().remove(hash);
        Ok(())
    }

    /// Keeps how a payment ended that the library has no record of.
    pub(super) fn keep_end(&self, hash: &PaymentHash, end: Note) -> io::Result<()> {
        self.write(hash, end)?;
        self.lock().insert(*hash, end);
        Ok(())
    }

    fn write(&self, hash: &PaymentHash, note: Note) -> io::Result<()> {
        let (key, bytes) = (hash.to_string(), note.to_bytes());
        KVStoreSync::write(self.store.as_ref(), NAMESPACE, NOTES, &key, bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PaymentHash, Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(begun.note(&HASH), None);
        assert!(begun.begin(HASH).unwrap());
        drop(begun);
        let begun = open();
        assert_eq!((begun.note(&HASH), begun.under_way()), (Some(Note::UnderWay), vec![HASH]));
        assert!(!begun.begin(HASH).unwrap());
        begun.strike_out(&HASH).unwrap();
        drop(begun);
        assert!(open().begin(HASH).unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_end_that_only_the_note_has_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Begun::open(Arc::new(Store::open(dir.path()).unwrap())).unwrap();
        let begun = open();
        begun.begin(HASH).unwrap();
        let (preimage, fee) = (Preimage::from_bytes([9; 32]), Msat::from_millisatoshi(7).unwrap());
        let paid = Note::Paid { preimage, fee };
        begun.keep_end(&HASH, paid).unwrap();
        drop(begun);
        let begun = open();
        assert_eq!((begun.note(&HASH), begun.under_way()), (Some(paid), vec![]));
        assert!(!begun.begin(HASH).unwrap(), "what was paid is not begun again");
        begun.keep_end(&HASH, Note::Failed).unwrap();
        drop(begun);
        let begun = open();
        assert_eq!(begun.note(&HASH), Some(Note::Failed));
        assert!(begun.begin(HASH).unwrap(), "what failed may be");
    }

    #[test]
    fn what_cannot_be_read_is_under_way() {
        for bytes in [&[][..], &[2], &[2, 9], &[4], &[1, 1]] {
            assert_eq!(Note::from_bytes(bytes), Note::UnderWay, "{bytes:?}");
        }
    }
}
