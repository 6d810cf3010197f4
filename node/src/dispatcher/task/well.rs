//! The site's well beside its machines: what the generator could give beyond what it gives is added to
//! what they may draw, and what it can give in the next interval to what the site offers.

use boltgrid_market::strategy::Generation;
use boltgrid_miners::flare::{Steered, Wanted};
use boltgrid_miners::plan::{Conditions, Say};
use boltgrid_miners::react::{Draws, Target};
use boltgrid_protocol::units::{Power, Price, Timestamp};

use super::super::aim::Aim;
use super::super::member::Member;
use super::{Dispatcher, plus};

impl Dispatcher {
    /// Takes what gas meter and generator show, has the generator do what follows, and counts what it
    /// could still give to what machines may draw. What they leave of it costs nothing but its wear.
    pub(super) fn with_generator(
        &mut self,
        now: Timestamp,
        conditions: Conditions,
        (draws, target): (Draws, &Target),
    ) -> Conditions {
        if self.well.is_none() {
            return conditions;
        }
        let interval = self.charter.interval.interval_at(now);
        let aim = self.targets.borrow().get(&interval).copied();
        let roster = self.rosters.at(interval);
        let member = roster.index_of(&self.participant).and_then(|place| roster.member(place));
        let export_max = member.map_or(Power::ZERO, |member| member.enrolment.rated_export_mw);
        let Some(well) = &mut self.well else { return conditions };
        well.look(now, &self.site.meters.borrow());
        let (machines_most, machines_worth) = above(&self.members, now, well.cost());
        let wanted = Wanted {
            net: target.net,
            machines: draws.least,
            machines_most,
            machines_worth,
            feed_in: target.spare_brings,
            retail: target.lack_costs,
            traded: traded(aim),
            export_max,
        };
        let steered = well.steer(now, self.site.state.borrow().as_ref(), &wanted);
        beside(conditions, &steered, well.cost())
    }

    /// What the generator can give in an interval that starts at `starts`.
    pub(super) fn generation(&self, now: Timestamp, starts: Timestamp) -> Option<Generation> {
        let well = self.well.as_ref()?;
        let power = well.offer(now, starts)?;
        Some(Generation { cost: well.cost(), power })
    }
}

/// What others paid; what the supplier takes where nothing was traded is nobody's demand.
fn traded(aim: Option<Aim>) -> Option<Price> {
    aim.filter(|aim| aim.is_traded).map(|aim| aim.price)
}

/// What there is for machines beside a generator whose kilowatt-hour costs this.
fn beside(conditions: Conditions, steered: &Steered, cost: Price) -> Conditions {
    let spare_brings = conditions.spare_brings;
    Conditions {
        budget_least: plus(conditions.budget_least, steered.headroom),
        budget_most: plus(conditions.budget_most, steered.headroom),
        spare_brings: if steered.runs { spare_brings.max(cost) } else { spare_brings },
        ..conditions
    }
}

/// What the machines could draw together to which power is worth more than `cost`, and what it is worth
/// to the last of them.
fn above(members: &[Member], now: Timestamp, cost: Price) -> (Power, Price) {
    let able = members.iter().filter_map(|member| {
        let abilities = member.counted_on()?;
        let machine = member.planned(now)?;
        let worth = if machine.runs() { machine.worth.to_go_on } else { machine.worth.to_start };
        let may_run = machine.say == Say::Plan && worth > cost;
        may_run.then_some((abilities.most(), abilities.idle, worth))
    });
    able.fold(
        (Power::ZERO, Price::from_msat_per_kwh(i64::MAX)),
        |(sum, last), (most, idle, worth)| {
            let mw = most.to_milliwatts().saturating_sub(idle.to_milliwatts()).max(0);
            (plus(sum, Power::from_milliwatts(mw)), last.min(worth))
        },
    )
}

#[cfg(test)]
mod tests {
    use boltgrid_miners::machine::SetPoint;

    use super::super::super::tests::members::{at, known, member, relied_on};
    use super::*;

    const fn kw(kw: i64) -> Power {
        Power::from_milliwatts(kw * 1_000_000)
    }

    const fn sat(sat: i64) -> Price {
        Price::from_msat_per_kwh(sat * 1_000)
    }

    #[test]
    fn what_the_generator_could_still_give_machines_may_draw_and_it_costs_its_wear() {
        let conditions = Conditions {
            now: at(0),
            budget_least: kw(1),
            budget_most: kw(2),
            spare_brings: sat(3),
            lack_costs: sat(300),
            ceiling: kw(100),
            step_max: kw(100),
            starts_max: 1,
            emergency: false,
            response: boltgrid_miners::plan::Response::default(),
        };
        let runs = Steered { runs: true, headroom: kw(10), ..Steered::default() };
        let found = beside(conditions, &runs, sat(5));
        assert_eq!((found.budget_least, found.budget_most), (kw(11), kw(12)));
        assert_eq!(found.spare_brings, sat(5), "what machines leave spares the wear");
        assert_eq!(beside(conditions, &runs, sat(2)).spare_brings, sat(3));
        let lacks = Steered { headroom: kw(-2), ..runs };
        assert_eq!(beside(conditions, &lacks, sat(5)).budget_least, kw(-1));
        let still = beside(conditions, &Steered::default(), sat(5));
        assert_eq!((still.budget_most, still.spare_brings), (kw(2), sat(3)));
    }

    #[test]
    fn what_nobody_traded_is_no_market_that_pays() {
        let target = Target {
            net: Power::ZERO,
            mining: Power::ZERO,
            spare_brings: sat(3),
            lack_costs: sat(300),
        };
        let aim = |is_traded| Aim { target, price: sat(300), is_traded, next_hour: None };
        assert_eq!(traded(Some(aim(true))), Some(sat(300)));
        assert_eq!((traded(Some(aim(false))), traded(None)), (None, None));
    }

    #[test]
    fn a_generator_runs_for_machines_that_the_plan_decides_for_and_to_which_power_is_worth_more() {
        let found = |members: &[Member]| above(members, at(0), sat(15));
        let worth = |sat| relied_on(member(sat));
        assert_eq!(found(&[worth(72), worth(42), worth(15)]), (kw(4), sat(42)));
        assert_eq!(found(&[worth(72), member(42)]), (kw(2), sat(72)), "one is not found yet");
        let mut owned = worth(42);
        owned.owner = Some((SetPoint::Run { power_mw: kw(2) }, at(1)));
        assert_eq!(found(&[worth(72), owned]), (kw(2), sat(72)), "its owner decides");
        let mut idle = worth(72);
        idle.known = idle.known.map(|it| {
            let abilities = boltgrid_miners::machine::Abilities { idle: kw(1), ..it.abilities };
            super::super::super::hand::Known { abilities, ..it }
        });
        assert_eq!(found(&[idle]), (kw(1), sat(72)), "what it draws asleep it draws anyway");
        assert!(known().seen.is_none());
    }
}
