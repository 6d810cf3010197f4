//! The site's well beside its machines: what the generator could give beyond what it gives is added to
//! what they may draw, and what it can give in the next interval to what the site offers.

use boltgrid_market::strategy::Generation;
use boltgrid_miners::flare::Wanted;
use boltgrid_miners::plan::{Conditions, Say};
use boltgrid_miners::react::{Draws, Target};
use boltgrid_protocol::units::{Power, Price, Timestamp};

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
            traded: aim.filter(|aim| aim.is_traded).map(|aim| aim.price),
            export_max,
        };
        let steered = well.steer(now, self.site.state.borrow().as_ref(), &wanted);
        Conditions {
            budget_least: plus(conditions.budget_least, steered.headroom),
            budget_most: plus(conditions.budget_most, steered.headroom),
            spare_brings: if steered.runs {
                conditions.spare_brings.max(well.cost())
            } else {
                conditions.spare_brings
            },
            ..conditions
        }
    }

    /// What the generator can give in an interval that starts at `starts`.
    pub(super) fn generation(&self, now: Timestamp, starts: Timestamp) -> Option<Generation> {
        let well = self.well.as_ref()?;
        let power = well.offer(now, starts)?;
        Some(Generation { cost: well.cost(), power })
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
