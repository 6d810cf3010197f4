//! Trades ahead of the auction at one node: its own offers, what is accepted of them, what it accepts
//! of others', and the two stacks that keep a kilowatt-hour from being sold twice (P27 to P29).
//!
//! Invariant: of no product more is sold than its offer holds in any interval, no stack is higher
//! than the rating, and nothing is signed for an interval that an order was placed for. What was
//! signed is in the journal before it leaves, so none of it depends on what is remembered.
//! Not for: finding offers (the DHT's), or settling what was traded ([`crate::settlement`]).

mod accepting;
mod offering;
mod restore;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{Payload, Verified};
use boltgrid_protocol::forward::{Acceptance, Forward, Level, Stack};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::offer::{Day, Offer, Product};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};

use crate::effect::{Effect, JournalEntry, Slot};
use crate::notice::Notice;

pub use offering::Terms;

/// Most acceptances of one member that are replied to and not over yet.
const REPLIES_PER_MEMBER: usize = 64;
/// Most own acceptances that wait for their reply.
const OPEN_MAX: usize = 64;
/// Intervals after its last one for which a forward is kept: until it is settled.
const KEPT_AFTER: u64 = 4;

/// What one side of one trade ahead takes of our output or intake.
#[derive(Clone, Debug)]
struct Claim {
    side: Side,
    energy: Energy,
    stack: Stack,
}

/// An acceptance of ours without a reply.
#[derive(Debug)]
struct Open {
    signed: Verified<Acceptance>,
    ask_again: Timestamp,
}

/// A reply of ours, to be given again.
#[derive(Debug)]
struct Replied {
    to: ParticipantId,
    after: Interval,
    bytes: Arc<[u8]>,
}

/// A trade that both sides signed.
#[derive(Clone, Debug)]
pub struct Held {
    /// The hash of the acceptance it was made by.
    pub acceptance: MessageHash,
    /// What was agreed.
    pub forward: Forward,
    /// Whether the offer was ours.
    pub offered: bool,
    /// The signed reply, with the acceptance in it.
    pub reply: Arc<[u8]>,
}

/// All trades ahead of one node.
///
/// Bounded: one offer per product and day, [`OPEN_MAX`] open acceptances, [`REPLIES_PER_MEMBER`]
/// replies per member.
#[derive(Debug)]
pub(crate) struct Forwards {
    charter: Arc<Charter>,
    rosters: Rosters,
    key: Keypair,
    participant: ParticipantId,
    offers: BTreeMap<(Day, Product), Verified<Offer>>,
    open: BTreeMap<MessageHash, Open>,
    replied: BTreeMap<MessageHash, Replied>,
    held: BTreeMap<MessageHash, Held>,
    /// The next free number of each kind of slot.
    numbers: BTreeMap<Slot, u32>,
    /// The latest interval that an order was placed for.
    ordered: Option<Interval>,
    /// Whether the offers were published since the start.
    published: bool,
    /// How much of the journal could not be taken up, until it was told.
    unreadable: usize,
}

impl Forwards {
    /// The latest moment to give or ask for a forward that starts at `first` (P28).
    fn latest(&self, first: Interval) -> Timestamp {
        let timing = &self.charter.interval;
        let margin = timing.interval_ms.saturating_add(timing.clock_skew_max_ms);
        timing.schedule(first).orders_open.minus_ms(margin)
    }

    /// Whether it is too late for a trade that starts at `first`.
    fn is_late(&self, now: Timestamp, first: Interval) -> bool {
        now > self.latest(first) || self.ordered.is_some_and(|ordered| first <= ordered)
    }

    /// What our side of everything that binds us, or may yet, takes.
    fn claims(&self) -> impl Iterator<Item = Claim> + '_ {
        let held = self.held.values().map(|held| self.claim(&held.forward));
        held.chain(self.open.values().map(|open| {
            let accepted = open.signed.body();
            let (side, energy) = (accepted.side(), accepted.energy_mwh);
            Claim { side, energy, stack: accepted.stack.clone() }
        }))
    }

    fn claim(&self, forward: &Forward) -> Claim {
        let (side, stack) = if forward.seller == self.participant {
            (Side::Sell, &forward.seller_stack)
        } else {
            (Side::Buy, &forward.buyer_stack)
        };
        Claim { side, energy: forward.energy_mwh, stack: stack.clone() }
    }

    /// The tops of our two stacks in one interval: what is sold and what is bought ahead.
    pub(crate) fn committed(&self, interval: Interval) -> (Energy, Energy) {
        let top = |side| top(self.claims().filter(|claim| claim.side == side), interval);
        (top(Side::Sell), top(Side::Buy))
    }

    /// Our stack under a new trade; `None` where it is too uneven.
    fn stack(&self, side: Side, first: Interval, after: Interval) -> Option<Stack> {
        let claims: Vec<Claim> = self.claims().filter(|claim| claim.side == side).collect();
        let edges = edges(claims.iter().map(|claim| &claim.stack), first, after);
        Stack::of(spans(&edges, after).map(|(first, after)| Level {
            first,
            after,
            before_mwh: top(claims.iter().cloned(), first),
        }))
    }

    /// The most that was accepted of one of our offers in any of some intervals.
    fn accepted(&self, product: Product, first: Interval, after: Interval) -> Energy {
        let ours: Vec<&Forward> = self
            .held
            .values()
            .filter(|held| held.offered && held.forward.product == product)
            .map(|held| &held.forward)
            .collect();
        let edges = edges(ours.iter().map(|forward| &forward.seller_stack), first, after);
        edges
            .iter()
            .map(|interval| {
                ours.iter()
                    .filter(|forward| forward.covers(*interval))
                    .fold(Energy::ZERO, |sum, it| sum.saturating_add(it.energy_mwh))
            })
            .max()
            .unwrap_or_default()
    }

    /// The trades ahead for an interval.
    pub(crate) fn of(&self, interval: Interval) -> impl Iterator<Item = &Held> {
        self.held.values().filter(move |held| held.forward.covers(interval))
    }

    /// All trades ahead that are not over.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    /// Our own offers with what is left of each in every interval at least.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (&Verified<Offer>, Energy)> {
        self.offers.values().map(|offer| {
            let body = offer.body();
            let accepted = self.accepted(body.product, body.first, body.after);
            (offer, body.energy_mwh.saturating_sub(accepted))
        })
    }

    /// Notes that an order for `interval` leaves: what is committed in it is said.
    pub(crate) fn note_order(&mut self, interval: Interval) {
        self.ordered = self.ordered.max(Some(interval));
    }

    /// Whatever is due at `now`: asking again, renewing offers unless we abstain, forgetting what
    /// is over.
    pub(crate) fn advance(&mut self, now: Timestamp, may_sign: bool) -> Vec<Effect> {
        let mut effects = self.void(now);
        effects.extend(self.ask_again(now));
        effects.extend(self.publish_again());
        if may_sign {
            effects.extend(self.renew(now));
        }
        let current = self.charter.interval.interval_at(now);
        let is_over = |after: Interval| after.plus(KEPT_AFTER) < current;
        self.held.retain(|_, held| !is_over(held.forward.seller_stack.span().1));
        self.replied.retain(|_, replied| !is_over(replied.after));
        self.numbers.retain(|slot, _| !is_over(slot.interval()));
        self.offers.retain(|_, offer| now < offer.body().expires_at);
        effects
    }

    /// The next moment at which something is due.
    pub(crate) fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let asks = self.open.values().map(|open| open.ask_again);
        let renewals = self.offers.values().filter_map(|offer| self.renew_at(offer.body()));
        asks.chain(renewals).filter(|moment| *moment > now).min()
    }

    /// A place in the journal that nothing fills yet.
    fn fresh(&mut self, slot: impl Fn(Interval, u32) -> Slot, last: Interval) -> Slot {
        let number = self.numbers.entry(slot(last, 0)).or_default();
        let fresh = slot(last, *number);
        *number = number.saturating_add(1);
        fresh
    }

    fn sign<T: Payload>(&mut self, body: &T, at: Interval) -> Option<Verified<T>> {
        let roster = self.rosters.at(at);
        let author = (&self.participant, &self.key);
        Verified::sign(body, at, author, (self.charter.as_ref(), roster.as_ref())).ok()
    }

    /// Whether somebody is a member in all of some intervals.
    fn is_member(&mut self, who: &ParticipantId, first: Interval, after: Interval) -> bool {
        let epoch = self.charter.membership.roster_epoch_intervals.max(1);
        let mut at = first;
        while at < after {
            if self.rosters.at(at).index_of(who).is_none() {
                return false;
            }
            at = boltgrid_protocol::roster::epoch_start(&self.charter, at).plus(epoch);
        }
        true
    }

    fn roster(&mut self, interval: Interval) -> Arc<Roster> {
        self.rosters.at(interval)
    }
}

/// The height of a stack of claims in one interval.
fn top(claims: impl Iterator<Item = Claim>, interval: Interval) -> Energy {
    claims
        .filter_map(|claim| Some(claim.stack.before(interval)?.saturating_add(claim.energy)))
        .max()
        .unwrap_or_default()
}

/// Where anything changes between `first` and `after`.
fn edges<'a>(
    stacks: impl Iterator<Item = &'a Stack>,
    first: Interval,
    after: Interval,
) -> BTreeSet<Interval> {
    let levels = stacks.flat_map(|stack| &stack.levels);
    let edges = levels.flat_map(|level| [level.first, level.after]);
    edges.filter(|edge| first < *edge && *edge < after).chain([first]).collect()
}

/// The spans between edges, the last one up to `after`.
fn spans(
    edges: &BTreeSet<Interval>,
    after: Interval,
) -> impl Iterator<Item = (Interval, Interval)> + '_ {
    let ends = edges.iter().skip(1).copied().chain([after]);
    edges.iter().copied().zip(ends)
}

fn persist(slot: Slot, bytes: &Arc<[u8]>) -> Effect {
    Effect::Persist(JournalEntry { slot, bytes: Arc::clone(bytes) })
}

fn not_taken(why: &'static str) -> Vec<Effect> {
    vec![Effect::Tell(Notice::NotTaken(why))]
}
