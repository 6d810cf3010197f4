//! What two members say to each other directly (P24), as values and as bytes.
//!
//! One request, one response, both of limited length. Not for: who is served, or how the bytes travel.

use serde::{Deserialize, Serialize};

use crate::agreement::CERTIFICATE_MAX;
use crate::codec::{self, CodecRejected};
use crate::confirm::TradeConfirm;
use crate::envelope::Payload;
use crate::escrow::{Deed, EscrowAnswer, EscrowQuestion, SHOWN_MAX};
use crate::forward::Acceptance;
use crate::history::{IDS_MAX, Item, RECONCILE_MAX, STRETCH_MAX, Stretch};
use crate::id::{ItemId, RosterIndex};
use crate::invoice::{Invoice, InvoiceWord};
use crate::masking::{Opening, OpeningWord};
use crate::order::Order;
use crate::reading::Reading;
use crate::seal::{SHOWN_AT_ONCE_MAX, Seal, Shown};
use crate::units::Interval;

/// Most orders asked for, or handed out, at once.
pub const ORDERS_MAX: usize = 64;
/// Most bytes of a request: a message of range reconciliation is the longest.
pub const REQUEST_MAX: usize = RECONCILE_MAX + FRAME_MAX;
/// Most bytes of a response.
pub const RESPONSE_MAX: usize = 200 * 1024;
/// Room for prefixes and lengths round the largest part of a message.
const FRAME_MAX: usize = 64;

const _: () = assert!(TradeConfirm::LIMIT + FRAME_MAX <= REQUEST_MAX);
/// A reading goes where a confirm goes.
const _: () = assert!(Reading::LIMIT == TradeConfirm::LIMIT);
const _: () = assert!(Acceptance::LIMIT + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(Invoice::LIMIT + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(2 * Deed::LIMIT + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(SHOWN_MAX * Reading::LIMIT + 2 * FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(Seal::LIMIT + Reading::LIMIT + 2 * FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(Opening::LIMIT + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(ORDERS_MAX * size_of::<RosterIndex>() + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(ORDERS_MAX * (Order::LIMIT + size_of::<u64>()) + FRAME_MAX <= RESPONSE_MAX);
const _: () = assert!(CERTIFICATE_MAX + FRAME_MAX <= RESPONSE_MAX);
const _: () = assert!(IDS_MAX * size_of::<ItemId>() + FRAME_MAX <= REQUEST_MAX);
const _: () = assert!(IDS_MAX * (Order::LIMIT + ITEM_FRAME) + FRAME_MAX <= RESPONSE_MAX);
const _: () = assert!(CERTIFICATE_MAX + ITEM_FRAME + FRAME_MAX <= RESPONSE_MAX);
const _: () = assert!(RECONCILE_MAX + FRAME_MAX <= RESPONSE_MAX);
const _: () = assert!(RESPONSE_MAX <= codec::ENCODED_MAX);

/// Kind and length in front of an item's bytes.
const ITEM_FRAME: usize = 12;

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
    /// The next message of range reconciliation over what both hold of a stretch (P26).
    Reconcile {
        /// The stretch, at most [`STRETCH_MAX`] intervals.
        stretch: Stretch,
        /// The message, at most [`RECONCILE_MAX`] bytes.
        message: Vec<u8>,
    },
    /// Items of a stretch, as far as they are there and fit the answer, in the order of asking.
    Items {
        /// The stretch.
        stretch: Stretch,
        /// Which, at most [`IDS_MAX`].
        ids: Vec<ItemId>,
    },
    /// What the other's clock shows (P25).
    Clock,
    /// The reply to this acceptance of an offer of the asked (P28).
    Reply {
        /// The signed acceptance.
        acceptance: Vec<u8>,
    },
    /// The payer's word on this invoice of the asker's (P33).
    Invoice {
        /// The signed invoice.
        invoice: Vec<u8>,
    },
    /// Something about an escrow of both (P37, P38).
    Escrow(EscrowQuestion),
    /// The asked one's own readings at both edges of an interval in which the two traded (P40).
    Readings {
        /// The interval.
        interval: Interval,
    },
    /// What opens the asker's share of an interval, to the asked as an arbiter (P44).
    Open {
        /// The interval.
        interval: Interval,
        /// What opens it.
        opening: Opening,
    },
}

/// The answer to a [`Question`], in the same order of variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Signed orders, at most [`ORDERS_MAX`].
    Orders(Vec<Vec<u8>>),
    /// The encoded certificate, where there is one.
    Certificate(Option<Vec<u8>>),
    /// The answer of range reconciliation; none where the stretch holds more than is served.
    Reconcile(Option<Vec<u8>>),
    /// Items, at most [`IDS_MAX`].
    Items(Vec<Item>),
    /// What the clock showed when the question was read, as Unix time.
    Clock {
        /// Milliseconds since 1970.
        unix_ms: u64,
    },
    /// The signed reply, where there is one.
    Reply(Option<Vec<u8>>),
    /// The payer's word.
    Invoice(InvoiceWord),
    /// What is said to a question about an escrow.
    Escrow(EscrowAnswer),
    /// Readings, at most [`SHOWN_AT_ONCE_MAX`].
    Readings(Vec<Shown>),
    /// What an arbiter says to an opening.
    Open(OpeningWord),
}

impl Answer {
    /// The first of these items, as many as fit a response.
    #[must_use]
    pub fn items_that_fit(items: impl IntoIterator<Item = Item>) -> Self {
        let mut room = RESPONSE_MAX.saturating_sub(FRAME_MAX);
        let fits = |item: &Item| {
            let left = room.checked_sub(item.bytes.len().saturating_add(ITEM_FRAME));
            room = left.unwrap_or(room);
            left.is_some()
        };
        Self::Items(items.into_iter().take(IDS_MAX).take_while(fits).collect())
    }

    fn is_bounded(&self) -> bool {
        match self {
            Self::Orders(orders) => orders.len() <= ORDERS_MAX,
            Self::Reconcile(message) => {
                message.as_ref().is_none_or(|message| message.len() <= RECONCILE_MAX)
            }
            Self::Items(items) => items.len() <= IDS_MAX,
            Self::Escrow(EscrowAnswer::Signed(deed)) => deed.len() <= Deed::LIMIT,
            Self::Readings(shown) => shown.len() <= SHOWN_AT_ONCE_MAX && shown.iter().all(is_short),
            Self::Certificate(_)
            | Self::Clock { .. }
            | Self::Reply(_)
            | Self::Invoice(_)
            | Self::Escrow(_)
            | Self::Open(_) => true,
        }
    }
}

/// A request as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A question.
    Ask(Question),
    /// A signed message of the asker's own: a confirm of a trade between the two, or an open reading
    /// (P18).
    Message(Vec<u8>),
    /// A reading of the asker's own, shown since the two traded (P40).
    Show(Shown),
}

/// A response as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The answer to a question.
    Answer(Answer),
    /// The confirm, or the reading, has arrived and is valid.
    Taken,
    /// Not for you, not now, or not valid.
    Refused,
}

impl Question {
    /// Questions for the orders of any number of members, [`ORDERS_MAX`] in each.
    pub fn for_orders(
        interval: Interval,
        authors: &[RosterIndex],
    ) -> impl Iterator<Item = Self> + '_ {
        authors
            .chunks(ORDERS_MAX)
            .map(move |authors| Self::Orders { interval, authors: authors.to_vec() })
    }

    fn is_bounded(&self) -> bool {
        let short = |stretch: &Stretch| (1..=STRETCH_MAX).contains(&stretch.len());
        match self {
            Self::Orders { authors, .. } => authors.len() <= ORDERS_MAX,
            Self::Certificate { .. } | Self::Clock | Self::Readings { .. } => true,
            Self::Reconcile { stretch, message } => {
                short(stretch) && message.len() <= RECONCILE_MAX
            }
            Self::Items { stretch, ids } => short(stretch) && ids.len() <= IDS_MAX,
            Self::Reply { acceptance } => acceptance.len() <= Acceptance::LIMIT,
            Self::Invoice { invoice } => invoice.len() <= Invoice::LIMIT,
            Self::Escrow(question) => is_bounded(question),
            Self::Open { opening, .. } => opening.is_bounded(),
        }
    }
}

fn is_short(shown: &Shown) -> bool {
    shown.seal.len() <= Seal::LIMIT && shown.reading.len() <= Reading::LIMIT
}

fn is_bounded(question: &EscrowQuestion) -> bool {
    match question {
        EscrowQuestion::Arbitrate { terms, .. } => terms.len() <= Deed::LIMIT,
        EscrowQuestion::Hold { terms, arbitration } => {
            terms.len() <= Deed::LIMIT && arbitration.len() <= Deed::LIMIT
        }
        EscrowQuestion::Release { .. } => true,
        EscrowQuestion::Plead { readings, .. } => {
            readings.len() <= SHOWN_MAX
                && readings.iter().all(|reading| reading.len() <= Reading::LIMIT)
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
            Self::Message(bytes) if bytes.len() > TradeConfirm::LIMIT => {
                Err(CodecRejected::Malformed)
            }
            Self::Show(shown) if !is_short(&shown) => Err(CodecRejected::Malformed),
            request @ (Self::Ask(_) | Self::Message(_) | Self::Show(_)) => Ok(request),
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
            Self::Answer(answer) if !answer.is_bounded() => Err(CodecRejected::Malformed),
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
    use crate::history::ItemKind;
    use crate::id::{MessageHash, SealSecret};
    use crate::invoice::InvoiceRefusal;
    use crate::masking::{Finding, NEIGHBOURS_MAX};

    fn orders_of(count: u32) -> Request {
        let authors = (0..count).map(RosterIndex::new).collect();
        Request::Ask(Question::Orders { interval: Interval::from_number(7), authors })
    }

    fn stretch(intervals: u64) -> Stretch {
        let from = Interval::from_number(7);
        Stretch { from, until: from.plus(intervals) }
    }

    fn reconcile(intervals: u64, bytes: usize) -> Request {
        let message = vec![7; bytes];
        Request::Ask(Question::Reconcile { stretch: stretch(intervals), message })
    }

    fn items(ids: usize) -> Request {
        let ids = vec![ItemId::default(); ids];
        Request::Ask(Question::Items { stretch: stretch(1), ids })
    }

    fn item(bytes: usize) -> Item {
        Item { kind: ItemKind::Book, bytes: vec![7; bytes] }
    }

    fn escrow_hold(bytes: usize) -> Request {
        let (terms, arbitration) = (vec![7; bytes], vec![7; bytes]);
        Request::Ask(Question::Escrow(EscrowQuestion::Hold { terms, arbitration }))
    }

    fn escrow_plea(count: usize, bytes: usize) -> Request {
        let (escrow, readings) = (MessageHash::default(), vec![vec![7; bytes]; count]);
        Request::Ask(Question::Escrow(EscrowQuestion::Plead { escrow, readings }))
    }

    #[test]
    fn more_about_an_escrow_than_allowed_is_malformed() {
        for request in [
            escrow_hold(Deed::LIMIT + 1),
            escrow_plea(SHOWN_MAX + 1, 1),
            escrow_plea(1, Reading::LIMIT + 1),
        ] {
            let malformed = Err(CodecRejected::Malformed);
            assert_eq!(Request::from_bytes(&request.to_bytes()), malformed, "{request:?}");
        }
        let deed = EscrowAnswer::Signed(vec![7; Deed::LIMIT + 1]);
        let response = Response::Answer(Answer::Escrow(deed));
        assert!(Response::from_bytes(&response.to_bytes()).is_err());
    }

    #[test]
    fn an_opening_with_more_masks_than_neighbours_is_malformed() {
        let interval = Interval::from_number(7);
        let open = |masks| {
            let opening = Opening::with_masks(masks);
            Request::Ask(Question::Open { interval, opening })
        };
        let (most, more) = (open(NEIGHBOURS_MAX), open(NEIGHBOURS_MAX + 1));
        assert_eq!(Request::from_bytes(&most.to_bytes()), Ok(most));
        assert_eq!(Request::from_bytes(&more.to_bytes()), Err(CodecRejected::Malformed));
        let word = Response::Answer(Answer::Open(OpeningWord::Kept(Finding::Waits)));
        assert_eq!(Response::from_bytes(&word.to_bytes()), Ok(word));
    }

    fn shown(seal: usize, reading: usize) -> Shown {
        let secret = SealSecret::from_bytes([7; 32]);
        Shown { seal: vec![7; seal], reading: vec![7; reading], secret }
    }

    #[test]
    fn more_of_readings_than_allowed_is_malformed_both_ways() {
        let malformed = CodecRejected::Malformed;
        for shown in [shown(Seal::LIMIT + 1, 1), shown(1, Reading::LIMIT + 1)] {
            let request = Request::Show(shown.clone()).to_bytes();
            assert_eq!(Request::from_bytes(&request), Err(malformed));
            let response = Response::Answer(Answer::Readings(vec![shown])).to_bytes();
            assert_eq!(Response::from_bytes(&response), Err(malformed));
        }
        let many = vec![shown(1, 1); SHOWN_AT_ONCE_MAX + 1];
        let response = Response::Answer(Answer::Readings(many)).to_bytes();
        assert_eq!(Response::from_bytes(&response), Err(malformed));
        let most = vec![shown(Seal::LIMIT, Reading::LIMIT); SHOWN_AT_ONCE_MAX];
        let response = Response::Answer(Answer::Readings(most));
        assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
        let request = Request::Show(shown(Seal::LIMIT, Reading::LIMIT));
        assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
    }

    #[test]
    fn the_largest_requests_survive_the_round_trip() {
        let confirm = Request::Message(vec![7; TradeConfirm::LIMIT]);
        let reconcile = reconcile(STRETCH_MAX, RECONCILE_MAX);
        let clock = Request::Ask(Question::Clock);
        let acceptance = Request::Ask(Question::Reply { acceptance: vec![7; Acceptance::LIMIT] });
        let invoice = Request::Ask(Question::Invoice { invoice: vec![7; Invoice::LIMIT] });
        let [hold, plea] = [escrow_hold(Deed::LIMIT), escrow_plea(SHOWN_MAX, Reading::LIMIT)];
        let escrow = [hold, plea];
        for request in
            [orders_of(64), confirm, reconcile, items(IDS_MAX), clock, acceptance, invoice]
                .into_iter()
                .chain(escrow)
        {
            assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
        }
    }

    #[test]
    fn the_largest_responses_survive_the_round_trip() {
        let orders = Answer::Orders(vec![vec![7; Order::LIMIT]; ORDERS_MAX]);
        let certificate = Answer::Certificate(Some(vec![7; CERTIFICATE_MAX]));
        let reconcile = Answer::Reconcile(Some(vec![7; RECONCILE_MAX]));
        let items = Answer::items_that_fit([item(CERTIFICATE_MAX)]);
        let clock = Answer::Clock { unix_ms: u64::MAX };
        let word = Answer::Invoice(InvoiceWord::Refused(InvoiceRefusal::NoLightning));
        let deed = Answer::Escrow(EscrowAnswer::Signed(vec![7; Deed::LIMIT]));
        let answers = [orders, certificate, reconcile, items, clock, word, deed];
        for response in answers.map(Response::Answer) {
            assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
        }
    }

    #[test]
    fn more_of_history_than_allowed_is_malformed() {
        for request in [
            reconcile(STRETCH_MAX + 1, 1),
            reconcile(0, 1),
            reconcile(1, RECONCILE_MAX + 1),
            items(IDS_MAX + 1),
            Request::Message(vec![7; TradeConfirm::LIMIT + 1]),
        ] {
            assert!(Request::from_bytes(&request.to_bytes()).is_err(), "{request:?}");
        }
        for answer in [
            Answer::Reconcile(Some(vec![7; RECONCILE_MAX + 1])),
            Answer::Items(vec![item(1); IDS_MAX + 1]),
        ] {
            let bytes = Response::Answer(answer).to_bytes();
            assert_eq!(Response::from_bytes(&bytes), Err(CodecRejected::Malformed));
        }
    }

    #[test]
    fn an_answer_holds_the_first_items_and_no_more_than_fit() {
        let count = |items: Vec<Item>| {
            let Answer::Items(items) = Answer::items_that_fit(items) else { return 0 };
            items.len()
        };
        assert_eq!(count(vec![item(1000); 500]), IDS_MAX);
        assert_eq!(count(vec![item(CERTIFICATE_MAX), item(CERTIFICATE_MAX), item(1)]), 1);
        let full = Response::Answer(Answer::items_that_fit(vec![item(1500); 500]));
        assert!(full.to_bytes().len() <= RESPONSE_MAX);
    }

    #[test]
    fn more_orders_than_allowed_are_malformed_both_ways() {
        let malformed = CodecRejected::Malformed;
        assert_eq!(Request::from_bytes(&orders_of(65).to_bytes()), Err(malformed));
        let longer = Question::Reply { acceptance: vec![7; Acceptance::LIMIT + 1] };
        assert_eq!(Request::from_bytes(&Request::Ask(longer).to_bytes()), Err(malformed));
        let longer = Question::Invoice { invoice: vec![7; Invoice::LIMIT + 1] };
        assert_eq!(Request::from_bytes(&Request::Ask(longer).to_bytes()), Err(malformed));
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
