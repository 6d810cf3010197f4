//! Why something that came over the network was not taken, and all that follows from it: what it is
//! counted as, what gossip is told, what it costs the sender's score and how much it counts towards
//! a ban. The one table of all of them.
//!
//! Not for: when the points are too many; that is [`super::faults`].

use boltgrid_protocol::envelope::MessageRejected;
use boltgrid_protocol::message::EntryRejected;
use libp2p::gossipsub::MessageAcceptance;

/// Who is to blame that something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// No correct peer would have sent it: a *fault*.
    Sender,
    /// A correct peer may send it, but not without end: a *nuisance*.
    Nobody,
    /// It is we who could not take it.
    Us,
}

/// What follows for the peer that handed something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Consequence {
    /// Faults, of which a few are a ban ([`super::faults`]). Each also lowers the peer's score
    /// ([`super::scoring`]), and where it came by gossip, gossipsub rejects it and lowers its own
    /// part of the score.
    pub(super) faults: u32,
    /// Nuisances, of which very many are a ban. They cost no score: an honest member with another
    /// clock or a busy grid must not fall behind a stranger.
    pub(super) nuisances: u32,
}

impl Blame {
    /// What follows for the sender.
    pub(super) const fn consequence(self) -> Consequence {
        match self {
            Self::Sender => Consequence { faults: 1, nuisances: 0 },
            Self::Nobody => Consequence { faults: 0, nuisances: 1 },
            Self::Us => Consequence { faults: 0, nuisances: 0 },
        }
    }
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// It does not pass the gatekeeper.
    #[error(transparent)]
    Entry(#[from] EntryRejected),
    /// More bytes than the topic's largest message has.
    #[error("longer than any message of the topic")]
    Oversize,
    /// A kind of message that does not travel this way.
    #[error("a message of another kind than travels here")]
    WrongKind,
    /// Said by somebody else than the one who says it.
    #[error("the sender is not the author")]
    NotItsAuthor,
    /// A reading under a seal that is not over it.
    #[error("the seal is not over the reading")]
    NotSealed,
    /// Something that nobody asked for.
    #[error("not what was asked for")]
    NotAskedFor,
    /// Bytes that are no request or response.
    #[error("not a request or response")]
    Malformed,
    /// The very message that was taken before.
    #[error("the message was taken before")]
    Replayed,
    /// The author has said all it can have to say in this interval.
    #[error("the author has said all it may in this interval")]
    OverBudget,
    /// A peer record under another key than its author's.
    #[error("a peer record under another key than its author's")]
    WrongKey,
    /// An offer under another key than its own; with another epoch's roster it may be the right one.
    #[error("an offer under another key than its own")]
    Misplaced,
    /// A peer record older than the one we have.
    #[error("a peer record older than the one that is known")]
    Superseded,
    /// A peer record whose Lightning node has not signed that it is its author's.
    #[error("a peer record with a Lightning node that did not sign for it")]
    NotItsLightning,
    /// A provider record; nobody provides anything here.
    #[error("a provider record")]
    Provider,
    /// From somebody who is not on the roster.
    #[error("the sender is not a member")]
    Stranger,
    /// The sender asks too often.
    #[error("the sender asks too often")]
    TooOften,
    /// We have too much to do.
    #[error("too much to do")]
    Overloaded,
    /// The market took too long to say what becomes of it.
    #[error("the market did not judge it in time")]
    Unjudged,
    /// The market says that no correct node would have sent it.
    #[error("the market rejects it")]
    Condemned,
    /// History that proves nothing, or a question about it that is none.
    #[error("false history")]
    FalseHistory,
    /// The peer broke the rules too often and is kept away for a while.
    #[error("the peer broke the rules too often")]
    Blocked,
    /// More connections come in than we can shake hands with.
    #[error("too many connections at once")]
    Crowded,
}

impl Refused {
    /// A stable name for counting.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Entry(rejected) => rejected.reason(),
            Self::Oversize => "oversize",
            Self::WrongKind => "wrong_kind",
            Self::NotItsAuthor => "not_its_author",
            Self::NotSealed => "not_sealed",
            Self::NotAskedFor => "not_asked_for",
            Self::Malformed => "malformed",
            Self::Replayed => "replayed",
            Self::OverBudget => "over_budget",
            Self::WrongKey => "wrong_key",
            Self::Misplaced => "misplaced",
            Self::Superseded => "superseded",
            Self::NotItsLightning => "not_its_lightning",
            Self::Provider => "provider",
            Self::Stranger => "stranger",
            Self::TooOften => "too_often",
            Self::Overloaded => "overloaded",
            Self::Unjudged => "unjudged",
            Self::Condemned => "condemned",
            Self::FalseHistory => "false_history",
            Self::Blocked => "blocked",
            Self::Crowded => "crowded",
        }
    }

    /// Who is to blame.
    ///
    /// Not to blame is who has another clock or another day's roster than we, who passes on what we
    /// had already, and who passes on a third order of an author of whom it saw no other.
    pub(super) const fn blame(self) -> Blame {
        match self {
            Self::Entry(rejected) => match rejected {
                EntryRejected::Stale
                | EntryRejected::Future
                | EntryRejected::NoRoster
                | EntryRejected::Message(MessageRejected::WrongRoster) => Blame::Nobody,
                EntryRejected::Message(_) => Blame::Sender,
            },
            Self::Oversize
            | Self::WrongKind
            | Self::NotItsAuthor
            | Self::NotSealed
            | Self::NotAskedFor
            | Self::Malformed
            | Self::WrongKey
            | Self::NotItsLightning
            | Self::Provider
            | Self::FalseHistory
            | Self::Condemned => Blame::Sender,
            Self::Replayed
            | Self::OverBudget
            | Self::Superseded
            | Self::Misplaced
            | Self::Stranger
            | Self::TooOften => Blame::Nobody,
            Self::Overloaded | Self::Unjudged | Self::Blocked | Self::Crowded => Blame::Us,
        }
    }

    /// What gossipsub is told: reject only what no correct peer could have passed on.
    pub(super) const fn acceptance(self) -> MessageAcceptance {
        match self.blame() {
            Blame::Sender => MessageAcceptance::Reject,
            Blame::Nobody | Blame::Us => MessageAcceptance::Ignore,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gossip_rejects_is_what_counts_as_a_fault_and_nothing_else() {
        for refused in [
            Refused::Entry(EntryRejected::Message(MessageRejected::WrongRoster)),
            Refused::Entry(EntryRejected::Stale),
            Refused::Malformed,
            Refused::Condemned,
            Refused::OverBudget,
            Refused::Replayed,
            Refused::TooOften,
            Refused::Overloaded,
            Refused::Unjudged,
        ] {
            let is_rejected = matches!(refused.acceptance(), MessageAcceptance::Reject);
            let consequence = refused.blame().consequence();
            assert_eq!(is_rejected, consequence.faults > 0, "{refused:?}");
            assert!(consequence.faults == 0 || consequence.nuisances == 0, "{refused:?}");
        }
    }
}
