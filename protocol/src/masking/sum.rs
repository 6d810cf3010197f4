//! The sum of a cohort's shares, which anybody can make and check.

use std::collections::BTreeMap;

use curve25519_dalek::RistrettoPoint;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::traits::Identity;

use super::{Cohort, Share, scalar};
use crate::id::ParticipantId;
use crate::units::NetEnergy;

/// Why shares have no sum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumRejected {
    /// Without all shares the masks do not vanish: the interval is given up.
    #[error("{} shares are missing", .0.len())]
    Missing(Vec<ParticipantId>),
    /// A commitment that is no point. Whoever signed it broke the rules.
    #[error("the commitment of {0} is no point")]
    NotAPoint(ParticipantId),
    /// The commitments are to something else than the masked energies: somebody of the cohort lies.
    #[error("the commitments are to another sum than the masked energies")]
    DoesNotAddUp,
}

/// What a cohort took on balance. Shares of others are left alone.
///
/// # Errors
///
/// [`SumRejected`].
pub fn add_up(
    cohort: &Cohort,
    shares: &BTreeMap<ParticipantId, Share>,
) -> Result<NetEnergy, SumRejected> {
    let missing = cohort.sites().iter().filter(|site| !shares.contains_key(*site));
    let missing: Vec<ParticipantId> = missing.copied().collect();
    if !missing.is_empty() {
        return Err(SumRejected::Missing(missing));
    }
    let (mut total, mut point) = (0_u64, RistrettoPoint::identity());
    for (site, share) in shares.iter().filter(|(site, _)| cohort.sites().contains(site)) {
        let commitment = CompressedRistretto(share.commitment).decompress();
        point = joined(&point, &commitment.ok_or(SumRejected::NotAPoint(*site))?);
        total = total.wrapping_add(share.masked_mwh);
    }
    let sum = total.cast_signed();
    if RistrettoPoint::mul_base(&scalar(sum)) == point {
        Ok(NetEnergy::from_milliwatt_hours(sum))
    } else {
        Err(SumRejected::DoesNotAddUp)
    }
}

#[expect(clippy::arithmetic_side_effects, reason = "points are added in their group")]
fn joined(a: &RistrettoPoint, b: &RistrettoPoint) -> RistrettoPoint {
    a + b
}
