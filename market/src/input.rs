//! What the market reacts to.

use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::Interval;

use crate::abstention::ClockCheck;

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
    /// A certificate that was asked for; not yet verified.
    Certificate(Box<BookCertificate>),
    /// The clock was checked against time that passed, or against the clocks of peers.
    Clock(ClockCheck),
}
