//! Which channels are worth opening, for the whole grid: the same answer at every node.
//!
//! One after another, the channel that brings most value within reach, as long as that is worth it and
//! both sides can bear their half. So a member that many trade with gets many channels and becomes the
//! one that others reach each other over, up to the most that a member may have; nobody is appointed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{MILLION, Msat};

use super::graph::{Graph, Reach};
use super::{Deed, Flows, Limits, fee};

/// A channel worth opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The member with the smaller index.
    pub one: RosterIndex,
    /// The member with the larger index.
    pub other: RosterIndex,
    /// What it brings within reach, a day.
    pub gain: Msat,
}

/// The channels worth opening beside those of `have`, best first, among `members`.
///
/// A channel is worth it if the share of what it brings within reach pays for opening and closing it
/// within the horizon. Both sides can bear it if their halves of all their channels stay within the
/// share of all that they pay and are paid. Nobody gets more channels than the limits say.
/// The work is about members² for each channel.
#[must_use]
pub fn wanted(
    members: &[RosterIndex],
    have: &Graph,
    flows: &Flows,
    (limits, sat_per_vb): (&Limits, u64),
) -> Vec<Wanted> {
    let least = least_gain(limits, sat_per_vb);
    let most = channels_borne(members, flows, (limits, sat_per_vb));
    let value = Value::of(flows);
    let mut graph = have.clone();
    let mut found = Vec::new();
    loop {
        let free = |member: &RosterIndex| {
            most.get(member).is_some_and(|most| graph.degree(*member) < *most)
        };
        let free: Vec<RosterIndex> = members.iter().copied().filter(free).collect();
        let pairs = free.iter().flat_map(|one| {
            free.iter().filter(move |other| one < *other).map(move |other| (*one, *other))
        });
        let best = pairs
            .filter(|(one, other)| !graph.are_linked(*one, *other))
            .map(|(one, other)| (Reverse(gain(&graph, &value, one, other)), one, other))
            .min();
        let Some((Reverse(gain), one, other)) = best.filter(|(Reverse(gain), ..)| *gain >= least)
        else {
            return found;
        };
        graph.link(one, other);
        found.push(Wanted { one, other, gain });
    }
}

/// What each pair pays each other a day, worked out once as it is looked up often.
struct Value {
    pairs: BTreeMap<(RosterIndex, RosterIndex), Msat>,
}

impl Value {
    fn of(flows: &Flows) -> Self {
        let mut pairs: BTreeMap<_, Msat> = BTreeMap::new();
        for (payer, payee, amount) in flows.iter() {
            let sum = pairs.entry((payer.min(payee), payer.max(payee))).or_insert(Msat::ZERO);
            *sum = sum.saturating_add(amount);
        }
        Self { pairs }
    }

    fn between(&self, one: RosterIndex, other: RosterIndex) -> Msat {
        self.pairs.get(&(one.min(other), one.max(other))).copied().unwrap_or(Msat::ZERO)
    }
}

/// How many channels each member can have.
fn channels_borne(
    members: &[RosterIndex],
    flows: &Flows,
    (limits, sat_per_vb): (&Limits, u64),
) -> BTreeMap<RosterIndex, usize> {
    let mut volumes: BTreeMap<RosterIndex, Msat> = BTreeMap::new();
    for (payer, payee, amount) in flows.iter() {
        for member in [payer, payee] {
            let volume = volumes.entry(member).or_insert(Msat::ZERO);
            *volume = volume.saturating_add(amount);
        }
    }
    let half = u128::from(life(sat_per_vb)).div_ceil(2).saturating_mul(u128::from(MILLION));
    let borne = |member: &RosterIndex| {
        let volume = volumes.get(member).map_or(0, |volume| u128::from(volume.to_millisatoshi()));
        let budget = volume
            .saturating_mul(u128::from(limits.horizon_days))
            .saturating_mul(u128::from(limits.fee_share_max_ppm));
        let channels = budget.checked_div(half).unwrap_or(u128::MAX);
        usize::try_from(channels).unwrap_or(usize::MAX).min(limits.channels_max)
    };
    members.iter().map(|member| (*member, borne(member))).collect()
}

/// The least that a channel must bring within reach a day to be worth its fees; never zero.
#[must_use]
pub(super) fn least_gain(limits: &Limits, sat_per_vb: u64) -> Msat {
    let share = u64::from(limits.channel_share_max_ppm).saturating_mul(limits.horizon_days).max(1);
    let cost = u128::from(life(sat_per_vb)).saturating_mul(u128::from(MILLION));
    let msat = u64::try_from(cost.div_ceil(u128::from(share))).unwrap_or(u64::MAX).max(1);
    Msat::from_millisatoshi(msat).unwrap_or(Msat::MAX)
}

/// What it costs to open a channel and to close it again, in msat.
const fn life(sat_per_vb: u64) -> u64 {
    let open = fee(Deed::Open, sat_per_vb);
    open.saturating_add(fee(Deed::CloseTogether, sat_per_vb)).to_millisatoshi()
}

/// What a channel between two would bring within reach a day: what they, and each with those that
/// the other has channels with, pay each other and cannot yet within two channels.
fn gain(graph: &Graph, value: &Value, one: RosterIndex, other: RosterIndex) -> Msat {
    let unreached = |from: RosterIndex, to: RosterIndex| {
        if from != to && graph.reach(from, to) == Reach::Beyond {
            value.between(from, to)
        } else {
            Msat::ZERO
        }
    };
    let direct = std::iter::once(unreached(one, other));
    let beyond_other = graph.reached_over(other).map(|it| unreached(one, it));
    let beyond_one = graph.reached_over(one).map(|it| unreached(it, other));
    direct.chain(beyond_other).chain(beyond_one).fold(Msat::ZERO, Msat::saturating_add)
}
