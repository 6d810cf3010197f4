//! What each device showed in the last round, and what that makes the whole site show.

use std::sync::Arc;

use boltgrid_metering::drivers::{DeviceError, PointRejected};
use boltgrid_metering::quantity::Quantity;
use boltgrid_metering::register::CumulativeRegister;
use boltgrid_metering::sample::{BatterySample, MeterSample, PvSample, Sample, Unanswered};
use boltgrid_metering::shown;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Power, Timestamp};

use super::config::Kind;
use super::device::{Report, Shown};
use super::state::Failure;

/// The devices' last words, and the registers of the meter.
#[derive(Debug)]
pub(super) struct Latest {
    kinds: Vec<Kind>,
    shown: Vec<Option<(Timestamp, Shown)>>,
    registers: Registers,
}

/// The meter's two registers, made monotone.
#[derive(Debug)]
struct Registers {
    import: CumulativeRegister,
    export: CumulativeRegister,
}

impl Latest {
    /// Nothing yet, of devices of these kinds. Registers go on from the last reading.
    pub(super) fn new(kinds: Vec<Kind>, rated: Power, last: Option<&Reading>) -> Self {
        let shown = vec![None; kinds.len()];
        Self { kinds, shown, registers: Registers::new(rated, last) }
    }

    /// Takes a round. Returns the site's sample, if the meter is in it, and the devices that failed.
    pub(super) fn take(
        &mut self,
        round: Vec<Option<Report>>,
    ) -> (Option<Sample>, Vec<(usize, Failure)>) {
        let mut failed = Vec::new();
        for (place, (report, shown)) in round.into_iter().zip(&mut self.shown).enumerate() {
            let said = report.ok_or(Failure::Late);
            let said = said.and_then(|report| report.shown.map_err(Failure::Device));
            *shown = said.map_err(|failure| failed.push((place, failure))).ok();
        }
        let sample = self.meter().and_then(|(place, at, meter)| {
            let meter = self.registers.observe(&meter, at);
            let meter = meter.map_err(|failure| failed.push((place, failure))).ok()?;
            let pv = together(self.pv(), PvSample::plus);
            let battery = together(self.batteries(), BatterySample::plus);
            Some(Sample { at, meter, pv, battery })
        });
        (sample, failed)
    }

    fn meter(&self) -> Option<(usize, Timestamp, shown::Shown)> {
        self.shown.iter().enumerate().find_map(|(place, shown)| match shown {
            Some((at, Shown::Meter(meter))) => Some((place, *at, *meter)),
            Some((_, Shown::Pv(_) | Shown::Battery(_))) | None => None,
        })
    }

    /// All inverters, by place; `None` for those that failed.
    pub(super) fn pv(&self) -> Vec<Option<PvSample>> {
        self.of(Kind::Pv, |shown| match shown {
            Shown::Pv(pv) => Some(pv),
            Shown::Meter(_) | Shown::Battery(_) => None,
        })
    }

    /// All batteries, by place; `None` for those that failed.
    pub(super) fn batteries(&self) -> Vec<Option<BatterySample>> {
        self.of(Kind::Battery, |shown| match shown {
            Shown::Battery(battery) => Some(battery),
            Shown::Meter(_) | Shown::Pv(_) => None,
        })
    }

    fn of<T>(&self, kind: Kind, pick: impl Fn(Shown) -> Option<T>) -> Vec<Option<T>> {
        let devices = self.kinds.iter().zip(&self.shown).filter(|(of, _)| **of == kind);
        devices.map(|(_, shown)| shown.and_then(|(_, shown)| pick(shown))).collect()
    }
}

/// Several devices of one kind as one, which answered if all did. `None` where there are none.
fn together<T>(devices: Vec<Option<T>>, plus: impl Fn(T, T) -> T) -> Option<Result<T, Unanswered>> {
    let answers = devices.into_iter().map(|device| device.ok_or(Unanswered));
    answers.reduce(|one, other| Ok(plus(one?, other?)))
}

impl Registers {
    fn new(rated: Power, last: Option<&Reading>) -> Self {
        let resume = |energy, at| CumulativeRegister::resume(rated, at, energy);
        match last {
            None => {
                let new = CumulativeRegister::new(rated);
                Self { import: new, export: new }
            }
            Some(last) => Self {
                import: resume(last.import_register_mwh, last.at),
                export: resume(last.export_register_mwh, last.at),
            },
        }
    }

    fn observe(&mut self, shown: &shown::Shown, at: Timestamp) -> Result<MeterSample, Failure> {
        let power = shown.total_power().ok_or_else(|| missing(Quantity::Power))?;
        let import = shown.import.ok_or_else(|| missing(Quantity::Import))?;
        let export = shown.export.ok_or_else(|| missing(Quantity::Export))?;
        Ok(MeterSample {
            power,
            import_register: self.import.observe(import, at).map_err(Failure::Register)?,
            export_register: self.export.observe(export, at).map_err(Failure::Register)?,
            voltage_mv: shown.mean_voltage_mv(),
            frequency_mhz: shown.frequency_mhz,
        })
    }
}

/// What a meter must have and this one does not.
fn missing(quantity: Quantity) -> Failure {
    let (device, point) = ("meter".into(), quantity.name().into());
    let source = PointRejected::NotImplemented;
    Failure::Device(Arc::new(DeviceError::Point { device, point, source }))
}
