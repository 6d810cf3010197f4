//! What the charter says about paying for what was delivered: how much at once, and by when.
//!
//! Not for: how much one member trusts another, which everyone decides for itself.

use serde::{Deserialize, Serialize};

use super::{CharterRejected, require};
use crate::units::Energy;

/// The smallest tranche, in mWh: below it, payments cost more than they are worth.
pub const TRANCHE_MIN_MWH: u64 = 50_000;
/// The largest tranche, in mWh: what a newcomer can at most take without paying.
pub const TRANCHE_MAX_MWH: u64 = 250_000;
/// The shortest time to pay: a second.
const PAY_WITHIN_MIN_MS: u64 = 1_000;
/// The longest time to pay: 30 days.
const PAY_WITHIN_MAX_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 86_400_000;

/// How members pay each other (P31). A charter without this table has the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentTerms {
    /// How much energy is paid for at once, [`TRANCHE_MIN_MWH`] to [`TRANCHE_MAX_MWH`].
    pub tranche_mwh: Energy,
    /// How long after the readings of an interval were due everything due for it is to be paid.
    pub pay_within_ms: u64,
    /// Whether members pass on payments between other members, at no fee.
    pub forwarding: bool,
}

impl Default for PaymentTerms {
    /// The largest tranche, a day to pay, and payments between channel partners only.
    fn default() -> Self {
        Self {
            tranche_mwh: Energy::from_milliwatt_hours(TRANCHE_MAX_MWH),
            pay_within_ms: DAY_MS,
            forwarding: false,
        }
    }
}

impl PaymentTerms {
    pub(super) fn check(&self) -> Result<(), CharterRejected> {
        for (parameter, value, range) in [
            (
                "settlement.tranche_mwh",
                self.tranche_mwh.to_milliwatt_hours(),
                TRANCHE_MIN_MWH..=TRANCHE_MAX_MWH,
            ),
            ("settlement.pay_within_ms", self.pay_within_ms, PAY_WITHIN_MIN_MS..=PAY_WITHIN_MAX_MS),
        ] {
            require(range.contains(&value), parameter, || {
                format!("must be {} to {}, is {value}", range.start(), range.end())
            })?;
        }
        Ok(())
    }
}
