//! What goes over each channel of a graph when everybody pays as expected.

use std::collections::BTreeMap;

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::Msat;

use super::{Flows, Graph};

/// What two members send each other over their channel a day, for themselves and for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// From the one to the other.
    pub out: Msat,
    /// Back.
    pub back: Msat,
}

impl Load {
    /// What leaves on balance; zero where more comes back.
    #[must_use]
    pub const fn net_out(&self) -> Msat {
        self.out.saturating_sub(self.back)
    }

    /// Whether nothing goes over the channel either way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        (self.out, self.back) == (Msat::ZERO, Msat::ZERO)
    }

    /// Whether the one pays clearly more than the other: by over a tenth of all.
    #[must_use]
    pub const fn leans_out(&self) -> bool {
        let (out, back) = (self.out.to_millisatoshi(), self.back.to_millisatoshi());
        out.saturating_sub(back).saturating_mul(10) > out.saturating_add(back)
    }

    /// The same seen from the other side.
    #[must_use]
    pub const fn turned(&self) -> Self {
        Self { out: self.back, back: self.out }
    }
}

/// The loads of all channels of a graph.
#[derive(Clone, Debug, Default)]
pub struct Loads {
    sent: BTreeMap<(RosterIndex, RosterIndex), Msat>,
}

impl Loads {
    /// Directly where there is a channel, else in equal parts over all who have one with both. What
    /// finds neither goes over no channel.
    #[must_use]
    pub fn of(graph: &Graph, flows: &Flows) -> Self {
        let mut loads = Self::default();
        for (payer, payee, amount) in flows.iter() {
            if graph.are_linked(payer, payee) {
                loads.add(payer, payee, amount);
                continue;
            }
            let over: Vec<RosterIndex> = graph.between(payer, payee).collect();
            let parts = u64::try_from(over.len()).unwrap_or(u64::MAX).max(1);
            let part = amount.to_millisatoshi().checked_div(parts).unwrap_or(0);
            let part = Msat::from_millisatoshi(part).unwrap_or(amount);
            for middle in over {
                loads.add(payer, middle, part);
                loads.add(middle, payee, part);
            }
        }
        loads
    }

    /// What goes over the channel between two, from one's side.
    #[must_use]
    pub fn between(&self, one: RosterIndex, other: RosterIndex) -> Load {
        let sent = |from, to| self.sent.get(&(from, to)).copied().unwrap_or(Msat::ZERO);
        Load { out: sent(one, other), back: sent(other, one) }
    }

    /// Which of two opens their channel, so that neither has to ask: who pays clearly more, as its
    /// money is what the channel needs; else they take turns by their places in the roster.
    #[must_use]
    pub fn opener(&self, one: RosterIndex, other: RosterIndex) -> RosterIndex {
        let load = self.between(one, other);
        if load.leans_out() {
            return one;
        }
        if load.turned().leans_out() {
            return other;
        }
        let (first, second) = (one.min(other), one.max(other));
        let even = first.get().wrapping_add(second.get()) & 1 == 0;
        if even { first } else { second }
    }

    fn add(&mut self, from: RosterIndex, to: RosterIndex, amount: Msat) {
        let sent = self.sent.entry((from, to)).or_insert(Msat::ZERO);
        *sent = sent.saturating_add(amount);
    }
}
