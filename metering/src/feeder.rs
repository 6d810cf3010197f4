//! The balance of a feeder: what its meter counts against what the meters of its sites say, which of
//! them a gap could come from, and which of them it does come from (P39).
//!
//! Everything is a function of signed readings, or of a sum of them, so that every member comes to the same result. A
//! signature says who claims; the sum of a line's claims can be held against the line.
//! Not for: where readings come from, or what follows for the members that are named: nothing does by
//! itself.

mod cohort;
mod locate;
mod onset;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Energy, Interval, NetEnergy};
use serde::{Deserialize, Serialize};

pub use cohort::{CohortFlow, balance_of_cohort, standing_gap_of_cohort, tells};
pub use locate::{Suspect, suspects};
pub use onset::located;

/// So many balanced or unbalanced intervals in a row are no chance.
pub const PERSISTENT_INTERVALS: usize = 3;
/// At most so many of the latest intervals are looked at.
pub const WINDOW_INTERVALS: usize = 24;
/// At most so many of a row, and at most so many before it, are compared.
const COMPARED_INTERVALS: usize = 12;
/// What meters of class 2 may be wrong by, in per cent of what flowed.
const TOLERANCE_PERCENT: u64 = 2;
/// And for every meter so much for its steps and for the instant it is read at, in mW.
const TOLERANCE_PER_METER_MW: u64 = 10_000;
/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;
/// One, in parts per million.
const PPM: u64 = 1_000_000;

/// What the meters of one feeder say of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeederFlow {
    /// The interval.
    pub interval: Interval,
    /// Net flow into the feeder by its own meter.
    pub feeder: NetEnergy,
    /// What its sites say. All of them are here.
    pub sites: Vec<SiteFlow>,
    /// What the other sites of the grid say, as far as that is known. The same weather is over them.
    pub elsewhere: Vec<(ParticipantId, NetEnergy)>,
}

/// What the meter of one site says of one interval, and what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteFlow {
    /// Whose.
    pub participant: ParticipantId,
    /// Net flow into the site.
    pub net: NetEnergy,
    /// The most that it is rated to take in an interval.
    pub import_most: Energy,
    /// The most that it is rated to give in one.
    pub export_most: Energy,
}

/// One interval of a feeder, added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The interval.
    pub interval: Interval,
    /// Net flow into the feeder by its own meter.
    pub feeder_mwh: NetEnergy,
    /// The sum of what its sites say.
    pub sites_mwh: NetEnergy,
    /// The most that the lines may have taken.
    pub losses_mwh: Energy,
    /// What neither sites nor losses explain: positive where more flowed into the feeder.
    pub gap_mwh: NetEnergy,
    /// How large a gap may be.
    pub tolerance_mwh: Energy,
    /// What flowed, for comparison: the larger of the feeder's and all its sites' flows.
    pub turnover_mwh: Energy,
}

impl Balance {
    /// Whether the gap is within what meters may be wrong by.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.gap_mwh.to_milliwatt_hours().unsigned_abs() <= self.tolerance_mwh.to_milliwatt_hours()
    }

    /// The gap as part of what flowed, in parts per million, rounded towards zero.
    #[must_use]
    pub fn gap_ppm(&self) -> i64 {
        let turnover = i128::from(self.turnover_mwh.to_milliwatt_hours()).max(1);
        let part = i128::from(self.gap_mwh.to_milliwatt_hours()) * i128::from(PPM) / turnover;
        i64::try_from(part).unwrap_or(if part < 0 { i64::MIN } else { i64::MAX })
    }
}

/// A gap that has lasted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeederGap {
    /// The first interval of those looked at that has it.
    pub since: Interval,
    /// In how many intervals it was seen, all in a row.
    pub intervals: u32,
    /// All of it.
    pub gap_mwh: NetEnergy,
    /// All of it, as part of what flowed.
    pub gap_ppm: i64,
    /// Whose meter it could be, the likeliest first. Empty where no single one explains it: several,
    /// or what no meter sees.
    pub suspects: Vec<Suspect>,
}

/// Adds up an interval. `loss_ppm` is what the lines may take of what is put into them, as the charter
/// says. None where the sums are beyond 63 bits, which no meters' are.
#[must_use]
pub fn balance(flow: &FeederFlow, loss_ppm: u32, interval_ms: u64) -> Option<Balance> {
    let mut sites = NetEnergy::ZERO;
    let (mut through, mut put_in) = (Energy::ZERO, flow.feeder.received());
    for SiteFlow { net, .. } in &flow.sites {
        sites = sites.checked_add(*net)?;
        through = through.checked_add(net.received())?.checked_add(net.given())?;
        put_in = put_in.checked_add(net.given())?;
    }
    let sums = Sums { feeder: flow.feeder, sites, put_in, through, meters: flow.sites.len() };
    sums.balance(flow.interval, loss_ppm, interval_ms)
}

/// What is known of an interval of a feeder, added up.
struct Sums {
    feeder: NetEnergy,
    sites: NetEnergy,
    /// What went into the lines, from whichever end.
    put_in: Energy,
    /// What went through the sites' meters.
    through: Energy,
    /// How many these are.
    meters: usize,
}

impl Sums {
    fn balance(&self, interval: Interval, loss_ppm: u32, interval_ms: u64) -> Option<Balance> {
        let Self { feeder, sites, .. } = *self;
        let lost = u128::from(self.put_in.to_milliwatt_hours()) * u128::from(loss_ppm);
        let losses = u64::try_from(lost.div_ceil(u128::from(PPM))).ok()?;
        let feeder_gross = feeder.received().saturating_add(feeder.given());
        let turnover = self.through.max(feeder_gross);
        let apart = feeder.checked_add(sites.checked_neg()?)?.to_milliwatt_hours();
        let beyond = apart.saturating_sub(i64::try_from(losses).ok()?);
        let gap = if beyond > 0 { beyond } else { apart.min(0) };
        let meters = u64::try_from(self.meters).ok()?.saturating_add(1);
        let per_meter = TOLERANCE_PER_METER_MW.saturating_mul(interval_ms).div_ceil(HOUR_MS);
        let share = turnover.to_milliwatt_hours().div_ceil(100).saturating_mul(TOLERANCE_PERCENT);
        let tolerance = per_meter.saturating_mul(meters).saturating_add(share);
        Some(Balance {
            interval,
            feeder_mwh: feeder,
            sites_mwh: sites,
            losses_mwh: Energy::from_milliwatt_hours(losses),
            gap_mwh: NetEnergy::from_milliwatt_hours(gap),
            tolerance_mwh: Energy::from_milliwatt_hours(tolerance),
            turnover_mwh: turnover,
        })
    }
}

/// The gap that stands at the end of these intervals, the oldest first, if one has lasted: the same
/// way, beyond tolerance, in each of the last three of them or more. Intervals of which readings are
/// missing are not among them and break no row. `feeder` is whose meter the feeder's is.
#[must_use]
pub fn standing_gap(feeder: ParticipantId, flows: &[(FeederFlow, Balance)]) -> Option<FeederGap> {
    let (_, row) = split(flows)?;
    let latest = row.get(row.len().saturating_sub(COMPARED_INTERVALS)..)?;
    let gap = whole_gap(row.iter().map(|(_, balance)| balance))?;
    Some(FeederGap { suspects: suspects(feeder, latest), ..gap })
}

/// A row of gaps as one, nobody's.
fn whole_gap<'a>(mut row: impl Iterator<Item = &'a Balance>) -> Option<FeederGap> {
    let (mut total, mut intervals) = (*row.next()?, 1_u32);
    for balance in row {
        total.gap_mwh = total.gap_mwh.checked_add(balance.gap_mwh)?;
        total.turnover_mwh = total.turnover_mwh.saturating_add(balance.turnover_mwh);
        intervals = intervals.saturating_add(1);
    }
    Some(FeederGap {
        since: total.interval,
        intervals,
        gap_mwh: total.gap_mwh,
        gap_ppm: total.gap_ppm(),
        suspects: Vec::new(),
    })
}

/// How many of the latest balances are a gap that stands, if it does.
fn standing_row<'a>(latest_first: impl Iterator<Item = &'a Balance> + Clone) -> Option<usize> {
    let more = |balance: &Balance| balance.gap_mwh > NetEnergy::ZERO;
    let way = latest_first.clone().next().map(more)?;
    let in_row = latest_first.take_while(|it| !it.is_even() && more(it) == way).count();
    (in_row >= PERSISTENT_INTERVALS).then_some(in_row)
}

/// The intervals of the gap that stands at the end of these, and what was looked at before them.
fn split(flows: &[(FeederFlow, Balance)]) -> Option<(Intervals<'_>, Intervals<'_>)> {
    let latest = flows.get(flows.len().saturating_sub(WINDOW_INTERVALS)..)?;
    let in_row = standing_row(latest.iter().rev().map(|(_, balance)| balance))?;
    latest.split_at_checked(latest.len() - in_row)
}

/// Some intervals of a feeder, the oldest first.
type Intervals<'a> = &'a [(FeederFlow, Balance)];

#[cfg(test)]
mod tests;
