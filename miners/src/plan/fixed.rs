//! What is not to be decided, and what frequency and voltage ask.

use super::{Conditions, Decision, Left, Machine, Reason, Response, Say};
use crate::machine::{Control, SetPoint};

/// The decision for a machine that is not under control, or all of them in an emergency; `None` for one
/// that is to be planned. What it draws is taken out of what is left.
pub(super) fn decide(
    conditions: &Conditions,
    machine: &Machine<'_>,
    left: &mut Left,
) -> Option<Decision> {
    let looked_at = machine.abilities.control == Control::Nothing;
    let (set_point, reason, mw) = match machine.say {
        Say::Nobody { .. } => (None, Reason::Unresponsive, machine.undecided_mw()),
        Say::Plan | Say::TooHot | Say::Rule { .. } | Say::Owner { .. } if looked_at => {
            (None, Reason::OnlyLookedAt, machine.undecided_mw())
        }
        Say::Plan | Say::TooHot | Say::Rule { .. } | Say::Owner { .. } if conditions.emergency => {
            (Some(SetPoint::Off), Reason::Emergency, 0)
        }
        Say::TooHot => (Some(SetPoint::Off), Reason::TooHot, 0),
        Say::Rule { set_point, number } => said(machine, left, set_point, Reason::Rule { number }),
        Say::Owner { set_point, until } if conditions.now < until => {
            let until_unix_ms = until.to_unix_ms();
            said(machine, left, set_point, Reason::Owner { until_unix_ms })
        }
        Say::Plan | Say::Owner { .. } => return None,
    };
    left.take(mw);
    Some(Decision { set_point, reason })
}

/// What somebody says, within fuses: above such a word there is nothing else.
fn said(
    machine: &Machine<'_>,
    left: &Left,
    set_point: SetPoint,
    reason: Reason,
) -> (Option<SetPoint>, Reason, i64) {
    let mw = machine.above_idle_mw(set_point);
    if mw <= left.ceiling_mw {
        return (Some(set_point), reason, mw);
    }
    let set_point = machine.within_mw(left.ceiling_mw);
    (Some(set_point), Reason::Limit, machine.above_idle_mw(set_point))
}

/// What frequency and voltage leave of the fast machines' power, and what they ask of it, in mW.
#[derive(Clone, Copy, Debug)]
pub(super) struct Support {
    /// How much the fast ones may still draw; `None` where nothing is asked.
    at_most_mw: Option<i64>,
    /// How much they still have to draw.
    at_least_mw: i64,
}

impl Support {
    pub(super) fn of(response: Response, machines: &[Machine<'_>]) -> Self {
        let able = |machine: &&Machine<'_>| machine.is_fast() && machine.say == Say::Plan;
        let all = machines.iter().filter(able).map(Machine::most_mw);
        let all = all.fold(0_i64, i64::saturating_add);
        let part = |ppm: u32| {
            let mw = i128::from(all).saturating_mul(i128::from(ppm)).div_euclid(1_000_000);
            i64::try_from(mw).unwrap_or(i64::MAX)
        };
        let is_bounded = response.at_most_ppm < 1_000_000;
        Self {
            at_most_mw: is_bounded.then(|| part(response.at_most_ppm)),
            at_least_mw: part(response.at_least_ppm),
        }
    }

    /// What a machine may draw by it.
    pub(super) fn at_most_mw(&self, machine: &Machine<'_>) -> Option<i64> {
        self.at_most_mw.filter(|_| machine.is_fast())
    }

    /// Whether a machine is to run whatever power costs.
    pub(super) const fn wants(&self, machine: &Machine<'_>) -> bool {
        self.at_least_mw > 0 && machine.is_fast()
    }

    /// Notes what a machine draws.
    pub(super) fn take(&mut self, machine: &Machine<'_>, mw: i64) {
        if machine.is_fast() {
            self.at_most_mw = self.at_most_mw.map(|most| most.saturating_sub(mw));
            self.at_least_mw = self.at_least_mw.saturating_sub(mw);
        }
    }
}
