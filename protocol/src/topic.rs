//! The gossip topics of a grid: a closed list, so that nobody can make us join another.

use crate::envelope::Kind;
use crate::id::GridId;

/// A gossip topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Orders.
    Orders,
    /// Acks.
    Acks,
    /// Proposals and votes.
    Votes,
    /// Readings, or their seals and masked shares.
    Readings,
    /// Evidence.
    Evidence,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 5] =
        [Self::Orders, Self::Acks, Self::Votes, Self::Readings, Self::Evidence];

    /// The topic's name on the wire: `/boltgrid/1/<grid id>/<topic>`.
    #[must_use]
    pub fn name(self, grid: &GridId) -> String {
        format!("/boltgrid/1/{grid}/{}", self.word())
    }

    /// The topic's own word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Acks => "acks",
            Self::Votes => "votes",
            Self::Readings => "readings",
            Self::Evidence => "evidence",
        }
    }

    /// Where a kind of message is gossiped; `None` for those that travel directly.
    #[must_use]
    pub const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Order => Some(Self::Orders),
            Kind::Ack => Some(Self::Acks),
            Kind::Proposal | Kind::Vote => Some(Self::Votes),
            Kind::Reading | Kind::Seal | Kind::Share => Some(Self::Readings),
            Kind::Evidence => Some(Self::Evidence),
            Kind::TradeConfirm
            | Kind::PeerRecord
            | Kind::Offer
            | Kind::Acceptance
            | Kind::Reply
            | Kind::Invoice
            | Kind::Deed => None,
        }
    }
}
