//! What runs goes on, best first, as far as it pays; it is shed from the other end.

use super::fixed::Support;
use super::gain::{best, gain};
use super::{Conditions, Decision, Left, Machine, Reason};
use crate::machine::SetPoint;

/// Decides for all that run and are not decided for yet.
pub(super) fn keep(
    conditions: &Conditions,
    machines: &[Machine<'_>],
    order: &[usize],
    decisions: &mut [Option<Decision>],
    (left, support): (&mut Left, &mut Support),
) {
    for place in order {
        let (Some(machine), Some(decision)) = (machines.get(*place), decisions.get_mut(*place))
        else {
            continue;
        };
        if decision.is_some() || !machine.runs() {
            continue;
        }
        let kept = kept(conditions, machine, left, support);
        let mw = kept.set_point.map_or(0, |set_point| machine.above_idle_mw(set_point));
        left.take(mw);
        support.take(machine, mw);
        *decision = Some(kept);
    }
}

fn kept(
    conditions: &Conditions,
    machine: &Machine<'_>,
    left: &Left,
    support: &Support,
) -> Decision {
    let supports = support.at_most_mw(machine);
    let ceiling_mw = supports.map_or(left.ceiling_mw, |most| most.min(left.ceiling_mw));
    let present_mw = machine.told_mw();
    let able_mw = ceiling_mw.min(present_mw);
    let wanted = support.wants(machine);
    let (set_point, gained) =
        best(conditions, machine, machine.worth.to_go_on, (left.most_mw, able_mw));
    let limit = || {
        let by_frequency = supports.is_some_and(|most| most < left.ceiling_mw);
        if by_frequency { Reason::GridSupport } else { Reason::Limit }
    };
    let pays = if machine.heat_is_due { Reason::Heats } else { Reason::Pays };
    if wanted && present_mw <= left.ceiling_mw {
        return Decision { set_point: Some(machine.told), reason: Reason::GridSupport };
    }
    if set_point == SetPoint::Off {
        return forced_on(conditions, machine, ceiling_mw).unwrap_or_else(|| {
            // Would it pay if there were no limit, or if the others left it enough?
            let at_present = gain(conditions, machine.worth.to_go_on, present_mw, left.most_mw);
            let alone = gain(conditions, machine.worth.to_go_on, present_mw, present_mw);
            let reason = match (at_present > 0, alone > 0) {
                (true, _) => limit(),
                (false, true) => Reason::NothingLeft,
                (false, false) => Reason::TooDear,
            };
            Decision { set_point: Some(SetPoint::Off), reason }
        });
    }
    // A little more than there is costs less than to change it all the time.
    let lowered_by = present_mw.saturating_sub(machine.above_idle_mw(set_point));
    let is_small = lowered_by > 0 && lowered_by < machine.habits.dead_band.to_milliwatts();
    let at_present = gain(conditions, machine.worth.to_go_on, present_mw, left.most_mw);
    if is_small && present_mw <= ceiling_mw && (at_present > 0 || gained <= 0) {
        return Decision { set_point: Some(machine.told), reason: pays };
    }
    let reason = match (lowered_by > 0, present_mw > ceiling_mw) {
        (false, _) => pays,
        (true, true) => limit(),
        (true, false) => Reason::NothingLeft,
    };
    Decision { set_point: Some(set_point), reason }
}

/// A machine that was started a short while ago runs on at its least, but through no fuse.
fn forced_on(conditions: &Conditions, machine: &Machine<'_>, ceiling_mw: i64) -> Option<Decision> {
    let until = machine.runs_until(conditions.now)?;
    let least = machine.next_above(SetPoint::Off);
    (machine.above_idle_mw(least) <= ceiling_mw).then_some(Decision {
        set_point: Some(least),
        reason: Reason::RunsOn { until_unix_ms: until.to_unix_ms() },
    })
}
