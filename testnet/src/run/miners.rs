//! Mining machines in a run: which there are, and what is made of them.
//! Not for: the machines' languages ([`crate::devices::miners`]) or physics ([`crate::plant`]).

pub mod park;
pub mod spoilt;
pub mod watch;
pub mod well;

pub use park::{Park, SiteMining};
pub use watch::Watch;

use std::collections::BTreeMap;

use super::invariants::Tally;
use super::report::{IntervalRow, Report, WithoutMiners};

/// Of the surplus that nobody bought without machines, so much must be taken up with them, in percent.
const TAKEN_UP_PERCENT_MIN: u64 = 90;

/// Puts a run without machines beside one with them, interval by interval of the profiles.
///
/// Surplus that nobody took is what went to the supplier unsold and what PV was turned down by: without
/// machines sites turn their PV down before they pay the supplier for taking it. Where the supplier pays
/// for it, to sell it there is right as long as that is more than it is worth to a machine, and an
/// interval whose sun came or went after its orders were made has surplus that nobody could know of; so
/// neither is judged.
pub fn compare(report: &mut Report, without: &Report) {
    let rows = |report: &Report| -> BTreeMap<String, IntervalRow> {
        report.intervals.iter().map(|row| (row.local_time.clone(), row.clone())).collect()
    };
    let (with, before) = (rows(report), rows(without));
    let mut compared = WithoutMiners::default();
    let is_judged = |row: &IntervalRow| row.feed_in_msat_per_kwh <= 0 && !row.weather_changed;
    for (with, before) in with.iter().filter_map(|(time, with)| Some((with, before.get(time)?))) {
        if !is_judged(with) || !is_judged(before) {
            continue;
        }
        let add = |sum: &mut u64, mwh: u64| *sum = sum.saturating_add(mwh);
        compared.intervals = compared.intervals.saturating_add(1);
        add(&mut compared.unsold_export_mwh, before.unsold_export_mwh);
        add(&mut compared.unsold_export_with_miners_mwh, with.unsold_export_mwh);
        add(&mut compared.curtailed_mwh, before.curtailed_mwh);
        add(&mut compared.curtailed_with_miners_mwh, with.curtailed_mwh);
    }
    let mut tally = Tally::default();
    let left = compared.left_mwh();
    let whole = compared.unsold_export_mwh.saturating_add(compared.curtailed_mwh);
    tally.check(left <= whole / 100 * (100 - TAKEN_UP_PERCENT_MIN), || {
        format!("{left} mWh were taken by nobody with machines, {whole} without")
    });
    report.invariants.push(tally.row("machines_take_up_unsold_surplus"));
    report.mining.without_miners = Some(compared);
}

impl WithoutMiners {
    /// What nobody took with machines: what was unsold, and what PV was turned down by.
    #[must_use]
    pub const fn left_mwh(&self) -> u64 {
        self.unsold_export_with_miners_mwh.saturating_add(self.curtailed_with_miners_mwh)
    }
}

#[cfg(test)]
mod tests;
