//! From a plan that fails to a short one that fails in the same way: incidents are left out as long
//! as the same guarantee does not hold, then what is always wrong with the links, then intervals.
//!
//! Delta debugging (Zeller and Hildebrandt, *Simplifying and isolating failure-inducing input*, 2002,
//! `ddmin`). Not for: making a failure understood; the trace is for that.

use super::check::Guarantee;
use super::plan::{INTERVAL_MS, Plan};
use super::world::{Options, Outcome, run};

/// Most runs of one shrinking.
const RUNS_MAX: u32 = 400;

/// A failing plan and how it fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The shortest plan found.
    pub plan: Plan,
    /// Its run, with a trace.
    pub outcome: Outcome,
    /// How many runs it took.
    pub runs: u32,
}

struct Shrinking {
    guarantee: Guarantee,
    options: Options,
    runs: u32,
}

impl Shrinking {
    fn fails(&mut self, plan: &Plan) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let outcome = run(plan, Options { until: Some(self.guarantee), ..self.options });
        outcome.violations.iter().any(|it| it.guarantee == self.guarantee)
    }

    /// Keeps a change if the plan still fails with it.
    fn attempt(&mut self, plan: &mut Plan, change: impl FnOnce(&mut Plan)) -> bool {
        let mut changed = plan.clone();
        change(&mut changed);
        let better = changed != *plan && self.fails(&changed);
        if better {
            *plan = changed;
        }
        better
    }
}

/// The shortest plan found in which `guarantee` does not hold, as it does not in `plan`.
#[must_use]
pub fn shrink(plan: &Plan, guarantee: Guarantee, options: Options) -> Shrunk {
    let mut shrinking = Shrinking { guarantee, options, runs: 0 };
    let mut plan = plan.clone();
    cut_the_end(&mut shrinking, &mut plan);
    drop_incidents(&mut shrinking, &mut plan);
    for number in (0..plan.rogues.len()).rev() {
        shrinking.attempt(&mut plan, |plan| {
            plan.rogues.remove(number);
        });
    }
    shrinking.attempt(&mut plan, |plan| plan.weather.copies_ppm = 0);
    shrinking.attempt(&mut plan, |plan| plan.weather.loss_ppm = 0);
    shrinking.attempt(&mut plan, |plan| plan.weather.jitter_ms = 0);
    shrinking.attempt(&mut plan, |plan| plan.loss_ppm = 0);
    drop_incidents(&mut shrinking, &mut plan);
    let runs = shrinking.runs;
    let traced = Options { traced: true, until: Some(guarantee), ..options };
    let outcome = run(&plan, traced);
    Shrunk { plan, outcome, runs }
}

/// Nothing after the failure matters.
fn cut_the_end(shrinking: &mut Shrinking, plan: &mut Plan) {
    let outcome = run(plan, Options { until: Some(shrinking.guarantee), ..shrinking.options });
    let Some(failed) = outcome.violations.iter().find(|it| it.guarantee == shrinking.guarantee)
    else {
        return;
    };
    let at_ms = failed.at_ms;
    shrinking.attempt(plan, |plan| plan.incidents.retain(|it| it.at_ms <= at_ms));
    let intervals = (at_ms / INTERVAL_MS + 1).min(plan.intervals);
    shrinking.attempt(plan, |plan| plan.intervals = intervals);
}

/// Leaves out halves, quarters and so on, down to single incidents.
fn drop_incidents(shrinking: &mut Shrinking, plan: &mut Plan) {
    let mut length = plan.incidents.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        while start < plan.incidents.len() {
            let end = (start + length).min(plan.incidents.len());
            let dropped = shrinking.attempt(plan, |plan| drop(plan.incidents.drain(start..end)));
            if !dropped {
                start = end;
            }
        }
        if length == 1 {
            return;
        }
        length = length.div_ceil(2);
    }
}
