//! The site's own readings: one for each interval's edge, chained, signed and stored before it leaves.
//!
//! Invariant (write-ahead, P21): what leaves is in the journal; for an edge that was signed before,
//! the stored bytes are sent again and nothing is signed anew.

use std::sync::Arc;

use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_metering::chain::{ChainRejected, ReadingChain};
use boltgrid_metering::edge::{AtEdge, EdgeRejected, at_edge};
use boltgrid_metering::sample::Sample;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{MessageRejected, Signed, Verified};
use boltgrid_protocol::id::{MeterKey, ParticipantId};
use boltgrid_protocol::message::INTERVALS_BACK;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Interval, Timestamp};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, error, info, warn};

use crate::meter_keys::{MeterKeyError, MeterKeys};
use crate::store::{JournalError, JournalHandle};

/// Who signs.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) participant: ParticipantId,
    pub(super) meter: MeterKeys,
    pub(super) charter: Arc<Charter>,
    pub(super) rosters: Rosters,
}

/// A signed reading of the site's own, already stored.
#[derive(Debug)]
pub enum OwnReading {
    /// Made just now.
    Made(Verified<Reading>),
    /// The last one, sent once more after a restart.
    Again(Verified<Reading>),
}

impl OwnReading {
    /// The reading.
    pub const fn reading(&self) -> &Verified<Reading> {
        let (Self::Made(reading) | Self::Again(reading)) = self;
        reading
    }
}

/// Makes and sends the site's readings.
#[derive(Debug)]
pub(super) struct Readings {
    signer: Signer,
    journal: JournalHandle,
    outbox: mpsc::Sender<OwnReading>,
    chain: ReadingChain,
    /// The key that signs the chain, once it is known to be enrolled.
    key: Option<MeterKey>,
    /// The last interval whose edge is done with: its reading is stored, or can never be proved.
    done: Option<Interval>,
    /// The latest sample.
    before: Option<Sample>,
}

impl Readings {
    /// Takes the chain up again after its last stored reading, and sends that one again where
    /// others would still take it.
    pub(super) async fn resume(
        mut signer: Signer,
        journal: JournalHandle,
        outbox: mpsc::Sender<OwnReading>,
        now: Timestamp,
    ) -> Result<Self, JournalError> {
        let last = journal.last_reading().await?;
        let done = last.as_ref().map(|(interval, _)| *interval);
        let current = signer.charter.interval.interval_at(now);
        let key = signer.enrolled(current);
        // Of another key the chain is another one, and the registers may be another meter's.
        let last = last.filter(|(interval, _)| key.is_none() || signer.enrolled(*interval) == key);
        let verified = last.and_then(|(interval, bytes)| {
            let verified = signer.verify(interval, bytes);
            let warn = |error: &MessageRejected| {
                warn!(%interval, %error, "the last stored reading is not valid any more (another key \
                    or roster?); the meter's chain begins anew");
            };
            verified.inspect_err(warn).ok()
        });
        let chain = verified.as_ref().map_or_else(ReadingChain::new, ReadingChain::resume);
        let readings = Self { signer, journal, outbox, chain, key, done, before: None };
        if let Some(last) = verified.filter(|last| last.interval().plus(INTERVALS_BACK) >= current)
        {
            readings.send(OwnReading::Again(last));
        }
        Ok(readings)
    }

    /// Looks whether another key is enrolled from now on. Then the chain begins anew, and so must the
    /// registers: they may be another meter's.
    pub(super) fn turn(&mut self, now: Timestamp) -> bool {
        let enrolled = self.signer.enrolled(self.signer.charter.interval.interval_at(now));
        let turns = enrolled.is_some() && self.key.is_some() && enrolled != self.key;
        self.key = enrolled.or(self.key);
        if turns {
            info!(key = ?self.key, "another meter key is enrolled from now on: its chain begins");
            self.chain = ReadingChain::new();
            self.before = None;
        }
        turns
    }

    /// The last reading, where the chain goes on from one.
    pub(super) fn last(&self) -> Option<&Reading> {
        self.chain.last()
    }

    /// Takes note that the registers lack what flowed just before the sample at `first`, which comes
    /// next. An interval in which something is lacking must not have readings of both its edges: the
    /// edge before `first` is not signed, or where it was signed already, the one after.
    pub(super) fn begin_after_gap(&mut self, first: Timestamp) {
        let current = self.signer.charter.interval.interval_at(first);
        let is_signed = self.done.is_some_and(|done| done >= current);
        let unproved = if is_signed { current.next() } else { current };
        warn!(interval = %unproved, "no reading: not all that flowed before it was measured");
        self.done = self.done.max(Some(unproved));
        self.before = None;
    }

    /// Takes a sample and makes the readings of all edges since the last one.
    pub(super) async fn sampled(&mut self, sample: Sample) -> Result<(), JournalError> {
        let timing = self.signer.charter.interval;
        let newest = timing.interval_at(sample.at);
        let before = self.before.replace(sample);
        let first = before.map_or(newest, |before| timing.interval_at(before.at).next());
        // An edge further back has no sample in reach.
        let mut interval = first.max(newest.previous());
        while interval <= newest {
            if self.done.is_none_or(|done| done < interval) {
                let edge = timing.start_of(interval);
                match at_edge(edge, timing.interval_ms, before.as_ref(), &sample) {
                    Ok(shown) => self.make(interval, &shown).await?,
                    Err(error @ EdgeRejected::NoneBefore(_)) => {
                        debug!(%interval, %error, "no reading: started after the edge");
                    }
                    Err(error) => warn!(%interval, %error, "no reading"),
                }
            }
            interval = interval.next();
        }
        Ok(())
    }

    async fn make(&mut self, interval: Interval, shown: &AtEdge) -> Result<(), JournalError> {
        let reading = match self.signer.sign(&self.chain, interval, shown).await {
            Ok(reading) => reading,
            Err(error @ NotSigned::Message(MessageRejected::NotAMember)) => {
                debug!(%interval, %error, "no reading: not enrolled");
                return Ok(());
            }
            Err(error) => {
                error!(%interval, %error, "no reading");
                return Ok(());
            }
        };
        let (slot, bytes) = (Slot::Reading(interval), Arc::clone(reading.bytes()));
        self.journal.record(vec![JournalEntry { slot, bytes }]).await?;
        self.done = Some(interval);
        if let Err(error) = self.chain.follow(&reading) {
            // It was made to follow.
            error!(%interval, %error, "own reading does not follow");
        }
        info!(
            target: "boltgrid::event::reading",
            %interval, sequence = reading.body().sequence,
            import_mwh = shown.import_register.to_milliwatt_hours(),
            export_mwh = shown.export_register.to_milliwatt_hours(),
            power_mw = shown.power.to_milliwatts(), "reading signed"
        );
        self.send(OwnReading::Made(reading));
        Ok(())
    }

    fn send(&self, reading: OwnReading) {
        let interval = reading.reading().interval();
        match self.outbox.try_send(reading) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => error!(%interval, "the market does not take readings"),
            Err(TrySendError::Closed(_)) => debug!(%interval, "the market has stopped"),
        }
    }
}

/// Why a reading is not made.
#[derive(Debug, thiserror::Error)]
enum NotSigned {
    #[error(transparent)]
    Chain(#[from] ChainRejected),
    #[error(transparent)]
    Message(#[from] MessageRejected),
    #[error(transparent)]
    Key(#[from] MeterKeyError),
}

impl Signer {
    /// The meter key that is enrolled in an interval; none for somebody who is no member then.
    fn enrolled(&mut self, interval: Interval) -> Option<MeterKey> {
        let roster = self.rosters.at(interval);
        Some(roster.member(roster.index_of(&self.participant)?)?.enrolment.meter)
    }

    async fn sign(
        &mut self,
        chain: &ReadingChain,
        interval: Interval,
        shown: &AtEdge,
    ) -> Result<Verified<Reading>, NotSigned> {
        let enrolled = self.enrolled(interval).ok_or(MessageRejected::NotAMember)?;
        let roster = self.rosters.at(interval);
        let grid = (&*self.charter, &*roster);
        let unsigned = chain.unsigned(shown, &self.participant, grid)?;
        let signature = self.meter.sign(&enrolled, &unsigned).await?;
        Ok(unsigned.signed(&signature, grid)?)
    }

    fn verify(
        &mut self,
        interval: Interval,
        bytes: Arc<[u8]>,
    ) -> Result<Verified<Reading>, MessageRejected> {
        let roster = self.rosters.at(interval);
        Signed::decode(bytes)?.verify(&self.charter, &roster)
    }
}
