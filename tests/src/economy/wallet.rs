//! A model of channels: balances, reserves, confirmations and what the chain takes.
//!
//! A payment takes the direct channel, else one intermediate with a channel to both; forwarding is
//! free. Amounts move whole or not at all. Not for: how Lightning does it, or privacy.

use std::collections::BTreeMap;

use boltgrid_market::channels::{
    Action, ChannelId, ChannelState, Deed, Graph, OwnChannel, Plan, fee,
};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{Msat, SignedMsat};

/// Six blocks and a little: intervals until a transaction counts.
const CONFIRMED_AFTER: u64 = 5;
/// Each side keeps a hundredth of the capacity, but at least this (LDK's least reserve).
const RESERVE_MIN: Msat = Msat::from_satoshi_saturating(1_000);
/// What the opener's side cannot spend: two anchors of 330 sat and twice the fee of a commitment of
/// 281 vB at one sat/vB, rounded up.
const COMMITMENT: Msat = Msat::from_satoshi_saturating(1_300);
/// Intervals of a day.
const DAY_INTERVALS: u64 = 96;
/// Days over which is watched what leaves a channel.
const WATCHED_DAYS: usize = 7;
/// What is watched for fewer days says nothing.
const WATCHED_DAYS_MIN: usize = 3;

/// One channel.
#[derive(Clone, Debug)]
struct Channel {
    id: ChannelId,
    /// The opener comes first.
    ends: [RosterIndex; 2],
    /// What each end holds.
    holds: [Msat; 2],
    usable_from: u64,
    last_used: u64,
    /// Confirmed at an interval, it adds so much to what an end holds.
    splice: Option<(u64, usize, Msat)>,
    /// What went from the opener to the other on balance, at the end of each of the last days.
    went: Vec<i64>,
    net: i64,
}

impl Channel {
    fn side(&self, member: RosterIndex) -> Option<usize> {
        self.ends.iter().position(|end| *end == member)
    }

    fn capacity(&self) -> Msat {
        self.holds[0].saturating_add(self.holds[1])
    }

    fn spendable(&self, side: usize) -> Msat {
        let hundredth = self.capacity().to_millisatoshi() / 100;
        let reserve = Msat::from_millisatoshi(hundredth).expect("a part of it").max(RESERVE_MIN);
        let commitment = if side == 0 { COMMITMENT } else { Msat::ZERO };
        self.holds[side].saturating_sub(reserve).saturating_sub(commitment)
    }

    fn drained_a_day(&self, side: usize) -> Option<SignedMsat> {
        let days = self.went.len().checked_sub(1).filter(|days| *days >= WATCHED_DAYS_MIN)?;
        let went = self.went.last()? - self.went.first()?;
        let a_day = went / i64::try_from(days).ok()?;
        Some(SignedMsat::from_millisatoshi(if side == 0 { a_day } else { -a_day }))
    }
}

/// How a payment went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Over the channel between the two.
    Direct,
    /// Over one other member.
    OverOne,
}

/// All channels and all coins.
#[derive(Clone, Debug)]
pub(super) struct Wallets {
    channels: Vec<Channel>,
    coins: Vec<Msat>,
    next_id: u128,
    sat_per_vb: u64,
    /// What was done on the chain, and how often.
    pub(super) deeds: BTreeMap<Deed, u64>,
    /// What the chain took.
    pub(super) fees: Msat,
}

impl Wallets {
    pub(super) fn new(members: usize, coins: Msat, sat_per_vb: u64) -> Self {
        let coins = vec![coins; members];
        let (deeds, fees) = (BTreeMap::new(), Msat::ZERO);
        Self { channels: Vec::new(), coins, next_id: 0, sat_per_vb, deeds, fees }
    }

    pub(super) fn coins(&self, member: RosterIndex) -> Msat {
        self.coins[member.as_usize()]
    }

    /// All that is held in channels.
    pub(super) fn locked(&self) -> Msat {
        self.channels.iter().fold(Msat::ZERO, |sum, it| sum.saturating_add(it.capacity()))
    }

    /// All that is held anywhere.
    pub(super) fn total(&self) -> Msat {
        let spliced = self.channels.iter().filter_map(|it| it.splice).map(|(.., amount)| amount);
        let coins = self.coins.iter().copied();
        coins.chain(spliced).fold(self.locked(), Msat::saturating_add)
    }

    /// Who has a usable channel with whom.
    pub(super) fn graph(&self, now: u64) -> Graph {
        let mut graph = Graph::new();
        for channel in self.channels.iter().filter(|it| it.usable_from <= now) {
            graph.link(channel.ends[0], channel.ends[1]);
        }
        graph
    }

    /// How many channels a member has.
    pub(super) fn degree(&self, member: RosterIndex) -> usize {
        self.channels.iter().filter(|it| it.side(member).is_some()).count()
    }

    /// A member's channels as its node sees them.
    pub(super) fn of(&self, member: RosterIndex, now: u64) -> Vec<OwnChannel> {
        let own = |channel: &Channel| {
            let side = channel.side(member)?;
            let pending = channel.usable_from > now || channel.splice.is_some();
            Some(OwnChannel {
                id: channel.id,
                partner: Some(channel.ends[1 - side]),
                capacity: channel.capacity(),
                spendable: channel.spendable(side),
                receivable: channel.spendable(1 - side),
                drained_a_day: channel.drained_a_day(side),
                idle_ms: (now - channel.last_used.min(now)) * 900_000,
                state: if pending { ChannelState::Pending } else { ChannelState::Usable },
            })
        };
        self.channels.iter().filter_map(own).collect()
    }

    /// Lets time pass: what is confirmed counts.
    pub(super) fn advance(&mut self, now: u64) {
        for channel in &mut self.channels {
            if let Some((_, side, amount)) = channel.splice.filter(|(at, ..)| *at <= now) {
                channel.holds[side] = channel.holds[side].saturating_add(amount);
                channel.splice = None;
            }
            if now.is_multiple_of(DAY_INTERVALS) {
                channel.went.push(channel.net);
                if channel.went.len() > WATCHED_DAYS + 1 {
                    channel.went.remove(0);
                }
            }
        }
    }

    /// Carries a member's plan out.
    pub(super) fn carry_out(&mut self, member: RosterIndex, plan: &Plan, now: u64) {
        for step in &plan.steps {
            self.act(member, &step.action, now);
        }
    }

    fn act(&mut self, member: RosterIndex, action: &Action, now: u64) {
        let cost = fee(action.deed(), self.sat_per_vb);
        let mut take = |amount: Msat| {
            let coins = &mut self.coins[member.as_usize()];
            assert!(*coins >= amount, "a plan never spends what is not there");
            *coins = coins.saturating_sub(amount);
        };
        match action {
            Action::Open { partner, capacity } => {
                take(capacity.saturating_add(cost));
                self.channels.push(Channel {
                    id: ChannelId(self.next_id),
                    ends: [member, *partner],
                    holds: [*capacity, Msat::ZERO],
                    usable_from: now + CONFIRMED_AFTER,
                    last_used: now + CONFIRMED_AFTER,
                    splice: None,
                    went: Vec::new(),
                    net: 0,
                });
                self.next_id += 1;
            }
            Action::SpliceIn { channel, amount, .. } => {
                take(amount.saturating_add(cost));
                let channel = self.channels.iter_mut().find(|it| it.id == *channel);
                let channel = channel.expect("a plan splices a channel of ours");
                let side = channel.side(member).expect("a plan splices a channel of ours");
                channel.splice = Some((now + CONFIRMED_AFTER, side, *amount));
            }
            Action::CloseTogether { channel } | Action::CloseAlone { channel } => {
                // The other side may have closed it on the same day.
                let place = self.channels.iter().position(|it| it.id == *channel);
                let Some(closed) = place.map(|place| self.channels.remove(place)) else { return };
                // The fee of a close is the opener's (BOLT 2).
                let [opener, _] = closed.ends;
                for (end, holds) in closed.ends.into_iter().zip(closed.holds) {
                    let fee = if end == opener { cost } else { Msat::ZERO };
                    let coins = &mut self.coins[end.as_usize()];
                    *coins = coins.saturating_add(holds).saturating_sub(fee);
                }
            }
        }
        *self.deeds.entry(action.deed()).or_default() += 1;
        self.fees = self.fees.saturating_add(cost);
    }

    /// Pays, if one of the routes has enough on the right side of each of its channels.
    pub(super) fn pay(
        &mut self,
        payer: RosterIndex,
        payee: RosterIndex,
        amount: Msat,
        now: u64,
    ) -> Option<Route> {
        if let Some(direct) = self.hop(payer, payee, amount, now) {
            self.send(direct, amount, now);
            return Some(Route::Direct);
        }
        // Of several intermediates, the one with most room left, as a node tries what it knows to work.
        let mut best: Option<(Msat, [(usize, usize); 2])> = None;
        for middle in (0_u32..).take(self.coins.len()).map(RosterIndex::new) {
            let first = self.hop(payer, middle, amount, now);
            let second = self.hop(middle, payee, amount, now);
            let (Some(first), Some(second)) = (first, second) else { continue };
            let room = |(place, side): (usize, usize)| self.channels[place].spendable(side);
            let narrow = room(first).min(room(second));
            if best.is_none_or(|(most, _)| narrow > most) {
                best = Some((narrow, [first, second]));
            }
        }
        let (_, hops) = best?;
        for hop in hops {
            self.send(hop, amount, now);
        }
        Some(Route::OverOne)
    }

    /// A channel from one to another that can carry the amount: its place and the sending side.
    fn hop(
        &self,
        from: RosterIndex,
        to: RosterIndex,
        amount: Msat,
        now: u64,
    ) -> Option<(usize, usize)> {
        self.channels.iter().enumerate().find_map(|(place, channel)| {
            let side = channel.side(from)?;
            let joins = channel.ends[1 - side] == to && channel.usable_from <= now;
            (joins && channel.spendable(side) >= amount).then_some((place, side))
        })
    }

    fn send(&mut self, (place, side): (usize, usize), amount: Msat, now: u64) {
        let channel = &mut self.channels[place];
        channel.holds[side] = channel.holds[side].saturating_sub(amount);
        channel.holds[1 - side] = channel.holds[1 - side].saturating_add(amount);
        channel.last_used = now;
        let amount = i64::try_from(amount.to_millisatoshi()).expect("less than all bitcoin");
        channel.net += if side == 0 { amount } else { -amount };
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_market::channels::{Reason, Step};

    use super::*;

    const fn at(index: u32) -> RosterIndex {
        RosterIndex::new(index)
    }

    const fn sat(sat: u64) -> Msat {
        Msat::from_satoshi_saturating(sat)
    }

    /// Members with 200 000 sat, of whom the first named opens to the second.
    fn opened(members: usize, pairs: &[(u32, u32)]) -> Wallets {
        let mut wallets = Wallets::new(members, sat(200_000), 10);
        for (opener, partner) in pairs {
            let action = Action::Open { partner: at(*partner), capacity: sat(50_000) };
            let step = Step { action, reason: Reason::Left, fee: fee(Deed::Open, 10) };
            let plan = Plan { steps: vec![step], waiting: Vec::new() };
            wallets.carry_out(at(*opener), &plan, 0);
        }
        wallets
    }

    #[test]
    fn a_payment_waits_for_the_confirmations_and_goes_one_way_until_something_came_back() {
        let mut wallets = opened(2, &[(0, 1)]);
        assert_eq!(wallets.pay(at(0), at(1), sat(100), CONFIRMED_AFTER - 1), None);
        assert_eq!(wallets.pay(at(1), at(0), sat(1), CONFIRMED_AFTER), None, "nothing there");
        let paid = wallets.pay(at(0), at(1), sat(2_000), CONFIRMED_AFTER);
        assert_eq!(paid, Some(Route::Direct));
        // Of 2 000 sat, 1 000 are the other side's reserve.
        assert_eq!(wallets.pay(at(1), at(0), sat(1_001), CONFIRMED_AFTER), None);
        assert_eq!(wallets.pay(at(1), at(0), sat(1_000), CONFIRMED_AFTER), Some(Route::Direct));
    }

    #[test]
    fn a_payment_goes_over_one_other_member_and_not_over_two() {
        let mut wallets = opened(4, &[(0, 1), (1, 2), (2, 3)]);
        let now = CONFIRMED_AFTER;
        assert_eq!(wallets.pay(at(0), at(2), sat(100), now), Some(Route::OverOne));
        assert_eq!(wallets.pay(at(0), at(3), sat(100), now), None);
        let holds = |member, partner| {
            let own = wallets.of(at(member), now);
            own.iter().find(|it| it.partner == Some(at(partner))).unwrap().spendable
        };
        assert_eq!(holds(0, 1), sat(50_000 - 1_000 - 1_300 - 100));
        assert_eq!(holds(1, 2), sat(50_000 - 1_000 - 1_300 - 100), "who forwards has paid on");
    }

    #[test]
    fn nothing_is_lost_but_what_the_chain_takes() {
        let before = sat(4 * 200_000);
        let mut wallets = opened(4, &[(0, 1), (1, 2)]);
        let now = CONFIRMED_AFTER;
        wallets.pay(at(0), at(2), sat(777), now);
        let own = wallets.of(at(1), now);
        let [first, second] = own[..] else { panic!("{own:?}") };
        let step =
            |action: Action| Step { action, reason: Reason::Left, fee: fee(action.deed(), 10) };
        let splice = Action::SpliceIn { channel: second.id, partner: at(2), amount: sat(10_000) };
        let close = Action::CloseTogether { channel: first.id };
        let plan = Plan { steps: vec![step(splice), step(close)], waiting: Vec::new() };
        wallets.carry_out(at(1), &plan, now);
        assert_eq!(wallets.total().saturating_add(wallets.fees), before);
        wallets.advance(now + CONFIRMED_AFTER);
        assert_eq!(wallets.total().saturating_add(wallets.fees), before);
        assert_eq!(wallets.fees, sat(2 * 1_530 + 2_490 + 1_690));
        assert_eq!(wallets.of(at(1), now + CONFIRMED_AFTER)[0].capacity, sat(60_000));
    }
}
