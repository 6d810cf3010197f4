//! What two neighbours have in common and nobody else knows: a mask and a blinding of one interval.
//!
//! The secret is X25519 between their keys, which either side computes from its own key and the
//! roster, so that nothing is exchanged. One key for both Ed25519 and X25519 is sound (Thormarker, *On
//! using the same key pair for Ed25519 and an X25519 based KEM*, eprint 2021/509).

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, Zeroizing};

use super::Cohort;
use crate::id::ParticipantId;
use crate::signing::{Keypair, PublicKey};

/// The masks of one pair. Wiped from memory on drop.
pub(super) struct Pair {
    pub(super) mask: u64,
    pub(super) blinding: Scalar,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.mask.zeroize();
        self.blinding.zeroize();
    }
}

/// What `key` has in common with `other`; none where the other's key is no usable point.
pub(super) fn of(cohort: &Cohort, key: &Keypair, other: &ParticipantId) -> Option<Pair> {
    let me = key.participant_id();
    let secret = key.common_secret(&PublicKey::of_participant(other).ok()?);
    let (less, more) = if me < *other { (&me, other) } else { (other, &me) };
    let mut seed = blake3::Hasher::new_derive_key("boltgrid 1 mask pair");
    seed.update(secret.as_slice());
    seed.update(less.as_bytes());
    seed.update(more.as_bytes());
    let seed = Zeroizing::new(<[u8; 32]>::from(seed.finalize()));
    let mut stream = blake3::Hasher::new_keyed(&seed).update(cohort.digest()).finalize_xof();
    let mut mask = Zeroizing::new([0; 8]);
    stream.fill(mask.as_mut_slice());
    let mut wide = Zeroizing::new([0; 64]);
    stream.fill(wide.as_mut_slice());
    Some(Pair {
        mask: u64::from_le_bytes(*mask),
        blinding: Scalar::from_bytes_mod_order_wide(&wide),
    })
}
