//! The library's events as ours.

use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::events::PaymentFailureReason;
use ldk_node::{Event, UserChannelId};

use boltgrid_protocol::lightning::{PaymentHash, Preimage};

use super::begun::Note;
use super::channel::ChannelId;
use super::convert;
use super::event::LightningEvent;

/// The channel that is new with an event, and with whom it is.
pub(super) fn new_channel(event: &Event) -> Option<(UserChannelId, PublicKey)> {
    if let Event::ChannelPending { user_channel_id, counterparty_node_id, .. } = event {
        Some((*user_channel_id, *counterparty_node_id))
    } else if let Event::ChannelReady { user_channel_id, counterparty_node_id, .. } = event {
        Some((*user_channel_id, (*counterparty_node_id)?))
    } else {
        None
    }
}

/// What happened; none where it means nothing to us.
pub(super) fn convert(event: Event) -> Option<LightningEvent> {
    Some(match event {
        Event::PaymentSuccessful { payment_hash, payment_preimage, fee_paid_msat, .. } => {
            LightningEvent::PaymentSent {
                hash: PaymentHash::from_bytes(payment_hash.0),
                // Absent only in events that versions before this program wrote.
                preimage: Preimage::from_bytes(payment_preimage?.0),
                fee: convert::msat(fee_paid_msat.unwrap_or(0)),
            }
        }
        Event::PaymentFailed { payment_hash, reason, .. } => LightningEvent::PaymentFailed {
            hash: PaymentHash::from_bytes(payment_hash?.0),
            reason: reason.map_or("no reason was given", why).to_owned(),
        },
        Event::PaymentReceived { payment_hash, amount_msat, .. } => {
            LightningEvent::PaymentReceived {
                hash: PaymentHash::from_bytes(payment_hash.0),
                amount: convert::msat(amount_msat),
            }
        }
        Event::PaymentClaimable { payment_hash, claimable_amount_msat, claim_deadline, .. } => {
            LightningEvent::PaymentHeld {
                hash: PaymentHash::from_bytes(payment_hash.0),
                amount: convert::msat(claimable_amount_msat),
                claim_before_height: claim_deadline,
            }
        }
        Event::PaymentForwarded {
            total_fee_earned_msat, outbound_amount_forwarded_msat, ..
        } => LightningEvent::PaymentForwarded {
            amount: convert::msat(outbound_amount_forwarded_msat.unwrap_or(0)),
            fee: convert::msat(total_fee_earned_msat.unwrap_or(0)),
        },
        Event::ChannelPending { user_channel_id, counterparty_node_id, .. } => {
            LightningEvent::ChannelPending {
                channel: channel(user_channel_id),
                counterparty: convert::id(&counterparty_node_id),
            }
        }
        Event::ChannelReady { user_channel_id, counterparty_node_id, .. } => {
            LightningEvent::ChannelReady {
                channel: channel(user_channel_id),
                counterparty: counterparty_node_id.as_ref().map(convert::id),
            }
        }
        Event::ChannelClosed { user_channel_id, counterparty_node_id, reason, .. } => {
            LightningEvent::ChannelClosed {
                channel: channel(user_channel_id),
                counterparty: counterparty_node_id.as_ref().map(convert::id),
                reason: reason
                    .map_or_else(|| "no reason was given".to_owned(), |it| it.to_string()),
            }
        }
        Event::SplicePending { user_channel_id, .. } => {
            LightningEvent::SplicePending { channel: channel(user_channel_id) }
        }
        Event::SpliceFailed { user_channel_id, .. } => {
            LightningEvent::SpliceFailed { channel: channel(user_channel_id) }
        }
    })
}

/// The payment of ours that has ended with an event, and how.
pub(super) const fn end_of_payment(event: &LightningEvent) -> Option<(PaymentHash, Note)> {
    match event {
        LightningEvent::PaymentSent { hash, preimage, fee } => {
            Some((*hash, Note::Paid { preimage: *preimage, fee: *fee }))
        }
        LightningEvent::PaymentFailed { hash, .. } => Some((*hash, Note::Failed)),
        LightningEvent::PaymentReceived { .. }
        | LightningEvent::PaymentHeld { .. }
        | LightningEvent::PaymentForwarded { .. }
        | LightningEvent::ChannelPending { .. }
        | LightningEvent::ChannelReady { .. }
        | LightningEvent::ChannelClosed { .. }
        | LightningEvent::SplicePending { .. }
        | LightningEvent::SpliceFailed { .. } => None,
    }
}

const fn channel(id: UserChannelId) -> ChannelId {
    ChannelId::from_number(id.0)
}

const fn why(reason: PaymentFailureReason) -> &'static str {
    match reason {
        PaymentFailureReason::RecipientRejected => "the payee refused it",
        PaymentFailureReason::UserAbandoned => "it was given up",
        PaymentFailureReason::RetriesExhausted => "it was tried until the time for it was over",
        PaymentFailureReason::PaymentExpired => "the invoice expired",
        PaymentFailureReason::RouteNotFound => "no route with enough money in it was found",
        PaymentFailureReason::UnexpectedError => "something unexpected; see the log",
        PaymentFailureReason::UnknownRequiredFeatures
        | PaymentFailureReason::InvoiceRequestExpired
        | PaymentFailureReason::InvoiceRequestRejected
        | PaymentFailureReason::BlindedPathCreationFailed => "the payee asks for what is not known",
    }
}
