//! What this node holds of a stretch of intervals: for range reconciliation, and to hand it out.
//!
//! Made from the archive, which holds only what was verified. Not for: asking others.

use std::collections::BTreeMap;

use boltgrid_protocol::charter::{Charter, Timing};
use boltgrid_protocol::codec::CodecRejected;
use boltgrid_protocol::direct::Answer;
use boltgrid_protocol::envelope::hash_unverified;
use boltgrid_protocol::history::{
    ITEMS_MAX, Item, ItemKind, RECONCILE_MAX, STRETCH_MAX, Stretch, second_of,
};
use boltgrid_protocol::id::{ItemId, ParticipantId};
use boltgrid_protocol::units::Interval;
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use crate::store::{Archive, ArchiveError};

/// Where negentropy cuts a message off.
pub(super) const FRAME_BYTES: u64 = RECONCILE_MAX as u64;

/// The items of one stretch by id, and all but the orders in the order of reconciliation.
///
/// Bounded by [`ITEMS_MAX`].
#[derive(Debug, Default)]
pub(super) struct ItemSet {
    pub(super) storage: NegentropyStorageVector,
    places: BTreeMap<ItemId, Place>,
}

/// Where the archive has an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Book(Interval),
    Order(Interval, usize),
    Reading(Interval, ParticipantId),
    Evidence(Interval, ParticipantId),
}

/// Why there is no set of a stretch.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A stored message is none.
    #[error("a stored message is damaged: {0}")]
    Damaged(#[from] CodecRejected),
    /// More intervals than are served at once.
    #[error("a stretch of more than {STRETCH_MAX} intervals")]
    TooLong,
    /// More items than are served at once.
    #[error("a stretch with more than {ITEMS_MAX} items")]
    TooMany,
}

impl ItemSet {
    /// Reads what the archive has of a stretch. Takes some milliseconds for a full one.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub(super) fn read(
        archive: &Archive,
        stretch: Stretch,
        charter: &Charter,
    ) -> Result<Self, SetError> {
        if stretch.len() > STRETCH_MAX {
            return Err(SetError::TooLong);
        }
        let (mut set, timing) = (Self::default(), &charter.interval);
        let intervals = || stretch.from..stretch.until;
        for clearing in archive.clearings(intervals()) {
            let (at, clearing) = clearing?;
            let Some(book) = archive.book(at)? else { continue };
            set.add(ItemId::of_book(at, &clearing.book), Place::Book(at), timing)?;
            for (place, order) in book.orders.iter().enumerate() {
                let id = ItemId::of_order(at, &hash_unverified(order)?);
                set.add(id, Place::Order(at, place), timing)?;
            }
        }
        // Those that are not everybody's are no history (P40).
        let readings = charter.readings.is_open().then(|| archive.readings_of(intervals()));
        for reading in readings.into_iter().flatten() {
            let (at, (whose, bytes)) = reading?;
            let id = ItemId::of_reading(at, &hash_unverified(&bytes)?);
            set.add(id, Place::Reading(at, whose), timing)?;
        }
        for evidence in archive.evidence(intervals()) {
            let (at, (culprit, _)) = evidence?;
            let id = ItemId::of_evidence(at, &culprit);
            set.add(id, Place::Evidence(at, culprit), timing)?;
        }
        set.seal();
        Ok(set)
    }

    /// From here on it can be reconciled, and nothing be added.
    pub(super) fn seal(&mut self) {
        self.storage.seal().expect("it is sealed once");
    }

    fn add(&mut self, id: ItemId, place: Place, timing: &Timing) -> Result<(), SetError> {
        if self.places.len() >= ITEMS_MAX {
            return Err(SetError::TooMany);
        }
        let at = match place {
            Place::Book(at) | Place::Reading(at, _) | Place::Evidence(at, _) => Some(at),
            // Orders follow from their book.
            Place::Order(..) => None,
        };
        if self.places.insert(id, place).is_none()
            && let Some(at) = at
        {
            self.add_id(id, at, timing);
        }
        Ok(())
    }

    pub(super) fn add_id(&mut self, id: ItemId, at: Interval, timing: &Timing) {
        let id = Id::from_byte_array(*id.as_bytes());
        self.storage.insert(second_of(timing, at), id).expect("it is sealed later");
    }

    /// Whether an item is in it.
    #[must_use]
    pub(super) fn has(&self, id: &ItemId) -> bool {
        self.places.contains_key(id)
    }

    /// Answers a message of range reconciliation. The work is a few passes over the set at most.
    ///
    /// # Errors
    ///
    /// What is wrong with the message.
    pub(super) fn reconcile(&self, message: &[u8]) -> Result<Vec<u8>, negentropy::Error> {
        Negentropy::borrowed(&self.storage, FRAME_BYTES)?.reconcile(message)
    }

    /// The items with these ids that are there, as many as fit an answer.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub(super) fn items(&self, archive: &Archive, ids: &[ItemId]) -> Result<Answer, ArchiveError> {
        let mut items = Vec::new();
        for place in ids.iter().filter_map(|id| self.places.get(id)) {
            items.extend(place.item(archive)?);
        }
        Ok(Answer::items_that_fit(items))
    }
}

#[cfg(test)]
impl ItemSet {
    /// The ids of all items.
    pub(super) fn ids(&self) -> impl Iterator<Item = ItemId> + '_ {
        self.places.keys().copied()
    }
}

impl Place {
    fn item(self, archive: &Archive) -> Result<Option<Item>, ArchiveError> {
        let (kind, bytes) = match self {
            Self::Book(at) => (ItemKind::Book, archive.certificate(at)?),
            Self::Order(at, place) => (ItemKind::Order, archive.order(at, place)?),
            Self::Reading(at, whose) => (ItemKind::Reading, archive.reading(at, &whose)?),
            Self::Evidence(at, culprit) => {
                (ItemKind::Evidence, archive.evidence_against(at, &culprit)?)
            }
        };
        Ok(bytes.map(|bytes| Item { kind, bytes: bytes.to_vec() }))
    }
}
