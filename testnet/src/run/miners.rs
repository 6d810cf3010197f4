//! Mining machines in a run: which there are, and what is made of them.
//! Not for: the machines' languages ([`crate::devices::miners`]) or physics ([`crate::plant`]).

pub mod park;
pub mod watch;

pub use park::{Park, SiteMining};
pub use watch::Watch;

use std::collections::BTreeMap;

use super::invariants::Tally;
use super::report::{Report, WithoutMiners};

/// Of the surplus that nobody bought without machines, so much must be taken up with them, in percent.
const TAKEN_UP_PERCENT_MIN: u64 = 90;

/// Puts a run without machines beside one with them, interval by interval of the profiles.
pub fn compare(report: &mut Report, without: &Report) {
    let unsold = |report: &Report| -> BTreeMap<String, u64> {
        let rows = report.intervals.iter();
        rows.map(|row| (row.local_time.clone(), row.unsold_export_mwh)).collect()
    };
    let (with, before) = (unsold(report), unsold(without));
    let both = with.iter().filter_map(|(time, mwh)| Some((*mwh, *before.get(time)?)));
    let mut compared =
        WithoutMiners { curtailed_mwh: without.mining.curtailed_mwh, ..WithoutMiners::default() };
    for (with_mwh, without_mwh) in both {
        compared.intervals = compared.intervals.saturating_add(1);
        compared.unsold_export_mwh = compared.unsold_export_mwh.saturating_add(without_mwh);
        compared.unsold_export_with_miners_mwh =
            compared.unsold_export_with_miners_mwh.saturating_add(with_mwh);
    }
    let mut tally = Tally::default();
    let left_max = compared.unsold_export_mwh / 100 * (100 - TAKEN_UP_PERCENT_MIN);
    tally.check(compared.unsold_export_with_miners_mwh <= left_max, || {
        format!(
            "{} mWh were unsold with machines, {} without",
            compared.unsold_export_with_miners_mwh, compared.unsold_export_mwh
        )
    });
    report.invariants.push(tally.row("machines_take_up_unsold_surplus"));
    report.mining.without_miners = Some(compared);
}

#[cfg(test)]
mod tests;
