//! What stands on the equipment of a site; it never changes during a run.

use boltgrid_protocol::units::{Energy, Power};

/// The equipment of a site. All powers are magnitudes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nameplate {
    /// The name of the bus, with the number of the copy from the second on: `bus7`, `bus7-2`.
    pub name: String,
    /// The most that loads and battery together may take, with a margin of a quarter.
    pub rated_import: Power,
    /// The most that PV and battery together may give, with a margin of a quarter.
    pub rated_export: Power,
    /// The PV inverter, if there is one.
    pub pv: Option<PvNameplate>,
    /// The battery, if there is one.
    pub battery: Option<BatteryNameplate>,
}

/// A PV inverter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PvNameplate {
    /// Rated power.
    pub rated: Power,
    /// Whether it obeys a limit. If not, its surplus is must-run.
    pub curtailable: bool,
}

/// A battery, at the scale of the compressed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatteryNameplate {
    /// Rated power for charging and for discharging.
    pub rated: Power,
    /// What it stores when full.
    pub capacity: Energy,
    /// What is left after charging, and again after discharging, in ppm.
    pub efficiency_ppm: u32,
}
