//! The latest intervals as this node saw them, ready to be shown.
//!
//! Not for: keeping anything for good; books and settlements are in the archive.

use std::collections::BTreeMap;
use std::ops::Range;

use boltgrid_market::abstention::Sight;
use boltgrid_market::notice::{ClearedInterval, Notice};
use boltgrid_market::payments::Outline;
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::{Interval, Price};

use crate::status::{
    IntervalOutcome, IntervalReport, PaymentsStatus, SettlementReport, StepReport, TradeReport,
    TradeState,
};
use crate::store::ClearingRecord;

/// Intervals held in memory: a day and a half of five-minute intervals.
const INTERVALS_KEPT: usize = 432;

/// The latest intervals, bounded by [`INTERVALS_KEPT`], and counts of what was not taken.
#[derive(Clone, Debug, Default)]
pub struct History {
    intervals: BTreeMap<Interval, IntervalReport>,
    not_taken: BTreeMap<&'static str, u64>,
    outcomes: Outcomes,
    sight: Sight,
    payments: PaymentsStatus,
}

/// How the intervals ended since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// With a certified book.
    pub decided: u64,
    /// At the tariff.
    pub fallen_back: u64,
}

impl History {
    /// One interval.
    #[must_use]
    pub fn interval(&self, interval: Interval) -> Option<&IntervalReport> {
        self.intervals.get(&interval)
    }

    /// The intervals of a span, the oldest first; none for a span that ends before it begins.
    pub fn intervals(&self, span: Range<Interval>) -> impl Iterator<Item = &IntervalReport> {
        let is_in = move |(interval, _): &(&Interval, _)| span.contains(*interval);
        self.intervals.iter().filter(is_in).map(|(_, report)| report)
    }

    /// The latest interval that was decided or fell back.
    #[must_use]
    pub fn last_concluded(&self) -> Option<&IntervalReport> {
        self.intervals.values().rev().find(|it| it.outcome != IntervalOutcome::Open)
    }

    /// Messages not taken, by reason.
    #[must_use]
    pub fn not_taken(&self) -> BTreeMap<String, u64> {
        self.not_taken.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect()
    }

    /// How the intervals ended since the start.
    #[must_use]
    pub const fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    /// Payments since the start, and how the node stands with all others together.
    #[must_use]
    pub const fn payments(&self) -> PaymentsStatus {
        self.payments
    }

    /// Takes over how the node stands with others.
    pub const fn set_payments(&mut self, outline: &Outline) {
        self.payments.set(outline);
    }

    /// How far the node can trust its view, and whether it abstains.
    #[must_use]
    pub const fn sight(&self) -> Sight {
        self.sight
    }

    /// Takes over how far the view can be trusted. Returns whether that is news.
    pub fn set_sight(&mut self, sight: Sight) -> bool {
        let is_news = self.sight != sight;
        self.sight = sight;
        is_news
    }

    /// Clearing prices of the latest intervals, oldest first.
    #[must_use]
    pub fn prices(&self) -> Vec<(Interval, Price)> {
        self.intervals
            .iter()
            .filter_map(|(interval, report)| {
                let price = report.price_msat_per_kwh?;
                Some((*interval, Price::from_msat_per_kwh(price)))
            })
            .collect()
    }

    /// Notes a book that was learnt from another member, maybe of an interval that this node fell
    /// back from. Own trades stay as they are: what was not signed in time is not signed any more.
    pub fn note_learnt(&mut self, cleared: &ClearedInterval) {
        self.note_book(cleared);
    }

    /// Notes how long after the end of its delivery an interval was settled.
    pub fn set_settled_ms(&mut self, interval: Interval, settled_ms: u64) {
        let report = self.intervals.get_mut(&interval);
        if let Some(settlement) = report.and_then(|report| report.settlement.as_mut()) {
            settlement.settled_ms = Some(settled_ms);
        }
    }

    /// Notes what the market told.
    pub fn note(&mut self, notice: &Notice, me: &ParticipantId, roster: &Roster) {
        match notice {
            Notice::NotTaken(why) => {
                let count = self.not_taken.entry(why).or_default();
                *count = count.saturating_add(1);
            }
            Notice::Placed { interval, order } => {
                self.entry(*interval).own_order =
                    order.steps.iter().map(StepReport::from).collect();
            }
            Notice::Cleared(cleared) => {
                self.outcomes.decided = self.outcomes.decided.saturating_add(1);
                self.note_cleared(cleared, me, roster);
            }
            Notice::NoDecision(interval) => {
                self.outcomes.fallen_back = self.outcomes.fallen_back.saturating_add(1);
                self.entry(*interval).outcome = IntervalOutcome::NoDecision;
            }
            Notice::Confirmed { interval, terms } => {
                self.note_trade(*interval, terms, TradeState::Confirmed);
            }
            Notice::Lapsed { interval, terms } => {
                self.note_trade(*interval, terms, TradeState::Lapsed);
            }
            Notice::Settled(settlement) => self.note_settled(settlement),
            Notice::Payment(told) => self.payments.count(told),
            Notice::NotSettled(..)
            | Notice::Summed(_)
            | Notice::Passed(_)
            | Notice::Barred { .. }
            | Notice::Abstains(_)
            | Notice::Returned { .. }
            | Notice::Offered(_)
            | Notice::Accepted { .. }
            | Notice::AcceptanceRefused { .. }
            | Notice::AcceptanceVoid { .. }
            | Notice::ForwardMade(_) => {}
        }
    }

    fn entry(&mut self, interval: Interval) -> &mut IntervalReport {
        while self.intervals.len() >= INTERVALS_KEPT && !self.intervals.contains_key(&interval) {
            self.intervals.pop_first();
        }
        self.intervals.entry(interval).or_insert_with(|| IntervalReport::open(interval))
    }

    fn note_cleared(&mut self, cleared: &ClearedInterval, me: &ParticipantId, roster: &Roster) {
        let (me, interval) = (roster.index_of(me), cleared.interval);
        let mine = |terms: &TradeTerms| TradeReport::of(interval, terms, me?, roster);
        self.note_book(cleared).own_trades = cleared.trades.iter().filter_map(mine).collect();
    }

    fn note_book(&mut self, cleared: &ClearedInterval) -> &mut IntervalReport {
        let report = self.entry(cleared.interval);
        report.outcome = IntervalOutcome::Decided;
        report.view = Some(cleared.view);
        // What was learnt from others was not decided here.
        report.decide_ms = (cleared.decide_ms > 0).then_some(cleared.decide_ms);
        report.orders = count(cleared.orders.len());
        report.book_hash = Some(cleared.book.to_string());
        report.clearing_digest = Some(cleared.clearing.to_string());
        report.price_msat_per_kwh = cleared.price_msat_per_kwh.map(Price::to_msat_per_kwh);
        report.volume_mwh = cleared.volume_mwh.to_milliwatt_hours();
        report.trades = count(cleared.trades.len());
        report
    }

    fn note_trade(&mut self, interval: Interval, terms: &TradeTerms, state: TradeState) {
        let report = self.entry(interval);
        if let Some(trade) = report.own_trades.iter_mut().find(|it| it.index == terms.index) {
            trade.state = state;
            // Both sides may have signed a part of it only.
            trade.energy_mwh = terms.energy_mwh.to_milliwatt_hours();
        }
    }

    fn note_settled(&mut self, settlement: &Settlement) {
        let report = self.entry(settlement.interval);
        for settled in &settlement.trades {
            let index = settled.terms.index;
            if let Some(trade) = report.own_trades.iter_mut().find(|it| it.index == index) {
                trade.delivered_mwh = Some(settled.delivered_mwh.to_milliwatt_hours());
                trade.due_msat = Some(settled.due_msat.to_millisatoshi());
            }
        }
        report.settlement = Some(SettlementReport::from(settlement));
    }
}

impl From<&Settlement> for SettlementReport {
    fn from(settlement: &Settlement) -> Self {
        Self {
            metered_mwh: settlement.metered_mwh.map(|it| it.to_milliwatt_hours()),
            losses_mwh: settlement.losses_mwh.to_milliwatt_hours(),
            supplier_mwh: settlement.supplier_mwh.to_milliwatt_hours(),
            supplier_due_msat: settlement.supplier_due_msat.to_millisatoshi(),
            deviation_mwh: settlement.deviation_mwh.to_milliwatt_hours(),
            trades_due_msat: settlement.trades_due().map_or(0, |it| it.to_millisatoshi()),
            is_balanced: settlement.entry().is_ok(),
            settled_ms: None,
        }
    }
}

impl IntervalReport {
    /// An interval of which nothing is known yet.
    fn open(interval: Interval) -> Self {
        Self {
            interval: interval.to_number(),
            outcome: IntervalOutcome::Open,
            view: None,
            decide_ms: None,
            orders: 0,
            book_hash: None,
            clearing_digest: None,
            price_msat_per_kwh: None,
            volume_mwh: 0,
            trades: 0,
            own_order: Vec::new(),
            own_trades: Vec::new(),
            settlement: None,
        }
    }

    /// An interval of which the archive knows, and this run of the node does not.
    pub(crate) fn stored(interval: Interval, clearing: &ClearingRecord) -> Self {
        Self {
            outcome: IntervalOutcome::Decided,
            view: Some(clearing.view),
            decide_ms: (clearing.decide_ms > 0).then_some(clearing.decide_ms),
            orders: clearing.orders,
            book_hash: Some(clearing.book.to_string()),
            clearing_digest: Some(clearing.clearing.to_string()),
            price_msat_per_kwh: clearing.price_msat_per_kwh.map(Price::to_msat_per_kwh),
            volume_mwh: clearing.volume_mwh.to_milliwatt_hours(),
            trades: clearing.trades,
            ..Self::open(interval)
        }
    }
}

impl From<&boltgrid_protocol::order::Step> for StepReport {
    fn from(step: &boltgrid_protocol::order::Step) -> Self {
        Self {
            side: step.side.to_string(),
            source: step.source.to_string(),
            energy_mwh: step.energy_mwh.to_milliwatt_hours(),
            limit_msat_per_kwh: step.limit_msat_per_kwh.to_msat_per_kwh(),
        }
    }
}

impl TradeReport {
    fn of(
        interval: Interval,
        terms: &TradeTerms,
        me: RosterIndex,
        roster: &Roster,
    ) -> Option<Self> {
        let (side, other) = match (terms.seller == me, terms.buyer == me) {
            (true, false) => ("sell", terms.buyer),
            (false, true) => ("buy", terms.seller),
            _ => return None,
        };
        Some(Self {
            interval: interval.to_number(),
            index: terms.index,
            side: side.to_owned(),
            counterparty: roster.participant(other)?.to_string(),
            energy_mwh: terms.energy_mwh.to_milliwatt_hours(),
            price_msat_per_kwh: terms.price_msat_per_kwh.to_msat_per_kwh(),
            state: TradeState::Cleared,
            delivered_mwh: None,
            due_msat: None,
        })
    }
}

/// A count that fits, or the largest.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
