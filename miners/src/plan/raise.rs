//! What is left raises and starts machines, best first.

use super::fixed::Support;
use super::gain::{best, gain};
use super::{Conditions, Decision, Left, Machine, Reason};
use crate::machine::SetPoint;

/// What bounds how much changes at once.
struct Pace {
    step_mw: i64,
    starts: usize,
}

/// Raises what runs and starts what does not, where it pays.
pub(super) fn raise(
    conditions: &Conditions,
    machines: &[Machine<'_>],
    order: &[usize],
    decisions: &mut [Option<Decision>],
    (left, support): (&mut Left, &mut Support),
) {
    let mut pace =
        Pace { step_mw: conditions.step_max.to_milliwatts(), starts: conditions.starts_max };
    for place in order {
        let (Some(machine), Some(decision)) = (machines.get(*place), decisions.get_mut(*place))
        else {
            continue;
        };
        match decision {
            None => {
                let started = started(conditions, machine, (left, support), &pace);
                let runs = matches!(started.set_point, Some(SetPoint::Run { .. }));
                let mw = started.set_point.map_or(0, |it| machine.above_idle_mw(it));
                took(machine, mw, (left, support), &mut pace);
                pace.starts = pace.starts.saturating_sub(usize::from(runs));
                *decision = Some(started);
            }
            Some(kept) => {
                let Some(higher) = raised(conditions, machine, kept, (left, support), &pace) else {
                    continue;
                };
                let before = kept.set_point.map_or(0, |it| machine.above_idle_mw(it));
                let mw = machine.above_idle_mw(higher).saturating_sub(before);
                took(machine, mw, (left, support), &mut pace);
                kept.set_point = Some(higher);
            }
        }
    }
}

fn took(
    machine: &Machine<'_>,
    mw: i64,
    (left, support): (&mut Left, &mut Support),
    pace: &mut Pace,
) {
    left.take(mw);
    support.take(machine, mw);
    pace.step_mw = pace.step_mw.saturating_sub(mw);
}

/// A machine that stands still.
fn started(
    conditions: &Conditions,
    machine: &Machine<'_>,
    (left, support): (&Left, &Support),
    pace: &Pace,
) -> Decision {
    let off = |reason| Decision { set_point: Some(SetPoint::Off), reason };
    let ceiling_mw = ceiling_mw(machine, left, support);
    let wanted = support.wants(machine);
    let worth = machine.worth.to_start;
    let (mut set_point, gained) =
        best(conditions, machine, worth, (left.least_mw, ceiling_mw.min(pace.step_mw)));
    if wanted {
        set_point = machine.within_mw(ceiling_mw.min(pace.step_mw));
    }
    if set_point == SetPoint::Off {
        return off(held_back(conditions, machine, left, ceiling_mw));
    }
    if let Some(until) = machine.rests_until(conditions.now) {
        return off(Reason::Rests { until_unix_ms: until.to_unix_ms() });
    }
    if machine.past.starts_of_a_day >= machine.habits.starts_per_day_max {
        return off(Reason::StartsUsedUp);
    }
    if pace.starts == 0 {
        return off(Reason::Waits);
    }
    let reason = match (gained > 0, machine.heat_is_due) {
        (false, _) => Reason::GridSupport,
        (true, true) => Reason::Heats,
        (true, false) => Reason::Pays,
    };
    Decision { set_point: Some(set_point), reason }
}

/// How much more may be drawn by a machine. What is on its way may already draw all that it was told,
/// and what shows that is still to come: so much less is there to be raised by.
fn ceiling_mw(machine: &Machine<'_>, left: &Left, support: &Support) -> i64 {
    let unsure_mw = left.most_mw.saturating_sub(left.least_mw).max(0);
    let ceiling_mw = left.ceiling_mw.saturating_sub(unsure_mw);
    support.at_most_mw(machine).map_or(ceiling_mw, |most| most.min(ceiling_mw))
}

/// Why a machine is not started.
fn held_back(
    conditions: &Conditions,
    machine: &Machine<'_>,
    left: &Left,
    ceiling_mw: i64,
) -> Reason {
    let worth = machine.worth.to_start;
    let least = machine.above_idle_mw(machine.next_above(SetPoint::Off));
    let pays = |left_mw| gain(conditions, worth, least, left_mw) > 0;
    match (pays(left.least_mw), pays(least)) {
        (true, _) if least > ceiling_mw => Reason::Limit,
        (true, _) => Reason::Waits,
        (false, true) => Reason::NothingLeft,
        (false, false) => Reason::TooDear,
    }
}

/// The higher set point of a machine that goes on, where there is one that pays.
fn raised(
    conditions: &Conditions,
    machine: &Machine<'_>,
    kept: &Decision,
    (left, support): (&Left, &Support),
    pace: &Pace,
) -> Option<SetPoint> {
    let Some(SetPoint::Run { .. }) = kept.set_point else { return None };
    let is_free = matches!(kept.reason, Reason::Pays | Reason::Heats | Reason::GridSupport);
    // Who gave some of it up just now is not raised by the same plan.
    if !is_free || kept.set_point != Some(machine.told) {
        return None;
    }
    let present_mw = machine.told_mw();
    let more_mw = ceiling_mw(machine, left, support).min(pace.step_mw);
    let ceiling_mw = present_mw.saturating_add(more_mw);
    let at_hand = present_mw.saturating_add(left.least_mw.max(0));
    let (higher, _) = best(conditions, machine, machine.worth.to_go_on, (at_hand, ceiling_mw));
    let by_mw = machine.above_idle_mw(higher).saturating_sub(present_mw);
    let is_most = machine.above_idle_mw(higher) == machine.most_mw();
    let is_enough = by_mw >= machine.habits.dead_band.to_milliwatts() || is_most;
    (by_mw > 0 && is_enough).then_some(higher)
}
