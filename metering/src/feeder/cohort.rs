//! The balance of a feeder of which only the sum of its sites is known (P43): what flowed through each
//! of them is taken from what it ordered, and a gap is nobody's in particular.
//!
//! Not for: how the sum is made.

use boltgrid_protocol::units::{Energy, Interval, NetEnergy};

use super::{Balance, FeederGap, Sums, WINDOW_INTERVALS, standing_row, whole_gap};

/// What is known of one interval of a feeder whose sites are added up unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CohortFlow {
    /// The interval.
    pub interval: Interval,
    /// Net flow into the feeder by its own meter.
    pub feeder: NetEnergy,
    /// What the sites of the cohort took on balance.
    pub sites: NetEnergy,
    /// How many they are.
    pub present: usize,
    /// What they ordered to take or to give, of each the larger: no less should flow through them.
    pub ordered: Energy,
    /// What of that was to be given.
    pub sold: Energy,
    /// The most that the sites that are not of the cohort are rated to take or to give.
    pub absent_most: Energy,
}

/// Adds up an interval, as [`super::balance`] does. None where the sums are beyond 63 bits.
#[must_use]
pub fn balance_of_cohort(flow: &CohortFlow, loss_ppm: u32, interval_ms: u64) -> Option<Balance> {
    let net = flow.sites.received().max(flow.sites.given());
    let sums = Sums {
        feeder: flow.feeder,
        sites: flow.sites,
        put_in: flow.feeder.received().checked_add(flow.sold.max(flow.sites.given()))?,
        through: flow.ordered.max(net),
        meters: flow.present,
    };
    let balance = sums.balance(flow.interval, loss_ppm, interval_ms)?;
    let tolerance_mwh = balance.tolerance_mwh.saturating_add(flow.absent_most);
    Some(Balance { tolerance_mwh, ..balance })
}

/// Whether an interval tells whether its meters are right. Where sites are absent and the gap is within
/// what they may have moved, it does not.
#[must_use]
pub fn tells(flow: &CohortFlow, balance: &Balance) -> bool {
    flow.absent_most == Energy::ZERO || !balance.is_even()
}

/// The gap that stands at the end of these intervals, the oldest first, as [`super::standing_gap`]
/// finds it of those that tell, with no suspects: it comes from the cohort, from its feeder's meter, or from what no meter
/// sees.
#[must_use]
pub fn standing_gap_of_cohort(flows: &[(CohortFlow, Balance)]) -> Option<FeederGap> {
    let latest = flows.get(flows.len().saturating_sub(WINDOW_INTERVALS)..)?;
    let telling: Vec<&Balance> =
        latest.iter().filter(|(flow, balance)| tells(flow, balance)).map(|(_, it)| it).collect();
    let in_row = standing_row(telling.iter().rev().copied())?;
    whole_gap(telling.iter().skip(telling.len().saturating_sub(in_row)).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_MS: u64 = 300_000;

    const fn net(mwh: i64) -> NetEnergy {
        NetEnergy::from_milliwatt_hours(mwh)
    }

    const fn energy(mwh: u64) -> Energy {
        Energy::from_milliwatt_hours(mwh)
    }

    /// Ten sites, of which some give 500 Wh and others take 600 Wh of it.
    fn flow(number: u64, feeder: i64) -> CohortFlow {
        CohortFlow {
            interval: Interval::from_number(number),
            feeder: net(feeder),
            sites: net(100_000),
            present: 10,
            ordered: energy(1_100_000),
            sold: energy(500_000),
            absent_most: Energy::ZERO,
        }
    }

    #[test]
    fn what_flowed_is_taken_from_the_orders_and_the_absent_widen_the_tolerance() {
        let balance = balance_of_cohort(&flow(1, 130_000), 50_000, INTERVAL_MS).unwrap();
        // 5 % of what the feeder and its sellers put in.
        assert_eq!(balance.losses_mwh, energy(31_500));
        assert!(balance.gap_mwh == NetEnergy::ZERO && balance.is_even());
        // 2 % of what was ordered, and 10 W of eleven meters for five minutes.
        assert_eq!(balance.tolerance_mwh, energy(22_000 + 11 * 834));
        let absent = CohortFlow { absent_most: energy(700_000), ..flow(1, 700_000) };
        let wider = balance_of_cohort(&absent, 0, INTERVAL_MS).unwrap();
        assert_eq!(wider.gap_mwh, net(600_000));
        assert!(wider.is_even() && wider.tolerance_mwh > energy(700_000));
        assert!(!balance_of_cohort(&flow(1, 700_000), 0, INTERVAL_MS).unwrap().is_even());
    }

    fn standing(flows: impl Iterator<Item = CohortFlow>) -> Option<FeederGap> {
        let balanced = |flow: CohortFlow| {
            let balance = balance_of_cohort(&flow, 0, INTERVAL_MS).unwrap();
            (flow, balance)
        };
        standing_gap_of_cohort(&flows.map(balanced).collect::<Vec<_>>())
    }

    #[test]
    fn an_interval_that_is_even_only_for_who_is_absent_breaks_no_row() {
        let row = |third: CohortFlow| {
            let [first, second, last] = [0, 1, 3].map(|number| flow(number, 300_000));
            standing([first, second, third, last].into_iter())
        };
        let absent = CohortFlow { absent_most: energy(500_000), ..flow(2, 100_000) };
        assert_eq!(row(absent).unwrap().intervals, 3);
        assert_eq!(row(flow(2, 100_000)), None, "where all are there it is over");
        let beyond = CohortFlow { feeder: net(900_000), ..absent };
        assert_eq!(row(beyond).unwrap().intervals, 4);
    }

    #[test]
    fn a_gap_stands_in_its_third_interval_and_names_nobody() {
        let gap = |feeder: &[i64]| {
            let flows = (0..).zip(feeder).map(|(number, feeder)| flow(number, *feeder));
            standing(flows)
        };
        assert_eq!(gap(&[100_000; 5]), None, "honest sites");
        assert_eq!(gap(&[100_000, 300_000, 300_000]), None, "two may be chance");
        assert_eq!(gap(&[300_000, -300_000, 300_000]), None, "to and fro");
        assert_eq!(gap(&[300_000, 300_000, 300_000, 100_000]), None, "over");
        let stands = gap(&[100_000, 300_000, 300_000, 300_000]).unwrap();
        assert_eq!((stands.since, stands.intervals), (Interval::from_number(1), 3));
        assert_eq!((stands.gap_mwh, stands.suspects.len()), (net(600_000), 0));
    }
}
