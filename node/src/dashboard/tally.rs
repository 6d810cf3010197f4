//! What settled intervals come to: kWh and sats with neighbours, how that compares with the supplier's
//! tariff, and the same for each partner.

use std::collections::BTreeMap;

use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, Interval, Price, SignedMsat, Timestamp};

use crate::store::{Archive, ArchiveError};

/// Intervals that one tally looks at, at most: thirty days of five minutes.
const INTERVALS_MAX: u64 = 8_640;

/// What some settled intervals come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many intervals.
    pub(super) intervals: u32,
    pub(super) bought_mwh: i64,
    pub(super) sold_mwh: i64,
    /// What neighbours have to pay.
    pub(super) earned_msat: i64,
    /// What they are to be paid.
    pub(super) spent_msat: i64,
    /// How much better that is than the tariff.
    pub(super) saved_msat: i64,
    /// What the supplier gave; negative: took.
    pub(super) supplier_mwh: i64,
    /// Due from the supplier; to it, where negative.
    pub(super) supplier_msat: i64,
    pub(super) partners: BTreeMap<ParticipantId, Partner>,
}

/// What trades with one partner come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Partner {
    pub(super) bought_mwh: i64,
    pub(super) sold_mwh: i64,
    /// Due to this node; by it, where negative.
    pub(super) due_msat: i64,
    pub(super) trades: u32,
}

/// One trade or forward as far as it was delivered.
struct Delivered {
    side: Side,
    counterparty: ParticipantId,
    energy: Energy,
    price: Price,
    due: SignedMsat,
}

impl Tally {
    /// What was settled of the intervals from `from` up to, not including, `before`; of too many the
    /// latest.
    pub(super) fn of(
        archive: &Archive,
        charter: &Charter,
        from: Interval,
        before: Interval,
    ) -> Result<Self, ArchiveError> {
        let mut tally = Self::default();
        let from = from.max(before.minus(INTERVALS_MAX));
        for settlement in archive.settlements::<Settlement>(from..before) {
            tally.add(&settlement?.1, charter);
        }
        Ok(tally)
    }

    fn add(&mut self, settlement: &Settlement, charter: &Charter) {
        let tariff = charter.tariff.at(charter.interval.start_of(settlement.interval));
        let trades = settlement.trades.iter().map(|it| Delivered {
            side: it.side,
            counterparty: it.counterparty,
            energy: it.delivered_mwh,
            price: it.terms.price_msat_per_kwh,
            due: it.due_msat,
        });
        let forwards = settlement.forwards.iter().map(|it| Delivered {
            side: it.side,
            counterparty: it.counterparty,
            energy: it.delivered_mwh,
            price: it.price_msat_per_kwh,
            due: it.due_msat,
        });
        self.intervals = self.intervals.saturating_add(1);
        let supplier = settlement.supplier_mwh.to_milliwatt_hours();
        self.supplier_mwh = self.supplier_mwh.saturating_add(supplier);
        let due = settlement.supplier_due_msat.to_millisatoshi();
        self.supplier_msat = self.supplier_msat.saturating_add(due);
        for delivered in trades.chain(forwards).filter(|it| !it.energy.is_zero()) {
            let per_kwh = match delivered.side {
                Side::Buy => less(tariff.retail_msat_per_kwh, delivered.price),
                Side::Sell => less(delivered.price, tariff.feed_in_msat_per_kwh),
            };
            self.saved_msat = self.saved_msat.saturating_add(worth(delivered.energy, per_kwh));
            self.count(&delivered);
        }
    }

    fn count(&mut self, delivered: &Delivered) {
        let energy = i64::try_from(delivered.energy.to_milliwatt_hours()).unwrap_or(i64::MAX);
        let due = delivered.due.to_millisatoshi();
        let partner = self.partners.entry(delivered.counterparty).or_default();
        partner.trades = partner.trades.saturating_add(1);
        partner.due_msat = partner.due_msat.saturating_add(due);
        let (all, theirs) = match delivered.side {
            Side::Buy => (&mut self.bought_mwh, &mut partner.bought_mwh),
            Side::Sell => (&mut self.sold_mwh, &mut partner.sold_mwh),
        };
        *all = all.saturating_add(energy);
        *theirs = theirs.saturating_add(energy);
        let sum = if due >= 0 { &mut self.earned_msat } else { &mut self.spent_msat };
        *sum = sum.saturating_add(due.saturating_abs());
    }
}

/// The first interval of the tariff's day that `now` is in.
pub(super) fn first_of_day(charter: &Charter, now: Timestamp) -> Interval {
    let clock = &charter.tariff.clock;
    let day_ms = clock.day_ms().max(1);
    let passed_ms = clock.local_ms(now) % 86_400_000 / u64::from(clock.speed.max(1));
    charter.interval.interval_at(now.minus_ms(passed_ms.min(day_ms)))
}

fn less(one: Price, other: Price) -> i64 {
    one.to_msat_per_kwh().saturating_sub(other.to_msat_per_kwh())
}

/// Energy at a price, toward zero.
fn worth(energy: Energy, msat_per_kwh: i64) -> i64 {
    const MWH_PER_KWH: i128 = 1_000_000;
    let msat = i128::from(energy.to_milliwatt_hours()) * i128::from(msat_per_kwh) / MWH_PER_KWH;
    i64::try_from(msat).unwrap_or(if msat > 0 { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(side: Side, mwh: u64, due_msat: i64, whom: u8) -> Delivered {
        Delivered {
            side,
            counterparty: ParticipantId::from_bytes([whom; 32]),
            energy: Energy::from_milliwatt_hours(mwh),
            price: Price::from_msat_per_kwh(0),
            due: SignedMsat::from_millisatoshi(due_msat),
        }
    }

    #[test]
    fn what_is_due_counts_by_its_way_also_where_a_seller_pays() {
        let mut tally = Tally::default();
        tally.count(&delivered(Side::Sell, 1_000, 500, 1));
        tally.count(&delivered(Side::Buy, 2_000, -300, 1));
        tally.count(&delivered(Side::Sell, 4_000, -70, 2));
        assert_eq!((tally.sold_mwh, tally.bought_mwh), (5_000, 2_000));
        assert_eq!((tally.earned_msat, tally.spent_msat), (500, 370));
        let one = tally.partners[&ParticipantId::from_bytes([1; 32])];
        assert_eq!(
            (one.sold_mwh, one.bought_mwh, one.due_msat, one.trades),
            (1_000, 2_000, 200, 2)
        );
    }

    #[test]
    fn energy_is_worth_its_price_by_the_kilowatt_hour() {
        assert_eq!(worth(Energy::from_milliwatt_hours(500_000), 30_001), 15_000);
        assert_eq!(worth(Energy::from_milliwatt_hours(500_000), -30_001), -15_000);
        assert_eq!(worth(Energy::from_milliwatt_hours(u64::MAX), i64::MAX), i64::MAX);
    }
}
