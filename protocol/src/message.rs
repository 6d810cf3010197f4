//! Everything one node can say to another, and the one gate through which it comes in.
//!
//! Not for: whether a message is new, in time or true; the market judges that.

use std::sync::Arc;

use crate::agreement::{Ack, Proposal, Vote};
use crate::charter::Charter;
use crate::confirm::TradeConfirm;
use crate::envelope::{Header, Kind, MessageRejected, Payload, Signed, Verified};
use crate::escrow::Deed;
use crate::evidence::Evidence;
use crate::forward::{Acceptance, Reply};
use crate::invoice::Invoice;
use crate::masking::Share;
use crate::offer::Offer;
use crate::order::Order;
use crate::peer::PeerRecord;
use crate::reading::Reading;
use crate::roster::{Roster, Rosters};
use crate::seal::Seal;
use crate::units::{Interval, Timestamp};

/// How many intervals back a message may be: as far as books are still settled (P9).
pub const INTERVALS_BACK: u64 = 3;
/// How many intervals ahead a message may be: no order window opens earlier (P9).
pub const INTERVALS_AHEAD: u64 = 3;

/// A verified message of any kind.
#[derive(Clone, Debug)]
pub enum Message {
    /// An order.
    Order(Verified<Order>),
    /// An ack.
    Ack(Verified<Ack>),
    /// A proposal.
    Proposal(Verified<Proposal>),
    /// A vote.
    Vote(Verified<Vote>),
    /// A confirm.
    Confirm(Verified<TradeConfirm>),
    /// A reading.
    Reading(Verified<Reading>),
    /// Evidence.
    Evidence(Verified<Evidence>),
    /// A peer record.
    PeerRecord(Verified<PeerRecord>),
    /// An offer.
    Offer(Verified<Offer>),
    /// An acceptance.
    Acceptance(Verified<Acceptance>),
    /// A reply to one.
    Reply(Verified<Reply>),
    /// An invoice.
    Invoice(Verified<Invoice>),
    /// A word on an escrow.
    Deed(Verified<Deed>),
    /// A seal.
    Seal(Verified<Seal>),
    /// A masked share.
    Share(Verified<Share>),
}

/// Why bytes do not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryRejected {
    /// An interval too long ago, or a record or offer that has ended: a replay.
    #[error("a message of an interval long past, or a record or offer that has ended")]
    Stale,
    /// An interval too far ahead, or a record or offer made later than clocks can differ.
    #[error("a message of an interval to come, or a record or offer of a time to come")]
    Future,
    /// Nobody is enrolled then.
    #[error("there is no roster for the message's interval")]
    NoRoster,
    /// The message itself.
    #[error(transparent)]
    Message(#[from] MessageRejected),
}

impl EntryRejected {
    /// A stable name for counting.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Future => "future",
            Self::NoRoster => "no_roster",
            Self::Message(rejected) => rejected.reason(),
        }
    }
}

/// Turns received bytes into verified messages of one grid.
#[derive(Clone, Debug)]
pub struct Gatekeeper {
    charter: Arc<Charter>,
    rosters: Rosters,
}

impl Gatekeeper {
    /// A gatekeeper of one grid.
    #[must_use]
    pub const fn new(charter: Arc<Charter>, rosters: Rosters) -> Self {
        Self { charter, rosters }
    }

    /// The roster of an interval.
    pub fn roster(&mut self, interval: Interval) -> Arc<Roster> {
        self.rosters.at(interval)
    }

    /// Decodes and verifies a message of any kind, received at `now`.
    ///
    /// The cheap checks come first: a stranger cannot make us verify signatures of other grids,
    /// other times or people who are not members.
    ///
    /// # Errors
    ///
    /// [`EntryRejected`].
    pub fn admit(
        &mut self,
        bytes: impl Into<Arc<[u8]>>,
        now: Timestamp,
    ) -> Result<Message, EntryRejected> {
        let bytes = bytes.into();
        let header = self.peek(&bytes)?;
        let current = self.charter.interval.interval_at(now);
        let interval = if header.kind.is_bound() { header.interval } else { current };
        // Whoever owes may be asked for it as long as it is open (P32).
        let is_dated = header.kind != Kind::Invoice;
        if is_dated && interval < current.minus(INTERVALS_BACK) {
            return Err(EntryRejected::Stale);
        }
        self.admit_since(bytes, header.kind, interval, now)
    }

    /// Decodes and verifies a message of an interval however long ago, from the archive or from a
    /// member's: what counted once is signed for good. All else is as in [`Self::admit`].
    ///
    /// # Errors
    ///
    /// [`EntryRejected`]; what is of no interval, like a peer record, is of the wrong kind.
    pub fn admit_past(
        &mut self,
        bytes: impl Into<Arc<[u8]>>,
        now: Timestamp,
    ) -> Result<Message, EntryRejected> {
        let bytes = bytes.into();
        let header = self.peek(&bytes)?;
        if !header.kind.is_bound() {
            return Err(MessageRejected::WrongKind.into());
        }
        self.admit_since(bytes, header.kind, header.interval, now)
    }

    fn peek(&self, bytes: &[u8]) -> Result<Header, EntryRejected> {
        let header = Header::peek(bytes).map_err(MessageRejected::from)?;
        if header.grid == self.rosters.grid() {
            Ok(header)
        } else {
            Err(MessageRejected::WrongGrid.into())
        }
    }

    fn admit_since(
        &mut self,
        bytes: Arc<[u8]>,
        kind: Kind,
        interval: Interval,
        now: Timestamp,
    ) -> Result<Message, EntryRejected> {
        if interval > self.charter.interval.interval_at(now).plus(INTERVALS_AHEAD) {
            return Err(EntryRejected::Future);
        }
        let roster = self.rosters.at(interval);
        if roster.members().is_empty() {
            return Err(EntryRejected::NoRoster);
        }
        let gate = (self.charter.as_ref(), roster.as_ref());
        let skew_ms = self.charter.interval.clock_skew_max_ms;
        Ok(match kind {
            Kind::Order => Message::Order(verify(bytes, gate)?),
            Kind::Ack => Message::Ack(verify(bytes, gate)?),
            Kind::Proposal => Message::Proposal(verify(bytes, gate)?),
            Kind::Vote => Message::Vote(verify(bytes, gate)?),
            Kind::TradeConfirm => Message::Confirm(verify(bytes, gate)?),
            Kind::Reading => Message::Reading(verify(bytes, gate)?),
            Kind::Evidence => Message::Evidence(verify(bytes, gate)?),
            Kind::PeerRecord => {
                let record: Verified<PeerRecord> = verify(bytes, gate)?;
                in_force(record.body().holds_at(now, skew_ms), record.body().expires_at, now)?;
                Message::PeerRecord(record)
            }
            Kind::Offer => {
                let offer: Verified<Offer> = verify(bytes, gate)?;
                in_force(offer.body().holds_at(now, skew_ms), offer.body().expires_at, now)?;
                Message::Offer(offer)
            }
            Kind::Acceptance => Message::Acceptance(verify(bytes, gate)?),
            Kind::Reply => Message::Reply(verify(bytes, gate)?),
            Kind::Invoice => Message::Invoice(verify(bytes, gate)?),
            Kind::Deed => Message::Deed(verify(bytes, gate)?),
            Kind::Seal => Message::Seal(verify(bytes, gate)?),
            Kind::Share => Message::Share(verify(bytes, gate)?),
        })
    }
}

/// Refuses what does not hold at `now` (P19, P27).
fn in_force(holds: bool, expires_at: Timestamp, now: Timestamp) -> Result<(), EntryRejected> {
    if holds {
        Ok(())
    } else if expires_at <= now {
        Err(EntryRejected::Stale)
    } else {
        Err(EntryRejected::Future)
    }
}

fn verify<T: Payload>(
    bytes: Arc<[u8]>,
    (charter, roster): (&Charter, &Roster),
) -> Result<Verified<T>, MessageRejected> {
    Signed::<T>::decode(bytes)?.verify(charter, roster)
}

impl Message {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Order(_) => Kind::Order,
            Self::Ack(_) => Kind::Ack,
            Self::Proposal(_) => Kind::Proposal,
            Self::Vote(_) => Kind::Vote,
            Self::Confirm(_) => Kind::TradeConfirm,
            Self::Reading(_) => Kind::Reading,
            Self::Evidence(_) => Kind::Evidence,
            Self::PeerRecord(_) => Kind::PeerRecord,
            Self::Offer(_) => Kind::Offer,
            Self::Acceptance(_) => Kind::Acceptance,
            Self::Reply(_) => Kind::Reply,
            Self::Invoice(_) => Kind::Invoice,
            Self::Deed(_) => Kind::Deed,
            Self::Seal(_) => Kind::Seal,
            Self::Share(_) => Kind::Share,
        }
    }
}

#[cfg(test)]
mod tests;
