//! Who is expected to pay whom how much a day.
//!
//! Pairing changes nobody's price or energy (P22), and it follows the channels; so who paid whom in
//! the past says little about who would pay whom over other channels. What says more is who bought
//! and who sold at the same time: each seller is taken to deliver to each buyer in proportion to what
//! both trade. Not for: what is owed, which follows from the trades.

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{Energy, Msat};

use crate::auction::Clearing;

/// Milliseconds in a day.
pub(super) const DAY_MS: u64 = 86_400_000;

/// Expected payments between members, from the clearings of a span of time.
///
/// Bounded by the square of the members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// What each payer would have paid each payee over the span, in msat.
    paid: BTreeMap<(RosterIndex, RosterIndex), u128>,
    span_ms: u64,
}

impl Flows {
    /// No payments, over no time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a cleared interval of this length; one without a clearing is [`Self::pass`].
    ///
    /// The roster of all that is added must be the same.
    pub fn record(&mut self, clearing: &Clearing, interval_ms: u64) {
        self.pass(interval_ms);
        let Some(price) = clearing.price_msat_per_kwh else { return };
        let (mut sold, mut bought) = (BTreeMap::new(), BTreeMap::new());
        for trade in &clearing.trades {
            add(&mut sold, trade.seller, trade.energy_mwh);
            add(&mut bought, trade.buyer, trade.energy_mwh);
        }
        for (seller, given) in &sold {
            for (buyer, taken) in &bought {
                let energy = given.share_floor(*taken, clearing.volume_mwh).unwrap_or_default();
                let amount = price.amount_floor(energy).unwrap_or(Msat::ZERO);
                if amount == Msat::ZERO || seller == buyer {
                    continue;
                }
                let pair = if price.is_negative() { (*seller, *buyer) } else { (*buyer, *seller) };
                let paid = self.paid.entry(pair).or_default();
                *paid = paid.saturating_add(u128::from(amount.to_millisatoshi()));
            }
        }
    }

    /// Adds time in which nothing was traded.
    pub const fn pass(&mut self, ms: u64) {
        self.span_ms = self.span_ms.saturating_add(ms);
    }

    /// Lets one part in so many of all that was added so far, payments and time alike, count no more:
    /// what is added from now on says more about what a day is like. None of it where that is zero.
    pub fn fade(&mut self, one_in: u32) {
        self.span_ms =
            self.span_ms.saturating_sub(self.span_ms.checked_div(one_in.into()).unwrap_or(0));
        for paid in self.paid.values_mut() {
            *paid = paid.saturating_sub(paid.checked_div(one_in.into()).unwrap_or(0));
        }
        self.paid.retain(|_, paid| *paid > 0);
    }

    /// The time that was added, in milliseconds.
    #[must_use]
    pub const fn span_ms(&self) -> u64 {
        self.span_ms
    }

    /// What `payer` is expected to pay `payee` a day, rounded down.
    #[must_use]
    pub fn per_day(&self, payer: RosterIndex, payee: RosterIndex) -> Msat {
        self.paid.get(&(payer, payee)).map_or(Msat::ZERO, |paid| self.a_day(*paid))
    }

    /// What two members are expected to pay each other a day, both ways added up.
    #[must_use]
    pub fn between(&self, one: RosterIndex, other: RosterIndex) -> Msat {
        self.per_day(one, other).saturating_add(self.per_day(other, one))
    }

    /// All expected payments a day: payer, payee and amount, by payer, then payee.
    pub fn iter(&self) -> impl Iterator<Item = (RosterIndex, RosterIndex, Msat)> {
        self.paid.iter().map(|((payer, payee), paid)| (*payer, *payee, self.a_day(*paid)))
    }

    /// Everybody who is expected to pay or to be paid.
    #[must_use]
    pub fn members(&self) -> BTreeSet<RosterIndex> {
        self.paid.keys().flat_map(|(payer, payee)| [*payer, *payee]).collect()
    }

    /// All that is expected to be paid a day.
    #[must_use]
    pub fn total(&self) -> Msat {
        self.iter().fold(Msat::ZERO, |sum, (.., paid)| sum.saturating_add(paid))
    }

    fn a_day(&self, paid: u128) -> Msat {
        let daily = paid.saturating_mul(u128::from(DAY_MS)).checked_div(u128::from(self.span_ms));
        let msat = daily.and_then(|msat| u64::try_from(msat).ok());
        msat.map_or(Msat::ZERO, |msat| Msat::from_millisatoshi(msat).unwrap_or(Msat::MAX))
    }
}

fn add(sums: &mut BTreeMap<RosterIndex, Energy>, member: RosterIndex, energy: Energy) {
    let sum = sums.entry(member).or_default();
    *sum = sum.saturating_add(energy);
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::{Interval, Price};

    use super::*;
    use crate::auction::Trade;

    const HOUR_MS: u64 = 3_600_000;

    fn clearing(price: i64, trades: &[(u32, u32, u64)]) -> Clearing {
        let kwh = |kwh: u64| Energy::from_milliwatt_hours(kwh * 1_000_000);
        let trades: Vec<Trade> = trades
            .iter()
            .map(|(seller, buyer, energy)| Trade {
                seller: RosterIndex::new(*seller),
                buyer: RosterIndex::new(*buyer),
                energy_mwh: kwh(*energy),
            })
            .collect();
        Clearing {
            interval: Interval::default(),
            price_msat_per_kwh: Some(Price::from_msat_per_kwh(price)),
            volume_mwh: trades
                .iter()
                .fold(Energy::ZERO, |sum, it| sum.saturating_add(it.energy_mwh)),
            trades,
        }
    }

    fn per_day(flows: &Flows, payer: u32, payee: u32) -> u64 {
        flows.per_day(RosterIndex::new(payer), RosterIndex::new(payee)).to_millisatoshi()
    }

    #[test]
    fn whoever_the_pairing_joined_the_expectation_is_the_same() {
        let (mut one, mut other) = (Flows::new(), Flows::new());
        one.record(&clearing(100_000, &[(0, 2, 3), (1, 3, 1)]), HOUR_MS);
        other.record(&clearing(100_000, &[(0, 2, 2), (0, 3, 1), (1, 2, 1)]), HOUR_MS);
        assert_eq!(one, other);
        // Member 0 gave three quarters of all, member 2 took three quarters of that: 2.25 kWh.
        assert_eq!(per_day(&one, 2, 0), 24 * 225_000);
        assert_eq!(per_day(&one, 0, 2), 0);
    }

    #[test]
    fn at_a_negative_price_the_seller_pays() {
        let mut flows = Flows::new();
        flows.record(&clearing(-50_000, &[(0, 1, 2)]), HOUR_MS);
        assert_eq!((per_day(&flows, 0, 1), per_day(&flows, 1, 0)), (24 * 100_000, 0));
    }

    #[test]
    fn what_fades_says_less_and_rates_stay() {
        let mut flows = Flows::new();
        flows.record(&clearing(100_000, &[(0, 1, 24)]), 24 * HOUR_MS);
        flows.fade(2);
        assert_eq!(per_day(&flows, 1, 0), 2_400_000, "a day like the one before");
        flows.pass(12 * HOUR_MS);
        assert_eq!(per_day(&flows, 1, 0), 1_200_000, "half a day weighs as much as that day now");
    }

    #[test]
    fn quiet_hours_count() {
        let mut flows = Flows::new();
        flows.record(&clearing(100_000, &[(0, 1, 1)]), HOUR_MS);
        flows.pass(23 * HOUR_MS);
        assert_eq!(per_day(&flows, 1, 0), 100_000);
        assert_eq!(flows.total().to_millisatoshi(), 100_000);
    }
}
