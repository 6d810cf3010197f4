//! The machines of one site over time: which run, and when they were switched.
//! Not for: which should run, which is the plan's.

use std::collections::VecDeque;

use boltgrid_market::strategy::Flexible;
use boltgrid_miners::machine::{Abilities, SetPoint};
use boltgrid_miners::plan::{Conditions, Habits, Machine, Past, Say, plan};
use boltgrid_protocol::units::{Energy, Power, Timestamp};

use super::machines::Machines;
use super::record::{Account, Slot};

/// How the machines are treated: a quarter of an hour on or off, less what a reaction takes.
const HABITS: Habits = Habits {
    on_ms_min: 14 * 60_000,
    off_ms_min: 14 * 60_000,
    starts_per_day_max: 24,
    dead_band: Power::ZERO,
};
const DAY_MS: u64 = 86_400_000;

/// One machine.
#[derive(Clone, Debug, Default)]
struct Unit {
    runs: bool,
    switched_at: Option<Timestamp>,
    /// When it was started within the last day.
    starts: VecDeque<Timestamp>,
}

/// The machines of one site.
#[derive(Clone, Debug)]
pub(super) struct Park {
    pub(super) site: usize,
    machines: Machines,
    abilities: Abilities,
    units: Vec<Unit>,
    /// How often one was started for the interval that runs.
    starts: u32,
    /// What they take in the interval that runs.
    pub(super) mined: Energy,
    /// What the site takes in it without them and with all its PV; gives, where negative.
    pub(super) net_potential_mwh: i128,
    /// What happened, interval by interval.
    pub(super) slots: Vec<Slot>,
}

impl Park {
    pub(super) fn new(site: usize, machines: Machines) -> Self {
        Self {
            site,
            machines,
            abilities: machines.abilities(),
            units: (0..machines.count).map(|_| Unit::default()).collect(),
            starts: 0,
            mined: Energy::ZERO,
            net_potential_mwh: 0,
            slots: Vec::new(),
        }
    }

    /// How many run.
    pub(super) fn running(&self) -> u32 {
        self.units.iter().map(|unit| u32::from(unit.runs)).sum()
    }

    /// What they draw.
    pub(super) fn draw(&self) -> Power {
        self.machines.draw(self.running())
    }

    /// What they bid.
    pub(super) fn bids(&self) -> Vec<Flexible> {
        self.machines.bids(self.running())
    }

    /// Does what the plan says.
    pub(super) fn follow(&mut self, conditions: &Conditions) {
        let now = conditions.now;
        for unit in &mut self.units {
            unit.starts.retain(|start| now.ms_since(*start) < DAY_MS);
        }
        let worth = self.machines.worth();
        let machine = |unit: &Unit| Machine {
            abilities: &self.abilities,
            worth,
            heat_is_due: false,
            told: if unit.runs { self.on() } else { SetPoint::Off },
            habits: HABITS,
            past: Past {
                switched_at: unit.switched_at,
                starts_of_a_day: u32::try_from(unit.starts.len()).expect("a day's starts"),
            },
            say: Say::Plan,
        };
        let machines: Vec<Machine<'_>> = self.units.iter().map(machine).collect();
        let decisions = plan(conditions, &machines);
        for (unit, decision) in self.units.iter_mut().zip(decisions) {
            let runs = matches!(decision.set_point, Some(SetPoint::Run { .. }));
            if runs == unit.runs {
                continue;
            }
            unit.runs = runs;
            unit.switched_at = Some(now);
            if runs {
                unit.starts.push_back(now);
                self.starts += 1;
            }
        }
    }

    const fn on(&self) -> SetPoint {
        SetPoint::Run { power_mw: self.machines.power }
    }

    /// Notes the interval that has just ended.
    pub(super) fn note(&mut self, account: &Account) {
        let surplus = u64::try_from(-self.net_potential_mwh).unwrap_or(0);
        self.slots.push(Slot {
            price: account.price,
            offer: account.offer(),
            surplus: Energy::from_milliwatt_hours(surplus),
            mined: account.mined,
            cost: account.cost(),
            starts: std::mem::take(&mut self.starts),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_miners::plan::Response;
    use boltgrid_protocol::units::Price;

    fn park() -> Park {
        let machines = Machines {
            count: 4,
            power: Power::from_milliwatts(2_500_000),
            break_even: Price::from_msat_per_kwh(120_000),
            start_msat: 10_000,
        };
        Park::new(0, machines)
    }

    fn conditions(minute: u64, budget_w: i64) -> Conditions {
        let budget = Power::from_watts(budget_w).unwrap();
        Conditions {
            now: Timestamp::from_unix_ms(DAY_MS + minute * 60_000),
            budget_least: budget,
            budget_most: budget,
            spare_brings: Price::from_msat_per_kwh(80_000),
            lack_costs: Price::from_msat_per_kwh(300_000),
            ceiling: Power::from_watts(10_000).unwrap(),
            step_max: Power::from_watts(10_000).unwrap(),
            starts_max: 4,
            emergency: false,
            response: Response::default(),
        }
    }

    #[test]
    fn as_many_run_as_there_is_power_for_and_none_is_switched_twice_in_a_quarter_of_an_hour() {
        let mut park = park();
        park.follow(&conditions(0, 7_600));
        assert_eq!((park.running(), park.starts), (3, 3));
        park.follow(&conditions(1, 0));
        assert_eq!(park.running(), 3, "they have just been started");
        park.follow(&conditions(15, 0));
        assert_eq!(park.running(), 0);
        park.follow(&conditions(16, 10_000));
        assert_eq!(park.running(), 1, "three have just been stopped");
        park.follow(&conditions(30, 10_000));
        assert_eq!((park.running(), park.starts), (4, 7));
    }
}
