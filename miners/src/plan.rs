//! Planning: what each machine of a site is to do now, and why.
//!
//! Pure: the machines as they are and the power there is go in, one [`Decision`] for each machine
//! comes out. All machines share one budget, so that no watt is promised twice:
//!
//! 1. What is not to be decided ([`fixed`]): a machine that is not under control, or whose owner decided.
//! 2. What runs goes on, best first, as far as it pays ([`keep`]); so the least efficient is shed first.
//! 3. What is still drawn beyond the budget is shed by whichever loses least by it ([`exchange`]).
//! 4. What is left raises and starts machines, best first, within steps and staggered starts
//!    ([`raise`]).
//! 5. Where a better machine stands still for want of power that poorer ones have, they give way to it,
//!    if that earns more with the start paid for ([`exchange`]).
//!
//! Not for: how much power there is ([`crate::react`]), or telling machines.

mod exchange;
mod fixed;
mod gain;
mod keep;
mod machine;
mod raise;
mod reason;
#[cfg(test)]
mod tests;

use boltgrid_protocol::units::{Power, Price, Timestamp};
use serde::{Deserialize, Serialize};

pub use machine::{Habits, Machine, Past, Say};
pub use reason::Reason;

use crate::machine::SetPoint;

/// Most machines of one site.
pub const MACHINES_MAX: usize = 2_000;

/// What there is for the machines of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// When.
    pub now: Timestamp,
    /// What they may draw together, beyond what they draw asleep, without anybody's buying more. While machines are on their way to
    /// another power nobody knows exactly what they draw: this is the least that it may be …
    pub budget_least: Power,
    /// … and this the most. What runs is kept by this, and nothing is started by it.
    pub budget_most: Power,
    /// What a kilowatt-hour brings that they leave.
    pub spare_brings: Price,
    /// What a kilowatt-hour costs that they take beyond the budget.
    pub lack_costs: Price,
    /// What they may draw together at most, likewise: fuse, feeder and transformer. It goes with
    /// [`Self::budget_most`].
    pub ceiling: Power,
    /// How much more they may draw together than before, so that a weak grid follows.
    pub step_max: Power,
    /// How many may be started at once.
    pub starts_max: usize,
    /// Whether all are to stop at once: islanding, or an emergency of the grid.
    pub emergency: bool,
    /// What the frequency or the voltage asks of machines that follow at once.
    pub response: Response,
}

/// What frequency and voltage ask of machines that follow within [`FAST_MS`], in parts per million of
/// what all of them could draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// They draw at most this.
    pub at_most_ppm: u32,
    /// They draw at least this, whatever power costs.
    pub at_least_ppm: u32,
}

/// Machines that follow within this time take part in what frequency and voltage ask.
pub const FAST_MS: u64 = 2_000;

/// Nothing is asked.
impl Default for Response {
    fn default() -> Self {
        Self { at_most_ppm: 1_000_000, at_least_ppm: 0 }
    }
}

/// What one machine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What to tell it; `None` for nothing, as it is not under control.
    pub set_point: Option<SetPoint>,
    /// Why.
    pub reason: Reason,
}

/// What is left while a plan is made.
#[derive(Clone, Copy, Debug)]
struct Left {
    /// Of the budget, in mW; below zero where more is drawn than there is.
    least_mw: i64,
    most_mw: i64,
    /// Of the ceiling.
    ceiling_mw: i64,
}

impl Left {
    /// Takes `mw` out of all.
    const fn take(&mut self, mw: i64) {
        self.least_mw = self.least_mw.saturating_sub(mw);
        self.most_mw = self.most_mw.saturating_sub(mw);
        self.ceiling_mw = self.ceiling_mw.saturating_sub(mw);
    }
}

/// What all machines are to do, in their order.
///
/// Of more machines than [`MACHINES_MAX`] the rest is left as it is.
#[must_use]
pub fn plan(conditions: &Conditions, machines: &[Machine<'_>]) -> Vec<Decision> {
    let considered = machines.get(..MACHINES_MAX).unwrap_or(machines);
    let mut left = Left {
        least_mw: conditions.budget_least.to_milliwatts(),
        most_mw: conditions.budget_most.to_milliwatts(),
        ceiling_mw: conditions.ceiling.to_milliwatts(),
    };
    let mut decisions: Vec<Option<Decision>> =
        considered.iter().map(|machine| fixed::decide(conditions, machine, &mut left)).collect();
    let mut support = fixed::Support::of(conditions.response, considered);
    let order = best_first(considered);
    keep::keep(conditions, considered, &order, &mut decisions, (&mut left, &mut support));
    exchange::relieve(conditions, considered, &mut decisions, &mut left);
    raise::raise(conditions, considered, &order, &mut decisions, (&mut left, &mut support));
    exchange::give_way(conditions, considered, &order, &mut decisions, &mut left);
    let undecided = Decision { set_point: None, reason: Reason::OnlyLookedAt };
    let rest = machines.len().saturating_sub(considered.len());
    let rest = std::iter::repeat_n(undecided, rest);
    decisions.into_iter().map(|it| it.unwrap_or(undecided)).chain(rest).collect()
}

/// What a plan leaves, of budget and ceiling, for a machine that runs by itself as soon as it has power.
#[must_use]
pub fn room(conditions: &Conditions, machines: &[Machine<'_>], decisions: &[Decision]) -> Power {
    if conditions.emergency {
        return Power::ZERO;
    }
    let takes = |(machine, decision): (&Machine<'_>, &Decision)| match decision.set_point {
        Some(set_point) => machine.above_idle_mw(set_point),
        None => machine.undecided_mw(),
    };
    let taken = machines.iter().zip(decisions).map(takes).fold(0_i64, i64::saturating_add);
    let whole = conditions.budget_least.min(conditions.ceiling).to_milliwatts();
    Power::from_milliwatts(whole.saturating_sub(taken).max(0))
}

/// The places of machines, best first: those whose heat is wanted, then by what power is worth to
/// them, then those that run, then as they come.
fn best_first(machines: &[Machine<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..machines.len()).collect();
    order.sort_by_key(|place| {
        machines.get(*place).map(|machine| {
            let worth = std::cmp::Reverse(machine.worth.to_go_on);
            (!machine.heat_is_due, worth, !machine.runs(), *place)
        })
    });
    order
}
