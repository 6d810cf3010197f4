//! What the machines make of the site's next order: each a load at the price that it is worth to it; and
//! what the generator beside them does.

use boltgrid_market::strategy::{Flexible, Generation};
use boltgrid_miners::machine::SetPoint;
use boltgrid_miners::plan::Say;
use boltgrid_protocol::units::{Power, Price, Timestamp};

use super::member::Member;

/// What the planner has to know of the machines, and of the generator beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mining {
    /// What they bid in the next order.
    pub(crate) loads: Vec<Flexible>,
    /// What those draw now that bid, which is no load of the site's own.
    pub(crate) draws: Power,
    /// What the generator offers in the next order.
    pub(crate) generation: Option<Generation>,
}

/// More than any retail price: who has to run bids what the supplier takes.
const HAS_TO_RUN: Price = Price::from_msat_per_kwh(i64::MAX);

impl Mining {
    /// What machines bid for an interval that starts at `starts`.
    pub(super) fn of(members: &[Member], now: Timestamp, starts: Timestamp) -> Self {
        let mut draws = 0_i64;
        let mut loads = Vec::new();
        for member in members {
            if member.counted_on().is_none() {
                continue;
            }
            draws = draws.saturating_add(member.draws(now, None).most.to_milliwatts());
            loads.extend(bid(member, now, starts));
        }
        Self { loads, draws: Power::from_milliwatts(draws), generation: None }
    }
}

/// What one machine bids; nothing where it cannot run then.
fn bid(member: &Member, now: Timestamp, starts: Timestamp) -> Option<Flexible> {
    let abilities = member.counted_on()?;
    let machine = member.planned(now)?;
    let above_idle = |power: Power| {
        let mw = power.to_milliwatts().saturating_sub(abilities.idle.to_milliwatts());
        Power::from_milliwatts(mw.max(0))
    };
    if let Some((set_point, until)) = member.owner
        && starts < until
    {
        let SetPoint::Run { power_mw } = set_point else { return None };
        return Some(Flexible { worth: HAS_TO_RUN, power: above_idle(power_mw) });
    }
    if machine.say == Say::TooHot {
        return None;
    }
    if let Say::Rule { set_point, .. } = machine.say {
        let SetPoint::Run { power_mw } = set_point else { return None };
        return Some(Flexible { worth: HAS_TO_RUN, power: above_idle(power_mw) });
    }
    let free_at = |ms| machine.past.switched_at.map(|at| at.plus_ms(ms));
    let power = above_idle(abilities.most());
    if machine.runs() {
        let runs_on = free_at(machine.habits.on_ms_min).is_some_and(|until| starts < until);
        let worth = if runs_on { HAS_TO_RUN } else { machine.worth.to_go_on };
        return Some(Flexible { worth, power });
    }
    let rests = free_at(machine.habits.off_ms_min).is_some_and(|until| starts < until);
    let may_start = machine.past.starts_of_a_day < machine.habits.starts_per_day_max;
    (!rests && may_start).then_some(Flexible { worth: machine.worth.to_start, power })
}
