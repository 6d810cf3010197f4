//! The library's types as ours, and back.

use std::str::FromStr;
use std::time::Duration;

use boltgrid_protocol::lightning::{LightningId, PaymentHash, Preimage};
use boltgrid_protocol::units::{Msat, Timestamp};
use ldk_node::bitcoin::Network;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::lightning_invoice::Bolt11Invoice;
use ldk_node::payment::{
    ConfirmationStatus, PaymentDetails, PaymentDirection, PaymentKind, PaymentStatus,
};
use ldk_node::{ChannelDetails, NodeError};

use super::channel::{Channel, ChannelId, ChannelState};
use super::handle::LightningError;
use super::payment::{Direction, Invoice, KnownPayment, PaymentState, Transaction};
use crate::config::lightning::BitcoinNetwork;

pub(super) const fn network(network: BitcoinNetwork) -> Network {
    match network {
        BitcoinNetwork::Mainnet => Network::Bitcoin,
        BitcoinNetwork::Signet => Network::Signet,
        BitcoinNetwork::Regtest => Network::Regtest,
    }
}

pub(super) fn id(key: &PublicKey) -> LightningId {
    LightningId::from_bytes(&key.serialize()).expect("a compressed key starts with 2 or 3")
}

pub(super) fn key(id: &LightningId) -> Result<PublicKey, LightningError> {
    PublicKey::from_slice(&id.to_bytes())
        .map_err(|_| LightningError::BadParameter(format!("{id} is no Lightning node")))
}

pub(super) fn address(text: &str) -> Result<SocketAddress, LightningError> {
    SocketAddress::from_str(text).map_err(|_| {
        let problem = format!("{text:?} is no host and port; one looks like \"192.0.2.7:9735\"");
        LightningError::BadParameter(problem)
    })
}

/// An amount that Lightning names: never more than there is.
pub(super) fn msat(millisatoshi: u64) -> Msat {
    Msat::from_millisatoshi(millisatoshi).unwrap_or(Msat::MAX)
}

pub(super) fn read_bolt11(text: &str) -> Result<Bolt11Invoice, LightningError> {
    Bolt11Invoice::from_str(text)
        .map_err(|error| LightningError::BadParameter(format!("not an invoice: {error}")))
}

pub(super) fn payment_hash(invoice: &Bolt11Invoice) -> PaymentHash {
    let hash: &[u8; 32] = invoice.payment_hash().as_ref();
    PaymentHash::from_bytes(*hash)
}

pub(super) fn expires_at(invoice: &Bolt11Invoice) -> Timestamp {
    let at = invoice.expires_at().unwrap_or(Duration::MAX);
    Timestamp::from_unix_ms(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn invoice(invoice: &Bolt11Invoice) -> Invoice {
    Invoice {
        bolt11: invoice.to_string(),
        payment_hash: payment_hash(invoice),
        expires_at: expires_at(invoice),
    }
}

/// A payment over Lightning; none for one on-chain.
pub(super) fn payment(details: &PaymentDetails) -> Option<KnownPayment> {
    let (hash, preimage) = match &details.kind {
        PaymentKind::Bolt11 { hash, preimage, .. }
        | PaymentKind::Bolt11Jit { hash, preimage, .. }
        | PaymentKind::Spontaneous { hash, preimage } => (*hash, *preimage),
        PaymentKind::Bolt12Offer { hash, preimage, .. }
        | PaymentKind::Bolt12Refund { hash, preimage, .. } => ((*hash)?, *preimage),
        PaymentKind::Onchain { .. } => return None,
    };
    let preimage = preimage.map(|it| Preimage::from_bytes(it.0));
    let state = match details.status {
        PaymentStatus::Pending => PaymentState::Pending,
        PaymentStatus::Succeeded => {
            PaymentState::Done { preimage, fee: msat(details.fee_paid_msat.unwrap_or(0)) }
        }
        PaymentStatus::Failed => PaymentState::Failed,
    };
    Some(KnownPayment {
        payment_hash: PaymentHash::from_bytes(hash.0),
        direction: direction(details),
        amount: details.amount_msat.map(msat),
        state,
    })
}

const fn direction(details: &PaymentDetails) -> Direction {
    match details.direction {
        PaymentDirection::Inbound => Direction::Incoming,
        PaymentDirection::Outbound => Direction::Outgoing,
    }
}

/// A transaction of the on-chain wallet; none for a payment over Lightning.
pub(super) fn transaction(details: &PaymentDetails) -> Option<Transaction> {
    let PaymentKind::Onchain { txid, status } = &details.kind else { return None };
    Some(Transaction {
        txid: txid.to_string(),
        direction: direction(details),
        amount: msat(details.amount_msat.unwrap_or(0)),
        fee: details.fee_paid_msat.map(msat),
        height: match status {
            ConfirmationStatus::Confirmed { height, .. } => Some(*height),
            ConfirmationStatus::Unconfirmed => None,
        },
        at: Timestamp::from_unix_ms(details.latest_update_timestamp.saturating_mul(1000)),
    })
}

pub(super) fn channel(details: &ChannelDetails) -> Channel {
    Channel {
        id: ChannelId::from_number(details.user_channel_id.0),
        counterparty: id(&details.counterparty_node_id),
        funding: details.funding_txo.map(|output| output.to_string()),
        state: match (details.is_usable, details.is_channel_ready) {
            (true, _) => ChannelState::Usable,
            (false, true) => ChannelState::Offline,
            (false, false) => ChannelState::Pending,
        },
        is_outbound: details.is_outbound,
        size_sat: details.channel_value_sats,
        sendable: msat(details.outbound_capacity_msat),
        receivable: msat(details.inbound_capacity_msat),
        sendable_at_once: msat(details.next_outbound_htlc_limit_msat),
        reserve_sat: details.unspendable_punishment_reserve.unwrap_or(0),
        confirmations: details.confirmations.unwrap_or(0),
        close_delay_blocks: details.force_close_spend_delay,
    }
}

/// What an error of the library means to whoever asked.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others say no more than their text")]
pub(super) fn error(error: NodeError) -> LightningError {
    match error {
        NodeError::DuplicatePayment => LightningError::PaidBefore,
        NodeError::PaymentSendingFailed => LightningError::NoRoute,
        NodeError::InsufficientFunds => LightningError::NotEnoughMoney,
        NodeError::ConnectionFailed | NodeError::InvalidSocketAddress => {
            LightningError::Unreachable
        }
        NodeError::NotRunning => LightningError::Ended,
        NodeError::InvalidInvoice | NodeError::InvalidAmount => LightningError::BadParameter(
            "the invoice cannot be paid: it names no amount".to_owned(),
        ),
        other => LightningError::Failed(other.to_string()),
    }
}
