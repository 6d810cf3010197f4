//! What is known of one interval once it is over: what every node says, and what really flowed.
//! Not for: whether that is as it should be; that is [`super::invariants`].

use std::collections::{BTreeMap, BTreeSet};

use boltgrid::status::{IntervalOutcome, IntervalReport, TradeReport, TradeState};

use super::fleet::Back;

/// One interval, seen from all sides.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The interval's number.
    pub interval: u64,
    /// How many votes decide.
    pub quorum: usize,
    /// Whether links lost or delayed datagrams, or flapped, at any time of it.
    pub is_rough: bool,
    /// Whether at no time of it enough nodes could talk with one another to decide.
    pub is_split: bool,
    /// Nodes and members that did not pay them in time some time before: what they would owe may be
    /// refused.
    pub late: BTreeSet<(String, String)>,
    /// The sites, in the order of the scenario.
    pub sites: Vec<SiteObservation>,
}

/// One site in one interval.
#[derive(Clone, Debug)]
pub struct SiteObservation {
    /// The site's name.
    pub name: String,
    /// Its participant.
    pub participant: String,
    /// Whether a rogue plays there, so that no node is.
    pub is_rogue: bool,
    /// Whether its node was up from the opening of the order window until the readings were due.
    pub present: bool,
    /// From what the node came back so long ago that it must be trading, and not before.
    pub due_back: Option<Back>,
    /// Whether its node ran unhindered all the time that others agree in, but for links that left it
    /// without a quorum.
    pub cut_off: bool,
    /// Whether its clock was wrong all the time from just before the order window until confirms count.
    pub skewed: bool,
    /// What the node knows of the interval, if it could be asked.
    pub report: Option<IntervalReport>,
    /// What really flowed into the site, given negative; `None` if the plant no longer knows.
    pub flowed_mwh: Option<i64>,
    /// How far a meter that refreshes once a tick may be off.
    pub meter_tolerance_mwh: u64,
}

/// The two sides of one trade, as far as nodes that were present tell of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TradeSides<'a> {
    /// The seller's site and what it says.
    pub seller: Option<(&'a SiteObservation, &'a TradeReport)>,
    /// The buyer's site and what it says.
    pub buyer: Option<(&'a SiteObservation, &'a TradeReport)>,
}

impl TradeSides<'_> {
    /// Whether both sides hold both signatures.
    #[must_use]
    pub fn is_confirmed_by_both(&self) -> bool {
        let confirmed = |side: Option<(_, &TradeReport)>| {
            side.is_some_and(|(_, trade)| trade.state == TradeState::Confirmed)
        };
        confirmed(self.seller) && confirmed(self.buyer)
    }
}

impl Observation {
    /// Whether one of two members was late with paying the other.
    #[must_use]
    pub fn was_late(&self, [one, other]: [&str; 2]) -> bool {
        let pairs = [(one, other), (other, one)];
        pairs.into_iter().any(|(node, who)| self.late.contains(&(node.to_owned(), who.to_owned())))
    }

    /// The sites whose nodes were up all the time.
    pub fn present(&self) -> impl Iterator<Item = &SiteObservation> {
        self.sites.iter().filter(|site| site.present)
    }

    /// Whether a participant is a rogue.
    #[must_use]
    pub fn is_rogue(&self, participant: &str) -> bool {
        self.sites.iter().any(|site| site.is_rogue && site.participant == participant)
    }

    /// Whether the node of a participant was up all the time.
    #[must_use]
    pub fn is_present(&self, participant: &str) -> bool {
        self.present().any(|site| site.participant == participant)
    }

    /// All reports, with the sites that they are of.
    pub fn reports(&self) -> impl Iterator<Item = (&SiteObservation, &IntervalReport)> {
        self.sites.iter().filter_map(|site| Some((site, site.report.as_ref()?)))
    }

    /// The reports of nodes that know the interval's certified book.
    pub fn decided(&self) -> impl Iterator<Item = (&SiteObservation, &IntervalReport)> {
        self.reports().filter(|(_, report)| report.outcome == IntervalOutcome::Decided)
    }

    /// The trades that any node tells of, by their place in the clearing.
    #[must_use]
    pub fn trades(&self) -> BTreeMap<u32, TradeSides<'_>> {
        let mut trades: BTreeMap<u32, TradeSides<'_>> = BTreeMap::new();
        for (site, report) in self.reports() {
            for trade in &report.own_trades {
                let sides = trades.entry(trade.index).or_default();
                let side = if trade.side == "sell" { &mut sides.seller } else { &mut sides.buyer };
                *side = Some((site, trade));
            }
        }
        trades
    }
}

#[cfg(test)]
pub(crate) mod sample;
