//! What voters say to agree on one book per interval: acks, proposals, votes and the certificate.
//! Not for: when to say it (`market::agreement`).

use serde::{Deserialize, Serialize};

use crate::bitmap::Bitmap;
use crate::charter::Charter;
use crate::codec::{self, CodecRejected};
use crate::envelope::{MessageRejected, Signed};
use crate::id::{BookHash, MessageHash, RosterIndex};
use crate::roster::Roster;
use crate::units::Interval;

/// Most bytes of an encoded certificate.
pub const CERTIFICATE_MAX: usize = 192 * 1024;

/// "At the gate I held these orders" (P13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Whose orders.
    pub held: Bitmap,
    /// The Merkle root of their hashes, in roster order.
    pub root: MessageHash,
}

/// One order in a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BookEntry {
    /// Whose order.
    pub author: RosterIndex,
    /// Which order.
    pub order: MessageHash,
}

/// Which orders are cleared: ascending by author, one each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book {
    /// The orders.
    pub entries: Vec<BookEntry>,
}

impl Book {
    /// The hash that voters vote on (P14): of roster, interval and every entry.
    #[must_use]
    pub fn hash(&self, roster: &Roster, interval: Interval) -> BookHash {
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 book");
        hasher.update(roster.grid().as_bytes());
        hasher.update(roster.hash().as_bytes());
        hasher.update(&interval.to_number().to_be_bytes());
        hasher.update(&codec::canonical(self));
        BookHash::from_bytes(hasher.finalize().into())
    }

    /// Whether authors ascend, each once, all of them members.
    #[must_use]
    pub fn is_well_formed(&self, roster: &Roster) -> bool {
        self.entries.is_sorted_by(|a, b| a.author < b.author)
            && self.entries.iter().all(|entry| roster.member(entry.author).is_some())
    }
}

/// A leader's book for one view, with the acks that it follows from (P14).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The view.
    pub view: u32,
    /// The view in which a quorum prevoted this book before, if any (P15).
    pub valid_view: Option<u32>,
    /// The signed acks, `q` of them, ascending by author.
    pub acks: Vec<Vec<u8>>,
    /// An order is in it exactly when `f + 1` of the acks hold it.
    pub book: Book,
}

/// The two votes of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// "This proposal is right."
    Prevote,
    /// "A quorum prevoted it, and I am locked on it."
    Precommit,
}

/// A vote for a book, or for none (P15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The view.
    pub view: u32,
    /// Prevote or precommit.
    pub stage: Stage,
    /// The book; or none, which is worth nothing and no honest voter says.
    pub book: Option<BookHash>,
}

/// Proof that a book is the one of its interval: `q` precommits for it in one view (P16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookCertificate {
    /// The interval.
    pub interval: Interval,
    /// The view that decided.
    pub view: u32,
    /// The book.
    pub book: Book,
    /// The signed precommits, ascending by author.
    pub precommits: Vec<Vec<u8>>,
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRejected {
    /// Not an encoded certificate.
    #[error("not an encoded certificate: {0}")]
    Codec(#[from] CodecRejected),
    /// The book is not in order.
    #[error("the certificate's book is not in order")]
    BadBook,
    /// One of the precommits.
    #[error("a precommit of the certificate: {0}")]
    Precommit(MessageRejected),
    /// A precommit for something else, or a second one of one voter.
    #[error("a precommit is for another book, view or interval, or is there twice")]
    NotForThis,
    /// Too few precommits.
    #[error("{have} precommits do not make a quorum of {need}")]
    NoQuorum {
        /// Precommits.
        have: usize,
        /// The quorum.
        need: usize,
    },
}

impl BookCertificate {
    /// The certificate's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::canonical(self)
    }

    /// Reads a certificate; [`Self::verify`] checks it.
    ///
    /// # Errors
    ///
    /// [`CertificateRejected::Codec`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CertificateRejected> {
        Ok(codec::decode(bytes, CERTIFICATE_MAX)?)
    }

    /// Checks book and precommits and returns the hash of the certified book.
    ///
    /// # Errors
    ///
    /// [`CertificateRejected`].
    pub fn verify(
        &self,
        charter: &Charter,
        roster: &Roster,
    ) -> Result<BookHash, CertificateRejected> {
        if !self.book.is_well_formed(roster) {
            return Err(CertificateRejected::BadBook);
        }
        let hash = self.book.hash(roster, self.interval);
        let expected = Vote { view: self.view, stage: Stage::Precommit, book: Some(hash) };
        let (have, need) = (self.precommits.len(), roster.quorum());
        if have < need || need == 0 {
            return Err(CertificateRejected::NoQuorum { have, need });
        }
        let mut last = None;
        for bytes in &self.precommits {
            let vote = Signed::<Vote>::decode(bytes.as_slice())
                .and_then(|vote| vote.verify(charter, roster))
                .map_err(CertificateRejected::Precommit)?;
            let author = Some(vote.author());
            if vote.interval() != self.interval || *vote.body() != expected || author <= last {
                return Err(CertificateRejected::NotForThis);
            }
            last = author;
        }
        Ok(hash)
    }
}

/// The Merkle root of a list of hashes: pairs are hashed level by level, an odd one is carried up.
#[must_use]
pub fn merkle_root(leaves: &[MessageHash]) -> MessageHash {
    let mut level: Vec<MessageHash> = leaves.iter().map(|leaf| node(0, &[*leaf])).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [one] => *one,
                _ => node(1, pair),
            })
            .collect();
    }
    level.first().copied().unwrap_or_default()
}

/// Leaves and inner nodes are hashed apart, so that one cannot stand for the other.
fn node(height: u8, children: &[MessageHash]) -> MessageHash {
    let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 merkle");
    hasher.update(&[height]);
    for child in children {
        hasher.update(child.as_bytes());
    }
    MessageHash::from_bytes(hasher.finalize().into())
}

#[cfg(test)]
mod tests;
