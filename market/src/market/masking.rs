//! Masked shares (P42): our own of an interval that has ended, everybody else's, and the sum of every
//! feeder's sites.
//!
//! A share follows from two readings that are on disk and a book that there is one of, so that one that
//! is made again after a restart is the one that was made before. Not for: charters that ask for none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_protocol::charter::Feeder;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::masking::{Cohort, CohortRefused, Share, add_up, share};
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Interval, NetEnergy, Timestamp};

use super::Market;
use crate::cohort::{self, FeederSum, NoSum};
use crate::effect::Effect;
use crate::notice::Notice;
use crate::readings::Noted;
use crate::round::{Judgement, Round};
use crate::shares::Shares;

/// Shares that were heard, and what was made of them. Bounded by open rounds × feeders, but for the
/// shares, which have their own bound.
#[derive(Debug, Default)]
pub(super) struct Masking {
    shares: Shares,
    /// Intervals of which our own share was made, or cannot be.
    made: BTreeSet<Interval>,
    /// Feeders, by their place in the charter, whose sum was told or given up.
    told: BTreeSet<(Interval, usize)>,
    /// Who masks with whom, since the book is known.
    cohorts: BTreeMap<(Interval, usize), Result<Cohort, CohortRefused>>,
}

impl Market {
    /// Makes our own share and adds up what can be.
    pub(super) fn mask(&mut self, now: Timestamp) -> Vec<Effect> {
        if !self.charter.readings.is_masked() {
            return Vec::new();
        }
        let rounds = &self.rounds;
        self.masking.made.retain(|interval| rounds.contains_key(interval));
        self.masking.told.retain(|(interval, _)| rounds.contains_key(interval));
        self.masking.cohorts.retain(|(interval, _), _| rounds.contains_key(interval));
        let ended: Vec<Interval> = rounds
            .values()
            .filter(|round| now >= round.schedule.delivery_ends)
            .map(|round| round.interval)
            .collect();
        let mut effects = Vec::new();
        for interval in ended {
            effects.extend(self.share_own(interval, now));
            effects.extend(self.sums(interval, now));
        }
        effects
    }

    fn cohort(
        &mut self,
        interval: Interval,
        place: usize,
    ) -> Option<Result<Cohort, CohortRefused>> {
        if let Some(known) = self.masking.cohorts.get(&(interval, place)) {
            return Some(known.clone());
        }
        let feeder = self.charter.feeders.get(place)?;
        let cohort = cohort::of(self.rounds.get(&interval)?, feeder)?;
        self.masking.cohorts.insert((interval, place), cohort.clone());
        Some(cohort)
    }

    /// Our own share, once both readings and the book are known, while others still take it.
    fn share_own(&mut self, interval: Interval, now: Timestamp) -> Option<Effect> {
        let round = self.rounds.get(&interval)?;
        if now > round.schedule.readings_by || self.masking.made.contains(&interval) {
            return None;
        }
        let me = &round.seat.roster.member(round.seat.me?)?.enrolment;
        let place = self.charter.feeders.iter().position(|feeder| feeder.feeds(me))?;
        let metered = self.readings.metered(&self.participant, interval)?;
        let net = NetEnergy::between(metered.import, metered.export).ok()?;
        let cohort = self.cohort(interval, place)?;
        self.masking.made.insert(interval);
        // Whoever is not of the cohort has nothing to share, and no key of a roster is a bad one.
        let (masked, _) = share(&cohort.ok()?, &self.key, net).ok()?;
        let signed = self.rounds.get(&interval)?.seat.sign(&masked, interval)?;
        let bytes = Arc::clone(signed.bytes());
        match self.masking.shares.note(signed) {
            Noted::New | Noted::Known => Some(Effect::Gossip(Topic::Readings, bytes)),
            Noted::Contradicts(_) => None,
        }
    }

    /// Takes a site's share: the first one counts, and another one is evidence.
    pub(super) fn hear_share(&mut self, now: Timestamp, share: Verified<Share>) -> Judgement {
        let schedule = self.charter.interval.schedule(share.interval());
        if schedule.delivery_ends > now.plus_ms(self.charter.interval.clock_skew_max_ms) {
            return Judgement::ignore("share_early");
        }
        let second = Arc::clone(share.bytes());
        if now > schedule.readings_by {
            let first = self.masking.shares.other_than(&share);
            return first.map_or(Judgement::ignore("share_late"), |first| {
                Judgement::contradicts(first, second, "double_share")
            });
        }
        // Whoever is in no book has nobody to mask with; while we know of none, we can't tell.
        let book = self.rounds.get(&share.interval()).and_then(Round::moves);
        if book.is_some_and(|book| !book.contains_key(&share.author())) {
            return Judgement::ignore("share_of_no_cohort");
        }
        match self.masking.shares.note(share) {
            Noted::New => Judgement::ACCEPT,
            Noted::Known => Judgement::KNOWN,
            Noted::Contradicts(first) => Judgement::contradicts(first, second, "double_share"),
        }
    }

    /// Tells of every feeder what its sites took, as soon as all is there, or why there is no sum, once
    /// what is missing would come too late.
    fn sums(&mut self, interval: Interval, now: Timestamp) -> Vec<Effect> {
        let charter = Arc::clone(&self.charter);
        let mut effects = Vec::new();
        for (place, feeder) in charter.feeders.iter().enumerate() {
            if self.masking.told.contains(&(interval, place)) {
                continue;
            }
            let cohort = self.cohort(interval, place);
            if let Some(sum) = self.sum(interval, feeder, cohort.as_ref(), now) {
                self.masking.told.insert((interval, place));
                effects.push(Effect::Tell(Notice::Summed(Box::new(sum))));
            }
        }
        effects
    }

    /// The sum of a feeder's sites; none while something may still come.
    fn sum(
        &self,
        interval: Interval,
        feeder: &Feeder,
        cohort: Option<&Result<Cohort, CohortRefused>>,
        now: Timestamp,
    ) -> Option<FeederSum> {
        let round = self.rounds.get(&interval)?;
        let meter = round.seat.roster.meter_of(feeder, &self.charter);
        let metered = meter.and_then(|meter| self.readings.metered(&meter, interval));
        let into = metered.and_then(|it| NetEnergy::between(it.import, it.export).ok());
        let shares = &self.masking.shares;
        let is_whole = match cohort {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(cohort)) => shares.are_all_here(interval, cohort.sites()),
        };
        let is_metered = meter.is_none() || into.is_some();
        if now <= round.schedule.readings_by && !(is_whole && is_metered) {
            return None;
        }
        let heard = shares.of(interval);
        let of_cohort = cohort.and_then(|it| it.as_ref().ok()).map_or(&[][..], Cohort::sites);
        let sites = of_cohort.iter().map(|site| (*site, heard.get(site).copied())).collect();
        let sum = match cohort {
            None => Err(NoSum::NoBook),
            Some(Err(refused)) => Err(NoSum::Refused(*refused)),
            Some(Ok(cohort)) => add_up(cohort, &heard).map_err(NoSum::Rejected),
        };
        let turnout = cohort::turnout(round, feeder);
        let feeder = feeder.name.clone();
        let sites = Arc::new(sites);
        Some(FeederSum { interval, feeder, meter, feeder_mwh: into, turnout, sites, sum })
    }
}
