//! Substitutes for the site's own missing readings, kept as what they are until the truth comes, and a
//! correction for every value that was shown and is another now.
//!
//! They are for people, statistics and forecasts; nothing is ordered or settled by them. What they
//! change is between the member and its supplier, and an entry of its own each time.
//! Not for: the rules by which they are made (`boltgrid_metering::substitute`).

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::settlement::Correction;
use boltgrid_metering::substitute::{DAYS, Edge, Flow, Rule, flows};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Interval, NetEnergy, SignedMsat, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::store::{Archive, ArchiveError, DayRecord};

/// A day.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// At most so many intervals are looked back at: of five minutes, the days that a profile needs and the
/// one that is looked at. Where intervals are shorter, there are fewer days.
const WINDOW_MAX: u64 = 2_592;
/// Of a day so many intervals are kept for good; those of a minute or more all.
const DAY_INTERVALS_MAX: u64 = 1_440;
/// A reading that is missing is looked for again while its interval is one of so many latest ones.
const LATE_MAX: u64 = 288;

/// What was shown of an interval, what is, and the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionRecord {
    /// The interval.
    pub interval: Interval,
    /// When it was corrected.
    pub at: Timestamp,
    /// What was shown; none where there was nothing to show.
    pub was: Option<Flow>,
    /// What is shown; no substitute where it is the truth.
    pub is: Flow,
    /// How much more was taken on balance than was shown.
    pub more_mwh: NetEnergy,
    /// What the difference brings at the supplier's tariff.
    pub supplier_due_msat: SignedMsat,
}

/// Keeps the site's substitutes.
#[derive(Debug)]
pub(crate) struct Substitutes {
    me: ParticipantId,
    charter: Arc<Charter>,
    archive: Archive,
    edges: BTreeMap<Interval, Edge>,
    /// The last interval that was looked at.
    done: Option<Interval>,
}

impl Substitutes {
    pub(crate) const fn new(me: ParticipantId, charter: Arc<Charter>, archive: Archive) -> Self {
        Self { me, charter, archive, edges: BTreeMap::new(), done: None }
    }

    /// Looks at all intervals up to `last`, whose readings are due.
    pub(crate) fn look(&mut self, now: Timestamp, last: Interval, rosters: &mut Rosters) {
        if let Err(error) = self.try_look(now, last, rosters) {
            warn!(%error, "substitutes for missing readings are not up to date");
        }
        self.done = Some(last);
    }

    fn try_look(
        &mut self,
        now: Timestamp,
        last: Interval,
        rosters: &mut Rosters,
    ) -> Result<(), ArchiveError> {
        let day_intervals = DAY_MS.div_ceil(self.charter.interval.interval_ms);
        let window = day_intervals.saturating_mul(DAYS + 1).min(WINDOW_MAX);
        let first = last.minus(window);
        self.read(first, last.next(), rosters)?;
        let Some(begins) = self.edges.keys().next().copied() else { return Ok(()) };
        let kept = self.archive.substitutes(first..last.next())?;
        let flows = flows(&self.edges, begins..last.next(), day_intervals);
        self.keep_days(first, last, &flows)?;
        for (interval, is) in flows {
            let was = kept.get(&interval).copied();
            match (was, is.substitute) {
                (None, None) => {}
                (Some(was), Some(_)) if was == is => {}
                (_, Some(_)) => {
                    self.archive.put_substitute(interval, &is)?;
                    self.correct(now, interval, was, is)?;
                }
                (Some(_), None) => {
                    self.correct(now, interval, was, is)?;
                    self.archive.remove_substitute(interval)?;
                }
            }
        }
        Ok(())
    }

    /// Keeps the days that are over and looked at in whole.
    fn keep_days(
        &self,
        first: Interval,
        last: Interval,
        flows: &BTreeMap<Interval, Flow>,
    ) -> Result<(), ArchiveError> {
        let timing = &self.charter.interval;
        let day_of = |interval| timing.start_of(interval).to_unix_ms() / DAY_MS;
        let mut days: BTreeMap<u64, DayRecord> = BTreeMap::new();
        let whole = day_of(first.previous()).saturating_add(1)..day_of(last.next());
        for (interval, flow) in flows.iter().filter(|(it, _)| whole.contains(&day_of(**it))) {
            let day = day_of(*interval);
            let begins = |day: u64| {
                let at = Timestamp::from_unix_ms(day.saturating_mul(DAY_MS));
                timing.interval_at(at.plus_ms(timing.interval_ms).minus_ms(1))
            };
            let record = days.entry(day).or_insert_with(|| {
                let (first, next) = (begins(day), begins(day.saturating_add(1)));
                let count = next.to_number().saturating_sub(first.to_number());
                let count = usize::try_from(count.min(DAY_INTERVALS_MAX)).unwrap_or(0);
                DayRecord { first, flows: vec![None; count] }
            });
            let place = interval.to_number().saturating_sub(record.first.to_number());
            let place = usize::try_from(place).ok().and_then(|it| record.flows.get_mut(it));
            if let Some(place) = place {
                *place = Some(*flow);
            }
        }
        for (day, now_known) in days {
            let mut record = self.archive.day(day)?.unwrap_or_else(|| DayRecord {
                first: now_known.first,
                flows: vec![None; now_known.flows.len()],
            });
            if record.learn(&now_known) {
                self.archive.put_day(day, &record)?;
            }
        }
        Ok(())
    }

    /// Reads the own readings that are not known yet.
    fn read(
        &mut self,
        first: Interval,
        last: Interval,
        rosters: &mut Rosters,
    ) -> Result<(), ArchiveError> {
        self.edges.retain(|edge, _| *edge >= first);
        let mut edge = self.done.map_or(first, |done| first.max(done.minus(LATE_MAX)));
        while edge <= last {
            if !self.edges.contains_key(&edge)
                && let Some(signed) = self.archive.reading(edge, &self.me)?
                && let Some(reading) = verified(signed, &self.charter, rosters, edge)
            {
                self.edges.insert(edge, edge_of(&reading));
            }
            edge = edge.next();
        }
        Ok(())
    }

    fn correct(
        &self,
        at: Timestamp,
        interval: Interval,
        was: Option<Flow>,
        is: Flow,
    ) -> Result<(), ArchiveError> {
        let net = |flow: &Flow| NetEnergy::between(flow.import_mwh, flow.export_mwh).ok();
        let (before, after) = (was.as_ref().map_or(Some(NetEnergy::ZERO), net), net(&is));
        let start = self.charter.interval.start_of(interval);
        let correction = before.zip(after).map(|(was, is)| Correction {
            interval,
            was,
            is,
            prices: self.charter.tariff.at(start),
        });
        let entered = correction.and_then(|correction| {
            let entry = correction.entry().ok()?;
            let mine = entry.postings().first()?;
            Some((mine.energy, mine.money))
        });
        let Some((more_mwh, supplier_due_msat)) = entered else {
            warn!(%interval, "a substitute is beyond all that can be reckoned with");
            return Ok(());
        };
        let record = CorrectionRecord { interval, at, was, is, more_mwh, supplier_due_msat };
        info!(
            target: "boltgrid::event::correction",
            %interval, %more_mwh, %supplier_due_msat, now = rule(Some(&is)), before = rule(was.as_ref()),
            "what is shown of an interval was corrected"
        );
        self.archive.put_correction(&record)
    }
}

/// How a value came about, as it is named in JSON and on the command line.
#[must_use]
pub fn rule(flow: Option<&Flow>) -> &'static str {
    flow.map_or("unknown", |flow| flow.substitute.map_or("measured", Rule::name))
}

/// What a signed reading says of its edge.
#[must_use]
pub(crate) const fn edge_of(reading: &Reading) -> Edge {
    Edge {
        sequence: reading.sequence,
        import: reading.import_register_mwh,
        export: reading.export_register_mwh,
    }
}

/// What is stored is trusted no more than what is received.
fn verified(
    signed: Arc<[u8]>,
    charter: &Charter,
    rosters: &mut Rosters,
    edge: Interval,
) -> Option<Reading> {
    let verified = Signed::<Reading>::decode(signed)
        .and_then(|signed| signed.verify(charter, &rosters.at(edge)));
    verified
        .inspect_err(|error| warn!(%error, %edge, "a stored reading does not verify"))
        .ok()
        .map(|verified| *verified.body())
}

#[cfg(test)]
mod tests;
