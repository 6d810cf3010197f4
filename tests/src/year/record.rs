//! What the year leaves behind: for each site and interval, at which cost there was energy, and what
//! its machines took and paid.

use boltgrid_protocol::units::{Energy, Price};

use super::machines::Offer;

/// One interval at one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The price of the interval's trades; `None` without any.
    pub(super) price: Option<Price>,
    /// What energy cost a machine that could take any amount at the price of the interval.
    pub(super) offer: Offer,
    /// What the site had too much of, before machines.
    pub(super) surplus: Energy,
    /// What the machines took.
    pub(super) mined: Energy,
    /// What that cost, in msat times a million.
    pub(super) cost: i128,
    /// How often one of them was started.
    pub(super) starts: u32,
}

/// What the site of some machines contracted, and what became of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    /// What the site bought and got.
    pub(super) bought: Energy,
    /// What of it was for machines.
    pub(super) for_machines: Energy,
    /// What the site sold, as its meter has to show it.
    pub(super) sold_before_losses: Energy,
}

/// What is needed to say what an interval's energy cost the machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) price: Option<Price>,
    pub(super) retail: Price,
    /// What surplus brings that nobody bought.
    pub(super) spare_brings: Price,
    pub(super) delivered: Delivered,
    /// What machines took of what could have been sold at the price.
    pub(super) reserved: Energy,
    /// What the site took on balance without machines, all its PV counted; given, where negative.
    pub(super) net_potential_mwh: i128,
    /// The same as it flowed.
    pub(super) net_mwh: i128,
    pub(super) mined: Energy,
}

impl Account {
    /// At which cost there was energy: unsold surplus at what it would have brought, all else at the
    /// price of the interval, or from the supplier where there was none.
    pub(super) fn offer(&self) -> Offer {
        let price = self.price.map_or(self.retail, |price| price.min(self.retail));
        let spoken_for = mwh(self.delivered.sold_before_losses) + mwh(self.reserved);
        let unsold = (-self.net_potential_mwh - spoken_for).max(0);
        let cheap = if self.spare_brings < price { energy(unsold) } else { Energy::ZERO };
        Offer { cheap, cheap_price: self.spare_brings.min(price), price }
    }

    /// What the machines' energy cost, in msat times a million.
    ///
    /// What was bought for them and came, at the price. What the site then took beyond all it had
    /// bought, and would not have without them, at the supplier's. The rest came from the site's own
    /// surplus.
    pub(super) fn cost(&self) -> i128 {
        let offer = self.offer();
        let bought = mwh(self.delivered.bought);
        let for_machines = mwh(self.delivered.for_machines);
        let mined = mwh(self.mined);
        let beyond = (self.net_mwh + mined - bought).max(0);
        let without = (self.net_mwh - (bought - for_machines)).max(0);
        let supplied = (beyond - without).clamp(0, mined);
        let contracted = for_machines.min(mined - supplied);
        let own = energy(mined - supplied - contracted);
        let at = |price: Price, mwh: i128| i128::from(price.to_msat_per_kwh()) * mwh;
        at(offer.price, contracted) + at(self.retail, supplied) + offer.cost(own)
    }
}

fn mwh(energy: Energy) -> i128 {
    i128::from(energy.to_milliwatt_hours())
}

fn energy(mwh: i128) -> Energy {
    Energy::from_milliwatt_hours(u64::try_from(mwh).expect("an energy of one interval"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sat(sat: i64) -> Price {
        Price::from_msat_per_kwh(sat * 1000)
    }

    const fn kwh(kwh: u64) -> Energy {
        Energy::from_milliwatt_hours(kwh * 1_000_000)
    }

    /// Machines that took 5 kWh behind a load of 3 kWh, all of it bought at 90.
    fn bought() -> Account {
        Account {
            price: Some(sat(90)),
            retail: sat(300),
            spare_brings: sat(80),
            delivered: Delivered {
                bought: kwh(8),
                for_machines: kwh(5),
                sold_before_losses: Energy::ZERO,
            },
            reserved: Energy::ZERO,
            net_potential_mwh: 3_000_000,
            net_mwh: 3_000_000,
            mined: kwh(5),
        }
    }

    /// Machines that took 5 kWh of a surplus of 9, of which 3 were sold.
    fn own() -> Account {
        Account {
            delivered: Delivered { sold_before_losses: kwh(3), ..Delivered::default() },
            net_potential_mwh: -9_000_000,
            net_mwh: -9_000_000,
            ..bought()
        }
    }

    /// In sat.
    fn cost(account: &Account) -> i128 {
        account.cost() / 1_000_000 / 1000
    }

    #[test]
    fn what_was_bought_costs_its_price_and_what_did_not_come_the_suppliers() {
        assert_eq!(cost(&bought()), 5 * 90);
        let half = Delivered { bought: kwh(4), for_machines: kwh(2), ..Delivered::default() };
        // The load would have lacked one of three in any case.
        assert_eq!(cost(&Account { delivered: half, ..bought() }), 2 * 90 + 3 * 300);
    }

    #[test]
    fn a_load_that_was_forecast_wrong_is_not_the_machines_fault() {
        assert_eq!(cost(&Account { net_mwh: 4_000_000, ..bought() }), 5 * 90);
    }

    #[test]
    fn surplus_that_nobody_bought_costs_what_it_would_have_brought() {
        assert_eq!(cost(&own()), 5 * 80);
        assert_eq!(own().offer().cheap, kwh(6));
        let reserved = Account { reserved: kwh(5), ..own() };
        assert_eq!(cost(&reserved), 80 + 4 * 90, "it could have been sold at the price");
        assert_eq!(cost(&Account { spare_brings: sat(-30), ..own() }), -5 * 30);
    }

    #[test]
    fn without_a_price_there_is_own_surplus_and_the_supplier() {
        let account =
            Account { price: None, net_mwh: -1_000_000, net_potential_mwh: -1_000_000, ..own() };
        let nothing_sold = Account { delivered: Delivered::default(), ..account };
        assert_eq!(cost(&nothing_sold), 80 + 4 * 300);
    }

    #[test]
    fn no_account_is_cheaper_than_its_offer() {
        for account in [bought(), own(), Account { reserved: kwh(5), ..own() }] {
            assert!(account.cost() >= account.offer().cost(account.mined), "{account:?}");
        }
    }
}
