//! Units of mining: how fast a machine hashes, what that takes, and what it earns.
//! Not for: where a hashprice comes from, or what it makes of a kilowatt-hour.

use std::fmt;

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};

/// Gigahashes in a terahash.
const GH_PER_TH: u128 = 1000;

/// A hash rate in GH/s.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct HashRate {
    gh_per_s: u64,
}

/// What a machine takes for its hashes, in mJ/TH: 17 500 is 17.5 J/TH. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Efficiency {
    mj_per_th: u64,
}

/// What a terahash a second earns in a day, in msat.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Hashprice {
    msat_per_th_day: u64,
}

/// An efficiency of zero, which no machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no machine hashes without power: an efficiency is above 0 mJ/TH")]
pub struct NoPower;

impl HashRate {
    /// Not hashing.
    pub const ZERO: Self = Self { gh_per_s: 0 };

    /// A hash rate in gigahashes a second.
    #[must_use]
    pub const fn from_gigahashes(gh_per_s: u64) -> Self {
        Self { gh_per_s }
    }

    /// The hash rate in gigahashes a second.
    #[must_use]
    pub const fn to_gigahashes(self) -> u64 {
        self.gh_per_s
    }
}

impl Efficiency {
    /// An efficiency in millijoules a terahash.
    ///
    /// # Errors
    ///
    /// [`NoPower`] for zero.
    pub const fn from_millijoules(mj_per_th: u64) -> Result<Self, NoPower> {
        if mj_per_th == 0 { Err(NoPower) } else { Ok(Self { mj_per_th }) }
    }

    /// The efficiency in millijoules a terahash.
    #[must_use]
    pub const fn to_millijoules(self) -> u64 {
        self.mj_per_th
    }

    /// What `power` (import positive) takes for a terahash at `rate`, rounded up; `None` where
    /// nothing is drawn or hashed.
    #[must_use]
    pub fn of_ceil(power: Power, rate: HashRate) -> Option<Self> {
        let mw = u128::try_from(power.to_milliwatts()).ok()?;
        // mJ/TH = (mW) / (TH/s)
        let mj = mw.checked_mul(GH_PER_TH)?;
        let per = u128::from(rate.gh_per_s);
        let rounded = mj.checked_add(per.checked_sub(1)?)?.checked_div(per)?;
        Self::from_millijoules(u64::try_from(rounded).ok()?).ok()
    }
}

impl Hashprice {
    /// A hashprice in millisatoshi for a terahash a second over a day.
    #[must_use]
    pub const fn from_msat_per_th_day(msat_per_th_day: u64) -> Self {
        Self { msat_per_th_day }
    }

    /// The hashprice in millisatoshi for a terahash a second over a day.
    #[must_use]
    pub const fn to_msat_per_th_day(self) -> u64 {
        self.msat_per_th_day
    }
}

impl TryFrom<u64> for Efficiency {
    type Error = NoPower;

    fn try_from(mj_per_th: u64) -> Result<Self, NoPower> {
        Self::from_millijoules(mj_per_th)
    }
}

impl From<Efficiency> for u64 {
    fn from(efficiency: Efficiency) -> Self {
        efficiency.mj_per_th
    }
}

impl fmt::Display for HashRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} GH/s", self.gh_per_s)
    }
}

impl fmt::Display for Efficiency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mJ/TH", self.mj_per_th)
    }
}

impl fmt::Display for Hashprice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat/TH/day", self.msat_per_th_day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_and_a_half_kilowatts_at_200_terahashes_are_17_and_a_half_joules_each() {
        let power = Power::from_watts(3500).unwrap();
        let found = Efficiency::of_ceil(power, HashRate::from_gigahashes(200_000)).unwrap();
        assert_eq!(found.to_millijoules(), 17_500);
    }

    #[test]
    fn a_machine_that_does_not_hash_has_no_efficiency() {
        let power = Power::from_watts(40).unwrap();
        assert_eq!(Efficiency::of_ceil(power, HashRate::ZERO), None);
        assert_eq!(Efficiency::of_ceil(Power::ZERO, HashRate::from_gigahashes(1)), None);
        assert_eq!(Efficiency::try_from(0), Err(NoPower));
    }
}
