//! Checking what a Lightning node's key has signed. Needs no node of one's own.

use boltgrid_protocol::lightning::LightningId;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::util::message_signing;

/// Longest signature that is looked at; one is 104 letters.
pub const SIGNATURE_MAX: usize = 128;

/// Whether `signature` (as [`super::LightningHandle::sign`] makes it) is of these bytes and this node.
#[must_use]
pub fn verify(message: &[u8], signature: &str, node: &LightningId) -> bool {
    let Ok(key) = PublicKey::from_slice(&node.to_bytes()) else { return false };
    signature.len() <= SIGNATURE_MAX && message_signing::verify(message, signature, &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the library: a message signed by the secret key 1.
    const SIGNATURE: &str = "d9tibmnic9t5y41hg7hkakdcra94akas9ku3rmmj4ag9mritc8ok4p5qzefs78c9pqfhp\
                             uftqqzhydbdwfg7u6w6wdxcqpqn4sj4e73e";
    const GENERATOR: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn a_signature_is_of_its_bytes_and_node_only() {
        let node: LightningId = GENERATOR.parse().unwrap();
        assert!(verify(b"test message", SIGNATURE, &node));
        assert!(!verify(b"test massage", SIGNATURE, &node));
        let other = GENERATOR.replacen("02", "03", 1).parse().unwrap();
        assert!(!verify(b"test message", SIGNATURE, &other));
    }

    #[test]
    fn whatever_is_no_signature_is_none() {
        let node: LightningId = GENERATOR.parse().unwrap();
        for text in ["", "d9tib", "ä", &"y".repeat(104), &SIGNATURE.repeat(9)] {
            assert!(!verify(b"test message", text, &node), "{text}");
        }
        let no_point = format!("02{}", "ff".repeat(32)).parse().unwrap();
        assert!(!verify(b"test message", SIGNATURE, &no_point));
    }
}
