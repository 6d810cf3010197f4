//! Whom an order names, so that the clearing's pairing follows the channels (P22): those with a
//! channel as partners, those who are reached over one of them as preferences.

use std::cmp::Reverse;

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{PARTNERS_MAX, PREFERENCES_MAX, Preference};
use boltgrid_protocol::units::Msat;

use super::graph::Reach;
use super::own::{ChannelState, OwnChannel};
use super::{Flows, Graph};

/// What an order says of channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Members with whom a channel is open that carries something, at most [`PARTNERS_MAX`].
    pub partners: Vec<RosterIndex>,
    /// Members who are reached over one of them, best first, at most [`PREFERENCES_MAX`].
    pub preferences: Vec<Preference>,
}

/// Whom the order of `me` names: those whose channel carries `least` at least one way, and of those
/// one further away, who trade most with `me`.
#[must_use]
pub fn naming(
    me: RosterIndex,
    channels: &[OwnChannel],
    (graph, flows): (&Graph, &Flows),
    least: Msat,
) -> Named {
    let carries = |it: &&OwnChannel| {
        it.state == ChannelState::Usable && it.spendable.max(it.receivable) >= least
    };
    let by_trade = |mut members: Vec<RosterIndex>, most: usize| {
        members.sort_by_cached_key(|it| (Reverse(flows.between(me, *it)), *it));
        members.dedup();
        members.truncate(most);
        members
    };
    let partners = channels.iter().filter(carries).filter_map(|it| it.partner);
    let partners = by_trade(partners.filter(|it| *it != me).collect(), PARTNERS_MAX);
    let further = partners.iter().flat_map(|partner| graph.neighbours(*partner));
    let further = further.filter(|it| *it != me && !partners.contains(it));
    let further = further.filter(|it| graph.reach(me, *it) != Reach::Beyond);
    let further = by_trade(further.collect(), PREFERENCES_MAX);
    Named { preferences: further.into_iter().map(Preference::Partner).collect(), partners }
}
