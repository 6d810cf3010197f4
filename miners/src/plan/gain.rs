//! What a change of a machine's power brings: what it earns less what the power would bring elsewhere,
//! or costs.

use boltgrid_protocol::units::Price;

use super::{Conditions, Machine};
use crate::machine::SetPoint;

/// What it brings that a machine to which power is worth `worth` takes `by_mw` where `left_mw` of the
/// budget are left, in mW · msat/kWh. A negative change is what it brings to give that much back.
///
/// Concave in `by_mw`, as long as what is lacking costs no less than what is spare brings: what is
/// best is then at the budget's end or at an end of what the machine can.
pub(super) fn gain(conditions: &Conditions, worth: Price, by_mw: i64, left_mw: i64) -> i128 {
    let spare_mw = left_mw.max(0);
    let of_budget = by_mw.min(spare_mw);
    let beyond = by_mw.saturating_sub(spare_mw).max(0);
    let brings = product(conditions.spare_brings, of_budget);
    let costs = product(conditions.lack_costs.max(conditions.spare_brings), beyond);
    product(worth, by_mw).saturating_sub(brings).saturating_sub(costs)
}

/// The best of what a machine can do within `ceiling_mw` where `left_mw` of the budget are left, by
/// what power is `worth` to it, and what that brings. Of equal ones the one that draws least.
pub(super) fn best(
    conditions: &Conditions,
    machine: &Machine<'_>,
    worth: Price,
    (left_mw, ceiling_mw): (i64, i64),
) -> (SetPoint, i128) {
    let fits = machine.within_mw(left_mw.min(ceiling_mw));
    let least = machine.next_above(SetPoint::Off);
    let most = machine.within_mw(ceiling_mw);
    let candidates = [least, fits, machine.next_above(fits), most];
    let mut best = (SetPoint::Off, 0);
    for set_point in candidates {
        let mw = machine.above_idle_mw(set_point);
        if mw > ceiling_mw || set_point == SetPoint::Off {
            continue;
        }
        let gained = gain(conditions, worth, mw, left_mw);
        let draws_less = mw < machine.above_idle_mw(best.0) && gained == best.1;
        if gained > best.1 || draws_less {
            best = (set_point, gained);
        }
    }
    best
}

fn product(price: Price, mw: i64) -> i128 {
    i128::from(price.to_msat_per_kwh()).saturating_mul(i128::from(mw))
}
