//! What two members say to each other directly (P24), as values and as bytes.
//!
//! One request, one response, both of limited length. Not for: who is served, or how the bytes travel.

use serde::{Deserialize, Serialize};

use crate::agreement::CERTIFICATE_MAX;
use crate::codec::{self, CodecRejected};
use crate::confirm::TradeConfirm;
use crate::envelope::Payload;
use crate::id::RosterIndex;
use crate::order::Order;
use crate::units::Interval;

/// Most orders asked for, or handed out, at once.
pub const ORDERS_MAX: usize = 64;
/// Most bytes of a request.
pub const REQUEST_MAX: usize = 1024;
/// Most bytes of a response.
pub const RESPONSE_MAX: usize = 200 * 1024;
/// Room for prefixes and lengths round the largest part of a message.
const FRAME_MAX: usize = 64;

const _: () = assert!(TradeConfirm::LIMIT + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(ORDERS_MAX * size_of::<RosterIndex>() + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(ORDERS_MAX * (Order::LIMIT + size_of::<u64>()) + FRAME_MAX <= RESPONSE_MAX);
const _: () = assert!(CERTIFICATE_MAX + FRAME_MAX <= RESPONSE_MAX);
const _: () = assert!(RESPONSE_MAX <= codec::ENCODED_MAX);

/// Something one member asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The signed orders of these members in this interval, as far as they are there.
    Orders {
        /// The interval.
        interval: Interval,
        /// Whose orders, at most [`ORDERS_MAX`], as places in the interval's roster.
        authors: Vec<RosterIndex>,
    },
    /// The certificate of this interval's book.
    Certificate {
        /// The interval.
        interval: Interval,
    },
}

/// The answer to a [`Question`], in the same order of variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Signed orders, at most [`ORDERS_MAX`].
    Orders(Vec<Vec<u8>>),
    /// The encoded certificate, where there is one.
    Certificate(Option<Vec<u8>>),
}

/// A request as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A question.
    Ask(Question),
    /// A signed confirm of a trade between the two.
    Confirm(Vec<u8>),
}

/// A response as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The answer to a question.
    Answer(Answer),
    /// The confirm has arrived and is valid.
    Taken,
    /// Not for you, not now, or not valid.
    Refused,
}

impl Question {
    /// The interval it is about.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        match self {
            Self::Orders { interval, .. } | Self::Certificate { interval } => *interval,
        }
    }

    /// Questions for the orders of any number of members, [`ORDERS_MAX`] in each.
    pub fn for_orders(
        interval: Interval,
        authors: &[RosterIndex],
    ) -> impl Iterator<Item = Self> + '_ {
        authors
            .chunks(ORDERS_MAX)
            .map(move |authors| Self::Orders { interval, authors: authors.to_vec() })
    }

    const fn is_bounded(&self) -> bool {
        match self {
            Self::Orders { authors, .. } => authors.len() <= ORDERS_MAX,
            Self::Certificate { .. } => true,
        }
    }
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`CodecRejected`], also where more is asked for than may be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecRejected> {
        match codec::decode(bytes, REQUEST_MAX)? {
            Self::Ask(question) if !question.is_bounded() => Err(CodecRejected::Malformed),
            request @ (Self::Ask(_) | Self::Confirm(_)) => Ok(request),
        }
    }

    /// The request's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::canonical(self)
    }
}

impl Response {
    /// Reads a response.
    ///
    /// # Errors
    ///
    /// [`CodecRejected`], also where it holds more than may be asked for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecRejected> {
        match codec::decode(bytes, RESPONSE_MAX)? {
            Self::Answer(Answer::Orders(orders)) if orders.len() > ORDERS_MAX => {
                Err(CodecRejected::Malformed)
            }
            response @ (Self::Answer(_) | Self::Taken | Self::Refused) => Ok(response),
        }
    }

    /// The response's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::canonical(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders_of(count: u32) -> Request {
        let authors = (0..count).map(RosterIndex::new).collect();
        Request::Ask(Question::Orders { interval: Interval::from_number(7), authors })
    }

    #[test]
    fn the_largest_requests_survive_the_round_trip() {
        for request in [orders_of(64), Request::Confirm(vec![7; TradeConfirm::LIMIT])] {
            assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
        }
    }

    #[test]
    fn the_largest_responses_survive_the_round_trip() {
        let orders = Answer::Orders(vec![vec![7; Order::LIMIT]; ORDERS_MAX]);
        let certificate = Answer::Certificate(Some(vec![7; CERTIFICATE_MAX]));
        for response in [orders, certificate].map(Response::Answer) {
            assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
        }
    }

    #[test]
    fn more_orders_than_allowed_are_malformed_both_ways() {
        let malformed = CodecRejected::Malformed;
        assert_eq!(Request::from_bytes(&orders_of(65).to_bytes()), Err(malformed));
        let orders = Response::Answer(Answer::Orders(vec![Vec::new(); 65]));
        assert_eq!(Response::from_bytes(&orders.to_bytes()), Err(malformed));
    }

    #[test]
    fn questions_for_many_orders_are_split() {
        let authors: Vec<_> = (0..130).map(RosterIndex::new).collect();
        let questions: Vec<_> = Question::for_orders(Interval::from_number(7), &authors).collect();
        assert_eq!(questions.len(), 3);
        assert!(questions.iter().all(Question::is_bounded));
    }
}
