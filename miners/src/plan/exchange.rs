//! Two looks back at a plan that was made machine by machine, best first: what is over the budget is shed
//! by the machine whose stop costs least, and what stands in the way of a better one gives way to it.
//!
//! Best first alone keeps a large machine whose last part is bought from the supplier, although a small
//! one could stop instead; and lets a poor machine that fits into what is left keep it from a better
//! one that does not, for good.

use super::gain::gain;
use super::{Conditions, Decision, Left, Machine, Reason};
use crate::machine::SetPoint;

/// Most machines that are stopped by one plan for either.
const STOPS_MAX: usize = 64;

/// Sheds what is drawn beyond the budget by whichever machine loses least by it, as long as that pays.
pub(super) fn relieve(
    conditions: &Conditions,
    machines: &[Machine<'_>],
    decisions: &mut [Option<Decision>],
    left: &mut Left,
) {
    for _ in 0..STOPS_MAX {
        let lacking_mw = left.most_mw.saturating_neg();
        if lacking_mw <= 0 {
            return;
        }
        let saved = |machine: &Machine<'_>, decision: &Decision| {
            let mw = drawn_mw(machine, decision);
            // What it draws beyond the budget costs, the rest brings something elsewhere.
            let worth = gain(conditions, machine.worth.to_go_on, mw, mw.saturating_sub(lacking_mw));
            worth.saturating_neg()
        };
        let stops = machines.iter().zip(decisions.iter()).enumerate();
        let stops = stops.filter_map(|(place, (machine, decision))| {
            let decision = decision.as_ref().filter(|it| may_stop(conditions, machine, it))?;
            // A little more than there is costs less than to change it all the time.
            if lacking_mw < machine.habits.dead_band.to_milliwatts() {
                return None;
            }
            Some((saved(machine, decision), place))
        });
        let Some((saved, place)) = stops.max() else { return };
        if saved <= 0 || !stop(machines, decisions, left, place) {
            return;
        }
    }
}

/// Stops poor machines where what they draw, with what is left, is enough for a better one that stands
/// still. That one is started by the next plan that sees the power: it is not promised twice.
pub(super) fn give_way(
    conditions: &Conditions,
    machines: &[Machine<'_>],
    order: &[usize],
    decisions: &mut [Option<Decision>],
    left: &mut Left,
) {
    // While some are on their way, what is left is not known: nobody is stopped for that.
    if left.least_mw != left.most_mw {
        return;
    }
    for (rank, place) in order.iter().enumerate() {
        let (Some(better), Some(Some(decision))) = (machines.get(*place), decisions.get(*place))
        else {
            continue;
        };
        let may_start = better.rests_until(conditions.now).is_none()
            && better.past.starts_of_a_day < better.habits.starts_per_day_max;
        if decision.reason != Reason::NothingLeft || better.runs() || !may_start {
            continue;
        }
        let need_mw = better.above_idle_mw(better.next_above(SetPoint::Off));
        let (mut freed_mw, mut lost) = (0_i64, 0_i128);
        let mut stops = Vec::new();
        for worse in order.iter().skip(rank).rev().take(STOPS_MAX) {
            let (Some(machine), Some(Some(decision))) =
                (machines.get(*worse), decisions.get(*worse))
            else {
                continue;
            };
            let is_worse = machine.worth.to_go_on < better.worth.to_start;
            if !is_worse || !may_stop(conditions, machine, decision) {
                continue;
            }
            let mw = drawn_mw(machine, decision);
            freed_mw = freed_mw.saturating_add(mw);
            lost = lost.saturating_add(gain(conditions, machine.worth.to_go_on, mw, mw));
            stops.push(*worse);
            let left_mw = left.least_mw.saturating_add(freed_mw);
            let fits = need_mw <= left.ceiling_mw.saturating_add(freed_mw);
            if fits && gain(conditions, better.worth.to_start, need_mw, left_mw) > lost {
                for place in stops {
                    stop(machines, decisions, left, place);
                }
                // One exchange at a time: what it frees is measured first.
                return;
            }
        }
    }
}

/// Whether the plan may stop a machine that it lets run.
fn may_stop(conditions: &Conditions, machine: &Machine<'_>, decision: &Decision) -> bool {
    let runs = matches!(decision.set_point, Some(SetPoint::Run { .. })) && machine.runs();
    // Heat that is due, and what frequency, owner or rule asks, come before what power earns.
    runs && decision.reason == Reason::Pays && machine.runs_until(conditions.now).is_none()
}

fn drawn_mw(machine: &Machine<'_>, decision: &Decision) -> i64 {
    decision.set_point.map_or(0, |set_point| machine.above_idle_mw(set_point))
}

/// Stops the machine of this place, and says whether there is one.
fn stop(
    machines: &[Machine<'_>],
    decisions: &mut [Option<Decision>],
    left: &mut Left,
    place: usize,
) -> bool {
    let (Some(machine), Some(Some(decision))) = (machines.get(place), decisions.get_mut(place))
    else {
        return false;
    };
    left.take(drawn_mw(machine, decision).saturating_neg());
    *decision = Decision { set_point: Some(SetPoint::Off), reason: Reason::NothingLeft };
    true
}
