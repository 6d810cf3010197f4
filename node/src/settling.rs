//! Between the market's payments and Lightning: what the market wants is asked of Lightning, what
//! happened there is told to the market, and acknowledged once it is on disk.
//!
//! ```text
//!   market task ── Wanted ──► Settling ── invoice, pay, payment ──► Lightning
//!       ▲                        │
//!       └────── Happening ◄──────┴──────── events, until they are kept ──┘
//! ```
//!
//! Invariant: Lightning is asked about one payment hash at a time, in the order of wanting, and told to
//! pay only what it knows nothing of: so a payment of a hash is begun at most once, ever.
//! Not for: deciding what is paid; that is [`boltgrid_market::payments`].

mod books;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use boltgrid_market::payments::{Bolt11, DueId, Happened, Outcome, Wanted};
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::lightning::PaymentHash;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::lightning::{
    Delivery, Direction, InvoiceTerms, LightningError, LightningEvent, LightningEvents,
    LightningHandle, PaymentOrder, PaymentState,
};

pub(crate) use books::Books;

/// What the market wants and Lightning has not been asked for yet: all tranches of a busy interval.
/// What is beyond is lost and wanted again.
const WANTED_MAX: usize = 512;
/// What happened and the market has not taken yet.
const HAPPENED_MAX: usize = 64;
/// Requests to Lightning at once.
const WORK_MAX: usize = 64;

/// Something that happened, for the market.
#[derive(Debug)]
pub(crate) struct Happening {
    /// What.
    pub(crate) happened: Happened,
    /// To be kept once everything that follows is on disk; what is lost comes again.
    pub(crate) delivery: Option<Delivery>,
}

/// What the market task holds of this one.
#[derive(Debug)]
pub(crate) struct SettlingEnds {
    /// What it wants.
    pub(crate) wanted: mpsc::Sender<Wanted>,
    /// What happened.
    pub(crate) happened: mpsc::Receiver<Happening>,
}

/// The task.
#[derive(Debug)]
pub(crate) struct Settling {
    lightning: LightningHandle,
    events: LightningEvents,
    wanted: mpsc::Receiver<Wanted>,
    happened: mpsc::Sender<Happening>,
    books: Books,
    /// To the escrow task, payments that are held.
    held: mpsc::Sender<Delivery>,
}

/// A request to Lightning under way: the hash that it is about, and what it comes to.
type Work = Pin<Box<dyn Future<Output = (Option<PaymentHash>, Option<Happened>)> + Send>>;

impl Settling {
    pub(crate) fn new(
        lightning: LightningHandle,
        events: LightningEvents,
        books: Books,
        held: mpsc::Sender<Delivery>,
    ) -> (Self, SettlingEnds) {
        let (want, wanted) = mpsc::channel(WANTED_MAX);
        let (happen, happened) = mpsc::channel(HAPPENED_MAX);
        let settling = Self { lightning, events, wanted, happened: happen, books, held };
        (settling, SettlingEnds { wanted: want, happened })
    }

    /// Runs until shutdown, or until Lightning or the market has ended.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut work: FuturesUnordered<Work> = FuturesUnordered::new();
        let mut busy: BTreeSet<PaymentHash> = BTreeSet::new();
        let mut status = self.lightning.watch();
        loop {
            let happening = tokio::select! {
                () = shutdown.cancelled() => return,
                Some(wanted) = self.wanted.recv(), if work.len() < WORK_MAX => {
                    work.extend(self.begin(wanted, &mut busy));
                    None
                }
                Some((hash, happened)) = work.next() => {
                    if let Some(hash) = hash {
                        busy.remove(&hash);
                    }
                    happened.map(|happened| Happening { happened, delivery: None })
                }
                delivery = self.events.next() => match delivery {
                    Some(delivery) if is_held(&delivery) => {
                        tokio::select! {
                            () = shutdown.cancelled() => return,
                            sent = self.held.send(delivery) => if sent.is_err() {
                                return shutdown.cancelled().await;
                            },
                        }
                        None
                    }
                    Some(delivery) => {
                        self.books.note_event(delivery.event(), clock::now());
                        take(delivery)
                    }
                    // Whoever else runs sees Lightning end as well, and says why.
                    None => return shutdown.cancelled().await,
                },
                Ok(()) = status.changed() => {
                    self.books.note_status(&status.borrow_and_update(), clock::now());
                    None
                }
            };
            let Some(happening) = happening else { continue };
            tokio::select! {
                () = shutdown.cancelled() => return,
                sent = self.happened.send(happening) => if sent.is_err() {
                    return shutdown.cancelled().await;
                },
            }
        }
    }

    /// Begins to do what the market wants, unless something else is being done about the same hash:
    /// then this is lost, and wanted again.
    fn begin(&self, wanted: Wanted, busy: &mut BTreeSet<PaymentHash>) -> Option<Work> {
        let lightning = self.lightning.clone();
        match wanted {
            Wanted::Make { due, tranche, amount_msat, expiry_ms } => Some(Box::pin(async move {
                let terms = InvoiceTerms {
                    amount: amount_msat,
                    description: describe(&due, tranche),
                    expiry: Duration::from_millis(expiry_ms),
                };
                (None, make(&lightning, (due, tranche), terms).await)
            })),
            Wanted::Pay { payment_hash, bolt11, fee_max_msat, .. } => {
                let order = PaymentOrder { bolt11, fee_max: fee_max_msat };
                busy.insert(payment_hash).then(|| -> Work {
                    Box::pin(async move {
                        (Some(payment_hash), pay(&lightning, payment_hash, order).await)
                    })
                })
            }
            Wanted::Inquire { payment_hash, inquiry } => {
                busy.insert(payment_hash).then(|| -> Work {
                    Box::pin(async move {
                        let outcome = look(&lightning, payment_hash).await;
                        let known = |outcome| Happened::Known { payment_hash, inquiry, outcome };
                        (Some(payment_hash), outcome.map(known))
                    })
                })
            }
            // These go over the network, by the market task.
            Wanted::Send { .. } | Wanted::Answer { .. } => None,
        }
    }
}

/// What a payer is told that an invoice is for.
fn describe(due: &DueId, tranche: u32) -> String {
    let what = match due.cause {
        Cause::Trade { index } => format!("trade {index}"),
        Cause::Forward { acceptance } => format!("forward {}", acceptance.short()),
    };
    format!("Boltgrid interval {}, {what}, tranche {tranche}", due.interval)
}

async fn make(
    lightning: &LightningHandle,
    (due, tranche): (DueId, u32),
    terms: InvoiceTerms,
) -> Option<Happened> {
    let amount = terms.amount;
    match lightning.invoice(terms).await {
        Ok(made) => {
            let read = Bolt11 {
                payment_hash: made.payment_hash,
                amount_msat: Some(amount),
                expires_at: made.expires_at,
            };
            Some(Happened::Made { due, tranche, bolt11: made.bolt11, read })
        }
        Err(error) => {
            warn!(%error, interval = %due.interval, "no invoice was made; it is tried again");
            None
        }
    }
}

/// Pays, unless Lightning knows the hash: then what it knows is the outcome.
async fn pay(
    lightning: &LightningHandle,
    payment_hash: PaymentHash,
    order: PaymentOrder,
) -> Option<Happened> {
    let known = look(lightning, payment_hash).await?;
    if known != Outcome::Unknown {
        return Some(told(payment_hash, known));
    }
    match lightning.pay(order).await {
        // How it ends is told as an event.
        Ok(_) | Err(LightningError::PaidBefore) => None,
        Err(error @ (LightningError::NoRoute | LightningError::BadParameter(_))) => {
            warn!(%error, %payment_hash, "not paid");
            Some(told(payment_hash, Outcome::Failed))
        }
        Err(
            error @ (LightningError::Busy
            | LightningError::Ended
            | LightningError::TimedOut
            | LightningError::NotEnoughMoney
            | LightningError::CoinsInUse
            | LightningError::Unreachable
            | LightningError::NoSuchChannel
            | LightningError::Failed(_)),
        ) => {
            warn!(%error, %payment_hash, "whether it was paid is not known; Lightning is asked again");
            None
        }
    }
}

/// What Lightning knows of a payment of ours; none where it does not say now.
async fn look(lightning: &LightningHandle, payment_hash: PaymentHash) -> Option<Outcome> {
    let known = match lightning.payment(payment_hash).await {
        Ok(known) => known.filter(|known| known.direction == Direction::Outgoing),
        Err(error) => {
            warn!(%error, %payment_hash, "Lightning does not say what it knows; it is asked again");
            return None;
        }
    };
    match known.map(|known| known.state) {
        None => Some(Outcome::Unknown),
        Some(PaymentState::Pending) => Some(Outcome::Pending),
        Some(PaymentState::Failed) => Some(Outcome::Failed),
        Some(PaymentState::Done { preimage: Some(preimage), fee }) => {
            Some(Outcome::Sent { preimage, fee_msat: fee })
        }
        Some(PaymentState::Done { preimage: None, .. }) => {
            warn!(%payment_hash, "paid, but Lightning shows no receipt; its event will");
            None
        }
    }
}

/// Whether it is about a payment that somebody else decides about.
const fn is_held(delivery: &Delivery) -> bool {
    matches!(delivery.event(), LightningEvent::PaymentHeld { .. })
}

/// What an event means to the market; what means nothing to it is done with at once.
fn take(delivery: Delivery) -> Option<Happening> {
    let happened = match delivery.event() {
        LightningEvent::PaymentReceived { hash, amount } => {
            Happened::Received { payment_hash: *hash, amount_msat: *amount }
        }
        LightningEvent::PaymentSent { hash, preimage, fee } => {
            told(*hash, Outcome::Sent { preimage: *preimage, fee_msat: *fee })
        }
        LightningEvent::PaymentFailed { hash, reason } => {
            info!(payment_hash = %hash, reason, "a payment failed");
            told(*hash, Outcome::Failed)
        }
        event @ (LightningEvent::PaymentHeld { .. }
        | LightningEvent::PaymentForwarded { .. }
        | LightningEvent::ChannelPending { .. }
        | LightningEvent::ChannelReady { .. }
        | LightningEvent::ChannelClosed { .. }
        | LightningEvent::SplicePending { .. }
        | LightningEvent::SpliceFailed { .. }) => {
            info!(?event, "Lightning");
            delivery.kept();
            return None;
        }
    };
    Some(Happening { happened, delivery: Some(delivery) })
}

const fn told(payment_hash: PaymentHash, outcome: Outcome) -> Happened {
    Happened::Told { payment_hash, outcome }
}
