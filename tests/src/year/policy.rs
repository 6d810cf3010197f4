//! Other ways to run the same machines, at the prices and surpluses that the year had.
//!
//! All but [`Policy::Dispatch`] take whatever they want at the price of the interval, as if it was
//! bought in time and always delivered; so none of them is made worse than it would be.

use boltgrid_protocol::units::{Energy, Price};
use boltgrid_testnet::plant::ROW_MS;

use super::foresight::best;
use super::machines::{Machines, times};
use super::record::Slot;

/// A way to run machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Bids, plan and reaction, as they happened.
    Dispatch,
    /// The best that is possible to somebody who knows the whole year.
    Foresight,
    /// Off.
    Never,
    /// On.
    Always,
    /// On while the last interval's price was not above this.
    Threshold(Price),
    /// On as far as the site's own surplus of the last interval would have covered them.
    OwnSurplus,
}

/// What came of it at one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// How the machines were run.
    pub policy: Policy,
    /// What they earned less what their energy and starts cost, by interval, in msat times a
    /// million.
    pub profits: Vec<i128>,
    /// What they took.
    pub mined: Energy,
    /// How often one was started.
    pub starts: u64,
}

impl Policy {
    /// What would have come of it, or came.
    pub(super) fn run(self, machines: &Machines, slots: &[Slot]) -> Run {
        let counts = match self {
            Self::Dispatch => return happened(machines, slots),
            Self::Foresight => foreseen(machines, slots),
            Self::Never => vec![0; slots.len()],
            Self::Always => vec![machines.count; slots.len()],
            Self::Threshold(threshold) => after_the_fact(slots, |before| {
                let cheap = before.price.is_some_and(|price| price <= threshold);
                if cheap { machines.count } else { 0 }
            }),
            Self::OwnSurplus => after_the_fact(slots, |before| {
                let one = machines.energy_of_one(ROW_MS).to_milliwatt_hours();
                let covered = before.surplus.to_milliwatt_hours() / one.max(1);
                u32::try_from(covered).unwrap_or(u32::MAX).min(machines.count)
            }),
        };
        self.of_counts(machines, slots, &counts)
    }

    fn of_counts(self, machines: &Machines, slots: &[Slot], counts: &[u32]) -> Run {
        let mut run = Run { policy: self, profits: Vec::new(), mined: Energy::ZERO, starts: 0 };
        let mut before = 0;
        for (slot, count) in slots.iter().zip(counts) {
            let energy = machines.energy(*count, ROW_MS);
            let starts = count.saturating_sub(before);
            let earned = times(machines.break_even, energy) - slot.offer.cost(energy);
            run.profits.push(earned - machines.start() * i128::from(starts));
            run.mined = run.mined.saturating_add(energy);
            run.starts += u64::from(starts);
            before = *count;
        }
        run
    }
}

fn happened(machines: &Machines, slots: &[Slot]) -> Run {
    let profit = |slot: &Slot| {
        let started = machines.start() * i128::from(slot.starts);
        times(machines.break_even, slot.mined) - slot.cost - started
    };
    Run {
        policy: Policy::Dispatch,
        profits: slots.iter().map(profit).collect(),
        mined: slots.iter().fold(Energy::ZERO, |sum, slot| sum.saturating_add(slot.mined)),
        starts: slots.iter().map(|slot| u64::from(slot.starts)).sum(),
    }
}

/// How many run in each interval when the best is known.
fn foreseen(machines: &Machines, slots: &[Slot]) -> Vec<u32> {
    let worth = times(machines.break_even, machines.energy_of_one(ROW_MS));
    let mut counts = vec![0; slots.len()];
    for number in 0..machines.count {
        let cost = |slot: &Slot, count| slot.offer.cost(machines.energy(count, ROW_MS));
        let gain = |slot: &Slot| worth - (cost(slot, number + 1) - cost(slot, number));
        let gains: Vec<i128> = slots.iter().map(gain).collect();
        let found = best(&gains, machines.start());
        for (count, runs) in counts.iter_mut().zip(found.runs) {
            *count += u32::from(runs);
        }
    }
    counts
}

/// How many run when that follows from the interval before.
fn after_the_fact(slots: &[Slot], count: impl Fn(&Slot) -> u32) -> Vec<u32> {
    let first = slots.iter().take(1).map(|_| 0);
    first.chain(slots.iter().map(count)).take(slots.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::units::Power;

    use super::super::machines::Offer;

    const fn sat(sat: i64) -> Price {
        Price::from_msat_per_kwh(sat * 1000)
    }

    /// Two machines of 4 kW, a kilowatt-hour in a quarter of an hour each; a start costs 10 sat.
    fn machines() -> Machines {
        let power = Power::from_watts(4_000).unwrap();
        Machines { count: 2, power, break_even: sat(120), start_msat: 10_000 }
    }

    fn slot(price: i64) -> Slot {
        let offer = Offer { cheap: Energy::ZERO, cheap_price: Price::ZERO, price: sat(price) };
        Slot {
            price: Some(sat(price)),
            offer,
            surplus: Energy::from_milliwatt_hours(1_500_000),
            mined: Energy::ZERO,
            cost: 0,
            starts: 0,
        }
    }

    fn profit(policy: Policy, prices: &[i64]) -> i128 {
        let slots: Vec<Slot> = prices.iter().map(|price| slot(*price)).collect();
        policy.run(&machines(), &slots).profits.iter().sum::<i128>() / 1_000_000_000
    }

    #[test]
    fn each_policy_earns_what_its_hours_earn_less_its_starts() {
        let prices = [300, 20, 125, 20, 300];
        assert_eq!(profit(Policy::Never, &prices), 0);
        assert_eq!(profit(Policy::Always, &prices), 2 * (100 + 100 - 5 - 180 - 180 - 10));
        assert_eq!(profit(Policy::Foresight, &prices), 2 * (100 + 100 - 5 - 10));
        // It starts after the cheap hours have begun and stops after they have ended.
        assert_eq!(profit(Policy::Threshold(sat(60)), &prices), 2 * (-5 - 180 - 20));
        assert_eq!(profit(Policy::OwnSurplus, &prices), 100 + 100 - 5 - 180 - 10);
    }

    #[test]
    fn what_happened_is_counted_as_it_happened() {
        let mined = Energy::from_milliwatt_hours(2_000_000);
        let slots = [Slot { mined, cost: 50_000 * 1_000_000, starts: 1, ..slot(20) }];
        let run = Policy::Dispatch.run(&machines(), &slots);
        assert_eq!(run.profits, [(240_000 - 50_000 - 10_000) * 1_000_000]);
        assert_eq!((run.mined, run.starts), (mined, 1));
    }
}
