//! Why something that came over the network was not taken, what it is counted as, and whether its
//! sender is to blame. The one table of all three.

use boltgrid_protocol::envelope::MessageRejected;
use boltgrid_protocol::message::EntryRejected;
use libp2p::gossipsub::MessageAcceptance;

/// Who is to blame that something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// No correct peer would have sent it.
    Sender,
    /// A correct peer may send it, but not without end.
    Nobody,
    /// It is we who could not take it.
    Us,
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
    /// A peer record older than the one we have.
    #[error("a peer record older than the one that is known")]
    Superseded,
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
}

impl Refused {
    /// A stable name for counting.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Entry(rejected) => rejected.reason(),
            Self::Oversize => "oversize",
            Self::WrongKind => "wrong_kind",
            Self::NotItsAuthor => "not_its_author",
            Self::NotAskedFor => "not_asked_for",
            Self::Malformed => "malformed",
            Self::Replayed => "replayed",
            Self::OverBudget => "over_budget",
            Self::WrongKey => "wrong_key",
            Self::Superseded => "superseded",
            Self::Provider => "provider",
            Self::Stranger => "stranger",
            Self::TooOften => "too_often",
            Self::Overloaded => "overloaded",
            Self::Unjudged => "unjudged",
            Self::Condemned => "condemned",
            Self::FalseHistory => "false_history",
            Self::Blocked => "blocked",
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
            | Self::NotAskedFor
            | Self::Malformed
            | Self::WrongKey
            | Self::Provider
            | Self::FalseHistory
            | Self::Condemned => Blame::Sender,
            Self::Replayed
            | Self::OverBudget
            | Self::Superseded
            | Self::Stranger
            | Self::TooOften => Blame::Nobody,
            Self::Overloaded | Self::Unjudged | Self::Blocked => Blame::Us,
        }
    }

    /// What gossipsub is told.
    pub(super) const fn acceptance(self) -> MessageAcceptance {
        match self.blame() {
            Blame::Sender => MessageAcceptance::Reject,
            Blame::Nobody | Blame::Us => MessageAcceptance::Ignore,
        }
    }
}
