//! From a certified book to the trades of the interval: the same on every node, and again years later.

use std::sync::Arc;

use boltgrid_protocol::agreement::{Book, BookCertificate, CertificateRejected};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::envelope::{MessageRejected, Signed, Verified};
use boltgrid_protocol::id::{BookHash, RosterIndex};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::{Energy, Interval};

use crate::auction::{self, AuctionRules, BookOrder, Clearing};

/// The auction's rules as the charter has them.
#[must_use]
pub fn rules(charter: &Charter) -> AuctionRules {
    let over_interval = |capacity: boltgrid_protocol::units::Power| {
        capacity
            .energy_over_floor(charter.interval.interval_ms)
            .unwrap_or(Energy::from_milliwatt_hours(u64::MAX))
    };
    AuctionRules {
        band: charter.price,
        import_cap: over_interval(charter.connection.import_capacity()),
        export_cap: over_interval(charter.connection.export_capacity()),
    }
}

/// Clears a book whose orders are all at hand.
///
/// `None` while one of them is not.
pub(crate) fn clear_book<'a>(
    book: &Book,
    interval: Interval,
    (charter, roster): (&Charter, &Roster),
    order: impl Fn(&boltgrid_protocol::agreement::BookEntry) -> Option<&'a Verified<Order>>,
) -> Option<Clearing> {
    let orders: Option<Vec<BookOrder>> = book
        .entries
        .iter()
        .map(|entry| {
            let member = roster.member(entry.author)?;
            Some(BookOrder {
                participant: entry.author,
                hash: entry.order,
                outside: member.enrolment.outside,
                order: order(entry)?.body().clone(),
            })
        })
        .collect();
    Some(auction::clear(interval, &rules(charter), &orders?))
}

/// The clearing's trades with their place and price.
#[must_use]
pub fn terms(clearing: &Clearing) -> Vec<TradeTerms> {
    let Some(price) = clearing.price_msat_per_kwh else {
        return Vec::new();
    };
    (0_u32..)
        .zip(&clearing.trades)
        .map(|(index, trade)| TradeTerms {
            index,
            seller: trade.seller,
            buyer: trade.buyer,
            energy_mwh: trade.energy_mwh,
            price_msat_per_kwh: price,
        })
        .collect()
}

/// A past interval, cleared again.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The certified book.
    pub book: BookHash,
    /// Its clearing.
    pub clearing: Clearing,
    /// Whose order was in the book.
    pub orders: Vec<(RosterIndex, Order)>,
}

/// Why a stored interval cannot be cleared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRejected {
    /// The certificate does not verify.
    #[error("the book's certificate: {0}")]
    Certificate(#[from] CertificateRejected),
    /// One of the orders does not verify.
    #[error("an order of the book: {0}")]
    Order(#[from] MessageRejected),
    /// An order that the book names is not among those given.
    #[error("the order of roster member {0} is missing")]
    Missing(RosterIndex),
}

/// Clears a stored book again, trusting nothing: certificate and every order are verified.
///
/// # Errors
///
/// [`ReplayRejected`].
pub fn replay(
    charter: &Charter,
    roster: &Roster,
    certificate: &BookCertificate,
    orders: &[Arc<[u8]>],
) -> Result<Replayed, ReplayRejected> {
    let hash = certificate.verify(charter, roster)?;
    let mut verified = Vec::with_capacity(orders.len());
    for bytes in orders {
        verified.push(Signed::<Order>::decode(Arc::clone(bytes))?.verify(charter, roster)?);
    }
    let find = |entry: &boltgrid_protocol::agreement::BookEntry| {
        verified.iter().find(|order| order.author() == entry.author && order.hash() == entry.order)
    };
    let book = &certificate.book;
    let missing = book.entries.iter().find(|entry| find(entry).is_none());
    let clearing = clear_book(book, certificate.interval, (charter, roster), find);
    match (clearing, missing) {
        (Some(clearing), _) => Ok(Replayed {
            book: hash,
            clearing,
            orders: book
                .entries
                .iter()
                .filter_map(|entry| Some((entry.author, find(entry)?.body().clone())))
                .collect(),
        }),
        (None, missing) => Err(ReplayRejected::Missing(
            missing.map_or(RosterIndex::default(), |entry| entry.author),
        )),
    }
}
