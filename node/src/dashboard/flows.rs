//! Where a site's power comes from and goes to: one instant of the meter, split between the site's
//! parts, its neighbours and the supplier.
//!
//! Which of the watts at the connection are a neighbour's cannot be measured. They are taken to be the
//! neighbours' as far as trades cover them, and the supplier's beyond, as settlement does with energy.

use boltgrid_protocol::units::{Energy, Power};

use crate::site::SiteState;

/// Power of each part in milliwatts. What a part gives to the house is positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flows {
    pub(super) sun_mw: i64,
    /// None without a battery.
    pub(super) battery_mw: Option<i64>,
    /// None while no generator gives anything.
    pub(super) generator_mw: Option<i64>,
    pub(super) neighbours_mw: i64,
    pub(super) supplier_mw: i64,
    /// What the house uses, machines apart; never negative.
    pub(super) house_mw: i64,
    /// What machines draw; never negative. None without machines.
    pub(super) miners_mw: Option<i64>,
}

impl Flows {
    /// The flows of a sample, with what machines draw and what was traded over the whole interval:
    /// bought less sold.
    pub(super) fn new(state: &SiteState, miners_mw: Option<i64>, traded: Power) -> Self {
        let net = state.power_mw.to_milliwatts();
        let traded = traded.to_milliwatts();
        // What is traded the other way than power flows is not delivered at all.
        let neighbours_mw = match (net > 0, traded > 0) {
            (true, true) => net.min(traded),
            (false, false) => net.max(traded),
            (true, false) | (false, true) => 0,
        };
        let miners_mw = miners_mw.map(|mw| mw.max(0));
        let load = state.load_mw.to_milliwatts();
        let generator_mw = state.generator_mw.to_milliwatts().max(0);
        Self {
            sun_mw: state.pv_mw.to_milliwatts().max(0),
            battery_mw: state.battery.map(|it| it.power_mw.to_milliwatts().saturating_neg()),
            generator_mw: (generator_mw > 0).then_some(generator_mw),
            neighbours_mw,
            supplier_mw: net.saturating_sub(neighbours_mw),
            house_mw: load.saturating_sub(miners_mw.unwrap_or(0)).max(0),
            miners_mw,
        }
    }
}

/// The power that carries so much energy over an interval.
pub(super) fn mean_power(energy: Energy, interval_ms: u64) -> Power {
    const MS_PER_HOUR: u128 = 3_600_000;
    let mw = u128::from(energy.to_milliwatt_hours()) * MS_PER_HOUR / u128::from(interval_ms.max(1));
    Power::from_milliwatts(i64::try_from(mw).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Timestamp;

    use super::*;

    fn state(net_w: i64, load_w: i64, pv_w: i64) -> SiteState {
        let power = |watts: i64| Power::from_watts(watts).unwrap();
        SiteState {
            at: Timestamp::default(),
            power_mw: power(net_w),
            load_mw: power(load_w),
            pv_mw: power(pv_w),
            pv_potential_mw: power(pv_w),
            pv_curtailable: false,
            generator_mw: Power::ZERO,
            battery: None,
            import_register_mwh: Energy::ZERO,
            export_register_mwh: Energy::ZERO,
            voltage_mv: None,
            frequency_mhz: None,
            stale: None,
        }
    }

    fn split(net_w: i64, traded_w: i64) -> (i64, i64) {
        let flows = Flows::new(&state(net_w, 0, 0), None, Power::from_watts(traded_w).unwrap());
        (flows.neighbours_mw / 1_000, flows.supplier_mw / 1_000)
    }

    #[test]
    fn neighbours_have_what_was_traded_and_the_supplier_the_rest() {
        assert_eq!(split(1_000, 400), (400, 600));
        assert_eq!(split(1_000, 1_500), (1_000, 0));
        assert_eq!(split(-1_000, -300), (-300, -700));
        assert_eq!(split(-1_000, 300), (0, -1_000), "bought, but the site gives");
        assert_eq!(split(1_000, -300), (0, 1_000), "sold, but the site takes");
    }

    #[test]
    fn what_machines_draw_is_not_the_houses() {
        let flows = Flows::new(&state(0, 3_000, 3_000), Some(2_400_000), Power::ZERO);
        assert_eq!((flows.house_mw, flows.miners_mw), (600_000, Some(2_400_000)));
        let wrong = Flows::new(&state(0, 1_000, 1_000), Some(2_400_000), Power::ZERO);
        assert_eq!(wrong.house_mw, 0, "machines' own word may come late");
    }

    #[test]
    fn what_generators_give_stands_beside_what_comes_from_outside() {
        let generator_mw = Power::from_watts(5_000).unwrap();
        let state = SiteState { generator_mw, ..state(1_000, 6_000, 0) };
        let flows = Flows::new(&state, Some(5_500_000), Power::ZERO);
        assert_eq!(flows.generator_mw, Some(5_000_000));
        let given = flows.supplier_mw + 5_000_000;
        assert_eq!(flows.house_mw + 5_500_000, given, "what is given is what is used");
        assert_eq!(Flows::new(&self::state(0, 0, 0), None, Power::ZERO).generator_mw, None);
    }

    #[test]
    fn energy_over_an_interval_is_a_power() {
        let quarter = mean_power(Energy::from_milliwatt_hours(250_000), 900_000);
        assert_eq!(quarter, Power::from_watts(1_000).unwrap());
    }
}
