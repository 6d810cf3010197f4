//! Masked readings: what the sites of one feeder took in an interval can be added up by everybody,
//! and what any one of them took can be seen by nobody (P41).
//!
//! Every site publishes a share: its energy under masks that it has in common with its neighbours, one
//! adding each mask and the other taking it off, and a Pedersen commitment to the same energy under
//! blindings that cancel in the same way (Kursawe, Danezis and Kohlweiss, *Privacy-friendly
//! aggregation for the smart-grid*, PETS 2011). So masks and blindings vanish from the sum over the
//! whole cohort and from no other, and the sum is checked against the commitments.
//! Not for: who belongs to a cohort, which the certified book says; or what follows from a sum.

mod cohort;
mod opening;
mod pair;
mod sum;
#[cfg(test)]
mod tests;
mod word;

use curve25519_dalek::RistrettoPoint;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use serde::{Deserialize, Serialize};

use crate::id::ParticipantId;
use crate::signing::Keypair;
use crate::units::NetEnergy;
use opening::PairMask;
use pair::Pair;

pub use cohort::{ABSENT_MIN, ABSENT_ONE_IN, COHORT_MIN, Cohort, CohortRefused, NEIGHBOURS_MAX};
pub use opening::{Opening, OpeningRejected, differing};
pub use sum::{SumRejected, add_up};
pub use word::{Finding, OpeningRefused, OpeningWord};

/// What a site publishes of an interval (P42).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The commitment: `m·G + r·H`, compressed.
    pub commitment: [u8; 32],
    /// The energy and the masks, modulo 2⁶⁴, where a negative energy counts from the top down.
    pub masked_mwh: u64,
}

impl Share {
    /// Whether the commitment is a point of the group at all.
    #[must_use]
    pub fn is_point(&self) -> bool {
        CompressedRistretto(self.commitment).decompress().is_some()
    }
}

/// Why a site cannot make its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoShare {
    /// Whoever has this key is not of the cohort.
    #[error("not a member of the cohort")]
    NotOfCohort,
    /// A neighbour's key is none that a secret can be had in common with.
    #[error("the key of a neighbour, {0}, is not usable")]
    BadKey(ParticipantId),
}

/// The share of the site with this key, and what opens it. The same, whenever it is made of the same
/// energy; of two energies for one cohort a site must publish one share only.
///
/// Takes as long whatever the energy is.
///
/// # Errors
///
/// [`NoShare`].
pub fn share(cohort: &Cohort, key: &Keypair, net: NetEnergy) -> Result<(Share, Opening), NoShare> {
    let me = key.participant_id();
    let neighbours = cohort.neighbours(&me).ok_or(NoShare::NotOfCohort)?;
    let net_mwh = net.to_milliwatt_hours();
    let mut pairs = Vec::with_capacity(neighbours.len());
    for other in neighbours {
        let pair = pair::of(cohort, key, &other).ok_or(NoShare::BadKey(other))?;
        pairs.push((other, pair));
    }
    let (masked_mwh, blinding) = under_masks(&me, net_mwh, &pairs);
    let commitment = commit(net_mwh, &blinding).to_bytes();
    let told = pairs.iter().map(|(_, pair)| PairMask::from(pair)).collect();
    let opening = Opening::new(net, &blinding, told);
    Ok((Share { commitment, masked_mwh }, opening))
}

/// An energy under a site's masks, and the sum of its blindings.
fn under_masks(me: &ParticipantId, net_mwh: i64, pairs: &[(ParticipantId, Pair)]) -> (u64, Scalar) {
    let (mut masked_mwh, mut sum) = (net_mwh.cast_unsigned(), Scalar::ZERO);
    for (other, Pair { mask, blinding }) in pairs {
        // The one whose key is less adds what the other takes off.
        if me < other {
            masked_mwh = masked_mwh.wrapping_add(*mask);
            sum = plus(&sum, blinding);
        } else {
            masked_mwh = masked_mwh.wrapping_sub(*mask);
            sum = minus(&sum, blinding);
        }
    }
    (masked_mwh, sum)
}

#[expect(clippy::arithmetic_side_effects, reason = "scalars are added modulo the group's order")]
fn plus(a: &Scalar, b: &Scalar) -> Scalar {
    a + b
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "scalars are subtracted modulo the group's order"
)]
fn minus(a: &Scalar, b: &Scalar) -> Scalar {
    a - b
}

/// The Pedersen commitment to an energy.
#[expect(clippy::arithmetic_side_effects, reason = "points are added in their group")]
fn commit(net_mwh: i64, blinding: &Scalar) -> CompressedRistretto {
    (RistrettoPoint::mul_base(&scalar(net_mwh)) + blinding * second_base()).compress()
}

/// A signed number as a scalar, without a branch on its sign.
#[expect(clippy::arithmetic_side_effects, reason = "scalars are added modulo the group's order")]
fn scalar(number: i64) -> Scalar {
    // n + 2⁶³ is not negative, and 2⁶³ is taken off again.
    let raised = number.cast_unsigned() ^ TOP_BIT;
    Scalar::from(raised) - Scalar::from(TOP_BIT)
}

/// The highest bit of 64.
const TOP_BIT: u64 = 1 << 63;

/// The second base: a point of which nobody knows how it follows from the first one.
fn second_base() -> RistrettoPoint {
    let mut uniform = [0; 64];
    blake3::Hasher::new_derive_key("boltgrid 1 mask base").finalize_xof().fill(&mut uniform);
    RistrettoPoint::from_uniform_bytes(&uniform)
}
