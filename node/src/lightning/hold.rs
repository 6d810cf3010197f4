//! Invoices to a hash that can be held for days, and paying them over a direct channel only.
//!
//! The library makes invoices whose last hop may be locked for 42 blocks, and gives a held payment back
//! 39 blocks before its time lock: after some half an hour. So its invoice is made anew with a longer
//! time lock and signed with the Lightning node's own key; what ties a payment to it, hash and secret,
//! stays, and the secret says nothing of a time lock.
//! Not for: deciding what is held, claimed or given back.

use ldk_node::Node;
use ldk_node::bitcoin::Network;
use ldk_node::bitcoin::bip32::Xpriv;
use ldk_node::bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning::sign::KeysManager;
use ldk_node::lightning_invoice::{
    Bolt11Invoice, Bolt11InvoiceDescription, Description, InvoiceBuilder,
};

use boltgrid_protocol::lightning::PaymentHash;

use super::begun::Begun;
use super::handle::LightningError;
use super::seed::Seed;
use super::{convert, serve};

/// The Lightning node's own key, which signs its invoices.
pub(super) struct NodeKey {
    secret: SecretKey,
}

impl NodeKey {
    /// Derives it as the library does; none where it comes to another node than `node_id`, as it may
    /// with another version of the library.
    pub(super) fn derive(seed: &Seed, network: Network, node_id: &PublicKey) -> Option<Self> {
        let bytes = zeroize::Zeroizing::new(seed.mnemonic().to_seed(""));
        let master = Xpriv::new_master(network, bytes.as_slice()).ok()?;
        let ldk_seed = zeroize::Zeroizing::new(master.private_key.secret_bytes());
        // The time makes keys of channels differ; the node's own key does not depend on it.
        let secret = KeysManager::new(&ldk_seed, 0, 0, true).get_node_secret_key();
        let public = PublicKey::from_secret_key(&Secp256k1::signing_only(), &secret);
        (public == *node_id).then_some(Self { secret })
    }

    /// The same invoice, but that the last hop is locked for so many blocks, and with no way to it
    /// named: it is paid over a direct channel.
    pub(super) fn lengthen(
        &self,
        invoice: &Bolt11Invoice,
        final_cltv_blocks: u32,
    ) -> Result<Bolt11Invoice, LightningError> {
        let failed = |problem: String| LightningError::Failed(problem);
        let amount = invoice.amount_milli_satoshis();
        let amount = amount.ok_or_else(|| failed("an invoice without an amount".to_owned()))?;
        let description = Description::new(invoice.description().to_string())
            .map_err(|error| failed(error.to_string()))?;
        let secp = Secp256k1::signing_only();
        InvoiceBuilder::new(invoice.currency())
            .amount_milli_satoshis(amount)
            .invoice_description(Bolt11InvoiceDescription::Direct(description))
            .payment_hash(*invoice.payment_hash())
            .payment_secret(*invoice.payment_secret())
            .duration_since_epoch(invoice.duration_since_epoch())
            .expiry_time(invoice.expiry_time())
            .min_final_cltv_expiry_delta(final_cltv_blocks.into())
            .build_signed(|hash| secp.sign_ecdsa_recoverable(hash, &self.secret))
            .map_err(|error| failed(error.to_string()))
    }
}

/// Pays an invoice over our channel with its payee, and over no other way: nobody passes it on.
pub(super) fn pay_direct(
    node: &Node,
    begun: &Begun,
    bolt11: &str,
) -> Result<PaymentHash, LightningError> {
    let invoice = convert::read_bolt11(bolt11)?;
    let bad = |problem: &str| Err(LightningError::BadParameter(problem.to_owned()));
    if invoice.network() != node.config().network {
        return bad("the invoice is of another bitcoin network");
    }
    if invoice.is_expired() {
        return bad("the invoice has expired");
    }
    if !invoice.route_hints().is_empty() {
        return bad("the invoice names a way over somebody else");
    }
    let blocks = u32::try_from(invoice.min_final_cltv_expiry_delta()).unwrap_or(u32::MAX);
    let limits = RouteParametersConfig {
        max_total_routing_fee_msat: Some(0),
        // One block beyond the last hop's own lock is the least that the library takes, and less than
        // any hop in between asks for.
        max_total_cltv_expiry_delta: blocks.saturating_add(1),
        max_path_count: 1,
        max_channel_saturation_power_of_half: 0,
    };
    serve::send(node, begun, &invoice, limits)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ldk_node::bitcoin::hashes::{Hash as _, sha256};
    use ldk_node::bitcoin::secp256k1::Secp256k1;
    use ldk_node::lightning_invoice::Currency;
    use ldk_node::lightning_types::payment::PaymentSecret;

    use super::*;

    fn key() -> NodeKey {
        NodeKey { secret: SecretKey::from_slice(&[7; 32]).unwrap() }
    }

    #[test]
    fn a_lengthened_invoice_is_the_same_but_for_its_time_lock() {
        let secp = Secp256k1::new();
        let made = InvoiceBuilder::new(Currency::Regtest)
            .amount_milli_satoshis(20_000_000)
            .description("escrow".to_owned())
            .payment_hash(sha256::Hash::hash(&[3; 32]))
            .payment_secret(PaymentSecret([9; 32]))
            .duration_since_epoch(Duration::from_secs(1_800_000_000))
            .expiry_time(Duration::from_secs(600))
            .min_final_cltv_expiry_delta(42)
            .basic_mpp()
            .build_signed(|hash| secp.sign_ecdsa_recoverable(hash, &key().secret))
            .unwrap();
        let longer = key().lengthen(&made, 942).unwrap();
        assert_eq!(longer.min_final_cltv_expiry_delta(), 942);
        assert_eq!(longer.payment_hash(), made.payment_hash());
        assert_eq!(longer.payment_secret(), made.payment_secret());
        assert_eq!(longer.amount_milli_satoshis(), made.amount_milli_satoshis());
        assert_eq!(longer.expires_at(), made.expires_at());
        assert_eq!(longer.recover_payee_pub_key(), made.recover_payee_pub_key());
        assert_eq!(convert::read_bolt11(&longer.to_string()), Ok(longer));
    }

    #[test]
    fn a_key_of_another_node_is_none() {
        let other = PublicKey::from_secret_key(&Secp256k1::new(), &key().secret);
        let seed = Seed::new().unwrap();
        assert!(NodeKey::derive(&seed, Network::Regtest, &other).is_none());
    }
}
