//! What opens a share to an arbiter: the energy and the blinding, and where a sum is spoilt each mask
//! that the site has in common with a neighbour, so that the whole share follows from it (P44).
//!
//! Not for: which openings an arbiter takes, or what it reckons with them.

use std::collections::BTreeMap;

use curve25519_dalek::scalar::Scalar;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::pair::Pair;
use super::{Cohort, NEIGHBOURS_MAX, Share, commit, under_masks};
use crate::id::ParticipantId;
use crate::units::NetEnergy;

/// What opens a share: to be shown to an arbiter and to nobody else. Wiped from memory on drop.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    net_mwh: i64,
    blinding: [u8; 32],
    /// With every neighbour, ascending; empty where they are not shown.
    pairs: Vec<PairMask>,
}

/// What a site says that it has in common with one neighbour.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PairMask {
    pub(super) mask: u64,
    pub(super) blinding: [u8; 32],
}

/// Why an opening opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum OpeningRejected {
    /// Whoever opens is not of the cohort.
    #[error("not a member of the cohort")]
    NotOfCohort,
    /// A blinding that is no number below the group's order.
    #[error("a blinding is no scalar")]
    NotAScalar,
    /// The share is a commitment to something else.
    #[error("the share commits to something else")]
    OtherCommitment,
    /// Not one mask for each neighbour.
    #[error("not one mask for each neighbour")]
    MaskCount,
    /// The share does not follow from the masks.
    #[error("the share does not follow from these masks")]
    OtherMasks,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening(…)")
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.net_mwh.zeroize();
        self.blinding.zeroize();
    }
}

impl Drop for PairMask {
    fn drop(&mut self) {
        self.mask.zeroize();
        self.blinding.zeroize();
    }
}

impl From<&Pair> for PairMask {
    fn from(pair: &Pair) -> Self {
        Self { mask: pair.mask, blinding: pair.blinding.to_bytes() }
    }
}

impl Opening {
    /// Most bytes of an opening with the masks of all neighbours.
    pub const LIMIT: usize = 52 + NEIGHBOURS_MAX * 40;

    pub(super) fn new(net: NetEnergy, blinding: &Scalar, pairs: Vec<PairMask>) -> Self {
        Self { net_mwh: net.to_milliwatt_hours(), blinding: blinding.to_bytes(), pairs }
    }

    /// One with so many masks of nothing.
    #[cfg(test)]
    pub(crate) fn with_masks(count: usize) -> Self {
        let none = PairMask { mask: 0, blinding: [0; 32] };
        Self { net_mwh: 0, blinding: [0; 32], pairs: vec![none; count] }
    }

    /// The same without the masks: enough where the cohort's shares add up.
    #[must_use]
    pub fn without_masks(mut self) -> Self {
        self.pairs.clear();
        self
    }

    /// The energy.
    #[must_use]
    pub const fn net(&self) -> NetEnergy {
        NetEnergy::from_milliwatt_hours(self.net_mwh)
    }

    /// The blinding's 32 bytes.
    #[must_use]
    pub const fn blinding(&self) -> [u8; 32] {
        self.blinding
    }

    /// How many masks are shown.
    #[must_use]
    pub const fn masks(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it shows no more masks than a site has neighbours.
    pub(crate) const fn is_bounded(&self) -> bool {
        self.pairs.len() <= NEIGHBOURS_MAX
    }

    /// Whether this opens the share of that site: the commitment, and where masks are shown the masked
    /// energy too.
    ///
    /// # Errors
    ///
    /// [`OpeningRejected`].
    pub fn check(
        &self,
        cohort: &Cohort,
        site: &ParticipantId,
        share: &Share,
    ) -> Result<(), OpeningRejected> {
        let neighbours = cohort.neighbours(site).ok_or(OpeningRejected::NotOfCohort)?;
        let blinding = scalar(self.blinding)?;
        if commit(self.net_mwh, &blinding).to_bytes() != share.commitment {
            return Err(OpeningRejected::OtherCommitment);
        }
        if self.pairs.is_empty() {
            return Ok(());
        }
        if self.pairs.len() != neighbours.len() {
            return Err(OpeningRejected::MaskCount);
        }
        let mut pairs = Vec::with_capacity(self.pairs.len());
        for (other, told) in neighbours.iter().zip(&self.pairs) {
            pairs.push((*other, Pair { mask: told.mask, blinding: scalar(told.blinding)? }));
        }
        let follows = under_masks(site, self.net_mwh, &pairs) == (share.masked_mwh, blinding);
        if follows { Ok(()) } else { Err(OpeningRejected::OtherMasks) }
    }

    /// What this site says that it has in common with a neighbour.
    fn told_of(
        &self,
        cohort: &Cohort,
        site: &ParticipantId,
        other: &ParticipantId,
    ) -> Option<&PairMask> {
        let neighbours = cohort.neighbours(site)?;
        self.pairs.get(neighbours.iter().position(|it| it == other)?)
    }
}

/// The pairs of neighbours that both showed their masks and tell different ones: one of the two lies.
/// Each opening must have passed [`Opening::check`].
///
/// If all sites of a cohort show their masks and no pair differs, their shares add up.
#[must_use]
pub fn differing(
    cohort: &Cohort,
    openings: &BTreeMap<ParticipantId, Opening>,
) -> Vec<(ParticipantId, ParticipantId)> {
    let mut found = Vec::new();
    for (site, opening) in openings {
        let neighbours = cohort.neighbours(site).unwrap_or_default();
        for (other, told) in neighbours.iter().zip(&opening.pairs).filter(|(it, _)| site < *it) {
            let theirs = openings.get(other).and_then(|it| it.told_of(cohort, other, site));
            if theirs.is_some_and(|theirs| theirs != told) {
                found.push((*site, *other));
            }
        }
    }
    found
}

fn scalar(bytes: [u8; 32]) -> Result<Scalar, OpeningRejected> {
    Option::from(Scalar::from_canonical_bytes(bytes)).ok_or(OpeningRejected::NotAScalar)
}

#[cfg(test)]
mod tests;
