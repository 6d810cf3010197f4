//! The chain of one meter's readings: each names the one before, so none can be slipped in or left out.
//!
//! One's own readings are made and signed here; everyone's are followed here.
//! Not for: storing them, or proving that a meter signed two for one instant
//! (`boltgrid_protocol::evidence`).

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{MessageRejected, Unsigned, Verified};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::Timestamp;

use crate::edge::AtEdge;

/// Why a reading is not the next of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainRejected {
    /// Readings are missing in between.
    #[error("reading {shown} follows, but {expected} is next")]
    Gap {
        /// The sequence number that is next.
        expected: u64,
        /// The one shown.
        shown: u64,
    },
    /// The same reading once more, or one from before.
    #[error("reading {0} again")]
    Repeated(u64),
    /// Two readings claim the same place, or the one before is another.
    #[error("reading {0} is on another branch")]
    Fork(u64),
    /// Not after the reading before.
    #[error("the reading of {shown} comes after the one of {before}")]
    TimeBack {
        /// The instant of the reading before.
        before: Timestamp,
        /// The instant shown.
        shown: Timestamp,
    },
    /// A register shows less than before.
    #[error("the {0} register went back")]
    RegisterBack(&'static str),
    /// The instant is not the start of an interval.
    #[error("{0} is not an interval's edge")]
    NotAnEdge(Timestamp),
    /// Everyone would reject the message.
    #[error(transparent)]
    Message(#[from] MessageRejected),
}

/// Where a meter's chain has got to.
///
/// Invariant: whatever follows has a later instant and registers that are no lower.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadingChain {
    last: Option<(Reading, MessageHash)>,
}

impl ReadingChain {
    /// A meter that never signed a reading.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// A chain whose last known reading is `last`, such as the last one stored.
    #[must_use]
    pub const fn resume(last: &Verified<Reading>) -> Self {
        Self { last: Some((*last.body(), last.hash())) }
    }

    /// The last reading.
    #[must_use]
    pub fn last(&self) -> Option<&Reading> {
        self.last.as_ref().map(|(reading, _)| reading)
    }

    /// The reading that follows with what holds at an edge.
    ///
    /// # Errors
    ///
    /// [`ChainRejected`] where nobody could follow it.
    pub fn next(&self, shown: &AtEdge) -> Result<Reading, ChainRejected> {
        let (sequence, previous) =
            self.last.map_or((0, MessageHash::default()), |(last, hash)| (last.sequence + 1, hash));
        let reading = Reading {
            at: shown.at,
            sequence,
            previous,
            import_register_mwh: shown.import_register,
            export_register_mwh: shown.export_register,
            power_mw: shown.power,
            potential_mw: shown.potential,
            voltage_mv: shown.voltage_mv,
            frequency_mhz: shown.frequency_mhz,
        };
        self.check(&reading)?;
        Ok(reading)
    }

    /// Makes and signs the next reading. The chain stays where it is until the reading is stored and
    /// [`Self::follow`] is told.
    ///
    /// # Errors
    ///
    /// [`ChainRejected`].
    pub fn sign(
        &self,
        shown: &AtEdge,
        (author, key): (&ParticipantId, &Keypair),
        (charter, roster): (&Charter, &Roster),
    ) -> Result<Verified<Reading>, ChainRejected> {
        let unsigned = self.unsigned(shown, author, (charter, roster))?;
        let signature = unsigned.sign_with(key);
        Ok(unsigned.signed(&signature, (charter, roster))?)
    }

    /// Makes the next reading, for a key that is elsewhere to sign.
    ///
    /// # Errors
    ///
    /// [`ChainRejected`].
    pub fn unsigned(
        &self,
        shown: &AtEdge,
        author: &ParticipantId,
        (charter, roster): (&Charter, &Roster),
    ) -> Result<Unsigned<Reading>, ChainRejected> {
        let interval = charter.interval.interval_at(shown.at);
        if charter.interval.start_of(interval) != shown.at {
            return Err(ChainRejected::NotAnEdge(shown.at));
        }
        Ok(Unsigned::new(&self.next(shown)?, interval, author, roster))
    }

    /// Takes the next reading of the chain.
    ///
    /// # Errors
    ///
    /// [`ChainRejected`]; the chain then is as it was before.
    pub fn follow(&mut self, next: &Verified<Reading>) -> Result<(), ChainRejected> {
        if let Some((last, hash)) = &self.last
            && next.body().sequence == last.sequence
            && next.hash() != *hash
        {
            return Err(ChainRejected::Fork(last.sequence));
        }
        self.check(next.body())?;
        self.last = Some((*next.body(), next.hash()));
        Ok(())
    }

    fn check(&self, reading: &Reading) -> Result<(), ChainRejected> {
        let expected = self.last().map_or(0, |last| last.sequence + 1);
        let shown = reading.sequence;
        if shown > expected {
            return Err(ChainRejected::Gap { expected, shown });
        }
        if shown < expected {
            return Err(ChainRejected::Repeated(shown));
        }
        let Some((last, hash)) = &self.last else {
            let first = reading.previous == MessageHash::default();
            return if first { Ok(()) } else { Err(ChainRejected::Fork(shown)) };
        };
        if reading.previous != *hash {
            return Err(ChainRejected::Fork(shown));
        }
        if reading.at <= last.at {
            return Err(ChainRejected::TimeBack { before: last.at, shown: reading.at });
        }
        if reading.import_register_mwh < last.import_register_mwh {
            return Err(ChainRejected::RegisterBack("import"));
        }
        if reading.export_register_mwh < last.export_register_mwh {
            return Err(ChainRejected::RegisterBack("export"));
        }
        Ok(())
    }
}
