//! BOLT11 texts of a Lightning node that does not exist: valid and signed, and nobody can pay them.
//!
//! Not for: what is false about an invoice; that is [`super::invoices`].

use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Msat, Timestamp};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};

/// For how long a text is good.
const EXPIRY: Duration = Duration::from_secs(3_600);
/// Blocks that the last hop of a payment must leave.
const FINAL_BLOCKS: u64 = 144;

/// What signs texts, and the hashes that nobody knows the preimages of.
#[derive(Debug)]
pub(super) struct Pen {
    secret: [u8; 32],
    hashes: u64,
}

impl Pen {
    /// A pen that follows from a seed.
    pub(super) fn new(seed: u64) -> Self {
        let secret = sha256::Hash::hash(&seed.to_be_bytes()).to_byte_array();
        Self { secret, hashes: 0 }
    }

    /// A payment hash that was not there before.
    pub(super) fn hash(&mut self) -> PaymentHash {
        self.hashes = self.hashes.saturating_add(1);
        let text = [self.secret.as_slice(), &self.hashes.to_be_bytes()].concat();
        PaymentHash::from_bytes(sha256::Hash::hash(&text).to_byte_array())
    }

    /// A text of regtest that was made at `at` and asks for so much under this hash.
    ///
    /// None where the key is no key, which no seed has led to so far.
    pub(super) fn text(&self, hash: &PaymentHash, amount: Msat, at: Timestamp) -> Option<String> {
        let key = SecretKey::from_slice(&self.secret).ok()?;
        let invoice = InvoiceBuilder::new(Currency::Regtest)
            .description("Boltgrid".to_owned())
            .payment_hash(sha256::Hash::from_byte_array(*hash.as_bytes()))
            .payment_secret(PaymentSecret(*hash.as_bytes()))
            .duration_since_epoch(Duration::from_secs(at.to_unix_ms().div_euclid(1_000)))
            .min_final_cltv_expiry_delta(FINAL_BLOCKS)
            .expiry_time(EXPIRY)
            .amount_milli_satoshis(amount.to_millisatoshi())
            .basic_mpp()
            .build_signed(|digest| Secp256k1::new().sign_ecdsa_recoverable(digest, &key));
        Some(invoice.ok()?.to_string())
    }

    /// The same for a text that expired before `now`.
    pub(super) fn expired(
        &self,
        hash: &PaymentHash,
        amount: Msat,
        now: Timestamp,
    ) -> Option<String> {
        let expiry_ms = u64::try_from(EXPIRY.as_millis()).unwrap_or(u64::MAX);
        self.text(hash, amount, now.minus_ms(expiry_ms.saturating_mul(2)))
    }
}

#[cfg(test)]
mod tests {
    use boltgrid::config::lightning::BitcoinNetwork;
    use boltgrid::lightning::read;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    #[test]
    fn a_node_reads_in_a_text_what_it_was_made_of() {
        let mut pen = Pen::new(7);
        let (first, second) = (pen.hash(), pen.hash());
        assert_ne!(first, second);
        let amount = Msat::from_millisatoshi(1_234).unwrap();
        let good = read(&pen.text(&first, amount, NOW).unwrap(), BitcoinNetwork::Regtest).unwrap();
        assert_eq!((good.payment_hash, good.amount), (first, Some(amount)));
        assert!(good.expires_at > NOW);
        let old = pen.expired(&second, amount, NOW).unwrap();
        assert!(read(&old, BitcoinNetwork::Regtest).unwrap().expires_at < NOW);
    }
}
