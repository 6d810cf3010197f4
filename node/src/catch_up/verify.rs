//! From an item as it came to something that is proven. Nobody is trusted for having sent it.

use std::sync::Arc;

use boltgrid_market::clear::{self, Replayed};
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::history::{Item, ItemKind};
use boltgrid_protocol::id::{BookHash, ItemId, ParticipantId};
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::rejected::HistoryRejected;

/// Something of the past that is proven.
#[derive(Debug)]
pub(super) enum Found {
    /// A certified book with all of its orders, cleared.
    Book(Box<PastBook>),
    /// A reading.
    Reading(Verified<Reading>),
    /// Evidence.
    Evidence {
        /// Against whom.
        culprit: ParticipantId,
        /// The message.
        message: Verified<Evidence>,
    },
}

/// A certified book with all of its orders, cleared again.
#[derive(Debug)]
pub(super) struct PastBook {
    /// The certificate.
    pub(super) certificate: BookCertificate,
    /// Its bytes as they came.
    pub(super) bytes: Arc<[u8]>,
    /// The signed orders in the order of the book.
    pub(super) orders: Vec<Arc<[u8]>>,
    /// What follows from them.
    pub(super) replayed: Replayed,
}

/// A certificate that holds, whose orders are yet to come.
#[derive(Debug)]
pub(super) struct Certified {
    pub(super) certificate: BookCertificate,
    pub(super) bytes: Arc<[u8]>,
}

/// An item that is what it claims to be.
#[derive(Debug)]
pub(super) enum Proven {
    Book(BookHash, Certified),
    Order(Verified<Order>),
    Reading(Verified<Reading>),
    Evidence(ParticipantId, Verified<Evidence>),
}

impl Proven {
    /// The interval it is of.
    pub(super) fn interval(&self) -> Interval {
        match self {
            Self::Book(_, book) => book.certificate.interval,
            Self::Order(order) => order.interval(),
            Self::Reading(reading) => reading.interval(),
            Self::Evidence(_, message) => message.interval(),
        }
    }

    /// The id that it was asked for by, if it was.
    pub(super) fn id(&self) -> ItemId {
        let at = self.interval();
        match self {
            Self::Book(hash, _) => ItemId::of_book(at, hash),
            Self::Order(order) => ItemId::of_order(at, &order.hash()),
            Self::Reading(reading) => ItemId::of_reading(at, &reading.hash()),
            Self::Evidence(culprit, _) => ItemId::of_evidence(at, culprit),
        }
    }
}

/// Verifies items of the past against charter and rosters.
#[derive(Clone, Debug)]
pub(super) struct Verifier {
    charter: Arc<Charter>,
    gate: Gatekeeper,
    now: Timestamp,
}

impl Verifier {
    /// A verifier of one grid at a moment.
    #[must_use]
    pub(super) const fn new(charter: Arc<Charter>, gate: Gatekeeper, now: Timestamp) -> Self {
        Self { charter, gate, now }
    }

    /// Time has passed.
    pub(super) const fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Verifies one item.
    pub(super) fn prove(&mut self, item: Item) -> Result<Proven, HistoryRejected> {
        let bytes: Arc<[u8]> = item.bytes.into();
        if item.kind == ItemKind::Book {
            let certificate = BookCertificate::from_bytes(&bytes)?;
            let roster = self.gate.roster(certificate.interval);
            let hash = certificate.verify(&self.charter, &roster)?;
            return Ok(Proven::Book(hash, Certified { certificate, bytes }));
        }
        match (item.kind, self.gate.admit_past(bytes, self.now)?) {
            (ItemKind::Order, Message::Order(order)) => Ok(Proven::Order(order)),
            // Where readings are not open they are no history (P40).
            (ItemKind::Reading, Message::Reading(reading)) if self.charter.readings.is_open() => {
                Ok(Proven::Reading(reading))
            }
            (ItemKind::Evidence, Message::Evidence(evidence)) => {
                let roster = self.gate.roster(evidence.interval());
                let culprit = evidence.body().culprit_index(&roster);
                let culprit = culprit.and_then(|index| roster.participant(index));
                let culprit = culprit.ok_or(HistoryRejected::NotAskedFor)?;
                Ok(Proven::Evidence(culprit, evidence))
            }
            (
                ItemKind::Book | ItemKind::Order | ItemKind::Reading | ItemKind::Evidence,
                Message::Order(_)
                | Message::Ack(_)
                | Message::Proposal(_)
                | Message::Vote(_)
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
                | Message::Share(_),
            ) => Err(HistoryRejected::NotAskedFor),
        }
    }

    /// Clears a certified book whose orders are here.
    pub(super) fn clear(
        &mut self,
        book: Certified,
        orders: Vec<Arc<[u8]>>,
    ) -> Result<PastBook, HistoryRejected> {
        let Certified { certificate, bytes } = book;
        let roster = self.gate.roster(certificate.interval);
        let replayed = clear::replay(&self.charter, &roster, &certificate, &orders)?;
        Ok(PastBook { certificate, bytes, orders, replayed })
    }
}
