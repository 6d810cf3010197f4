//! The site as last measured, for everyone who wants to know.

use std::fmt;
use std::sync::Arc;

use boltgrid_metering::drivers::DeviceError;
use boltgrid_metering::plausibility::Finding;
use boltgrid_metering::registers::RegistersRejected;
use boltgrid_metering::role::Role;
use boltgrid_metering::sample::Sample;
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::{Energy, Power, Timestamp};

/// The site at one instant.
#[derive(Clone, Debug)]
pub struct SiteState {
    /// When it was measured.
    pub at: Timestamp,
    /// Power into the site; negative when it exports.
    pub power_mw: Power,
    /// What the site uses apart from PV, battery and generator, at least zero.
    pub load_mw: Power,
    /// What PV gives, as a positive amount.
    pub pv_mw: Power,
    /// What PV could give; the same where it does not say.
    pub pv_potential_mw: Power,
    /// Whether PV can be turned down.
    pub pv_curtailable: bool,
    /// What generators give by their meters, as a positive amount.
    pub generator_mw: Power,
    /// The battery; none without one.
    pub battery: Option<BatteryState>,
    /// All energy ever taken from the grid.
    pub import_register_mwh: Energy,
    /// All energy ever given to it.
    pub export_register_mwh: Energy,
    /// Mean phase voltage, where the meter has it.
    pub voltage_mv: Option<u32>,
    /// Frequency in millihertz, where the meter has it.
    pub frequency_mhz: Option<u32>,
    /// Why the values can no longer be relied on, if so.
    pub stale: Option<Stale>,
}

/// The battery at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatteryState {
    /// Power into the battery; negative when it discharges.
    pub power_mw: Power,
    /// Energy it holds.
    pub stored_mwh: Energy,
    /// Energy it can hold.
    pub capacity_mwh: Energy,
    /// Most power it takes, positive.
    pub charge_max_mw: Power,
    /// Most power it gives, positive.
    pub discharge_max_mw: Power,
}

/// A meter of the site, real or virtual, as last read.
#[derive(Clone, Debug)]
pub struct MeterState {
    /// What it is called.
    pub name: Arc<str>,
    /// What it measures.
    pub role: Role,
    /// Whether it is made of other meters.
    pub is_virtual: bool,
    /// Whether its readings are signed and settled.
    pub settles: bool,
    /// What it showed last; `None` before the first time.
    pub last: Option<MeterValue>,
    /// Why it shows nothing now, if so.
    pub stale: Option<Stale>,
}

/// What a meter showed.
#[derive(Clone, Copy, Debug)]
pub struct MeterValue {
    /// When it was measured.
    pub at: Timestamp,
    /// Power through it, positive where taken.
    pub power: Option<Power>,
    /// All energy ever taken, as counted or integrated. Integrated registers of meters that do not
    /// settle begin at zero with the node.
    pub import: Option<Energy>,
    /// All energy ever given, likewise.
    pub export: Option<Energy>,
    /// All that it shows.
    pub shown: Shown,
}

/// Why values can no longer be relied on.
#[derive(Clone, Debug)]
pub struct Stale {
    /// The device that fails, as it is named in the log.
    pub device: Arc<str>,
    /// What is wrong with it.
    pub failure: Failure,
}

/// What is wrong with a device.
#[derive(Clone, Debug)]
pub enum Failure {
    /// It does not answer as it should.
    Device(Arc<DeviceError>),
    /// Its registers show what cannot follow, or cannot be made.
    Registers(RegistersRejected),
    /// It settles, and shows no power.
    NoPower,
    /// It is made of others, of which this one shows nothing.
    Part(Arc<str>),
    /// It answers, and what it shows cannot be; it orders nothing meanwhile.
    Implausible(Finding),
    /// It took longer to answer than there is between two samples.
    Late,
    /// Its driver panicked and was started again.
    Panicked,
}

impl Failure {
    /// Whether it is read well, and what it shows cannot be proved: other than a device that does not
    /// answer for once, this says nothing good of what it showed before.
    pub(crate) const fn is_of_what_it_shows(&self) -> bool {
        match self {
            Self::Registers(_) | Self::Implausible(_) => true,
            Self::Device(_) | Self::NoPower | Self::Part(_) | Self::Late | Self::Panicked => false,
        }
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = &self.device;
        match &self.failure {
            // Names its device.
            Failure::Device(error) => error.fmt(f),
            Failure::Registers(rejected) => write!(f, "{device}: {rejected}"),
            Failure::NoPower => write!(f, "{device}: shows no power, which its readings need"),
            Failure::Part(part) => write!(f, "{device}: rests on {part}, which shows nothing"),
            Failure::Implausible(finding) => {
                write!(f, "{device}: {finding}; nothing is ordered until it is plausible again")
            }
            Failure::Late => write!(f, "{device}: no answer within the time between two samples"),
            Failure::Panicked => write!(f, "{device}: its driver failed and was started again"),
        }
    }
}

impl SiteState {
    /// What a sample shows beside what generators give, or `None` where one of its devices was silent.
    pub(super) fn of(sample: &Sample, generator_mw: Power) -> Option<Self> {
        let meter = sample.meter;
        let pv = sample.pv.transpose().ok()?;
        let battery = sample.battery.transpose().ok()?;
        let pv_mw = pv.map_or(Power::ZERO, |pv| pv.power);
        Some(Self {
            at: sample.at,
            power_mw: meter.power,
            load_mw: sample.load()?.checked_add(generator_mw)?.max(Power::ZERO),
            pv_mw,
            pv_potential_mw: pv.and_then(|pv| pv.potential).unwrap_or(pv_mw),
            pv_curtailable: pv.is_some_and(|pv| pv.curtailable),
            generator_mw,
            battery: battery.map(|battery| BatteryState {
                power_mw: battery.power,
                stored_mwh: battery.stored,
                capacity_mwh: battery.capacity,
                charge_max_mw: battery.charge_max,
                discharge_max_mw: battery.discharge_max,
            }),
            import_register_mwh: meter.import_register,
            export_register_mwh: meter.export_register,
            voltage_mv: meter.voltage_mv,
            frequency_mhz: meter.frequency_mhz,
            stale: None,
        })
    }
}
