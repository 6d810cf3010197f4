//! Every node knows in time whether there is a decision (P10, P16): it clears, or it says that the
//! interval is supplied at the tariff, and after that it signs no trade of it any more.
//!
//! Not for: whether a decision had to come.

use std::collections::BTreeMap;

use boltgrid_market::effect::Slot;
use boltgrid_protocol::units::Interval;

use super::{Facts, Findings, Fitness, Guarantee, Here};

/// What a node told of an interval since it started.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    cleared: bool,
    fell_back: bool,
}

/// What all nodes told.
#[derive(Debug, Default)]
pub(super) struct InTime {
    told: BTreeMap<(usize, Interval), Told>,
}

impl InTime {
    pub(super) fn cleared(&mut self, here: Here, interval: Interval) {
        self.told.entry((here.node, interval)).or_default().cleared = true;
    }

    pub(super) fn fell_back(
        &mut self,
        facts: &Facts,
        findings: &mut Findings,
        here: Here,
        interval: Interval,
    ) {
        let told = self.told.entry((here.node, interval)).or_default();
        if told.cleared {
            let what = "it falls back after it cleared".to_owned();
            findings.at(Guarantee::InTime, here, interval, what);
        }
        told.fell_back = true;
        if here.local <= facts.schedule(interval).confirm_by {
            let what = "it falls back before time is up".to_owned();
            findings.at(Guarantee::InTime, here, interval, what);
        }
    }

    /// After it fell back, a node signs no trade.
    pub(super) fn stored(&self, facts: &Facts, findings: &mut Findings, here: Here, slot: Slot) {
        let Slot::Confirm(interval, index) = slot else { return };
        let fell_back = self.told.get(&(here.node, interval)).is_some_and(|told| told.fell_back);
        if fell_back || here.local > facts.schedule(interval).confirm_by {
            let late_ms = here.local.ms_since(facts.schedule(interval).confirm_by);
            let what = format!("it signs trade {index}, {late_ms} ms after confirms count");
            findings.at(Guarantee::InTime, here, interval, what);
        }
    }

    /// A node stopped.
    pub(super) fn forget(&mut self, node: usize) {
        self.told.retain(|(at, _), _| *at != node);
    }

    /// Whether a node cleared an interval.
    pub(super) fn has_cleared(&self, node: usize, interval: Interval) -> bool {
        self.told.get(&(node, interval)).is_some_and(|told| told.cleared)
    }

    /// All honest nodes that ran steadily through the interval know by now.
    pub(super) fn closed(
        &mut self,
        facts: &Facts,
        findings: &mut Findings,
        (at_ms, interval): (u64, Interval),
        fitness: &Fitness,
    ) {
        for (node, _) in fitness.steady.iter().enumerate().filter(|(_, steady)| **steady) {
            let told = self.told.get(&(node, interval)).copied().unwrap_or_default();
            if facts.honest[node] && !told.cleared && !told.fell_back {
                let what = "it neither cleared nor fell back".to_owned();
                findings.add(Guarantee::InTime, (at_ms, Some(node)), interval, what);
            }
        }
        self.told.retain(|(_, of), _| of.plus(4) > interval);
    }
}
