//! What is changed between a member and its supplier by what is learnt late about an interval of which
//! readings were missing: an entry of its own, beside the one that settled the interval.
//!
//! Nothing was delivered of such an interval (P23), so all that flowed is the supplier's, and no trade
//! changes.
//! Not for: how what flowed is told, or substituted meanwhile.

use boltgrid_protocol::charter::TariffPrices;
use boltgrid_protocol::units::{Interval, NetEnergy, OutOfRange, SignedMsat};

use super::signed;
use crate::ledger::{Account, Entry, Posting, Unbalanced};

/// What was reckoned with, and what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The interval.
    pub interval: Interval,
    /// What the meter was taken to have taken on balance; zero where nothing was known.
    pub was: NetEnergy,
    /// What it is taken to have.
    pub is: NetEnergy,
    /// The supplier's prices in the interval.
    pub prices: TariffPrices,
}

/// Why a correction is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCorrection {
    /// A sum does not fit its type.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Never, as both postings are made of the same numbers.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
}

impl Correction {
    /// What the difference brings the member, at the tariff.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] beyond 63 bits.
    pub fn due(&self) -> Result<SignedMsat, OutOfRange> {
        let was = self.supplied(self.was)?.checked_neg().ok_or(OutOfRange)?;
        self.supplied(self.is)?.checked_add(was).ok_or(OutOfRange)
    }

    /// The ledger entry: the difference, between the member and its supplier.
    ///
    /// # Errors
    ///
    /// [`NoCorrection`], when a sum does not fit 63 bits.
    pub fn entry(&self) -> Result<Entry, NoCorrection> {
        let more = self.was.checked_neg().and_then(|was| self.is.checked_add(was));
        let (energy, money) = (more.ok_or(OutOfRange)?, self.due()?);
        let postings = vec![
            Posting { account: Account::Me, energy, money },
            Posting {
                account: Account::Supplier,
                energy: energy.checked_neg().ok_or(OutOfRange)?,
                money: money.checked_neg().ok_or(OutOfRange)?,
            },
        ];
        Ok(Entry::new(self.interval, postings)?)
    }

    fn supplied(&self, net: NetEnergy) -> Result<SignedMsat, OutOfRange> {
        let TariffPrices { retail_msat_per_kwh: retail, feed_in_msat_per_kwh: feed_in } =
            self.prices;
        let for_import = signed(retail.amount_floor(net.received())?, retail.is_negative());
        let for_export = signed(feed_in.amount_floor(net.given())?, !feed_in.is_negative());
        for_import.checked_add(for_export).ok_or(OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Price;

    use super::*;

    fn correction(was_mwh: i64, is_mwh: i64) -> Correction {
        Correction {
            interval: Interval::from_number(7),
            was: NetEnergy::from_milliwatt_hours(was_mwh),
            is: NetEnergy::from_milliwatt_hours(is_mwh),
            prices: TariffPrices {
                retail_msat_per_kwh: Price::from_msat_per_kwh(300_000),
                feed_in_msat_per_kwh: Price::from_msat_per_kwh(80_000),
            },
        }
    }

    #[test]
    fn only_the_difference_is_entered_and_each_side_at_its_own_price() {
        let due = |was, is| correction(was, is).due().unwrap().to_millisatoshi();
        assert_eq!(due(0, 1_000_000), -300_000);
        assert_eq!(due(1_000_000, 800_000), 60_000);
        assert_eq!(due(1_000_000, -500_000), 340_000);
        assert_eq!(due(-500_000, -500_000), 0);
    }

    #[test]
    fn a_correction_is_between_the_member_and_its_supplier() {
        let entry = correction(1_000_000, 800_000).entry().unwrap();
        let told: Vec<_> = entry
            .postings()
            .iter()
            .map(|it| (it.account, it.energy.to_milliwatt_hours(), it.money.to_millisatoshi()))
            .collect();
        let expected = [(Account::Me, -200_000, 60_000), (Account::Supplier, 200_000, -60_000)];
        assert_eq!(told, expected);
    }
}
