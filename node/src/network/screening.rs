//! Everything that comes in passes here before anyone else sees it: bytes in, verified message out.
//!
//! The cheap checks come first, the signature last. Not for: what a message means, or whether it is
//! in time; the market judges that.

use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, Proposal, Vote};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{Header, Kind, MessageRejected, Payload, Verified};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::masking::Share;
use boltgrid_protocol::message::{EntryRejected, Gatekeeper, INTERVALS_BACK, Message};
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::peer::PeerRecord;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::seal::{Opened, Seal, Shown, ShownRejected};
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Interval, Timestamp};
use libp2p::gossipsub::MessageId;

use super::budget::Budget;
use super::refused::Refused;

/// The gatekeeper and what it remembers.
#[derive(Debug)]
pub(super) struct Screening {
    gate: Gatekeeper,
    budget: Budget,
    charter: Arc<Charter>,
}

/// Most bytes of a message on a topic.
const fn limit(topic: Topic) -> usize {
    match topic {
        Topic::Orders => Order::LIMIT,
        Topic::Acks => Ack::LIMIT,
        Topic::Votes => Proposal::LIMIT,
        Topic::Readings => Reading::LIMIT,
        Topic::Evidence => Evidence::LIMIT,
    }
}

const _: () = assert!(Vote::LIMIT <= Proposal::LIMIT);
const _: () = assert!(Seal::LIMIT <= Reading::LIMIT && Share::LIMIT <= Reading::LIMIT);

fn peek(bytes: &[u8]) -> Result<Header, Refused> {
    Ok(Header::peek(bytes).map_err(MessageRejected::from).map_err(EntryRejected::from)?)
}

impl Screening {
    pub(super) fn new(gate: Gatekeeper, charter: Arc<Charter>) -> Self {
        Self { gate, budget: Budget::new(&charter), charter }
    }

    /// The gatekeeper, for its rosters.
    pub(super) const fn gate(&mut self) -> &mut Gatekeeper {
        &mut self.gate
    }

    /// How many messages an author may gossip in one interval.
    pub(super) fn allowance(&self) -> usize {
        self.budget.allowance_of_all()
    }

    /// Forgets what can no longer matter in `current`.
    pub(super) fn forget_before(&mut self, current: Interval) {
        self.budget.forget_before(current.minus(INTERVALS_BACK));
    }

    /// A message heard on a topic.
    pub(super) fn gossiped(
        &mut self,
        topic: Topic,
        id: &MessageId,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Message, Refused> {
        if bytes.len() > limit(topic) {
            return Err(Refused::Oversize);
        }
        let header = peek(bytes)?;
        if Topic::of(header.kind) != Some(topic) || !self.charter.readings.lets_gossip(header.kind)
        {
            return Err(Refused::WrongKind);
        }
        self.budget.check(&header, id)?;
        let message = self.gate.admit(bytes, now)?;
        self.budget.charge(&header, id.clone());
        if let Message::Reading(reading) = &message {
            let roster = self.gate.roster(reading.interval());
            if !self.charter.readings.opens(reading.author(), (&self.charter, &roster)) {
                return Err(Refused::WrongKind);
            }
        }
        Ok(message)
    }

    /// A confirm, or an open reading, that `from` sent of its own.
    pub(super) fn told(
        &mut self,
        from: &ParticipantId,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Message, Refused> {
        let header = peek(bytes)?;
        let is_open_reading = header.kind == Kind::Reading && self.charter.readings.is_open();
        if header.kind != Kind::TradeConfirm && !is_open_reading {
            return Err(Refused::WrongKind);
        }
        if header.author != *from {
            return Err(Refused::NotItsAuthor);
        }
        Ok(self.gate.admit(bytes, now)?)
    }

    /// A reading that `from` shows of itself.
    pub(super) fn shown(
        &mut self,
        from: &ParticipantId,
        shown: Shown,
        now: Timestamp,
    ) -> Result<Opened, Refused> {
        if self.charter.readings.is_open() {
            return Err(Refused::WrongKind);
        }
        shown.open(from, |bytes| self.gate.admit(bytes, now)).map_err(|rejected| match rejected {
            ShownRejected::Entry(rejected) => Refused::Entry(rejected),
            ShownRejected::WrongKind => Refused::WrongKind,
            ShownRejected::NotItsAuthor => Refused::NotItsAuthor,
            ShownRejected::NotSealed => Refused::NotSealed,
        })
    }

    /// An order that was asked for, of one of `authors` in `interval`.
    pub(super) fn order(
        &mut self,
        (interval, authors): (Interval, &[RosterIndex]),
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Message, Refused> {
        let header = peek(bytes)?;
        if header.kind != Kind::Order {
            return Err(Refused::WrongKind);
        }
        if header.interval != interval {
            return Err(Refused::NotAskedFor);
        }
        let author = self.gate.roster(interval).index_of(&header.author);
        if !author.is_some_and(|author| authors.contains(&author)) {
            return Err(Refused::NotAskedFor);
        }
        Ok(self.gate.admit(bytes, now)?)
    }

    /// A member's record of where it is.
    pub(super) fn peer_record(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Verified<PeerRecord>, Refused> {
        if peek(bytes)?.kind != Kind::PeerRecord {
            return Err(Refused::WrongKind);
        }
        let Message::PeerRecord(record) = self.gate.admit(bytes, now)? else {
            return Err(Refused::WrongKind);
        };
        Ok(record)
    }

    /// A member's standing offer.
    pub(super) fn offer(
        &mut self,
        bytes: impl Into<Arc<[u8]>>,
        now: Timestamp,
    ) -> Result<Verified<Offer>, Refused> {
        let bytes = bytes.into();
        if peek(&bytes)?.kind != Kind::Offer {
            return Err(Refused::WrongKind);
        }
        let Message::Offer(offer) = self.gate.admit(bytes, now)? else {
            return Err(Refused::WrongKind);
        };
        Ok(offer)
    }
}
