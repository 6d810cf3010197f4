//! A rogue: a member that holds its key, speaks the real protocol, and plays a part.
//!
//! Inside is an honest [`Market`], so that a rogue knows and says all that a member does; what comes
//! out of it is bent by the rogue's [`Role`]. It reads no clock, socket, disk or chance: the same
//! seed and the same inputs give the same deeds, in the simulator as in a testnet. Everything it
//! says is validly signed, but for what a replayer and a spammer say on purpose.
//!
//! A rogue keeps no journal, so nothing that it signs is stored first. What it tells
//! ([`Effect::Tell`]) is what its honest inside believes, and proves nothing.
//! Not for: strangers without a key ([`crate::run::hostile`]).

mod acks;
mod answers;
mod bolt11;
mod hand;
mod invoices;
mod memory;
mod orders;
mod proposals;
mod readings;
mod replay;
mod role;
mod spam;
#[cfg(test)]
mod tests;
mod votes;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::Effect;
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::Means;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{Header, Kind, Payload, Signed, Verified};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Interval, Timestamp};

use hand::Hand;
use invoices::Purse;
pub use invoices::Trick;
use memory::Memory;
pub use role::{NotARole, Role};

/// Most deeds that wait for their time.
const PLANNED_MAX: usize = 4096;

/// What a rogue does.
#[derive(Clone, Debug)]
pub enum Deed {
    /// What an honest member might do as well, or seem to; never [`Effect::Persist`].
    Do(Effect),
    /// Gossip that starts at some members only. Whoever carries it out may be unable to choose them,
    /// and whoever hears it may pass it on.
    Whisper {
        /// On which topic.
        topic: Topic,
        /// What.
        bytes: Arc<[u8]>,
        /// Who is to hear it first; may be empty.
        to: Vec<ParticipantId>,
    },
}

/// A member that plays a part.
#[derive(Debug)]
pub struct Rogue {
    role: Role,
    market: Market,
    hand: Hand,
    memory: Memory,
    /// What it asks for, if it is a false payee.
    purse: Purse,
    /// Deeds that wait for their time, in the order in which they were planned.
    planned: BTreeMap<(Timestamp, u64), Deed>,
    /// How many deeds were ever planned.
    plans: u64,
    /// The first interval that nothing has been planned for yet.
    unplanned: Option<Interval>,
    /// The first reading of our meter.
    first_reading: Option<Reading>,
}

impl Rogue {
    /// The rogue with this key, whose meter signs with the same one; it knows its accomplices' keys.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "there is nothing that a rogue can do without")]
    pub fn new(
        role: Role,
        seed: u64,
        charter: Arc<Charter>,
        rosters: Rosters,
        key: Keypair,
        accomplices: Vec<Keypair>,
    ) -> Self {
        let grid = (Arc::clone(&charter), rosters.clone());
        let market = Market::new(grid.0, grid.1, key.clone(), Vec::new(), Means::Ledger);
        Self {
            role,
            market,
            hand: Hand::new(seed, charter, rosters, key, accomplices),
            memory: Memory::default(),
            purse: Purse::new(seed),
            planned: BTreeMap::new(),
            plans: 0,
            unplanned: None,
            first_reading: None,
        }
    }

    /// The same rogue, with a meter whose key is not its own.
    #[must_use]
    pub fn with_meter(mut self, meter: Keypair) -> Self {
        self.hand.set_meter(meter);
        self
    }

    /// Its part.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Takes one input at `now` and says what it does, in order.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Deed> {
        self.plan_ahead(now);
        let mut deeds = self.due(now);
        let input = match input {
            Input::Metered(reading) => {
                let (input, lies) = self.meter(*reading);
                deeds.extend(lies);
                input
            }
            Input::Heard { message, token } => {
                deeds.extend(self.overhear(&message));
                Input::Heard { message, token }
            }
            Input::Tick
            | Input::MeteredBefore(_)
            | Input::Place { .. }
            | Input::Offer(_)
            | Input::Withdraw { .. }
            | Input::Accept { .. }
            | Input::Asked { .. }
            | Input::Replied(_)
            | Input::Certificate(_)
            | Input::Shown(_)
            | Input::Forgive(_)
            | Input::Past(_)
            | Input::Payment(_)
            | Input::Clock(_) => input,
        };
        for effect in self.market.handle(now, input) {
            deeds.extend(self.bend(now, effect));
        }
        deeds.extend(self.due(now));
        deeds
    }

    /// When something is due at the latest although nothing is heard.
    #[must_use]
    pub fn next_wakeup(&self, now: Timestamp) -> Timestamp {
        let planned = self.planned.first_key_value().map(|((at, _), _)| *at);
        let wakeup = self.market.next_wakeup(now);
        planned.map_or(wakeup, |at| at.min(wakeup)).max(now.plus_ms(1))
    }

    /// Remembers what was said, and acts on it where the honest inside would take its time.
    fn overhear(&mut self, message: &Message) -> Vec<Deed> {
        let interval = match message {
            Message::Proposal(proposal) => proposal.interval(),
            Message::Vote(vote) => vote.interval(),
            Message::Order(_)
            | Message::Ack(_)
            | Message::Confirm(_)
            | Message::Reading(_)
            | Message::Evidence(_)
            | Message::PeerRecord(_)
            | Message::Offer(_)
            | Message::Acceptance(_)
            | Message::Reply(_)
            | Message::Invoice(_)
            | Message::Deed(_)
            | Message::Seal(_)
            | Message::Share(_) => Interval::default(),
        };
        let roster = self.hand.roster(interval);
        self.memory.note(message, &roster);
        match (self.role, message) {
            (Role::DoubleVoter, Message::Proposal(proposal)) => self.vote_twice(proposal),
            _ => Vec::new(),
        }
    }

    /// What becomes of something that the honest inside would do.
    fn bend(&mut self, now: Timestamp, effect: Effect) -> Vec<Deed> {
        match effect {
            Effect::Persist(_) => Vec::new(),
            Effect::Gossip(topic, bytes) => self.bend_gossip(now, topic, bytes),
            Effect::SendTo { .. } if self.role == Role::NeverConfirms => Vec::new(),
            Effect::Tell(Notice::Settled(ref settlement)) if self.role == Role::FalsePayee => {
                self.plan_invoices(now, settlement);
                vec![Deed::Do(effect)]
            }
            Effect::SendTo { .. }
            | Effect::Show { .. }
            | Effect::Judge { .. }
            | Effect::FetchOrders { .. }
            | Effect::FetchCertificate { .. }
            | Effect::AskOrder(_)
            | Effect::PublishOffer(_)
            | Effect::AskReply { .. }
            | Effect::AnswerReply { .. }
            | Effect::Payment(_)
            | Effect::Tell(_) => vec![Deed::Do(effect)],
        }
    }

    fn bend_gossip(&mut self, now: Timestamp, topic: Topic, bytes: Arc<[u8]>) -> Vec<Deed> {
        let Ok(header) = Header::peek(&bytes) else { return Vec::new() };
        let interval = header.interval;
        let bent = match header.kind {
            Kind::Order => self.open(&bytes, interval).map(|it| self.bend_order(now, &it)),
            Kind::Ack => self.open(&bytes, interval).map(|it| self.bend_ack(&it)),
            Kind::Proposal => self.open(&bytes, interval).map(|it| self.bend_proposal(&it)),
            Kind::Vote => self.open(&bytes, interval).map(|it| self.bend_vote(&it)),
            Kind::Evidence => {
                let roster = self.hand.roster(interval);
                let evidence: Option<Verified<Evidence>> = self.open(&bytes, interval);
                let culprit = evidence
                    .and_then(|it| it.body().culprit_index(&roster))
                    .and_then(|index| roster.participant(index));
                // Nobody hears from us what we did.
                culprit.filter(|culprit| self.hand.is_ours(culprit)).map(|_| Vec::new())
            }
            Kind::Reading
            | Kind::TradeConfirm
            | Kind::PeerRecord
            | Kind::Offer
            | Kind::Acceptance
            | Kind::Reply
            | Kind::Invoice
            | Kind::Deed
            | Kind::Seal
            | Kind::Share => None,
        };
        bent.unwrap_or_else(|| vec![gossip(topic, bytes)])
    }

    /// A message of our own inside.
    fn open<T: Payload>(&mut self, bytes: &Arc<[u8]>, interval: Interval) -> Option<Verified<T>> {
        let roster = self.hand.roster(interval);
        Signed::decode(Arc::clone(bytes)).ok()?.verify(&self.hand.charter, &roster).ok()
    }

    /// Plans what is to be done in intervals whose order window is near, whatever is heard.
    fn plan_ahead(&mut self, now: Timestamp) {
        let timing = self.hand.charter.interval;
        let skew = timing.clock_skew_max_ms;
        let mut next = self.unplanned.unwrap_or_else(|| timing.interval_at(now));
        // As with the market's rounds, a pause is not made up for.
        next = next.max(timing.interval_at(now).previous());
        while timing.schedule(next).orders_open.minus_ms(skew) <= now {
            match self.role {
                Role::Replayer => self.plan_replays(now, next),
                Role::Spammer => self.plan_spam(now, next),
                Role::Equivocator
                | Role::LatePartial
                | Role::SelectiveAcker
                | Role::DoubleVoter
                | Role::EquivocatingLeader
                | Role::WithholdingLeader
                | Role::LyingMeter
                | Role::NeverConfirms
                | Role::NeverDelivers
                | Role::FalsePayee
                | Role::FalsePayer
                | Role::Eavesdropper => {}
            }
            next = next.next();
        }
        self.unplanned = Some(next);
    }

    /// Puts a deed off until `at`; one too many is not done at all.
    fn plan(&mut self, at: Timestamp, deed: Deed) {
        if self.planned.len() < PLANNED_MAX {
            self.planned.insert((at, self.plans), deed);
            self.plans = self.plans.saturating_add(1);
        }
    }

    fn due(&mut self, now: Timestamp) -> Vec<Deed> {
        let mut due = Vec::new();
        while let Some(entry) = self.planned.first_entry().filter(|entry| entry.key().0 <= now) {
            due.push(entry.remove());
        }
        due
    }

    /// One thing to the left half, another to the right one.
    fn split<T, U>(
        &mut self,
        topic: Topic,
        left: &Verified<T>,
        right: Option<&Verified<U>>,
    ) -> Vec<Deed> {
        let halves = self.hand.halves(left.interval());
        let mut deeds = vec![whisper(topic, left.bytes(), halves.left)];
        deeds.extend(right.map(|right| whisper(topic, right.bytes(), halves.right)));
        deeds
    }
}

fn gossip(topic: Topic, bytes: Arc<[u8]>) -> Deed {
    Deed::Do(Effect::Gossip(topic, bytes))
}

fn whisper(topic: Topic, bytes: &Arc<[u8]>, to: Vec<ParticipantId>) -> Deed {
    Deed::Whisper { topic, bytes: Arc::clone(bytes), to }
}
