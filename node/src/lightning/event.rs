//! What happens on Lightning, told to one consumer, again and again until it says that it has kept it.
//! Not for: what follows from it.

use boltgrid_protocol::lightning::{LightningId, PaymentHash, Preimage};
use boltgrid_protocol::units::Msat;
use tokio::sync::{mpsc, oneshot};

use super::channel::ChannelId;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LightningEvent {
    /// An invoice of ours was paid; the money is ours.
    PaymentReceived {
        /// Which.
        hash: PaymentHash,
        /// How much.
        amount: Msat,
    },
    /// A payment of ours arrived.
    PaymentSent {
        /// Which.
        hash: PaymentHash,
        /// The receipt.
        preimage: Preimage,
        /// What forwarding cost.
        fee: Msat,
    },
    /// A payment of ours did not arrive and no longer can; it may be tried anew.
    PaymentFailed {
        /// Which.
        hash: PaymentHash,
        /// Why, for people.
        reason: String,
    },
    /// A payment to a hash of our choice is held: ours once it is claimed, the payer's again once it
    /// is refused, or once the chain is at the deadline.
    PaymentHeld {
        /// Which.
        hash: PaymentHash,
        /// How much.
        amount: Msat,
        /// The height of the chain at which it can no longer be claimed.
        claim_before_height: Option<u32>,
    },
    /// We passed a payment on.
    PaymentForwarded {
        /// How much went on.
        amount: Msat,
        /// What we took for it.
        fee: Msat,
    },
    /// A channel's funding was sent out and waits for confirmations.
    ChannelPending {
        /// Which.
        channel: ChannelId,
        /// With whom.
        counterparty: LightningId,
    },
    /// A channel can be used, or can be used with other amounts after a splice.
    ChannelReady {
        /// Which.
        channel: ChannelId,
        /// With whom.
        counterparty: Option<LightningId>,
    },
    /// A channel is closed, or was never funded.
    ChannelClosed {
        /// Which.
        channel: ChannelId,
        /// With whom.
        counterparty: Option<LightningId>,
        /// Why, for people.
        reason: String,
    },
    /// A splice was sent out and waits for confirmations.
    SplicePending {
        /// Which channel.
        channel: ChannelId,
    },
    /// A splice came to nothing.
    SpliceFailed {
        /// Which channel.
        channel: ChannelId,
    },
}

/// An event on its way to the consumer. Dropped without [`Delivery::kept`], it is delivered again:
/// soon, or after a restart.
#[derive(Debug)]
pub struct Delivery {
    event: LightningEvent,
    kept: oneshot::Sender<()>,
}

impl Delivery {
    /// An event, and what resolves once it is kept.
    #[must_use]
    pub fn new(event: LightningEvent) -> (Self, oneshot::Receiver<()>) {
        let (kept, is_kept) = oneshot::channel();
        (Self { event, kept }, is_kept)
    }

    /// What happened. The same may be told more than once.
    #[must_use]
    pub const fn event(&self) -> &LightningEvent {
        &self.event
    }

    /// Says that everything that follows from it is on disk; only then is Lightning allowed to forget
    /// it, and only then comes the next one.
    pub fn kept(self) {
        if self.kept.send(()).is_err() {
            tracing::debug!("Lightning has ended, and will tell the same event again");
        }
    }
}

/// The events, in order, one at a time.
#[derive(Debug)]
pub struct LightningEvents {
    deliveries: mpsc::Receiver<Delivery>,
}

impl LightningEvents {
    /// A stream and where to put events into it. It holds one: the next comes when that is kept.
    #[must_use]
    pub fn new() -> (mpsc::Sender<Delivery>, Self) {
        let (sender, deliveries) = mpsc::channel(1);
        (sender, Self { deliveries })
    }

    /// The next event; none once Lightning has ended. Losing this future loses no event.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}
