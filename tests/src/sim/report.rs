//! What happened in one run or in many, counted. Not for: what was wrong with it, line by line.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts of one run; those of many are added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Runs.
    pub seeds: u64,
    /// Intervals run through.
    pub intervals: u64,
    /// Intervals that somebody decided.
    pub decided: u64,
    /// How often a node fell back to the tariff.
    pub fallbacks: u64,
    /// Simulated time of all nodes together.
    pub node_ms: u64,
    /// Inputs that markets took.
    pub steps: u64,
    /// Messages sent over links.
    pub sent: u64,
    /// Of these, lost.
    pub lost: u64,
    /// Of these, stopped by a partition.
    pub cut_off: u64,
    /// Of these, delivered twice.
    pub copied: u64,
    /// Messages that arrived because they were offered again.
    pub repaired: u64,
    /// Messages that no gatekeeper let in, or too early or late.
    pub refused: u64,
    /// Writes of journals.
    pub writes: u64,
    /// Of these, refused by a full disk.
    pub writes_failed: u64,
    /// How often a node stopped.
    pub stops: u64,
    /// Sides of trades that were confirmed by both.
    pub confirmed: u64,
    /// Intervals settled, by any node.
    pub settled: u64,
    /// Sides of trades settled from both meters.
    pub measured: u64,
    /// Runs in which counterparties only see readings.
    pub private: u64,
    /// Runs in which the sites of a feeder mask what they took.
    pub masked: u64,
    /// Sums of masked sites that a node took.
    pub summed: u64,
    /// Sums that there could not be.
    pub not_summed: u64,
    /// Gaps of feeders that a node noticed.
    pub gaps: u64,
    /// Readings that were shown to counterparties.
    pub shown: u64,
    /// Times that somebody signed two things and honest nodes saw both.
    pub equivocations: u64,
    /// Messages that rogues said to some only.
    pub whispers: u64,
    /// How often a node began to abstain.
    pub abstentions: u64,
    /// Rogues, by part.
    pub rogues: BTreeMap<&'static str, u64>,
    /// Incidents, by kind.
    pub incidents: BTreeMap<&'static str, u64>,
    /// What did not hold, by guarantee.
    pub violations: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.seeds, other.seeds),
            (&mut self.intervals, other.intervals),
            (&mut self.decided, other.decided),
            (&mut self.fallbacks, other.fallbacks),
            (&mut self.node_ms, other.node_ms),
            (&mut self.steps, other.steps),
            (&mut self.sent, other.sent),
            (&mut self.lost, other.lost),
            (&mut self.cut_off, other.cut_off),
            (&mut self.copied, other.copied),
            (&mut self.repaired, other.repaired),
            (&mut self.refused, other.refused),
            (&mut self.writes, other.writes),
            (&mut self.writes_failed, other.writes_failed),
            (&mut self.stops, other.stops),
            (&mut self.confirmed, other.confirmed),
            (&mut self.settled, other.settled),
            (&mut self.measured, other.measured),
            (&mut self.private, other.private),
            (&mut self.masked, other.masked),
            (&mut self.summed, other.summed),
            (&mut self.not_summed, other.not_summed),
            (&mut self.gaps, other.gaps),
            (&mut self.shown, other.shown),
            (&mut self.equivocations, other.equivocations),
            (&mut self.abstentions, other.abstentions),
            (&mut self.whispers, other.whispers),
        ];
        for (sum, count) in pairs {
            *sum += count;
        }
        for (sums, counts) in [
            (&mut self.rogues, &other.rogues),
            (&mut self.incidents, &other.incidents),
            (&mut self.violations, &other.violations),
        ] {
            for (word, count) in counts {
                *sums.entry(word).or_default() += count;
            }
        }
    }

    /// Simulated hours of all nodes together, rounded down.
    #[must_use]
    pub const fn node_hours(&self) -> u64 {
        self.node_ms.div_euclid(3_600_000)
    }

    /// How many checks failed.
    #[must_use]
    pub fn violated(&self) -> u64 {
        self.violations.values().sum()
    }
}
