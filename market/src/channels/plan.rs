//! What this node does about its own channels now, and why.
//!
//! A plan is empty once it is carried out: a channel that is open is not opened again, one that was
//! refilled lasts, one that was closed is not wanted. No step takes the chain's coins below the
//! reserves, and none makes more channels than the owner allows.

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{MILLION, Msat, SignedMsat, scale_floor};

use super::flows::DAY_MS;
use super::own::{ChannelId, ChannelState, OwnChannel, View};
use super::reason::{Reason, Waiting};
use super::wanted::{Wanted, least_gain, wanted};
use super::{Deed, Graph, Load, Loads, Reach, fee};

/// What is added to a channel for what neither side can spend, in percent: each side's reserve of one
/// percent (BOLT 2), …
const RESERVES_PERCENT: u64 = 3;
/// … and the opener's part for anchors and the fee of the commitment.
const COMMITMENT: Msat = Msat::from_satoshi_saturating(2_000);

/// What leaves a channel may come back only within so many days. To be filled for them costs nothing on
/// the chain, to be refilled does.
const SWING_DAYS: u64 = 7;
/// A channel stands still if less than one part in so many moves of what is expected to leave it.
const STANDS_STILL_ONE_IN: u64 = 10;

/// Something to be done with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open one, all of it on our side.
    Open {
        /// With whom.
        partner: RosterIndex,
        /// How large.
        capacity: Msat,
    },
    /// Put more into one.
    SpliceIn {
        /// Which.
        channel: ChannelId,
        /// With whom.
        partner: RosterIndex,
        /// How much.
        amount: Msat,
    },
    /// Close one, the partner agreeing.
    CloseTogether {
        /// Which.
        channel: ChannelId,
    },
    /// Close one alone, as the partner is not there to agree.
    CloseAlone {
        /// Which.
        channel: ChannelId,
    },
}

impl Action {
    /// What it is on the chain.
    #[must_use]
    pub const fn deed(&self) -> Deed {
        match self {
            Self::Open { .. } => Deed::Open,
            Self::SpliceIn { .. } => Deed::SpliceIn,
            Self::CloseTogether { .. } => Deed::CloseTogether,
            Self::CloseAlone { .. } => Deed::CloseAlone,
        }
    }
}

/// An action with its reason and its fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// What the chain takes for it.
    pub fee: Msat,
}

/// What to do now, in this order, and what has to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub steps: Vec<Step>,
    /// What would be good and is not done.
    pub waiting: Vec<Waiting>,
}

/// What this node does about its channels.
///
/// Bounded by its channels and by the most that it may have.
#[must_use]
pub fn plan(view: &View<'_>) -> Plan {
    let graph = with_own(view);
    let wanted = wanted(view.members, &graph, view.flows, (view.limits, view.sat_per_vb));
    let mut whole = graph.clone();
    for it in &wanted {
        whole.link(it.one, it.other);
    }
    let loads = Loads::of(&whole, view.flows);
    let mut planner = Planner { view, loads, coins: spare_coins(view), plan: Plan::default() };
    for channel in view.channels {
        planner.close(channel);
    }
    // Dry channels first: there, payments fail.
    for channel in view.channels {
        planner.refill(channel);
    }
    for it in &wanted {
        planner.open(it);
    }
    planner.note_beyond(&whole);
    planner.plan
}

/// The channels of the orders, with our own as they are.
fn with_own(view: &View<'_>) -> Graph {
    let mut graph = view.graph.clone();
    let named: Vec<RosterIndex> = graph.neighbours(view.me).collect();
    for partner in named {
        graph.unlink(view.me, partner);
    }
    let there = view.channels.iter().filter(|it| it.state != ChannelState::Closing);
    for partner in there.filter_map(|it| it.partner) {
        graph.link(view.me, partner);
    }
    graph
}

/// What is on the chain beyond the reserves of the channels there are.
fn spare_coins(view: &View<'_>) -> Msat {
    let channels = u64::try_from(view.channels.len()).unwrap_or(u64::MAX);
    view.onchain.saturating_sub(view.limits.anchor_reserve.saturating_mul(channels))
}

struct Planner<'a> {
    view: &'a View<'a>,
    loads: Loads,
    /// What may still be spent.
    coins: Msat,
    plan: Plan,
}

impl Planner<'_> {
    fn close(&mut self, channel: &OwnChannel) {
        let days = channel.idle_ms.div_euclid(DAY_MS);
        let is_idle = days >= self.view.limits.idle_days;
        let reason = match channel.partner {
            None => Reason::Left,
            Some(partner) if is_idle && self.load(partner).is_idle() => Reason::Idle { days },
            Some(_) => return,
        };
        let action = match channel.state {
            ChannelState::Usable => Action::CloseTogether { channel: channel.id },
            // Whoever is away may come back; after so long nobody is waited for.
            ChannelState::Away if is_idle => Action::CloseAlone { channel: channel.id },
            ChannelState::Away | ChannelState::Pending | ChannelState::Closing => return,
        };
        self.step(action, reason);
    }

    fn refill(&mut self, channel: &OwnChannel) {
        // What was not watched for some days yet may fill by itself.
        let Some(seen) = channel.drained_a_day else { return };
        let (Some(partner), ChannelState::Usable) = (channel.partner, channel.state) else {
            return;
        };
        let limits = self.view.limits;
        let net_out = self.net_out(channel, seen, partner);
        let spendable = channel.spendable;
        if net_out == Msat::ZERO || spendable >= net_out.saturating_mul(limits.refill_days) {
            return;
        }
        if !limits.splices {
            return;
        }
        let fee = fee(Deed::SpliceIn, self.view.sat_per_vb);
        let carried = net_out.saturating_mul(limits.horizon_days);
        if fee > share(carried, limits.fee_share_max_ppm) {
            self.plan.waiting.push(Waiting::NotWorthRefilling { partner, fee, carried });
            return;
        }
        // So much that it lasts for a while, and that the fee is no more than its share of it.
        let lasting = net_out.saturating_mul(limits.refill_days).saturating_sub(spendable);
        let least = lasting.max(worth(fee, limits.fee_share_max_ppm));
        let room = limits.capacity_max.saturating_sub(channel.capacity);
        if room < least {
            let capacity = channel.capacity;
            self.plan.waiting.push(Waiting::AtLargest { partner, capacity });
            return;
        }
        let needed = least.saturating_add(fee);
        if self.coins < needed {
            let there = self.coins;
            self.plan.waiting.push(Waiting::ToRefill { partner, needed, there });
            return;
        }
        let fill = net_out.saturating_mul(limits.fill_days).saturating_sub(spendable);
        let amount = fill.max(least).min(room);
        let amount = amount.min(self.coins.saturating_sub(fee));
        self.coins = self.coins.saturating_sub(amount);
        let action = Action::SpliceIn { channel: channel.id, partner, amount };
        self.step(action, Reason::Drains { spendable, net_out });
    }

    fn open(&mut self, wanted: &Wanted) {
        let View { me, limits, sat_per_vb, .. } = *self.view;
        let partner = match (wanted.one == me, wanted.other == me) {
            (true, false) => wanted.other,
            (false, true) => wanted.one,
            _ => return,
        };
        let gain = wanted.gain;
        if self.loads.opener(me, partner) != me {
            self.plan.waiting.push(Waiting::ForOpener { partner, gain });
            return;
        }
        let load = self.load(partner);
        let capacity = self.capacity(load);
        let beside = fee(Deed::Open, sat_per_vb).saturating_add(limits.anchor_reserve);
        let needed = limits.capacity_min.saturating_add(beside);
        if self.channels_after() >= limits.channels_max {
            self.plan.waiting.push(Waiting::ForRoom { partner, most: limits.channels_max });
            return;
        }
        if self.coins < needed {
            let there = self.coins;
            self.plan.waiting.push(Waiting::ForCoins { partner, needed, there });
            return;
        }
        let capacity = capacity.min(self.coins.saturating_sub(beside));
        self.coins = self.coins.saturating_sub(capacity).saturating_sub(limits.anchor_reserve);
        let least = least_gain(limits, sat_per_vb);
        let reason = Reason::Reach { gain, least, net_out: load.net_out() };
        self.step(Action::Open { partner, capacity }, reason);
    }

    /// Says with whom we trade and shall not reach, even once all plans are carried out.
    fn note_beyond(&mut self, whole: &Graph) {
        let View { me, flows, limits, sat_per_vb, members, .. } = *self.view;
        for partner in members.iter().copied().filter(|it| *it != me) {
            let a_day = flows.between(me, partner);
            if a_day > Msat::ZERO && whole.reach(me, partner) == Reach::Beyond {
                let least = least_gain(limits, sat_per_vb);
                self.plan.waiting.push(Waiting::Beyond { partner, a_day, least });
            }
        }
    }

    /// Enough for what leaves on balance over some time and for what comes and goes within a week.
    fn capacity(&self, load: Load) -> Msat {
        let limits = self.view.limits;
        let swing = load.out.saturating_mul(SWING_DAYS);
        let paid = load.net_out().saturating_mul(limits.fill_days).saturating_add(swing);
        let unspendable = share(paid, 10_000).saturating_mul(RESERVES_PERCENT);
        let whole = paid.saturating_add(unspendable).saturating_add(COMMITMENT);
        whole.max(limits.capacity_min).min(limits.capacity_max.max(limits.capacity_min))
    }

    /// What leaves a channel on balance a day: what was seen to, or what is expected to where that is
    /// more.
    ///
    /// Nothing leaves a channel that is dry, and nothing comes in either where the partner pays others
    /// than was expected. Once it has not moved for days, whatever would leave it counts.
    fn net_out(&self, channel: &OwnChannel, seen: SignedMsat, partner: RosterIndex) -> Msat {
        let load = self.load(partner);
        let moved = seen.to_millisatoshi().unsigned_abs();
        let stands_still = moved.saturating_mul(STANDS_STILL_ONE_IN) < load.out.to_millisatoshi();
        if channel.spendable < load.out && stands_still {
            return load.out;
        }
        let msat = u64::try_from(seen.to_millisatoshi()).unwrap_or(0);
        let seen = Msat::from_millisatoshi(msat).unwrap_or(Msat::MAX);
        seen.max(load.net_out())
    }

    fn load(&self, partner: RosterIndex) -> Load {
        self.loads.between(self.view.me, partner)
    }

    /// Our channels once the plan so far is carried out; a closed one counts until it is gone.
    fn channels_after(&self) -> usize {
        let opened = self.plan.steps.iter().filter(|it| it.action.deed() == Deed::Open).count();
        self.view.channels.len().saturating_add(opened)
    }

    fn step(&mut self, action: Action, reason: Reason) {
        let fee = fee(action.deed(), self.view.sat_per_vb);
        if matches!(action.deed(), Deed::Open | Deed::SpliceIn) {
            self.coins = self.coins.saturating_sub(fee);
        }
        self.plan.steps.push(Step { action, reason, fee });
    }
}

/// The least amount of which `fee` is no more than so many parts per million.
fn worth(fee: Msat, ppm: u32) -> Msat {
    let msat = u128::from(fee.to_millisatoshi())
        .saturating_mul(u128::from(MILLION))
        .div_ceil(u128::from(ppm.max(1)));
    let msat = u64::try_from(msat).unwrap_or(u64::MAX);
    Msat::from_millisatoshi(msat).unwrap_or(Msat::MAX)
}

/// So many parts per million of an amount, rounded down.
fn share(amount: Msat, ppm: u32) -> Msat {
    let part = scale_floor(amount.to_millisatoshi(), u64::from(ppm), MILLION);
    part.ok().and_then(|msat| Msat::from_millisatoshi(msat).ok()).unwrap_or(Msat::MAX)
}
