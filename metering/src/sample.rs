//! One instant of a site: what its grid meter, its PV and its battery showed together.
//! Several inverters or batteries of one site are one to the market: they are added up here.
//! Not for: an interval's edge (see [`crate::edge`]) or what is signed (see [`crate::chain`]).

use boltgrid_protocol::units::{Energy, Power, Timestamp};

/// The site's meter at the grid connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterSample {
    /// Power into the site; negative when it exports.
    pub power: Power,
    /// All energy ever taken from the grid.
    pub import_register: Energy,
    /// All energy ever given to it.
    pub export_register: Energy,
    /// Mean phase voltage, where the meter has it.
    pub voltage_mv: Option<u32>,
    /// Frequency in millihertz, where the meter has it.
    pub frequency_mhz: Option<u32>,
}

/// A PV inverter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PvSample {
    /// Power it produces: positive, against the sign of the site's import.
    pub power: Power,
    /// Power it could produce, never below [`Self::power`]. `None` while it is turned down and does
    /// not say.
    pub potential: Option<Power>,
    /// Whether it can be turned down.
    pub curtailable: bool,
    /// Its rated power, where it says.
    pub rated: Option<Power>,
}

/// A battery with its inverter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatterySample {
    /// Power into the battery; negative when it discharges.
    pub power: Power,
    /// Energy it holds.
    pub stored: Energy,
    /// Energy it can hold.
    pub capacity: Energy,
    /// Most power it takes, positive.
    pub charge_max: Power,
    /// Most power it gives, positive.
    pub discharge_max: Power,
}

impl PvSample {
    /// Two inverters as one: it can be turned down if either can.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let both = |one: Option<Power>, another: Option<Power>| Some(sum(one?, another?));
        Self {
            power: sum(self.power, other.power),
            potential: both(self.potential, other.potential),
            curtailable: self.curtailable || other.curtailable,
            rated: both(self.rated, other.rated),
        }
    }
}

impl BatterySample {
    /// Two batteries as one.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            power: sum(self.power, other.power),
            stored: self.stored.saturating_add(other.stored),
            capacity: self.capacity.saturating_add(other.capacity),
            charge_max: sum(self.charge_max, other.charge_max),
            discharge_max: sum(self.discharge_max, other.discharge_max),
        }
    }
}

/// The sum of two powers that devices showed, held at 63 bits.
fn sum(one: Power, other: Power) -> Power {
    Power::from_milliwatts(one.to_milliwatts().saturating_add(other.to_milliwatts()))
}

/// A whole site at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When. What was measured is no older than this.
    pub at: Timestamp,
    /// The meter.
    pub meter: MeterSample,
    /// The PV: `None` where there is none, `Some(Err(…))` where it did not answer.
    pub pv: Option<Result<PvSample, Unanswered>>,
    /// The battery, likewise.
    pub battery: Option<Result<BatterySample, Unanswered>>,
}

/// A device of the site that did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

impl Sample {
    /// What the site's power would be if nothing were turned down. `None` where it cannot tell.
    #[must_use]
    pub fn potential(&self) -> Option<Power> {
        match self.pv {
            None => Some(self.meter.power),
            Some(Err(Unanswered)) => None,
            Some(Ok(pv)) => self.meter.power.checked_sub(pv.potential?.checked_sub(pv.power)?),
        }
    }

    /// What the site uses apart from PV and battery: grid + PV − battery. It may be slightly below
    /// zero, as the devices do not measure in the same millisecond. `None` where a device is silent.
    #[must_use]
    pub fn load(&self) -> Option<Power> {
        let pv = self.pv.transpose().ok()?.map_or(Power::ZERO, |pv| pv.power);
        let battery = self.battery.transpose().ok()?.map_or(Power::ZERO, |battery| battery.power);
        self.meter.power.checked_add(pv)?.checked_sub(battery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    fn sample(grid_w: i64, pv_w: i64, potential_w: Option<i64>, battery_w: i64) -> Sample {
        let (import_register, export_register) = (Energy::ZERO, Energy::ZERO);
        let meter = MeterSample {
            power: watts(grid_w),
            import_register,
            export_register,
            voltage_mv: None,
            frequency_mhz: None,
        };
        let pv = PvSample {
            power: watts(pv_w),
            potential: potential_w.map(watts),
            curtailable: true,
            rated: None,
        };
        let battery = BatterySample {
            power: watts(battery_w),
            stored: Energy::ZERO,
            capacity: Energy::ZERO,
            charge_max: Power::ZERO,
            discharge_max: Power::ZERO,
        };
        Sample { at: Timestamp::default(), meter, pv: Some(Ok(pv)), battery: Some(Ok(battery)) }
    }

    #[test]
    fn load_is_what_flows_in_from_all_sides() {
        assert_eq!(sample(-1_000, 5_000, None, 3_000).load(), Some(watts(1_000)));
        assert_eq!(sample(500, 0, None, -1_500).load(), Some(watts(2_000)));
    }

    #[test]
    fn potential_is_the_power_with_nothing_turned_down() {
        assert_eq!(sample(-1_000, 2_000, Some(5_000), 0).potential(), Some(watts(-4_000)));
        assert_eq!(sample(-1_000, 2_000, Some(2_000), 0).potential(), Some(watts(-1_000)));
        assert_eq!(sample(-1_000, 2_000, None, 0).potential(), None);
        let without_pv = Sample { pv: None, ..sample(700, 0, None, 0) };
        assert_eq!(without_pv.potential(), Some(watts(700)));
    }

    #[test]
    fn two_inverters_are_one_that_knows_what_both_know() {
        let (Some(Ok(one)), Some(Ok(other))) =
            (sample(0, 2_000, Some(3_000), 0).pv, sample(0, 500, None, 0).pv)
        else {
            panic!("there are two");
        };
        let both = PvSample { curtailable: false, ..one }.plus(other);
        assert_eq!((both.power, both.potential, both.curtailable), (watts(2_500), None, true));
        assert_eq!(one.plus(one).potential, Some(watts(6_000)));
    }

    #[test]
    fn with_a_silent_device_neither_is_known() {
        let silent = Sample { pv: Some(Err(Unanswered)), ..sample(0, 0, Some(0), 0) };
        assert_eq!((silent.load(), silent.potential()), (None, None));
    }
}
