//! What was done in one run, or in many.

/// How often what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Runs.
    pub seeds: u64,
    /// Nodes in them.
    pub nodes: u64,
    /// Payments begun.
    pub payments: u64,
    /// Of them paid, by the payer's receipt.
    pub paid: u64,
    /// Of them failed for good.
    pub failed: u64,
    /// Of them never sent: a kill came before Lightning had written down more than that it would.
    pub forgotten: u64,
    /// Of those that failed received all the same, too small for the chain: miners have them.
    pub to_miners: u64,
    /// Processes killed.
    pub kills: u64,
    /// Machines whose power was cut.
    pub power_cuts: u64,
    /// Processes killed instead, where nobody may mount a disk.
    pub power_not_cut: u64,
    /// Nodes stopped in order.
    pub stops: u64,
    /// Starts of processes.
    pub starts: u64,
    /// Links cut.
    pub cuts: u64,
    /// Reorganisations.
    pub reorgs: u64,
    /// Channels opened.
    pub opened: u64,
    /// Channels that a node closed since it was killed between two of its writes.
    pub closed_as_stale: u64,
    /// Channels closed together.
    pub closed: u64,
    /// Channels closed by one side.
    pub closed_by_force: u64,
    /// Cheats that sent an old state out.
    pub cheats: u64,
    /// Disks that filled up.
    pub disks_filled: u64,
    /// Disks that should have, where nobody may mount a small one.
    pub disks_not_filled: u64,
    /// Blocks until everything was final.
    pub blocks: u64,
    /// Runs that could not be judged.
    pub troubles: u64,
    /// What must not be, and was.
    pub violations: u64,
}

impl Counts {
    /// Each count and what it counts.
    #[must_use]
    pub const fn rows(&self) -> [(&'static str, u64); 24] {
        [
            ("seeds", self.seeds),
            ("nodes", self.nodes),
            ("payments begun", self.payments),
            ("of them paid", self.paid),
            ("of them failed for good", self.failed),
            ("of them never sent, and pending for ever", self.forgotten),
            ("of the failed received, too small for the chain", self.to_miners),
            ("kill -9", self.kills),
            ("power cuts", self.power_cuts),
            ("power not cut but killed: nobody may mount", self.power_not_cut),
            ("stops in order", self.stops),
            ("starts", self.starts),
            ("links cut", self.cuts),
            ("reorganisations", self.reorgs),
            ("channels opened", self.opened),
            ("channels closed since a kill left them stale", self.closed_as_stale),
            ("channels closed together", self.closed),
            ("channels closed by force", self.closed_by_force),
            ("revoked states sent out by a cheat", self.cheats),
            ("disks filled", self.disks_filled),
            ("disks not filled: nobody may mount", self.disks_not_filled),
            ("blocks until all was final", self.blocks),
            ("seeds that could not be judged", self.troubles),
            ("violations", self.violations),
        ]
    }

    /// Adds another's.
    pub const fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.nodes += other.nodes;
        self.payments += other.payments;
        self.paid += other.paid;
        self.failed += other.failed;
        self.forgotten += other.forgotten;
        self.to_miners += other.to_miners;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.power_not_cut += other.power_not_cut;
        self.stops += other.stops;
        self.starts += other.starts;
        self.cuts += other.cuts;
        self.reorgs += other.reorgs;
        self.opened += other.opened;
        self.closed_as_stale += other.closed_as_stale;
        self.closed += other.closed;
        self.closed_by_force += other.closed_by_force;
        self.cheats += other.cheats;
        self.disks_filled += other.disks_filled;
        self.disks_not_filled += other.disks_not_filled;
        self.blocks += other.blocks;
        self.troubles += other.troubles;
        self.violations += other.violations;
    }
}
