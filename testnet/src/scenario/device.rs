//! What stands behind the meters: loads, PV and batteries, one row of `devices.csv` each.

use boltgrid_protocol::units::{Energy, Power};

use super::error::ScenarioError;
use super::grid::Grid;
use super::profiles::{ProfileId, Profiles};
use super::table::{Decimal, Row, Table};

/// The file.
const FILE: &str = "devices.csv";

const RATED: Decimal = Decimal {
    min: 0.0,
    max: 1e7,
    per_unit: 1e3,
    expected: "a rated power in W, from 0 to 1e7 and never negative",
};
const CAPACITY: Decimal = Decimal {
    min: 1.0,
    max: 1e8,
    per_unit: 1e3,
    expected: "a battery capacity in Wh, from 1 to 1e8",
};
const EFFICIENCY: Decimal = Decimal {
    min: 0.01,
    max: 1.0,
    per_unit: 1e6,
    expected: "a one-way efficiency above 0.01 and at most 1",
};

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Index of the bus in [`Grid::buses`].
    pub bus: usize,
    /// Rated power, a magnitude.
    pub rated: Power,
    /// What it is.
    pub kind: Kind,
}

/// What a device is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Takes its profile's share of rated power.
    Load {
        /// The profile.
        profile: ProfileId,
    },
    /// Could give its profile's share of rated power.
    Pv {
        /// The profile.
        profile: ProfileId,
    },
    /// Takes or gives up to rated power.
    Battery {
        /// What it stores when full, at full scale.
        capacity: Energy,
        /// What is left after charging, and again after discharging, in ppm.
        efficiency_ppm: u32,
    },
}

/// Reads `devices.csv`.
pub(super) fn read(
    bytes: &[u8],
    grid: &Grid,
    profiles: &Profiles,
) -> Result<Vec<Device>, ScenarioError> {
    let columns = ["bus", "device", "profile", "rated_w", "capacity_wh", "efficiency"];
    let mut table = Table::open(FILE, bytes, &columns)?;
    let mut devices: Vec<Device> = Vec::new();
    while let Some(row) = table.next_row()? {
        let bus = bus_of(row, grid)?;
        let rated = Power::from_milliwatts(row.number("rated_w", RATED)?);
        let kind = kind_of(row, profiles)?;
        let is_battery = |kind: &Kind| matches!(kind, Kind::Battery { .. });
        let mut same_bus = devices.iter().filter(|device| device.bus == bus);
        if is_battery(&kind) && same_bus.any(|device| is_battery(&device.kind)) {
            let expected = "at most one battery a bus; add this one to the row above";
            return Err(row.refuse_column("device", expected));
        }
        devices.push(Device { bus, rated, kind });
    }
    match devices.is_empty() {
        true => Err(ScenarioError::Rows { file: FILE, rows: 0, expected: "at least one device" }),
        false => Ok(devices),
    }
}

fn bus_of(row: Row<'_>, grid: &Grid) -> Result<usize, ScenarioError> {
    let bus = row.name("bus")?;
    grid.bus(bus).ok_or_else(|| ScenarioError::Unreachable {
        file: FILE,
        line: row.line(),
        bus: bus.to_owned(),
        slack_bus: grid.buses[0].clone(),
    })
}

fn kind_of(row: Row<'_>, profiles: &Profiles) -> Result<Kind, ScenarioError> {
    match row.text("device") {
        "load" => Ok(Kind::Load { profile: profile_of(row, profiles)? }),
        "pv" => Ok(Kind::Pv { profile: profile_of(row, profiles)? }),
        "battery" => Ok(Kind::Battery {
            capacity: Energy::from_milliwatt_hours(
                row.number("capacity_wh", CAPACITY)?.unsigned_abs(),
            ),
            efficiency_ppm: u32::try_from(row.number("efficiency", EFFICIENCY)?)
                .expect("an efficiency is at most 1 000 000 ppm"),
        }),
        _ => Err(row.refuse_column("device", "`load`, `pv` or `battery`")),
    }
}

fn profile_of(row: Row<'_>, profiles: &Profiles) -> Result<ProfileId, ScenarioError> {
    profiles.find(row.text("profile")).ok_or_else(|| {
        let known = profiles.names().join("`, `");
        row.refuse_column("profile", format!("a column of profiles.csv: `{known}`"))
    })
}
