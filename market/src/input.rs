//! What the market reacts to.

use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::forward::{Acceptance, Reply};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::offer::{Day, Offer, Product};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::seal::Opened;
use boltgrid_protocol::units::{Energy, Interval};

use crate::forwards::Terms;

use crate::abstention::ClockCheck;
use crate::payments::Happened;

/// What history holds of an interval (P26): of the readings those at its both edges.
#[derive(Clone, Debug)]
pub struct Past {
    /// The certificate of its book; not yet verified.
    pub certificate: BookCertificate,
    /// The orders of the book.
    pub orders: Vec<Verified<Order>>,
    /// The readings.
    pub readings: Vec<Verified<Reading>>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The site's own order for an interval.
    Place {
        /// For which interval.
        interval: Interval,
        /// The order.
        order: Order,
    },
    /// A verified message.
    Heard {
        /// The message.
        message: Box<Message>,
        /// For a gossiped message, what to name it by in [`crate::effect::Effect::Judge`].
        token: Option<u64>,
    },
    /// The site's own signed reading, already stored by whoever signed it.
    Metered(Box<Verified<Reading>>),
    /// The site's last reading once more, after a restart: it went out before, as far as anybody knows.
    MeteredBefore(Box<Verified<Reading>>),
    /// A reading that another member showed us (P40).
    Shown(Box<Opened>),
    /// The site's own offer, in place of an earlier one of the same product and day.
    Offer(Terms),
    /// The site's own offer no longer stands.
    Withdraw {
        /// Of what.
        product: Product,
        /// On which day.
        day: Day,
    },
    /// The site takes so much of another member's offer.
    Accept {
        /// The offer.
        offer: Box<Verified<Offer>>,
        /// The first interval.
        first: Interval,
        /// The interval after the last.
        after: Interval,
        /// How much in every interval.
        energy_mwh: Energy,
    },
    /// A member accepts an offer of ours and asks for our word.
    Asked {
        /// Its acceptance.
        acceptance: Box<Verified<Acceptance>>,
        /// What to name the question by in [`crate::effect::Effect::AnswerReply`].
        token: u64,
    },
    /// The word on an acceptance of ours.
    Replied(Box<Verified<Reply>>),
    /// A certificate that was asked for; not yet verified.
    Certificate(Box<BookCertificate>),
    /// What history holds of an interval that was missed ([`crate::Market::missed`]).
    Past(Box<Past>),
    /// The owner forgives a counterparty what it owes and is in dispute, and trusts it anew.
    Forgive(ParticipantId),
    /// Something happened to a payment.
    Payment(Happened),
    /// The clock was checked against time that passed, or against the clocks of peers.
    Clock(ClockCheck),
}
