//! What is proven goes into the archive, and what contradicts the archive does not.

use std::sync::Arc;

use boltgrid_market::clear;
use boltgrid_market::notice::ClearedInterval;
use boltgrid_protocol::envelope::{Verified, hash_unverified};
use boltgrid_protocol::id::{BookHash, ItemId, ParticipantId};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::Interval;

use super::verify::{Found, PastBook};
use crate::store::{Archive, ArchiveError, BookRecord, ClearingRecord};

/// What became of something that was found.
#[derive(Debug)]
pub(super) enum Kept {
    /// A book that was lacking.
    Book(Box<ClearedInterval>),
    /// A reading that was lacking.
    Reading,
    /// Evidence that was lacking.
    Evidence {
        /// Of which interval.
        interval: Interval,
        /// Against whom.
        culprit: ParticipantId,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// It was there.
    Known,
    /// Two certified books of one interval: more voters are faulty than agreement can bear.
    SecondBook {
        /// The interval.
        interval: Interval,
        /// The book that is kept.
        first: BookHash,
        /// The other one.
        second: BookHash,
    },
    /// Two readings of one meter at one instant.
    SecondReading {
        /// The instant's interval.
        interval: Interval,
        /// Whose meter.
        whose: ParticipantId,
        /// The reading that is kept.
        first: Arc<[u8]>,
        /// The other one.
        second: Arc<[u8]>,
    },
}

/// What was kept, and by what id it is known if it is of no use.
///
/// # Errors
///
/// [`ArchiveError`].
pub(super) fn keep(archive: &Archive, found: Found) -> Result<(Kept, ItemId), ArchiveError> {
    match found {
        Found::Book(book) => keep_book(archive, *book),
        Found::Reading(reading) => keep_reading(archive, &reading),
        Found::Evidence { culprit, message } => {
            let (interval, bytes) = (message.interval(), Arc::clone(message.bytes()));
            let id = ItemId::of_evidence(interval, &culprit);
            let is_new = archive.put_evidence(interval, &culprit, &bytes)?;
            let kept = Kept::Evidence { interval, culprit, bytes };
            Ok((if is_new { kept } else { Kept::Known }, id))
        }
    }
}

fn keep_book(archive: &Archive, book: PastBook) -> Result<(Kept, ItemId), ArchiveError> {
    let PastBook { certificate, bytes, orders, replayed } = book;
    let interval = certificate.interval;
    let id = ItemId::of_book(interval, &replayed.book);
    if let Some(clearing) = archive.clearing(interval)?
        && archive.certificate(interval)?.is_some()
    {
        let (first, second) = (clearing.book, replayed.book);
        let same = first == second;
        let kept = if same { Kept::Known } else { Kept::SecondBook { interval, first, second } };
        return Ok((kept, id));
    }
    let cleared = ClearedInterval {
        interval,
        view: certificate.view,
        // It was not decided here.
        decide_ms: 0,
        certificate: bytes,
        orders,
        book: replayed.book,
        clearing: replayed.clearing.digest(),
        price_msat_per_kwh: replayed.clearing.price_msat_per_kwh,
        volume_mwh: replayed.clearing.volume_mwh,
        trades: clear::terms(&replayed.clearing),
    };
    archive.put_book(interval, &BookRecord::from(&cleared))?;
    archive.put_clearing(interval, &ClearingRecord::from(&cleared))?;
    Ok((Kept::Book(Box::new(cleared)), id))
}

fn keep_reading(
    archive: &Archive,
    reading: &Verified<Reading>,
) -> Result<(Kept, ItemId), ArchiveError> {
    let (interval, whose) = (reading.interval(), reading.participant());
    let id = ItemId::of_reading(interval, &reading.hash());
    let kept = match archive.reading(interval, &whose)? {
        None => {
            archive.put_reading(interval, &whose, reading.bytes())?;
            Kept::Reading
        }
        Some(first) if hash_unverified(&first) == Ok(reading.hash()) => Kept::Known,
        Some(first) => {
            Kept::SecondReading { interval, whose, first, second: Arc::clone(reading.bytes()) }
        }
    };
    Ok((kept, id))
}
