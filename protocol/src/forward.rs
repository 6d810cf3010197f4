//! Trades made ahead of the auction: an acceptance of an offer, the reply to it, and the stack that
//! keeps a kilowatt-hour from being sold twice (P28, P29).
//!
//! Not for: which acceptances are taken; the offer's author decides, by its journal.

use serde::{Deserialize, Serialize};

use crate::charter::Charter;
use crate::envelope::{MessageRejected, Signed, Verified};
use crate::id::ParticipantId;
use crate::offer::{Day, Product};
use crate::order::Side;
use crate::roster::Roster;
use crate::units::{Energy, Interval, Price};

/// Most levels of one stack.
pub const LEVELS_MAX: usize = 64;

/// Intervals in which one side has traded the same amount ahead before this trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The first interval.
    pub first: Interval,
    /// The interval after the last.
    pub after: Interval,
    /// What the side has traded before in each of them, on the same side.
    pub before_mwh: Energy,
}

/// Where a forward stands in one side's output or intake, over all its intervals (P29).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// One to [`LEVELS_MAX`] levels without a gap, neighbours different.
    pub levels: Vec<Level>,
}

impl Stack {
    /// The stack of levels that follow one another, neighbours joined where they are alike.
    /// `None` where there are none, or they are too uneven.
    #[must_use]
    pub fn of(levels: impl IntoIterator<Item = Level>) -> Option<Self> {
        let mut joined: Vec<Level> = Vec::new();
        for level in levels {
            let is_full = joined.len() == LEVELS_MAX;
            match joined.last_mut() {
                Some(last) if last.before_mwh == level.before_mwh => last.after = level.after,
                _ if is_full => return None,
                _ => joined.push(level),
            }
        }
        (!joined.is_empty()).then_some(Self { levels: joined })
    }

    /// The first interval and the one after the last; the same where there is none.
    #[must_use]
    pub fn span(&self) -> (Interval, Interval) {
        let first = self.levels.first().map_or(Interval::default(), |level| level.first);
        (first, self.levels.last().map_or(first, |level| level.after))
    }

    /// What was traded before in `interval`; `None` outside.
    #[must_use]
    pub fn before(&self, interval: Interval) -> Option<Energy> {
        let holds = |it: &&Level| it.first <= interval && interval < it.after;
        self.levels.iter().find(holds).map(|level| level.before_mwh)
    }

    /// The most that was traded before in any interval.
    #[must_use]
    pub fn highest(&self) -> Energy {
        self.levels.iter().map(|level| level.before_mwh).max().unwrap_or_default()
    }

    /// Whether it is bounded, without gaps, of one day, and has only one way to be written.
    #[must_use]
    pub fn is_well_formed(&self, charter: &Charter) -> bool {
        let joined = self.levels.windows(2).all(|pair| match pair {
            [one, next] => one.after == next.first && one.before_mwh != next.before_mwh,
            _ => true,
        });
        let (first, after) = self.span();
        (1..=LEVELS_MAX).contains(&self.levels.len())
            && self.levels.iter().all(|level| level.first < level.after)
            && joined
            && in_one_day(charter, first, after)
    }
}

/// Whether all intervals from `first` to before `after` start in one day of UTC.
#[must_use]
pub(crate) fn in_one_day(charter: &Charter, first: Interval, after: Interval) -> bool {
    let day = |interval| Day::of(charter.interval.start_of(interval));
    first < after && day(first) == day(after.previous())
}

/// "I take this much of your offer, if you sign too" (P28).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Whose offer.
    pub offerer: ParticipantId,
    /// Which of its offers.
    pub product: Product,
    /// How much in every interval, above zero.
    pub energy_mwh: Energy,
    /// At what price: the offer's.
    pub price_msat_per_kwh: Price,
    /// In which intervals, and what the acceptor has traded ahead before in each.
    pub stack: Stack,
}

impl Acceptance {
    /// What the acceptor does: the opposite of the offerer.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.product.side.opposite()
    }
}

/// Why an acceptance is not countersigned.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
pub enum Refusal {
    /// No such offer at this price in these intervals.
    #[error("there is no such offer at this price in these intervals")]
    UnknownOffer,
    /// The offer was withdrawn or has expired.
    #[error("the offer no longer stands")]
    Withdrawn,
    /// The first interval is too near, or past.
    #[error("it came too late for its first interval")]
    TooLate,
    /// Less than the offer's minimum.
    #[error("less than the offer's minimum")]
    BelowMinimum,
    /// More than is left of the offer in some interval.
    #[error("more than is left of the offer")]
    NotEnoughLeft,
    /// One of the two is no member in all of the intervals.
    #[error("one of the two is not a member in all of these intervals")]
    NotAMember,
    /// What was traded before differs too often over the intervals.
    #[error("the intervals are too uneven to be one trade; accept fewer at a time")]
    TooUneven,
}

/// What the offerer says to an acceptance, once and for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It is bound, with what it has traded ahead before in each interval.
    Forward(Stack),
    /// Neither is bound.
    Refused(Refusal),
}

/// The offerer's reply to an acceptance, with the acceptance in it: both signatures in one (P28).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The signed acceptance.
    pub acceptance: Vec<u8>,
    /// The offerer's word.
    pub word: Word,
}

impl Reply {
    /// Verifies the acceptance that this replies to.
    ///
    /// # Errors
    ///
    /// [`MessageRejected`].
    pub fn acceptance(
        &self,
        charter: &Charter,
        roster: &Roster,
    ) -> Result<Verified<Acceptance>, MessageRejected> {
        Signed::<Acceptance>::decode(self.acceptance.as_slice())?.verify(charter, roster)
    }
}

/// A trade made ahead: both sides have signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Who gives energy.
    pub seller: ParticipantId,
    /// Who takes energy.
    pub buyer: ParticipantId,
    /// Which of the offerer's products.
    pub product: Product,
    /// How much in every interval.
    pub energy_mwh: Energy,
    /// At what price; negative means that the seller pays.
    pub price_msat_per_kwh: Price,
    /// What the seller has sold ahead before.
    pub seller_stack: Stack,
    /// What the buyer has bought ahead before.
    pub buyer_stack: Stack,
}

impl Forward {
    /// The forward that an acceptance and the word of `offerer` on it make; `None` for a refusal.
    #[must_use]
    pub fn of(acceptance: &Verified<Acceptance>, word: &Word) -> Option<Self> {
        let Word::Forward(offerers) = word else { return None };
        let (acceptor, accepted) = (acceptance.participant(), acceptance.body());
        let (acceptors, offerers) = (accepted.stack.clone(), offerers.clone());
        let (seller, buyer, seller_stack, buyer_stack) = match accepted.product.side {
            Side::Sell => (accepted.offerer, acceptor, offerers, acceptors),
            Side::Buy => (acceptor, accepted.offerer, acceptors, offerers),
        };
        Some(Self {
            seller,
            buyer,
            product: accepted.product,
            energy_mwh: accepted.energy_mwh,
            price_msat_per_kwh: accepted.price_msat_per_kwh,
            seller_stack,
            buyer_stack,
        })
    }

    /// Whether it is for `interval`.
    #[must_use]
    pub fn covers(&self, interval: Interval) -> bool {
        let (first, after) = self.seller_stack.span();
        first <= interval && interval < after
    }
}

#[cfg(test)]
mod tests;
