//! What an escrow wants of Lightning, as requests to it. What gets no clear answer says nothing, and is
//! wanted again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use boltgrid_market::escrow::{Happened, Incoming, Outgoing, Wanted};
use boltgrid_protocol::escrow::EscrowRefusal;
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Msat, Timestamp};
use tracing::warn;

use crate::clock;
use crate::lightning::{
    Direction, InvoiceTerms, KnownPayment, LightningError, LightningHandle, PaymentState,
};

/// A request to Lightning under way: the payment hash that it is about, and what it comes to.
pub(super) type Work = Pin<Box<dyn Future<Output = (PaymentHash, Option<Happened>)> + Send>>;

/// The payment hash that a wish is about; none for one that Lightning has no part in.
pub(super) fn hash_of(wanted: &Wanted) -> Option<PaymentHash> {
    match wanted {
        Wanted::Make { payment_hash, .. }
        | Wanted::Pay { payment_hash, .. }
        | Wanted::GiveBack { payment_hash, .. }
        | Wanted::Refuse(payment_hash) => Some(*payment_hash),
        Wanted::Claim { preimage, .. } => Some(preimage.payment_hash()),
        Wanted::Ask { .. } | Wanted::Answer { .. } | Wanted::Readings { .. } => None,
    }
}

/// Begins to do what is wanted.
pub(super) fn begin(lightning: LightningHandle, hash: PaymentHash, wanted: Wanted) -> Work {
    Box::pin(async move {
        let happened = match wanted {
            Wanted::Make { escrow, amount_msat, final_cltv_blocks, expires_at, .. } => {
                let terms = (amount_msat, final_cltv_blocks, expires_at);
                let made = make(&lightning, (escrow, hash), terms).await;
                made.map(|made| Happened::Made { escrow, made })
            }
            Wanted::Pay { escrow, bolt11, begins, .. } => {
                let outcome = pay(&lightning, hash, bolt11, begins).await;
                outcome.map(|outcome| Happened::Paid { escrow, outcome })
            }
            Wanted::Claim { escrow, preimage } => {
                said(hash, "claimed", lightning.claim(preimage).await);
                let state = incoming(&lightning, hash).await;
                state.map(|state| Happened::Received { escrow, state })
            }
            Wanted::GiveBack { escrow, .. } => {
                said(hash, "given back", lightning.refuse(hash).await);
                let state = incoming(&lightning, hash).await;
                state.map(|state| Happened::Received { escrow, state })
            }
            Wanted::Refuse(_) => {
                said(hash, "refused", lightning.refuse(hash).await);
                None
            }
            Wanted::Ask { .. } | Wanted::Answer { .. } | Wanted::Readings { .. } => None,
        };
        (hash, happened)
    })
}

fn said(payment_hash: PaymentHash, what: &str, done: Result<(), LightningError>) {
    if let Err(error) = done {
        warn!(%error, %payment_hash, "a payment in escrow could not be {what} now; it is tried again");
    }
}

async fn make(
    lightning: &LightningHandle,
    (escrow, hash): (MessageHash, PaymentHash),
    (amount, final_cltv_blocks, expires_at): (Msat, u32, Timestamp),
) -> Option<Result<String, EscrowRefusal>> {
    let known = look(lightning, hash).await?;
    let is_fresh = known.is_none_or(|known| {
        known.direction == Direction::Incoming && known.state == PaymentState::Pending
    });
    if !is_fresh {
        return Some(Err(EscrowRefusal::HashUsed));
    }
    let terms = InvoiceTerms {
        amount,
        description: format!("Boltgrid escrow {}", escrow.short()),
        expiry: Duration::from_millis(expires_at.ms_since(clock::now())),
    };
    match lightning.long_hold_invoice(terms, hash, final_cltv_blocks).await {
        Ok(invoice) => Some(Ok(invoice.bolt11)),
        Err(error @ (LightningError::Busy | LightningError::Ended | LightningError::TimedOut)) => {
            warn!(%error, %escrow, "no invoice was made; it is tried again");
            None
        }
        Err(
            error @ (LightningError::PaidBefore
            | LightningError::NoRoute
            | LightningError::NotEnoughMoney
            | LightningError::CoinsInUse
            | LightningError::Unreachable
            | LightningError::NoSuchChannel
            | LightningError::BadParameter(_)
            | LightningError::Failed(_)),
        ) => {
            warn!(%error, %escrow, "Lightning makes no invoice that can be held");
            Some(Err(EscrowRefusal::NoLightning))
        }
    }
}

/// Says what became of a payment, and begins it if it was never begun and may be.
async fn pay(
    lightning: &LightningHandle,
    hash: PaymentHash,
    bolt11: String,
    begins: bool,
) -> Option<Outgoing> {
    let known = look(lightning, hash).await?;
    match known.filter(|it| it.direction == Direction::Outgoing).map(|it| it.state) {
        Some(PaymentState::Pending) => return Some(Outgoing::Pending),
        Some(PaymentState::Done { .. }) => return Some(Outgoing::Sent),
        Some(PaymentState::Failed) => return Some(Outgoing::Failed),
        None if !begins => return Some(Outgoing::Unknown),
        None => {}
    }
    match lightning.pay_direct(bolt11).await {
        Ok(_) | Err(LightningError::PaidBefore) => Some(Outgoing::Pending),
        Err(error @ (LightningError::NoRoute | LightningError::BadParameter(_))) => {
            warn!(%error, payment_hash = %hash, "an amount could not be locked");
            Some(Outgoing::Failed)
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
            warn!(%error, payment_hash = %hash, "whether it was paid is not known; it is asked again");
            None
        }
    }
}

async fn incoming(lightning: &LightningHandle, hash: PaymentHash) -> Option<Incoming> {
    let known = look(lightning, hash).await??;
    if known.direction != Direction::Incoming {
        return None;
    }
    Some(match known.state {
        PaymentState::Pending => Incoming::Pending,
        PaymentState::Done { .. } => Incoming::Claimed,
        PaymentState::Failed => Incoming::GivenBack,
    })
}

/// What Lightning knows of a payment; none where it does not say now.
async fn look(lightning: &LightningHandle, hash: PaymentHash) -> Option<Option<KnownPayment>> {
    match lightning.payment(hash).await {
        Ok(known) => Some(known),
        Err(error) => {
            warn!(%error, payment_hash = %hash, "Lightning does not say what it knows; it is asked again");
            None
        }
    }
}
