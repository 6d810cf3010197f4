//! What is done with openings, whoever sent them: those of others are kept if they open what was heard, and
//! our own are made of what is stored.
//!
//! Not for: sending and waiting ([`super::task`]).

use std::sync::Arc;

use boltgrid_market::openings::check;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::{Opening, OpeningRefused, OpeningWord};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Timestamp};
use tracing::{info, warn};

use super::desk::{NotOpened, OpenedInterval, Outcome, Wish};
use super::own::{cohort_of, feeder_of, opening, shares_of};
use super::ruling::{finding, ruling};
use super::{INTERVALS_AT_ONCE, OPEN_MAX};
use crate::store::{Archive, ArchiveError};

/// The grid, and what is stored of it.
#[derive(Debug)]
pub(super) struct Arbiter {
    charter: Arc<Charter>,
    rosters: Rosters,
    archive: Archive,
}

impl Arbiter {
    pub(super) fn new((charter, rosters): (Arc<Charter>, Rosters), archive: Archive) -> Self {
        Self { charter, rosters, archive }
    }

    /// Takes what a member opens to us, and says what we reckon of it.
    pub(super) fn take(
        &mut self,
        from: &ParticipantId,
        interval: Interval,
        opening: &Opening,
    ) -> OpeningWord {
        match self.keep(from, interval, opening) {
            Ok(Ok(word)) => word,
            Ok(Err(refused)) => {
                info!(%from, %interval, %refused, "an opening is not kept");
                OpeningWord::Refused(refused)
            }
            Err(error) => {
                warn!(%error, "an opening cannot be kept");
                OpeningWord::Refused(OpeningRefused::NotNow)
            }
        }
    }

    fn keep(
        &mut self,
        from: &ParticipantId,
        interval: Interval,
        opening: &Opening,
    ) -> Result<Result<OpeningWord, OpeningRefused>, ArchiveError> {
        let roster = self.rosters.at(interval);
        let archive = &self.archive;
        let Some(feeder) = feeder_of(&self.charter, &roster, from) else {
            return Ok(Err(OpeningRefused::NotHeard));
        };
        let Some(record) = archive.cohort(interval, &feeder.name)? else {
            return Ok(Err(OpeningRefused::NotHeard));
        };
        let Ok(cohort) = cohort_of(&record, &roster, (&feeder.name, interval)) else {
            return Ok(Err(OpeningRefused::NotHeard));
        };
        if let Err(refused) = check(&cohort, &shares_of(&record), (from, opening)) {
            return Ok(Err(refused));
        }
        archive.put_opening(interval, from, opening, OPEN_MAX)?;
        let ruling = ruling(archive, (&self.charter, &mut self.rosters), feeder)?;
        Ok(Ok(OpeningWord::Kept(finding(&ruling, from))))
    }

    /// What a wish comes to, interval by interval, with what opens those that can be opened.
    pub(super) fn prepare(
        &mut self,
        key: &Keypair,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<Vec<(OpenedInterval, Option<Opening>)>, NotOpened> {
        let count = wish.last.to_number().checked_sub(wish.first.to_number());
        if count.is_none_or(|count| count >= INTERVALS_AT_ONCE) {
            return Err(NotOpened::Span);
        }
        let now = self.charter.interval.interval_at(now);
        if self.rosters.at(now).index_of(&wish.to).is_none() {
            return Err(NotOpened::NoMember);
        }
        let mut prepared = Vec::new();
        let mut interval = wish.first;
        while interval <= wish.last {
            let roster = self.rosters.at(interval);
            let about = (&*self.charter, &*roster);
            let made = opening(&self.archive, key, about, interval);
            let given = made.as_ref().map(|it| (it.net(), it.masks())).map_err(|why| *why);
            let told = OpenedInterval { interval, given, outcome: Outcome::NotSent };
            prepared.push((told, made.ok()));
            interval = interval.next();
        }
        Ok(prepared)
    }
}
