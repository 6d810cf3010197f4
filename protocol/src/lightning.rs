//! What the Lightning network calls things: nodes, payments, receipts.
//! Not for: paying, which the node does, or for checking what a Lightning key has signed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::bytes32;

bytes32! {
    /// What a payment is known by: the SHA-256 of its preimage. No two tranches share one.
    PaymentHash
}
bytes32! {
    /// What hashes to a payment's hash. Only the payee knows it before it is paid, so that whoever
    /// shows it later has paid: the receipt.
    Preimage
}

impl Preimage {
    /// The payment hash that it claims.
    #[must_use]
    pub fn payment_hash(&self) -> PaymentHash {
        PaymentHash::from_bytes(Sha256::digest(self.as_bytes()).into())
    }
}

/// Bytes of a Lightning node's id.
pub const LIGHTNING_ID_LEN: usize = 33;

/// A Lightning node: its public key on secp256k1, compressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LightningId {
    parity: Parity,
    x: [u8; 32],
}

/// Which of the two points with one x.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Parity {
    Even,
    Odd,
}

/// Text or bytes that are no Lightning node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Lightning node's id is 66 hexadecimal digits that start with 02 or 03")]
pub struct NotALightningId;

impl LightningId {
    /// From a compressed public key. Whether it is a point of the curve is not looked at.
    ///
    /// # Errors
    ///
    /// [`NotALightningId`] where the first byte is neither 2 nor 3.
    pub fn from_bytes(bytes: &[u8; LIGHTNING_ID_LEN]) -> Result<Self, NotALightningId> {
        let (first, x) = bytes.split_first().ok_or(NotALightningId)?;
        let parity = match first {
            2 => Parity::Even,
            3 => Parity::Odd,
            _ => return Err(NotALightningId),
        };
        Ok(Self { parity, x: x.try_into().map_err(|_| NotALightningId)? })
    }

    /// The compressed public key.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LIGHTNING_ID_LEN] {
        let mut bytes = [0; LIGHTNING_ID_LEN];
        let (first, x) = bytes.split_at_mut(1);
        first.fill(match self.parity {
            Parity::Even => 2,
            Parity::Odd => 3,
        });
        x.copy_from_slice(&self.x);
        bytes
    }

    /// The first eight hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for LightningId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for LightningId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LightningId({})", self.short())
    }
}

impl FromStr for LightningId {
    type Err = NotALightningId;

    fn from_str(text: &str) -> Result<Self, NotALightningId> {
        let mut bytes = [0; LIGHTNING_ID_LEN];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotALightningId)?;
        Self::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_hash_is_the_sha_256_of_its_preimage() {
        let expected = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        assert_eq!(Preimage::default().payment_hash().to_string(), expected);
    }

    #[test]
    fn an_id_survives_its_text_form() {
        for first in ["02", "03"] {
            let text = format!("{first}{}", "ab".repeat(32));
            assert_eq!(text.parse::<LightningId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_compressed_key_is_no_id() {
        for text in ["", "02ab", &"04".repeat(33), &"02".repeat(34)] {
            assert_eq!(text.parse::<LightningId>(), Err(NotALightningId), "{text}");
        }
    }
}
