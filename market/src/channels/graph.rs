//! Who has a channel with whom, as the orders tell: a partner counts if both name each other (P22).
//! Not for: balances, which nobody but the two knows.

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_protocol::id::RosterIndex;

/// How two members reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// By a channel.
    Direct,
    /// Over one other member.
    OverOne,
    /// Not within two channels.
    Beyond,
}

/// An undirected graph of members. Nobody is linked to itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    neighbours: BTreeMap<RosterIndex, BTreeSet<RosterIndex>>,
    /// Whether nobody passes on what others pay each other.
    is_direct_only: bool,
}

impl Graph {
    /// A graph without links.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The graph of those who name each other as channel partners.
    #[must_use]
    pub fn of_named(named: &BTreeMap<RosterIndex, BTreeSet<RosterIndex>>) -> Self {
        let mut graph = Self::new();
        for (member, partners) in named {
            for partner in partners {
                if named.get(partner).is_some_and(|theirs| theirs.contains(member)) {
                    graph.link(*member, *partner);
                }
            }
        }
        graph
    }

    /// The same channels where members pass payments on, or do not: that is the charter's to say, and where
    /// they do not nobody is reached but over a channel of one's own.
    #[must_use]
    pub fn passing_on(mut self, does: bool) -> Self {
        self.is_direct_only = !does;
        self
    }

    /// Links two members; nothing happens if they are or are the same.
    pub fn link(&mut self, one: RosterIndex, other: RosterIndex) {
        if one != other {
            self.neighbours.entry(one).or_default().insert(other);
            self.neighbours.entry(other).or_default().insert(one);
        }
    }

    /// Takes a link away.
    pub fn unlink(&mut self, one: RosterIndex, other: RosterIndex) {
        for (member, partner) in [(one, other), (other, one)] {
            if let Some(partners) = self.neighbours.get_mut(&member) {
                partners.remove(&partner);
            }
        }
    }

    /// Whether there is a channel between two.
    #[must_use]
    pub fn are_linked(&self, one: RosterIndex, other: RosterIndex) -> bool {
        self.neighbours.get(&one).is_some_and(|partners| partners.contains(&other))
    }

    /// How many members one is linked to.
    #[must_use]
    pub fn degree(&self, member: RosterIndex) -> usize {
        self.neighbours.get(&member).map_or(0, BTreeSet::len)
    }

    /// Whom one is linked to, in the order of the roster.
    pub fn neighbours(&self, member: RosterIndex) -> impl Iterator<Item = RosterIndex> + '_ {
        self.neighbours.get(&member).into_iter().flatten().copied()
    }

    /// Whom others reach over one, if anybody passes payments on.
    pub(super) fn reached_over(
        &self,
        member: RosterIndex,
    ) -> impl Iterator<Item = RosterIndex> + '_ {
        self.neighbours(member).filter(|_| !self.is_direct_only)
    }

    /// Who passes payments on between the two: whoever is linked to both, if anybody does.
    pub fn between(
        &self,
        one: RosterIndex,
        other: RosterIndex,
    ) -> impl Iterator<Item = RosterIndex> + '_ {
        self.reached_over(one).filter(move |middle| self.are_linked(*middle, other))
    }

    /// How two members reach each other.
    #[must_use]
    pub fn reach(&self, one: RosterIndex, other: RosterIndex) -> Reach {
        if self.are_linked(one, other) {
            Reach::Direct
        } else if self.between(one, other).next().is_some() {
            Reach::OverOne
        } else {
            Reach::Beyond
        }
    }

    /// All links, the smaller index first, in order.
    pub fn links(&self) -> impl Iterator<Item = (RosterIndex, RosterIndex)> + '_ {
        self.neighbours.iter().flat_map(|(one, partners)| {
            partners.iter().filter(move |other| one < other).map(move |other| (*one, *other))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(index: u32) -> RosterIndex {
        RosterIndex::new(index)
    }

    #[test]
    fn members_reach_each_other_over_at_most_one_other() {
        let mut graph = Graph::new();
        for (one, other) in [(0, 1), (1, 2), (2, 3), (1, 1)] {
            graph.link(at(one), at(other));
        }
        assert_eq!(graph.reach(at(0), at(1)), Reach::Direct);
        assert_eq!(graph.reach(at(0), at(2)), Reach::OverOne);
        assert_eq!(graph.reach(at(0), at(3)), Reach::Beyond);
        assert_eq!(graph.degree(at(1)), 2, "nobody is linked to itself");
        graph.unlink(at(2), at(1));
        assert_eq!(graph.reach(at(0), at(2)), Reach::Beyond);
    }

    #[test]
    fn a_channel_that_only_one_side_names_is_none() {
        let named = BTreeMap::from([
            (at(0), BTreeSet::from([at(1), at(2)])),
            (at(1), BTreeSet::from([at(0)])),
            (at(2), BTreeSet::new()),
        ]);
        let graph = Graph::of_named(&named);
        assert_eq!(graph.links().collect::<Vec<_>>(), [(at(0), at(1))]);
    }
}
