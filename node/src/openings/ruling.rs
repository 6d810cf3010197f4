//! What an arbiter reckons from what was opened to it: as under open readings (P39), from the intervals
//! that all of the cohort opened, and no other.
//!
//! Not for: telling anybody; whoever opens is told of itself only ([`finding`]).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use boltgrid_market::openings::{Opened, opened};
use boltgrid_metering::feeder::{
    Balance, FeederFlow, FeederGap, PERSISTENT_INTERVALS, SiteFlow, WINDOW_INTERVALS, balance,
    located, standing_gap,
};
use boltgrid_protocol::charter::{Charter, Feeder};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::Finding;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::units::{Energy, Interval, NetEnergy, Power};

use super::own::cohort_of;
use crate::store::{Archive, ArchiveError, CohortRecord};

/// A feeder of which something was opened to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeederRuling {
    /// Its name in the charter.
    pub feeder: String,
    /// The intervals that most have opened, at most 24, the latest first.
    pub intervals: Vec<IntervalRuling>,
    /// Of which intervals two neighbours tell different masks.
    pub differing: Vec<(Interval, ParticipantId, ParticipantId)>,
    /// How many intervals the gap was looked for in: those that all of their cohort opened, and of which
    /// the feeder's own meter is known.
    pub reckoned: usize,
    /// The gap that stands at the end of them, with whose meter alone would explain it.
    pub gap: Option<FeederGap>,
    /// Whose meter it comes from, where that can be told.
    pub located: Option<ParticipantId>,
}

/// What is open of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntervalRuling {
    /// The interval.
    pub interval: Interval,
    /// What flowed into the feeder by its own meter, where that is known.
    pub feeder_mwh: Option<NetEnergy>,
    /// What was opened, and what is missing.
    pub opened: Opened,
}

/// What this node reckons of every feeder of which anything was opened to it.
///
/// # Errors
///
/// [`ArchiveError`].
pub fn rulings(
    archive: &Archive,
    charter: &Charter,
    rosters: &mut Rosters,
) -> Result<Vec<FeederRuling>, ArchiveError> {
    let mut all = Vec::new();
    for feeder in &charter.feeders {
        let ruling = ruling(archive, (charter, rosters), feeder)?;
        all.extend((!ruling.intervals.is_empty()).then_some(ruling));
    }
    Ok(all)
}

/// What this node reckons of one feeder.
pub(super) fn ruling(
    archive: &Archive,
    (charter, rosters): (&Charter, &mut Rosters),
    feeder: &Feeder,
) -> Result<FeederRuling, ArchiveError> {
    let (mut intervals, mut differing) = (Vec::new(), Vec::new());
    let (mut flows, mut meter) = (Vec::new(), None);
    // Bounded by what is kept of every member.
    for interval in archive.opened_intervals() {
        let interval = interval?;
        let Some(record) = archive.cohort(interval, &feeder.name)? else { continue };
        let mut openings = archive.openings(interval)?;
        // Those of other feeders are of the same interval.
        openings.retain(|site, _| record.sites.contains_key(site));
        let roster = rosters.at(interval);
        let Ok(cohort) = cohort_of(&record, &roster, (&feeder.name, interval)) else { continue };
        if openings.is_empty() {
            continue;
        }
        let opened = opened(&cohort, &openings);
        differing.extend(opened.differing.iter().map(|(one, other)| (interval, *one, *other)));
        if opened.missing.is_empty() && flows.len() < WINDOW_INTERVALS {
            flows.extend(flow(charter, &roster, (interval, &record), &opened.net_mwh));
            meter = meter.or_else(|| roster.meter_of(feeder, charter));
        }
        intervals.push(IntervalRuling { interval, feeder_mwh: record.feeder_mwh, opened });
    }
    flows.reverse();
    // Whoever opens intervals that nobody else does hides none that others opened.
    intervals.sort_by_key(|it| Reverse((it.opened.net_mwh.len(), it.interval)));
    intervals.truncate(WINDOW_INTERVALS);
    intervals.sort_by_key(|it| Reverse(it.interval));
    let gap = meter.and_then(|meter| standing_gap(meter, &flows));
    let located = meter.filter(|_| gap.is_some()).and_then(|meter| located(meter, &flows));
    let (feeder, reckoned) = (feeder.name.clone(), flows.len());
    Ok(FeederRuling { feeder, intervals, differing, reckoned, gap, located })
}

/// An interval that all of the cohort opened, as it would be under open readings. None where the
/// feeder's meter is not known, or where the gap is within what absent sites may have moved, which tells
/// nothing (P43).
fn flow(
    charter: &Charter,
    roster: &Roster,
    (interval, record): (Interval, &CohortRecord),
    net: &BTreeMap<ParticipantId, NetEnergy>,
) -> Option<(FeederFlow, Balance)> {
    let interval_ms = charter.interval.interval_ms;
    // Ratings are at most a gigawatt, so that this fits.
    let most = |rated: Power| rated.energy_over_floor(interval_ms).unwrap_or(Energy::ZERO);
    let site = |(participant, net): (&ParticipantId, &NetEnergy)| {
        let site = &roster.member(roster.index_of(participant)?)?.enrolment;
        Some(SiteFlow {
            participant: *participant,
            net: *net,
            import_most: most(site.rated_import_mw),
            export_most: most(site.rated_export_mw),
        })
    };
    let sites = net.iter().map(site).collect::<Option<_>>()?;
    let flow = FeederFlow { interval, feeder: record.feeder_mwh?, sites, elsewhere: Vec::new() };
    let balance = balance(&flow, charter.connection.loss_ppm, interval_ms)?;
    let tolerance_mwh = balance.tolerance_mwh.saturating_add(record.absent_most_mwh);
    let balance = Balance { tolerance_mwh, ..balance };
    let tells = record.absent_most_mwh == Energy::ZERO || !balance.is_even();
    tells.then_some((flow, balance))
}

/// What a ruling says of one member, and of nobody else but a neighbour that contradicts it.
pub(super) fn finding(ruling: &FeederRuling, member: &ParticipantId) -> Finding {
    let against = ruling.differing.iter().filter_map(|(_, one, other)| {
        let is_one = (one == member).then_some(*other);
        is_one.or_else(|| (other == member).then_some(*one))
    });
    if let Some(neighbour) = against.min() {
        return Finding::Differs { neighbour };
    }
    if ruling.reckoned < PERSISTENT_INTERVALS {
        return Finding::Waits;
    }
    let Some(gap) = &ruling.gap else { return Finding::NoGap };
    let Some(suspect) = gap.suspects.iter().find(|it| it.participant == *member) else {
        return Finding::Cleared;
    };
    match ruling.located {
        Some(whose) if whose == *member => Finding::Located { shows_ppm: suspect.shows_ppm },
        Some(_) => Finding::Cleared,
        None => Finding::Suspected { shows_ppm: suspect.shows_ppm },
    }
}
