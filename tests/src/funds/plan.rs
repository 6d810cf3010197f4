//! What one seed stands for: who has channels with whom, who pays whom, and what goes wrong.
//!
//! A plan is drawn whole before its run. What it comes to is not decided by it alone: processes, disks
//! and the moment of a kill are real. Not for: carrying it out ([`super::world`]).

use std::fmt;

use super::step::Step;
use crate::sim::dice::{Dice, MILLION, to_index};

/// What each node is given on the chain.
pub(super) const DEPOSIT_SAT: u64 = 8_000_000;
/// What goes into a channel.
const SIZE_SAT: u64 = 1_000_000;
/// How much of it is given to the other side at once.
const PUSH_SAT: u64 = 400_000;
/// The smallest and largest payment of a day's tranche: below what the chain enforces.
const TRANCHE_MSAT: (u64, u64) = (1_001, 300_000);
/// The smallest and largest payment that cannot hide in fees.
const LARGE_MSAT: (u64, u64) = (15_000_000, 40_000_000);
/// How long after something else it goes wrong, at most.
const MOMENT_MAX_MS: u64 = 600;
/// And so long, where it is to be in the midst of a payment's beginning.
const BEGUN_MAX_MS: u64 = 40;
/// The deepest reorganisation: less than what makes a channel usable.
const REORG_MAX: u64 = 5;
/// For so many blocks at most somebody is away while it is cheated; the cheat has to wait for 144.
const AWAY_BLOCKS_MAX: u64 = 100;
/// How often each part is in a plan.
const CHEATS_PPM: u64 = 300_000;
const CLOSES_PPM: u64 = 500_000;
const TWICE_PPM: u64 = 300_000;

/// A channel to be opened at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Who opens and pays for it.
    pub from: usize,
    /// With whom.
    pub to: usize,
    /// What is in it.
    pub size_sat: u64,
    /// What of it is the other side's from the start.
    pub push_sat: u64,
    /// How it is closed in the end, if it still is open: by whom, and whether without the other.
    pub ending: (usize, bool),
}

/// Everything that was drawn from a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// Their channels.
    pub channels: Vec<Opening>,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
    /// Who cheats, if somebody does.
    pub cheat: Option<usize>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let nodes = dice.pick(&[2, 2, 2, 2, 3, 3, 3, 4]);
        let cheat = dice.happens(CHEATS_PPM).then_some(0);
        let mut channels = Vec::new();
        for from in 0..nodes {
            // A line, and sometimes a ring.
            let is_line = from + 1 < nodes;
            if is_line || (nodes > 2 && dice.happens(MILLION / 2)) {
                let to = (from + 1) % nodes;
                let ending = (dice.pick(&[from, to]), dice.happens(MILLION / 2));
                channels.push(Opening { from, to, size_sat: SIZE_SAT, push_sat: PUSH_SAT, ending });
            }
        }
        let mut plan = Self { seed, nodes, channels, steps: Vec::new(), cheat };
        plan.burst(&mut dice, 2);
        plan.steps.push(Step::Settle);
        plan.rounds(&mut dice);
        plan
    }

    fn rounds(&mut self, dice: &mut Dice) {
        if let Some(node) = self.cheat {
            return self.cheating(dice, node);
        }
        for _ in 0..dice.between(2, 4) {
            let count = dice.between(1, 4);
            self.burst(dice, count);
            self.incident(dice);
            if dice.happens(MILLION / 2) {
                self.steps.push(Step::Settle);
            }
            // A kill may close a channel: Lightning writes what binds it first and the rest after it.
            self.steps.push(Step::Renew);
        }
        if dice.happens(CLOSES_PPM) {
            self.close(dice);
        }
    }

    /// Somebody keeps a copy, pays, and closes by the copy. Nothing that may close a channel comes
    /// between, or there would be nothing to cheat with.
    fn cheating(&mut self, dice: &mut Dice, node: usize) {
        let partner = node + 1;
        let count = dice.between(0, 3);
        self.burst(dice, count);
        self.steps.extend([Step::Settle, Step::Keep { node }, Step::Start { node }]);
        for _ in 0..dice.between(1, 3) {
            let amount_msat = dice.between(LARGE_MSAT.0, LARGE_MSAT.1);
            self.steps.push(Step::Pay { from: node, to: partner, amount_msat });
            self.steps.push(Step::Settle);
        }
        if dice.happens(MILLION / 2) {
            let depth = narrow(dice.between(1, REORG_MAX));
            self.steps.extend([Step::Mine { blocks: 1 }, Step::Reorg { depth }]);
        }
        let count = dice.between(0, 2);
        self.burst(dice, count);
        if dice.happens(MILLION / 2) {
            self.steps.push(Step::Settle);
        }
        // Who is cheated may be away for a while, and less than it takes the cheat to have its money.
        let is_away = dice.happens(MILLION / 2);
        if is_away {
            self.steps.push(Step::Settle);
            self.steps.push(Step::Kill { node: partner, after_ms: 300 });
        }
        self.steps.push(Step::Cheat { node });
        if is_away {
            let blocks = narrow(dice.between(1, AWAY_BLOCKS_MAX));
            self.steps.extend([Step::Mine { blocks }, Step::Start { node: partner }]);
        }
        if dice.happens(MILLION / 4) {
            self.steps.push(Step::Reorg { depth: 1 });
        }
    }

    /// Payments of which nobody waits for the end.
    fn burst(&mut self, dice: &mut Dice, count: u64) {
        for _ in 0..count {
            let from = dice.index(self.nodes);
            let to = (from + 1 + dice.index(self.nodes - 1)) % self.nodes;
            let range = dice.pick(&[TRANCHE_MSAT, LARGE_MSAT]);
            let amount_msat = dice.between(range.0, range.1);
            self.steps.push(Step::Pay { from, to, amount_msat });
        }
    }

    /// Something goes wrong, and is mended.
    fn incident(&mut self, dice: &mut Dice) {
        let node = dice.index(self.nodes);
        // Half of it while the payment before is being begun.
        let after_ms = dice.pick(&[MOMENT_MAX_MS, BEGUN_MAX_MS]);
        let after_ms = dice.below(after_ms);
        let depth = narrow(dice.between(1, REORG_MAX));
        match dice.below(100) {
            0..30 => {
                let is_power = dice.happens(MILLION / 2);
                self.steps.push(if is_power {
                    Step::CutPower { node, after_ms }
                } else {
                    Step::Kill { node, after_ms }
                });
                if dice.happens(MILLION / 2) {
                    self.steps.push(Step::Mine { blocks: narrow(dice.between(1, 3)) });
                }
                self.steps.push(Step::Start { node });
                if dice.happens(TWICE_PPM) {
                    let after_ms = dice.below(2 * MOMENT_MAX_MS);
                    self.steps.extend([Step::Kill { node, after_ms }, Step::Start { node }]);
                }
            }
            30..42 => {
                let other = (node + 1) % self.nodes;
                let also_ms = dice.below(MOMENT_MAX_MS / 4);
                self.steps.extend([
                    Step::Kill { node, after_ms },
                    Step::Kill { node: other, after_ms: also_ms },
                    Step::Start { node: other },
                    Step::Start { node },
                ]);
            }
            42..57 => {
                let Opening { from, to, .. } = dice.pick(&self.channels);
                self.steps.push(Step::Cut { from, to, after_ms });
                if dice.happens(MILLION / 2) {
                    self.steps.push(Step::Mine { blocks: narrow(dice.between(1, 3)) });
                }
                self.burst(dice, 1);
                self.steps.push(Step::Mend { from, to });
            }
            57..67 => self.steps.extend([Step::Mine { blocks: 1 }, Step::Reorg { depth }]),
            67..77 => self.steps.extend([
                Step::Kill { node, after_ms },
                Step::Mine { blocks: narrow(dice.between(1, 3)) },
                Step::Reorg { depth },
                Step::Start { node },
            ]),
            77..85 => self.steps.extend([Step::Stop { node }, Step::Start { node }]),
            // The cheat's folder is copied, which a disk of its own would make slow.
            _ if self.cheat == Some(node) => {}
            _ => self.steps.extend([
                Step::FillDisk { node },
                Step::FreeDisk { node },
                Step::Start { node },
            ]),
        }
    }

    /// A channel is closed while payments are on their way in it, and perhaps more goes wrong.
    fn close(&mut self, dice: &mut Dice) {
        let Opening { from, to, .. } = dice.pick(&self.channels);
        let (node, with) = if dice.happens(MILLION / 2) { (from, to) } else { (to, from) };
        let force = dice.happens(MILLION * 2 / 3);
        let count = dice.between(0, 3);
        self.burst(dice, count);
        self.steps.push(Step::Close { node, with, force, after_ms: dice.below(MOMENT_MAX_MS) });
        match dice.below(5) {
            0 => {}
            1 => self.steps.extend([
                Step::Kill { node, after_ms: dice.below(MOMENT_MAX_MS) },
                Step::Mine { blocks: narrow(dice.between(1, 3)) },
                Step::Start { node },
            ]),
            2 => self.steps.extend([
                Step::Kill { node: with, after_ms: dice.below(MOMENT_MAX_MS) },
                Step::Mine { blocks: narrow(dice.between(1, 6)) },
                Step::Start { node: with },
            ]),
            3 => {
                let blocks = narrow(dice.between(1, 4));
                self.steps.extend([Step::Mine { blocks }, Step::Reorg { depth: blocks }]);
            }
            _ => self.steps.push(Step::Close {
                node: with,
                with: node,
                force: true,
                after_ms: dice.below(MOMENT_MAX_MS),
            }),
        }
    }

    /// Whose disks are to be full at some time.
    pub(super) fn small_disks(&self) -> Vec<usize> {
        self.nodes_of(|step| if let Step::FillDisk { node } = step { Some(*node) } else { None })
    }

    /// Whose power is to be cut at some time.
    pub(super) fn power_disks(&self) -> Vec<usize> {
        self.nodes_of(
            |step| if let Step::CutPower { node, .. } = step { Some(*node) } else { None },
        )
    }

    fn nodes_of(&self, node_of: impl Fn(&Step) -> Option<usize>) -> Vec<usize> {
        let mut nodes: Vec<usize> = self.steps.iter().filter_map(node_of).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(to_index(number)).expect("a few blocks")
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, nodes, channels, steps, cheat } = self;
        writeln!(f, "seed {seed}: {nodes} nodes")?;
        for Opening { from, to, size_sat, push_sat, ending: (closer, force) } in channels {
            let how = if *force { "by force" } else { "together" };
            writeln!(
                f,
                "  {from} opens {size_sat} sat with {to}, {push_sat} of it theirs; \
                 {closer} closes it in the end, {how}"
            )?;
        }
        if let Some(cheat) = cheat {
            writeln!(f, "  {cheat} will cheat")?;
        }
        steps.iter().try_for_each(|step| writeln!(f, "  {step}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan_and_some_seed_each_kind_of_trouble() {
        assert_eq!(Plan::draw(7), Plan::draw(7));
        let plans: Vec<Plan> = (0..60).map(Plan::draw).collect();
        let has = |word: &str| plans.iter().any(|plan| plan.to_string().contains(word));
        for word in [
            "is killed",
            "power is cut",
            "stops",
            "is cut",
            "blocks are undone",
            "closes its channel",
            "by force",
            "disk is full",
            "cheats",
            "is mined",
        ] {
            assert!(has(word), "no plan in which something {word}");
        }
    }

    #[test]
    fn whoever_goes_down_comes_back() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            let mut down = vec![false; plan.nodes];
            for step in &plan.steps {
                if let Step::Kill { node, .. }
                | Step::CutPower { node, .. }
                | Step::Stop { node }
                | Step::FillDisk { node } = step
                {
                    down[*node] = true;
                } else if let Step::Start { node } = step {
                    down[*node] = false;
                }
            }
            assert!(down.iter().all(|down| !down), "seed {seed}");
        }
    }
}
