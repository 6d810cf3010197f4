//! What is wrong with what a member handed us of history, and by what name it is counted.

use boltgrid_market::clear::ReplayRejected;
use boltgrid_protocol::agreement::CertificateRejected;
use boltgrid_protocol::envelope::MessageRejected;
use boltgrid_protocol::message::EntryRejected;

/// Why a visit to a member ends before it is through. Nothing of the answer is taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HistoryRejected {
    /// Not a message of range reconciliation.
    #[error("not a message of range reconciliation: {0}")]
    Reconciliation(negentropy::Error),
    /// Reconciliation without end.
    #[error("range reconciliation does not come to an end")]
    Endless,
    /// More items than a stretch can have.
    #[error("more items than a stretch can have")]
    TooMany,
    /// Another answer than the question has, or an item that was not asked for.
    #[error("not what was asked for")]
    NotAskedFor,
    /// A certificate that proves nothing.
    #[error("a certificate: {0}")]
    Certificate(#[from] CertificateRejected),
    /// A message that does not pass the gate.
    #[error("a message: {0}")]
    Entry(#[from] EntryRejected),
    /// A book that does not clear.
    #[error("a book: {0}")]
    Book(#[from] ReplayRejected),
}

impl HistoryRejected {
    /// Whether no correct member would have sent it: one with another roster may send what it holds
    /// for true.
    pub(super) const fn is_the_senders_fault(&self) -> bool {
        match self {
            Self::Reconciliation(_)
            | Self::Endless
            | Self::TooMany
            | Self::NotAskedFor
            | Self::Book(_) => true,
            Self::Certificate(rejected) => !matches!(
                rejected,
                CertificateRejected::BadBook
                    | CertificateRejected::Precommit(MessageRejected::WrongRoster)
            ),
            Self::Entry(rejected) => !matches!(
                rejected,
                EntryRejected::Stale
                    | EntryRejected::Future
                    | EntryRejected::NoRoster
                    | EntryRejected::Message(MessageRejected::WrongRoster)
            ),
        }
    }

    /// A stable name for counting.
    #[must_use]
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Reconciliation(_) => "bad_reconciliation",
            Self::Endless => "endless",
            Self::TooMany => "too_many",
            Self::NotAskedFor => "not_asked_for",
            Self::Certificate(_) => "bad_certificate",
            Self::Entry(rejected) => rejected.reason(),
            Self::Book(_) => "bad_book",
        }
    }
}
