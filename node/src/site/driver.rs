//! A device of the site with its driver: reading it, and telling it what to do where it can be told.
//! Not for: when it is read (see [`super::device`]).

use std::sync::Arc;

use boltgrid_metering::drivers::sunspec::{SunSpecBattery, SunSpecPv};
use boltgrid_metering::drivers::{Buses, DeviceError, Meter, MeterConfig, PointRejected};
use boltgrid_metering::sample::{BatterySample, PvSample};
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::{Energy, Power, scale_floor};

use super::config::{Kind, Place};
use super::set_points::SetPoint;

/// All of it, in thousandths of a per cent.
const WHOLE: u64 = 100_000;

/// What a device shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Showing {
    /// Everything that it measures, power positive where taken.
    pub(super) shown: Shown,
    /// What it is to the site besides a meter.
    pub(super) part: ShownPart,
}

/// What a device is to the site besides a meter.
#[derive(Clone, Copy, Debug)]
pub(super) enum ShownPart {
    None,
    Pv(PvSample),
    Battery(BatterySample),
}

/// A device as it is configured.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    driver: MeterConfig,
    buses: Buses,
    rated: Option<Power>,
    capacity: Option<Energy>,
    inverted: bool,
}

/// A driver whose device has been found.
#[derive(Debug)]
pub(super) enum Driver {
    Meter {
        meter: Meter,
        inverted: bool,
    },
    Pv(SunSpecPv),
    Battery(SunSpecBattery),
    /// PV that is only measured: it cannot be turned down.
    MeteredPv {
        meter: Meter,
        inverted: bool,
        rated: Option<Power>,
    },
    /// A battery that is only measured.
    MeteredBattery {
        meter: Meter,
        inverted: bool,
        name: Arc<str>,
        capacity: Energy,
    },
}

impl Device {
    /// The device at a place; powers beyond one and a half times `rated` are refused.
    pub(super) fn new(place: &Place, buses: &Buses, rated: Option<Power>) -> Self {
        let in_site = &place.config.site;
        let capacity = in_site.capacity_wh.map(|wh| u64::from(wh) * 1_000);
        Self {
            name: place.name.as_str().into(),
            kind: place.kind,
            driver: place.config.driver.clone(),
            buses: buses.clone(),
            rated,
            capacity: capacity.map(Energy::from_milliwatt_hours),
            inverted: in_site.inverted,
        }
    }

    /// How it is spoken to.
    pub(super) const fn spoken_by(&self) -> &MeterConfig {
        &self.driver
    }

    /// Looks whether the device is there and of the right kind.
    pub(super) async fn probe(&self) -> Result<(), DeviceError> {
        self.open().await.map(drop)
    }

    /// Finds the device.
    pub(super) async fn open(&self) -> Result<Driver, DeviceError> {
        let Self { name, driver, buses, rated, inverted, .. } = self;
        let (rated, inverted) = (*rated, *inverted);
        if let MeterConfig::Sunspec(it) = driver
            && self.kind != Kind::Meter
        {
            let bus = buses.at(&it.address, name)?;
            return Ok(if self.kind == Kind::Pv {
                Driver::Pv(SunSpecPv::open(&bus, it.unit, name, rated).await?)
            } else {
                let opening = SunSpecBattery::open(&bus, it.unit, name, rated, self.capacity);
                Driver::Battery(opening.await?)
            });
        }
        let meter = Meter::open(driver, buses, name, rated).await?;
        Ok(match self.kind {
            Kind::Meter => Driver::Meter { meter, inverted },
            Kind::Pv => Driver::MeteredPv { meter, inverted, rated },
            Kind::Battery => {
                let capacity = self.capacity.ok_or_else(|| DeviceError::Setting {
                    device: Arc::clone(name),
                    problem: "set its `capacity_wh`, which its driver does not know".to_owned(),
                })?;
                Driver::MeteredBattery { meter, inverted, name: Arc::clone(name), capacity }
            }
        })
    }
}

impl Driver {
    /// What the device shows.
    pub(super) async fn read(&mut self) -> Result<Showing, DeviceError> {
        Ok(match self {
            Self::Meter { meter, inverted } => {
                let shown = oriented(meter.read().await?, *inverted);
                Showing { shown, part: ShownPart::None }
            }
            Self::Pv(pv) => {
                let sample = pv.read().await?;
                let shown = Shown { power: Some(negated(sample.power)), ..Shown::default() };
                Showing { shown, part: ShownPart::Pv(sample) }
            }
            Self::Battery(battery) => {
                let sample = battery.read().await?;
                let shown = Shown { power: Some(sample.power), ..Shown::default() };
                Showing { shown, part: ShownPart::Battery(sample) }
            }
            Self::MeteredPv { meter, inverted, rated } => {
                let shown = oriented(meter.read().await?, *inverted);
                let part = shown.total_power().map_or(ShownPart::None, |power| {
                    let power = negated(power);
                    let rated = *rated;
                    let potential = Some(power);
                    ShownPart::Pv(PvSample { power, potential, curtailable: false, rated })
                });
                Showing { shown, part }
            }
            Self::MeteredBattery { meter, inverted, name, capacity } => {
                let shown = oriented(meter.read().await?, *inverted);
                let part = ShownPart::Battery(metered_battery(name, &shown, *capacity)?);
                Showing { shown, part }
            }
        })
    }

    /// Does as told, as far as the device can be told anything.
    pub(super) async fn command(&self, set_point: SetPoint) -> Result<(), DeviceError> {
        let wanted = match set_point {
            SetPoint::Untouched => return Ok(()),
            SetPoint::Free => None,
            SetPoint::At(power) => Some(power),
        };
        match self {
            Self::Pv(pv) if pv.is_curtailable() => pv.limit(wanted).await,
            Self::Battery(battery) if battery.is_controllable() => battery.set_power(wanted).await,
            Self::Meter { .. }
            | Self::Pv(_)
            | Self::Battery(_)
            | Self::MeteredPv { .. }
            | Self::MeteredBattery { .. } => Ok(()),
        }
    }
}

/// A battery of which only a meter is known: nobody can make it take or give anything.
fn metered_battery(
    name: &Arc<str>,
    shown: &Shown,
    capacity: Energy,
) -> Result<BatterySample, DeviceError> {
    let missing = |point: &'static str| DeviceError::Point {
        device: Arc::clone(name),
        point: point.into(),
        source: PointRejected::NotImplemented,
    };
    let power = shown.total_power().ok_or_else(|| missing("power"))?;
    let charge = shown.charge_milli_percent.ok_or_else(|| missing("charge"))?;
    // The charge is at most the whole, so this fits.
    let stored = scale_floor(capacity.to_milliwatt_hours(), u64::from(charge), WHOLE);
    let stored = stored.map_or(capacity, Energy::from_milliwatt_hours);
    let (charge_max, discharge_max) = (Power::ZERO, Power::ZERO);
    Ok(BatterySample { power, stored, capacity, charge_max, discharge_max })
}

/// What a device shows, turned round where it is mounted the wrong way.
fn oriented(mut shown: Shown, inverted: bool) -> Shown {
    if inverted {
        shown.power = shown.power.map(negated);
        for phase in &mut shown.phases {
            phase.power = phase.power.map(negated);
            phase.current_ma = phase.current_ma.map(i32::saturating_neg);
        }
        std::mem::swap(&mut shown.import, &mut shown.export);
    }
    shown
}

const fn negated(power: Power) -> Power {
    Power::from_milliwatts(power.to_milliwatts().saturating_neg())
}

#[cfg(test)]
mod tests {
    use boltgrid_metering::quantity::Quantity;
    use boltgrid_metering::register::Width;

    use super::*;

    fn shown(values: &[(Quantity, i64)]) -> Shown {
        let mut shown = Shown::default();
        for (quantity, value) in values {
            shown.put(*quantity, *value, Width::Float, None).unwrap();
        }
        shown
    }

    #[test]
    fn a_device_mounted_the_wrong_way_is_turned_round_and_back() {
        use Quantity::{CurrentL1, Export, Import, Power as Total, PowerL1, VoltageL1};
        let meter = shown(&[
            (Total, 700),
            (PowerL1, 700),
            (CurrentL1, 3),
            (VoltageL1, 230_000),
            (Import, 5),
            (Export, 9),
        ]);
        let turned = oriented(meter, true);
        let expected = shown(&[
            (Total, -700),
            (PowerL1, -700),
            (CurrentL1, -3),
            (VoltageL1, 230_000),
            (Import, 9),
            (Export, 5),
        ]);
        assert_eq!(turned, expected);
        assert_eq!(oriented(turned, true), meter);
        assert_eq!(oriented(meter, false), meter);
    }

    #[test]
    fn a_metered_battery_holds_its_share_of_the_capacity() {
        let name: Arc<str> = "battery".into();
        let capacity = Energy::from_milliwatt_hours(10_000_000);
        let values = [(Quantity::Power, -500_000), (Quantity::Charge, 25_500)];
        let battery = metered_battery(&name, &shown(&values), capacity).unwrap();
        assert_eq!(battery.stored, Energy::from_milliwatt_hours(2_550_000));
        assert_eq!(battery.power, Power::from_milliwatts(-500_000));
        let missing = metered_battery(&name, &shown(&values[..1]), capacity).unwrap_err();
        assert!(missing.to_string().contains("point charge"), "{missing}");
    }
}
