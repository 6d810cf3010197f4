//! A standing offer: what a member sells or buys in every interval of some, at one price (P27).
//!
//! Offers are found in the DHT, several members' under one key. An offer binds nobody; what is
//! accepted of it and countersigned does ([`crate::forward`]).
//! Not for: storing or finding offers, or how much of one is left; its author's journal knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecRejected};
use crate::envelope::{Payload, Verified};
use crate::id::{GridId, ParticipantId};
use crate::order::{Side, Source};
use crate::units::{Energy, Interval, Price, Timestamp};

/// Longest life of an offer; one that stands longer is signed again.
pub const OFFER_LIFETIME_MAX_MS: u64 = 24 * 3_600_000;
/// How many days ahead an offer may be for.
pub const DAYS_AHEAD_MAX: u64 = 7;
/// Length of a day: UTC, without leap seconds.
pub const DAY_MS: u64 = 24 * 3_600_000;
/// How many members share a key of the DHT, about.
const MEMBERS_PER_BUCKET: usize = 16;
/// Most offers under one key; three times as many as are to be expected in the fullest grid.
pub const OFFERS_PER_KEY_MAX: usize = 48;
/// Most bytes of the offers under one key.
pub const OFFER_SET_MAX: usize = 64 + OFFERS_PER_KEY_MAX * (Offer::LIMIT + size_of::<u64>());

/// A day of UTC, counted from 1970-01-01.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Day {
    number: u64,
}

impl Day {
    /// The day with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self { number }
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn to_number(self) -> u64 {
        self.number
    }

    /// The day that `at` is in.
    #[must_use]
    pub const fn of(at: Timestamp) -> Self {
        Self { number: at.to_unix_ms().div_euclid(DAY_MS) }
    }
}

/// What is offered: a member has one offer of each at most per day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Product {
    /// What the author of the offer does.
    pub side: Side,
    /// What stands behind it.
    pub source: Source,
}

/// What a member sells or buys in each of some intervals (P27).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Whether its author sells or buys, and from or for what.
    pub product: Product,
    /// How much in every interval, above zero: all that is accepted of it together.
    pub energy_mwh: Energy,
    /// The least that an acceptance may take in every interval, at most all of it.
    pub minimum_mwh: Energy,
    /// The price, inside the band; negative means that the seller pays.
    pub price_msat_per_kwh: Price,
    /// The first interval.
    pub first: Interval,
    /// The interval after the last; both in one day.
    pub after: Interval,
    /// Grows with every version of the offer.
    pub sequence: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it ends, at most [`OFFER_LIFETIME_MAX_MS`] after it was made.
    pub expires_at: Timestamp,
    /// Whether it no longer stands. Kept until it expires, so that it wins over older versions.
    pub withdrawn: bool,
}

impl Offer {
    /// Whether it holds at `now`, with clocks that differ by at most `skew_ms`.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp, skew_ms: u64) -> bool {
        self.made_at <= now.plus_ms(skew_ms) && now < self.expires_at
    }

    /// The intervals it is for, as many as fit memory.
    #[must_use]
    pub fn covers(&self, interval: Interval) -> bool {
        self.first <= interval && interval < self.after
    }
}

/// In how many parts the offers of one product and day are kept, with so many members.
#[must_use]
pub fn buckets(members: usize) -> u16 {
    u16::try_from(members.div_ceil(MEMBERS_PER_BUCKET)).unwrap_or(u16::MAX).max(1)
}

/// The part that a member's offers are in.
#[must_use]
pub fn bucket_of(participant: &ParticipantId, members: usize) -> u16 {
    let [high, low, ..] = *participant.as_bytes();
    u16::from_be_bytes([high, low]).checked_rem(buckets(members)).unwrap_or(0)
}

/// Where the offers of one product, day and part are in the DHT.
#[must_use]
pub fn offers_key(grid: &GridId, product: Product, day: Day, bucket: u16) -> [u8; 32] {
    blake3::derive_key("boltgrid 1 offers", &codec::canonical(&(grid, product, day, bucket)))
}

/// Those that stand, the best for whoever accepts first: the cheapest that sell, the dearest that
/// buy; at one price in the order given.
#[must_use]
pub fn by_price<'a>(
    offers: impl IntoIterator<Item = &'a Verified<Offer>>,
) -> Vec<&'a Verified<Offer>> {
    let mut standing: Vec<_> = offers.into_iter().filter(|offer| !offer.body().withdrawn).collect();
    standing.sort_by_key(|offer| {
        let price = i128::from(offer.body().price_msat_per_kwh.to_msat_per_kwh());
        match offer.body().product.side {
            Side::Sell => price,
            Side::Buy => price.saturating_neg(),
        }
    });
    standing
}

/// The newest offer of each of some members, merged alike by everyone whatever the order.
#[derive(Clone, Debug, Default)]
pub struct OfferSet {
    offers: BTreeMap<ParticipantId, Verified<Offer>>,
}

impl OfferSet {
    /// Takes an offer in, if it is newer than what is here of its author. Says whether it did.
    ///
    /// Of two with one sequence number the one with the larger hash counts, so that all who merge
    /// the same come to the same. A full set takes no more authors in.
    pub fn merge(&mut self, offer: Verified<Offer>) -> bool {
        let age = |offer: &Verified<Offer>| (offer.body().sequence, offer.hash());
        let author = offer.participant();
        let newer = self.offers.get(&author).map(|known| age(known) < age(&offer));
        let taken = newer.unwrap_or(self.offers.len() < OFFERS_PER_KEY_MAX);
        if taken {
            self.offers.insert(author, offer);
        }
        taken
    }

    /// Drops what no longer holds.
    pub fn expire(&mut self, now: Timestamp) {
        self.offers.retain(|_, offer| now < offer.body().expires_at);
    }

    /// The offers, withdrawn ones too, by author.
    pub fn iter(&self) -> impl Iterator<Item = &Verified<Offer>> {
        self.offers.values()
    }

    /// Those that stand, as [`by_price`] orders them; at one price by author.
    #[must_use]
    pub fn by_price(&self) -> Vec<&Verified<Offer>> {
        by_price(self.iter())
    }

    /// The set as it is stored in the DHT.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let offers: Vec<&[u8]> = self.iter().map(|offer| offer.bytes().as_ref()).collect();
        codec::canonical(&offers)
    }

    /// The offers in stored bytes, yet to be verified.
    ///
    /// # Errors
    ///
    /// [`CodecRejected`], also where there are more than may be.
    pub fn split(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CodecRejected> {
        let offers: Vec<Vec<u8>> = codec::decode(bytes, OFFER_SET_MAX)?;
        if offers.len() > OFFERS_PER_KEY_MAX {
            return Err(CodecRejected::Malformed);
        }
        Ok(offers)
    }
}

#[cfg(test)]
mod tests;
