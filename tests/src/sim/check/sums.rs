//! Masked sums: what a node takes for the sum of a feeder's sites is what their meters showed (P42),
//! and what these don't show is noticed (P43).
//!
//! Sums with a site whose meter lies are not looked at: it is in them with its lie, and against that
//! there is the feeder's meter.
//! Who is in a sum is read from the certified book, and what a meter showed from what was written to
//! its node's disk. Not for: that no site is seen, which is nothing that happens but something that
//! does not; what leaves a node is looked at in [`super::private`].

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_market::cohort::FeederSum;
use boltgrid_metering::feeder::{
    Balance, CohortFlow, balance_of_cohort, standing_gap_of_cohort, tells,
};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::{Interval, NetEnergy};

use super::one_book::OneBook;
use super::{Facts, Findings, Guarantee, Here};

/// So many sums in a row, of those that tell, and a gap must stand.
const NOTICED_IN: usize = 3;

/// What meters showed, and what every node made of it.
#[derive(Debug, Default)]
pub(in crate::sim) struct Sums {
    shown: BTreeMap<(usize, Interval), (u64, u64)>,
    balances: BTreeMap<usize, Vec<(CohortFlow, Balance)>>,
    /// From which interval on something is hidden, where meters are read well enough to tell.
    hidden: Option<Interval>,
    gaps: u64,
    /// Nodes that say something else than what their meter shows.
    misreporting: BTreeSet<usize>,
}

impl Sums {
    /// A node says something else than what its meter shows.
    pub(in crate::sim) fn misreports(&mut self, node: usize) {
        self.misreporting.insert(node);
    }

    /// A site takes more than its meter shows from this interval on.
    pub(in crate::sim) const fn hide_from(&mut self, interval: Interval) {
        self.hidden = Some(interval);
    }

    /// A node has written what its meter shows at an edge.
    pub(in crate::sim) fn showed(&mut self, node: usize, edge: Interval, registers: (u64, u64)) {
        self.shown.entry((node, edge)).or_insert(registers);
    }

    /// How many gaps nodes noticed.
    pub(in crate::sim) const fn gaps(&self) -> u64 {
        self.gaps
    }

    /// What a node's meter showed that it took on balance.
    fn net(&self, node: usize, interval: Interval) -> Option<i64> {
        let (from_in, from_out) = self.shown.get(&(node, interval))?;
        let (to_in, to_out) = self.shown.get(&(node, interval.next()))?;
        let signed = |it: &u64| i64::try_from(*it).expect("a run is short");
        Some(signed(to_in) - signed(from_in) - signed(to_out) + signed(from_out))
    }

    /// An honest node tells what became of a sum.
    pub(super) fn told(
        &mut self,
        facts: &mut Facts,
        findings: &mut Findings,
        here: Here,
        (sum, books): (&FeederSum, &OneBook),
    ) {
        let interval = sum.interval;
        let Ok(told) = sum.sum else { return };
        let roster = facts.roster(interval);
        let sites = cohort(facts, &roster, books, interval);
        if sites.iter().any(|node| self.misreporting.contains(node)) {
            return;
        }
        let shown: Vec<Option<i64>> = sites.iter().map(|node| self.net(*node, interval)).collect();
        let truth: Option<i64> = shown.iter().copied().sum();
        let is_true =
            truth == Some(told.to_milliwatt_hours()) && sites.len() == sum.turnout.present;
        if !is_true {
            let what =
                format!("{} sites come to {told}, and showed {shown:?}", sum.turnout.present);
            findings.at(Guarantee::SumsTrue, here, interval, what);
        }
        let meter = sum.meter.and_then(|meter| facts.node_of(&meter));
        let metered = meter.and_then(|meter| self.net(meter, interval));
        if let Some(into) = sum.feeder_mwh
            && metered.map(NetEnergy::from_milliwatt_hours) != Some(into)
        {
            let what = format!("{into} flowed into the feeder, whose meter showed {metered:?}");
            findings.at(Guarantee::SumsTrue, here, interval, what);
        }
        self.balance(facts, findings, here, sum);
    }

    /// Holds the sum against the feeder's meter as a node does.
    fn balance(
        &mut self,
        facts: &Facts,
        findings: &mut Findings,
        here: Here,
        sum: &FeederSum,
    ) -> Option<()> {
        let turnout = &sum.turnout;
        let flow = CohortFlow {
            interval: sum.interval,
            feeder: sum.feeder_mwh?,
            sites: *sum.sum.as_ref().ok()?,
            present: turnout.present,
            ordered: turnout.ordered_mwh,
            sold: turnout.sold_mwh,
            absent_most: turnout.absent_most_mwh,
        };
        let charter = &facts.charter;
        let (loss_ppm, interval_ms) = (charter.connection.loss_ppm, charter.interval.interval_ms);
        let balance = balance_of_cohort(&flow, loss_ppm, interval_ms).expect("a run is short");
        let of_node = self.balances.entry(here.node).or_default();
        of_node.push((flow, balance));
        let gap = standing_gap_of_cohort(of_node);
        self.gaps += u64::from(gap.as_ref().is_some_and(|it| it.intervals == 3));
        let hidden = self.hidden?;
        let telling = of_node.iter().rev().filter(|(flow, balance)| tells(flow, balance));
        let mut latest = telling.take(NOTICED_IN).map(|(flow, _)| flow.interval);
        let is_due = latest.clone().count() == NOTICED_IN && latest.all(|it| it >= hidden);
        if is_due && gap.is_none() {
            let what = format!("no gap stands, but {} is there and {of_node:?}", balance.gap_mwh);
            findings.at(Guarantee::GapNoticed, here, sum.interval, what);
        }
        Some(())
    }
}

/// The nodes of a feeder's sites that are in an interval's book.
fn cohort(facts: &Facts, roster: &Roster, books: &OneBook, interval: Interval) -> Vec<usize> {
    let in_book = |place: &RosterIndex| {
        books.entries(interval).is_some_and(|entries| entries.contains(place))
    };
    let feeders = facts.charter.feeders.iter();
    feeders
        .flat_map(|feeder| roster.sites_of(feeder))
        .filter(|(place, _)| in_book(place))
        .filter_map(|(place, _)| facts.node_at(roster, place))
        .collect()
}
