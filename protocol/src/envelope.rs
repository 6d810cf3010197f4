//! The signed envelope round every message: bytes → [`Signed`] → [`Verified`].
//!
//! Only a [`Verified`] value reaches the market, and there is no way to make one but by verifying
//! received bytes or by signing one's own. What is verified and hashed are the received bytes, never
//! a re-encoding (P6).

use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::charter::Charter;
use crate::codec::{self, CodecRejected};
use crate::id::{GridId, MessageHash, ParticipantId, RosterHash, RosterIndex};
use crate::order::OrderRejected;
use crate::roster::{Member, Roster};
use crate::signing::{self, Keypair, PublicKey, SIGNATURE_LEN, Signature};
use crate::units::Interval;

/// What kind of message an envelope holds. New kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// [`crate::order::Order`]
    Order,
    /// [`crate::agreement::Ack`]
    Ack,
    /// [`crate::agreement::Proposal`]
    Proposal,
    /// [`crate::agreement::Vote`]
    Vote,
    /// [`crate::confirm::TradeConfirm`]
    TradeConfirm,
    /// [`crate::reading::Reading`]
    Reading,
    /// [`crate::evidence::Evidence`]
    Evidence,
    /// [`crate::peer::PeerRecord`]
    PeerRecord,
    /// [`crate::offer::Offer`]
    Offer,
    /// [`crate::forward::Acceptance`]
    Acceptance,
    /// [`crate::forward::Reply`]
    Reply,
    /// [`crate::invoice::Invoice`]
    Invoice,
    /// [`crate::escrow::Deed`]
    Deed,
    /// [`crate::seal::Seal`]
    Seal,
    /// [`crate::masking::Share`]
    Share,
}

impl Kind {
    /// Whether it is of one interval and bound to that interval's roster (P3).
    #[must_use]
    pub const fn is_bound(self) -> bool {
        match self {
            Self::Order
            | Self::Ack
            | Self::Proposal
            | Self::Vote
            | Self::TradeConfirm
            | Self::Reading
            | Self::Evidence
            | Self::Invoice
            | Self::Seal
            | Self::Share => true,
            Self::PeerRecord | Self::Offer | Self::Acceptance | Self::Reply | Self::Deed => false,
        }
    }
}

/// What stands in front of every message, under its signature (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What the body is.
    pub kind: Kind,
    /// The grid.
    pub grid: GridId,
    /// The roster of the interval's epoch; zero for what is not of one interval.
    pub roster: RosterHash,
    /// The interval; zero for what is not of one.
    pub interval: Interval,
    /// Who says it.
    pub author: ParticipantId,
}

impl Header {
    /// Reads the header in front of any message, without looking at body or signature.
    ///
    /// # Errors
    ///
    /// [`CodecRejected`].
    pub fn peek(bytes: &[u8]) -> Result<Self, CodecRejected> {
        codec::decode_prefix(bytes, codec::ENCODED_MAX).map(|(header, _)| header)
    }
}

/// Why a message is rejected before anyone looks at what it means. Each has a name to count it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRejected {
    /// Not an encoding of such a message.
    #[error(transparent)]
    Codec(#[from] CodecRejected),
    /// Another kind of message.
    #[error("a message of another kind")]
    WrongKind,
    /// Another grid's.
    #[error("a message of another grid")]
    WrongGrid,
    /// Another roster's.
    #[error("a message under another roster")]
    WrongRoster,
    /// By somebody who is not a member.
    #[error("the author is not a member")]
    NotAMember,
    /// By a member who does not vote.
    #[error("the author does not vote")]
    NotAVoter,
    /// Not signed by its author.
    #[error("the signature does not verify")]
    BadSignature,
    /// An order that breaks a rule.
    #[error("not a valid order: {0}")]
    Order(#[from] OrderRejected),
    /// A body that breaks a rule.
    #[error("not a valid body: {0}")]
    Body(&'static str),
}

impl MessageRejected {
    /// A stable name for counting.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Codec(CodecRejected::Oversize { .. }) => "oversize",
            Self::Codec(CodecRejected::BadVersion(_)) => "bad_version",
            Self::Codec(
                CodecRejected::BadMagic | CodecRejected::Malformed | CodecRejected::Trailing,
            ) => "malformed",
            Self::WrongKind => "wrong_kind",
            Self::WrongGrid => "wrong_grid",
            Self::WrongRoster => "wrong_roster",
            Self::NotAMember => "not_a_member",
            Self::NotAVoter => "not_a_voter",
            Self::BadSignature => "bad_signature",
            Self::Order(_) => "bad_order",
            Self::Body(_) => "bad_body",
        }
    }
}

/// What a body is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The grid's charter.
    pub charter: &'a Charter,
    /// The roster of the interval.
    pub roster: &'a Roster,
    /// The author's place.
    pub author: RosterIndex,
    /// The author.
    pub member: &'a Member,
    /// The interval.
    pub interval: Interval,
}

/// Something that travels in an envelope.
pub trait Payload: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;
    /// Most bytes of the whole envelope.
    const LIMIT: usize;
    /// The author's key that signs it.
    fn key(member: &Member) -> &PublicKey {
        &member.participant_key
    }

    /// Checks the rules that need nothing but charter and roster.
    ///
    /// # Errors
    ///
    /// The rule it breaks.
    fn check(&self, context: &Context<'_>) -> Result<(), MessageRejected>;
}

/// A decoded message whose signature nobody has looked at.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    bytes: Arc<[u8]>,
    header: Header,
    body: T,
}

impl<T: Payload> Signed<T> {
    /// Reads a message of this kind.
    ///
    /// # Errors
    ///
    /// [`MessageRejected::Codec`] or [`MessageRejected::WrongKind`].
    pub fn decode(bytes: impl Into<Arc<[u8]>>) -> Result<Self, MessageRejected> {
        let bytes = bytes.into();
        let (limit, len) = (T::LIMIT, bytes.len());
        if len > limit {
            return Err(CodecRejected::Oversize { len, limit }.into());
        }
        let (signed, _) = split_signature(&bytes)?;
        let (header, rest) = codec::decode_prefix::<Header>(signed, limit)?;
        if header.kind != T::KIND {
            return Err(MessageRejected::WrongKind);
        }
        let (body, rest) = codec::decode_fields::<T>(rest)?;
        if rest.is_empty() {
            Ok(Self { bytes, header, body })
        } else {
            Err(CodecRejected::Trailing.into())
        }
    }

    /// The header, unverified.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What it says, unverified.
    #[must_use]
    pub const fn body(&self) -> &T {
        &self.body
    }

    /// Checks grid, roster, author, signature and the body's own rules.
    ///
    /// # Errors
    ///
    /// [`MessageRejected`].
    pub fn verify(
        self,
        charter: &Charter,
        roster: &Roster,
    ) -> Result<Verified<T>, MessageRejected> {
        let Header { grid, roster: bound_to, interval, author, .. } = self.header;
        if grid != roster.grid() {
            return Err(MessageRejected::WrongGrid);
        }
        let (expected, fits) = if T::KIND.is_bound() {
            (roster.hash(), true)
        } else {
            (RosterHash::default(), interval == Interval::default())
        };
        if bound_to != expected || !fits {
            return Err(MessageRejected::WrongRoster);
        }
        let index = roster.index_of(&author).ok_or(MessageRejected::NotAMember)?;
        let member = roster.member(index).ok_or(MessageRejected::NotAMember)?;
        let (signed, signature) = split_signature(&self.bytes)?;
        T::key(member).verify(signed, &signature).map_err(|_| MessageRejected::BadSignature)?;
        let hash = hash_of(signed);
        self.body.check(&Context { charter, roster, author: index, member, interval })?;
        Ok(Verified { author: index, hash, signed: self })
    }
}

/// The hash of a message as received (P6), whoever may have signed it.
///
/// # Errors
///
/// [`CodecRejected::Malformed`] where there are not even the bytes of a signature.
pub fn hash_unverified(bytes: &[u8]) -> Result<MessageHash, CodecRejected> {
    let (signed, _) = split_signature(bytes)?;
    Ok(hash_of(signed))
}

fn split_signature(bytes: &[u8]) -> Result<(&[u8], Signature), CodecRejected> {
    let (signed, signature) =
        bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(CodecRejected::Malformed)?;
    Ok((signed, Signature::from_bytes(signature)))
}

fn hash_of(signed: &[u8]) -> MessageHash {
    MessageHash::from_bytes(blake3::derive_key("boltgrid 1 message", signed))
}

/// A message that its author signed and that breaks no rule of charter and roster.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    author: RosterIndex,
    hash: MessageHash,
    signed: Signed<T>,
}

impl<T> Verified<T> {
    /// The author's place in the interval's roster.
    #[must_use]
    pub const fn author(&self) -> RosterIndex {
        self.author
    }

    /// The author.
    #[must_use]
    pub const fn participant(&self) -> ParticipantId {
        self.signed.header.author
    }

    /// The hash of everything but the signature.
    #[must_use]
    pub const fn hash(&self) -> MessageHash {
        self.hash
    }

    /// The interval.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.signed.header.interval
    }

    /// What it says.
    #[must_use]
    pub const fn body(&self) -> &T {
        &self.signed.body
    }

    /// The bytes as received or signed, to be passed on.
    #[must_use]
    pub const fn bytes(&self) -> &Arc<[u8]> {
        &self.signed.bytes
    }
}

impl<T: Payload> Verified<T> {
    /// Signs one's own message and checks it as everyone else will.
    ///
    /// # Errors
    ///
    /// [`MessageRejected`] where the others would reject it: it must not leave.
    pub fn sign(
        body: &T,
        interval: Interval,
        (author, key): (&ParticipantId, &Keypair),
        (charter, roster): (&Charter, &Roster),
    ) -> Result<Self, MessageRejected> {
        let unsigned = Unsigned::new(body, interval, author, roster);
        let signature = unsigned.sign_with(key);
        unsigned.signed(&signature, (charter, roster))
    }
}

/// A message of one's own that is yet to be signed, maybe by a key that is elsewhere.
#[derive(Clone, Debug)]
pub struct Unsigned<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T: Payload> Unsigned<T> {
    /// The message that says this, by `author`.
    #[must_use]
    pub fn new(body: &T, interval: Interval, author: &ParticipantId, roster: &Roster) -> Self {
        let (roster_hash, interval) = if T::KIND.is_bound() {
            (roster.hash(), interval)
        } else {
            (RosterHash::default(), Interval::default())
        };
        let header = Header {
            kind: T::KIND,
            grid: roster.grid(),
            roster: roster_hash,
            interval,
            author: *author,
        };
        Self { bytes: codec::canonical(&(header, body)), of: PhantomData }
    }

    /// The signature of a key that is here.
    #[must_use]
    pub fn sign_with(&self, key: &Keypair) -> Signature {
        key.sign(&self.bytes)
    }

    /// The bytes that the bare signature is made over: the message inside the domain (P5).
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        signing::in_domain(&self.bytes)
    }

    /// The signed message, checked as everyone else will.
    ///
    /// # Errors
    ///
    /// [`MessageRejected`] where the others would reject it: it must not leave.
    pub fn signed(
        mut self,
        signature: &Signature,
        (charter, roster): (&Charter, &Roster),
    ) -> Result<Verified<T>, MessageRejected> {
        self.bytes.extend_from_slice(&signature.to_bytes());
        Signed::decode(self.bytes)?.verify(charter, roster)
    }
}
