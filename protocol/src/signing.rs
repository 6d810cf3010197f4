//! Keys and signatures: ed25519, verified strictly, with nothing signed outside a domain (P5).
//! Not for: storing keys, or for keys of other kinds (a meter's may live in a secure element).

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::id::{MeterKey, ParticipantId};

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;
/// What stands before the bytes of every signature, so that none means anything elsewhere.
const DOMAIN: &[u8] = b"boltgrid signature 1\0";

/// A detached ed25519 signature: a point and a scalar (RFC 8032, section 5.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    point: [u8; 32],
    scalar: [u8; 32],
}

impl Signature {
    /// From its 64 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SIGNATURE_LEN]) -> Self {
        ed25519_dalek::Signature::from_bytes(bytes).into()
    }

    /// Its 64 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIGNATURE_LEN] {
        ed25519_dalek::Signature::from(self).to_bytes()
    }
}

impl From<ed25519_dalek::Signature> for Signature {
    fn from(signature: ed25519_dalek::Signature) -> Self {
        Self { point: *signature.r_bytes(), scalar: *signature.s_bytes() }
    }
}

impl From<Signature> for ed25519_dalek::Signature {
    fn from(signature: Signature) -> Self {
        Self::from_components(signature.point, signature.scalar)
    }
}

/// A signing key of a participant, a registrar or a file-based meter. Wiped from memory on drop.
#[derive(Clone)]
pub struct Keypair {
    key: SigningKey,
}

impl std::fmt::Debug for Keypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keypair({})", self.participant_id().short())
    }
}

impl Keypair {
    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(seed) }
    }

    /// The 32-byte seed: the secret itself.
    #[must_use]
    pub fn to_seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.key.to_bytes())
    }

    /// The public key as a participant.
    #[must_use]
    pub fn participant_id(&self) -> ParticipantId {
        ParticipantId::from_bytes(self.key.verifying_key().to_bytes())
    }

    /// The public key as a meter.
    #[must_use]
    pub fn meter_key(&self) -> MeterKey {
        MeterKey::Ed25519(self.key.verifying_key().to_bytes())
    }

    /// Signs `bytes` inside the domain.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        self.key.sign(&in_domain(bytes)).into()
    }
}

impl Keypair {
    /// A secret that this key has in common with another one, and that nobody else can compute:
    /// X25519 (RFC 7748) between the two as keys of Curve25519.
    #[must_use]
    pub fn common_secret(&self, other: &PublicKey) -> zeroize::Zeroizing<[u8; 32]> {
        let secret = zeroize::Zeroizing::new(self.key.to_scalar_bytes());
        zeroize::Zeroizing::new(other.key.to_montgomery().mul_clamped(*secret).to_bytes())
    }
}

/// A public key, decompressed once so that many signatures of it can be verified.
#[derive(Clone, Debug)]
pub struct PublicKey {
    key: VerifyingKey,
}

/// Bytes that are no usable public key, or a signature that is not of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRejected {
    /// Not a point, or one of small order.
    #[error("not a usable public key")]
    BadKey,
    /// Not this key's signature of these bytes.
    #[error("the signature does not verify")]
    BadSignature,
}

impl PublicKey {
    /// Reads a participant's key.
    ///
    /// # Errors
    ///
    /// [`SignatureRejected::BadKey`].
    pub fn of_participant(id: &ParticipantId) -> Result<Self, SignatureRejected> {
        Self::from_bytes(id.as_bytes())
    }

    /// Reads a meter's key.
    ///
    /// # Errors
    ///
    /// [`SignatureRejected::BadKey`].
    pub fn of_meter(key: &MeterKey) -> Result<Self, SignatureRejected> {
        match key {
            MeterKey::Ed25519(bytes) => Self::from_bytes(bytes),
        }
    }

    fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureRejected> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| SignatureRejected::BadKey)?;
        if key.is_weak() { Err(SignatureRejected::BadKey) } else { Ok(Self { key }) }
    }

    /// Verifies `signature` over `bytes` inside the domain, strictly (P5).
    ///
    /// # Errors
    ///
    /// [`SignatureRejected::BadSignature`].
    pub fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), SignatureRejected> {
        self.key
            .verify_strict(&in_domain(bytes), &(*signature).into())
            .map_err(|_| SignatureRejected::BadSignature)
    }
}

pub(crate) fn in_domain(bytes: &[u8]) -> Vec<u8> {
    [DOMAIN, bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_its_bytes_and_key_only() {
        let key = Keypair::from_seed(&[1; 32]);
        let public = PublicKey::of_participant(&key.participant_id()).unwrap();
        let signature = key.sign(b"hello");
        assert_eq!(public.verify(b"hello", &signature), Ok(()));
        assert_eq!(public.verify(b"hullo", &signature), Err(SignatureRejected::BadSignature));
        let other = PublicKey::of_participant(&Keypair::from_seed(&[2; 32]).participant_id());
        assert!(other.unwrap().verify(b"hello", &signature).is_err());
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        let id = ParticipantId::from_bytes(identity_point);
        assert!(matches!(PublicKey::of_participant(&id), Err(SignatureRejected::BadKey)));
    }

    #[test]
    fn nothing_is_signed_outside_the_domain() {
        let key = Keypair::from_seed(&[1; 32]);
        let bare = key.sign(b"hello").into();
        assert!(key.key.verifying_key().verify_strict(b"hello", &bare).is_err());
    }

    /// Whoever holds a key can make `R` the neutral point and `S` the challenge times the secret; a
    /// lenient verifier takes it, a strict one does not, and the two would disagree on a book.
    #[test]
    fn verification_is_strict() {
        let public = PublicKey::of_participant(&Keypair::from_seed(&[1; 32]).participant_id());
        let public = public.unwrap();
        let mut bytes = [0; SIGNATURE_LEN];
        bytes[0] = 1;
        let scalar = "d4a30b33d77d3232f7e9a9e4abc6bbfb481e7fc85b35d0cadd75ee2f23671d0b";
        hex::decode_to_slice(scalar, &mut bytes[32..]).unwrap();
        let signature = Signature::from_bytes(&bytes);
        let in_domain = in_domain(b"hello");
        assert!(
            ed25519_dalek::Verifier::verify(&public.key, &in_domain, &signature.into()).is_ok()
        );
        assert_eq!(public.verify(b"hello", &signature), Err(SignatureRejected::BadSignature));
    }

    #[test]
    fn two_keys_have_one_secret_in_common_and_another_pair_another() {
        let keys = [1, 2, 3].map(|seed| Keypair::from_seed(&[seed; 32]));
        let public = |of: &Keypair| PublicKey::of_participant(&of.participant_id()).unwrap();
        let [a, b, c] = &keys;
        let secret = a.common_secret(&public(b));
        assert_eq!(*b.common_secret(&public(a)), *secret);
        assert_ne!(*c.common_secret(&public(a)), *secret);
        assert_ne!(*a.common_secret(&public(c)), *secret);
    }

    #[test]
    fn debug_output_never_shows_the_secret() {
        let key = Keypair::from_seed(&[0xAB; 32]);
        assert!(!format!("{key:?}").contains("abab"));
    }
}
