//! What each meter showed in the last round, real or virtual, and what that makes the whole site show.

use std::collections::BTreeSet;
use std::sync::Arc;

use boltgrid_metering::register::{RawRegister, Width};
use boltgrid_metering::registers::{Counts, Flow, Registers};
use boltgrid_metering::role::{Role, Way};
use boltgrid_metering::sample::{BatterySample, MeterSample, PvSample, Sample, Unanswered};
use boltgrid_metering::scale::ScaleFactor;
use boltgrid_metering::shown::Shown;
use boltgrid_metering::virtual_meter::{Part, net_energy, net_power, summed_way};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Energy, Power, Timestamp};
use tracing::{info, warn};

use super::config::{Kind, Plan};
use super::device::Report;
use super::driver::ShownPart;
use super::state::{Failure, MeterState, MeterValue, Stale};

/// What a round makes the site show.
#[derive(Debug)]
pub(super) struct Taken {
    /// The site's sample, if what it needs is in the round.
    pub(super) sample: Option<Sample>,
    /// Whether the registers of the sample lack what flowed just before.
    pub(super) begins: bool,
    /// The first of the meters without which the site's state is not known that failed.
    pub(super) failed: Option<(Arc<str>, Failure)>,
}

/// The meters' last words, and their registers.
#[derive(Debug)]
pub(super) struct Latest {
    plan: Plan,
    needed: BTreeSet<usize>,
    /// What devices are besides meters, in the last round; `None` for those that failed.
    parts: Vec<Option<ShownPart>>,
    /// All meters by place, as everyone may see them.
    meters: Vec<MeterState>,
    registers: Vec<Registers>,
    /// The registers of the meter that settles as they are where nothing is known of them.
    fresh: Option<Registers>,
}

impl Latest {
    /// Nothing yet. Through the meters flows at most what is `rated`, by place, and a power is held for
    /// at most `hold_max_ms`. The registers of the meter that settles go on from the last reading.
    pub(super) fn new(
        plan: Plan,
        rated: &[Power],
        hold_max_ms: u64,
        last: Option<&Reading>,
    ) -> Self {
        let resumed = |place: usize, rated: Power| match last {
            Some(last) if plan.settles == Some(place) => {
                let energies = (last.import_register_mwh, last.export_register_mwh);
                Registers::resume(rated, hold_max_ms, last.at, energies)
            }
            Some(_) | None => Registers::new(rated, hold_max_ms),
        };
        let settles = plan.settles.and_then(|place| rated.get(place));
        let fresh = settles.map(|rated| Registers::new(*rated, hold_max_ms));
        let registers = rated.iter().enumerate().map(|(place, rated)| resumed(place, *rated));
        let meter = |(place, (name, role)): (usize, (&str, Role))| MeterState {
            name: name.into(),
            role,
            is_virtual: place >= plan.devices.len(),
            settles: plan.settles == Some(place),
            last: None,
            stale: None,
        };
        Self {
            needed: plan.needed(),
            parts: vec![None; plan.devices.len()],
            registers: registers.collect(),
            fresh,
            meters: plan.names().zip(plan.roles()).enumerate().map(meter).collect(),
            plan,
        }
    }

    /// All meters, in the order of their places.
    pub(super) fn meters(&self) -> Arc<[MeterState]> {
        self.meters.as_slice().into()
    }

    /// Whether the site's state is not known without the device at a place.
    pub(super) fn is_needed(&self, place: usize) -> bool {
        self.needed.contains(&place)
    }

    /// Takes the next value of the meter that settles as it is: it may be another meter.
    pub(super) fn begin_anew(&mut self) {
        let registers = self.plan.settles.and_then(|place| self.registers.get_mut(place));
        if let (Some(registers), Some(fresh)) = (registers, self.fresh) {
            *registers = fresh;
        }
    }

    /// The name of the meter that settles; `meter` where there is none.
    pub(super) fn settling(&self) -> Arc<str> {
        self.settling_meter().map_or_else(|| "meter".into(), |meter| Arc::clone(&meter.name))
    }

    /// All that the meter that settles showed last.
    pub(super) fn shown(&self) -> Shown {
        self.settling_meter()
            .and_then(|meter| meter.last)
            .map(|last| last.shown)
            .unwrap_or_default()
    }

    /// What is wrong with the meter that settles, if anything.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.settling_meter()?.stale.as_ref().map(|stale| &stale.failure)
    }

    fn settling_meter(&self) -> Option<&MeterState> {
        self.meters.get(self.plan.settles?)
    }

    /// Takes a round.
    pub(super) fn take(&mut self, round: Vec<Option<Report>>) -> Taken {
        let mut begins = false;
        for (place, report) in round.into_iter().enumerate() {
            let said = report.ok_or(Failure::Late);
            let said = said.and_then(|report| report.shown.map_err(Failure::Device));
            if let Some(part) = self.parts.get_mut(place) {
                *part = said.as_ref().ok().map(|(_, showing)| showing.part);
            }
            let said = said.map(|(at, showing)| (at, showing.shown));
            begins |= self.note(place, said) && self.plan.settles == Some(place);
        }
        for index in 0..self.plan.virtuals.len() {
            let place = self.plan.devices.len() + index;
            let said = self.add_up(index);
            begins |= self.note(place, said) && self.plan.settles == Some(place);
        }
        let (sample, failed) = (self.sample(), self.first_failed());
        Taken { sample, begins, failed }
    }

    /// Keeps what a meter showed, or why it did not. Returns whether its registers begin with it.
    fn note(&mut self, place: usize, said: Result<(Timestamp, Shown), Failure>) -> bool {
        let counted = said.and_then(|(at, shown)| {
            let at = at.minus_ms(shown.age_ms);
            Ok((at, shown, self.count(place, at, &shown)?))
        });
        let Some(meter) = self.meters.get_mut(place) else { return false };
        match counted {
            Ok((at, shown, counts)) => {
                if meter.stale.take().is_some() {
                    info!(meter = %meter.name, "meter is read again");
                }
                meter.last = Some(MeterValue {
                    at,
                    power: shown.total_power(),
                    import: counts.map(|counts| counts.import),
                    export: counts.map(|counts| counts.export),
                    shown,
                });
                counts.is_some_and(|counts| counts.begins)
            }
            Err(failure) => {
                let stale = Stale { device: Arc::clone(&meter.name), failure };
                if meter.stale.is_none() {
                    warn!(meter = %meter.name, why = %stale, "meter is not read");
                }
                meter.stale = Some(stale);
                false
            }
        }
    }

    /// What the registers of a meter come to; `None` where it shows nothing that could be counted.
    fn count(
        &mut self,
        place: usize,
        at: Timestamp,
        shown: &Shown,
    ) -> Result<Option<Counts>, Failure> {
        let settings = self.plan.devices.get(place).map(|device| &device.config.site);
        let integrate = settings.is_some_and(|settings| settings.integrate);
        let register = |raw: Option<RawRegister>| raw.filter(|_| !integrate);
        let (import, export) = (register(shown.import), register(shown.export));
        let flow = Flow { power: shown.total_power(), import, export };
        let is_flow = flow.power.is_some() || import.is_some() || export.is_some();
        let settles = self.plan.settles == Some(place);
        if settles && flow.power.is_none() {
            return Err(Failure::NoPower);
        }
        match self.registers.get_mut(place) {
            Some(registers) if is_flow => {
                registers.observe(at, &flow).map(Some).map_err(Failure::Registers)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// What a virtual meter shows.
    fn add_up(&self, index: usize) -> Result<(Timestamp, Shown), Failure> {
        let Some(meter) = self.plan.virtuals.get(index) else { return Err(Failure::NoPower) };
        let values = meter.parts.iter().map(|part| Ok((part, self.fresh(part)?)));
        let values: Vec<(&Part, (Role, MeterValue))> = values.collect::<Result<_, Failure>>()?;
        let powers = values.iter().map(|(part, (_, value))| (part.minus, value.power));
        let power = net_power(powers);
        // What is known of all of them is no older than what is known of the oldest.
        let at = values.iter().map(|(_, (_, value))| value.at).min().unwrap_or_default();
        let way = summed_way(meter.role, values.iter().map(|(_, (role, _))| *role));
        let sum = |pick: fn(&MeterValue) -> Option<Energy>| {
            let energies = values.iter().map(|(part, (_, value))| (part.minus, pick(value)));
            self.held(self.plan.devices.len() + index, net_energy(energies)?, pick)
        };
        let first = |pick: fn(&Shown) -> Option<u32>| {
            values.iter().find_map(|(_, (_, value))| pick(&value.shown))
        };
        let shown = Shown {
            power,
            import: if way == Some(Way::Taken) { sum(|it| it.import) } else { None },
            export: if way == Some(Way::Given) { sum(|it| it.export) } else { None },
            voltage_mv: first(Shown::mean_voltage_mv),
            frequency_mhz: first(|shown| shown.frequency_mhz),
            ..Shown::default()
        };
        Ok((at, shown))
    }

    /// A sum of registers as one register, which stands where the sum goes back: its terms are not read
    /// in the same millisecond.
    fn held(
        &self,
        place: usize,
        sum: Energy,
        pick: fn(&MeterValue) -> Option<Energy>,
    ) -> Option<RawRegister> {
        let before = self.meters.get(place).and_then(|meter| pick(meter.last.as_ref()?));
        let count = sum.max(before.unwrap_or_default()).to_milliwatt_hours();
        Some(RawRegister { count, width: Width::Float, scale: ScaleFactor::THOUSANDTHS })
    }

    /// What a part of a virtual meter showed in this round.
    fn fresh(&self, part: &Part) -> Result<(Role, MeterValue), Failure> {
        let Some(meter) = self.meters.get(part.place) else { return Err(Failure::NoPower) };
        let missing = || Failure::Part(Arc::clone(&meter.name));
        let value = meter.last.filter(|_| meter.stale.is_none());
        Ok((meter.role, value.ok_or_else(missing)?))
    }

    /// What the site shows, where the meter that settles was read.
    fn sample(&self) -> Option<Sample> {
        let meter = self.meters.get(self.plan.settles?)?;
        let value = meter.last.filter(|_| meter.stale.is_none())?;
        let meter = MeterSample {
            power: value.power?,
            import_register: value.import?,
            export_register: value.export?,
            voltage_mv: value.shown.mean_voltage_mv(),
            frequency_mhz: value.shown.frequency_mhz,
        };
        let pv = together(self.pv(), PvSample::plus);
        let battery = together(self.batteries(), BatterySample::plus);
        Some(Sample { at: value.at, meter, pv, battery })
    }

    /// What generators give by their meters, which show it as negative; nothing of those that failed.
    pub(super) fn generated(&self) -> Power {
        let generators = self.meters.iter().filter(|meter| meter.role == Role::Generator);
        let read = generators.filter(|meter| meter.stale.is_none() && !meter.is_virtual);
        let mw = read.filter_map(|meter| meter.last.as_ref()?.power);
        let mw = mw.map(|power| power.to_milliwatts().saturating_neg().max(0));
        Power::from_milliwatts(mw.fold(0, i64::saturating_add))
    }

    /// The first failure that makes the site's state stale.
    fn first_failed(&self) -> Option<(Arc<str>, Failure)> {
        let places = self.needed.iter().copied().chain(self.plan.settles);
        let mut stale = places.filter_map(|place| self.meters.get(place)?.stale.as_ref());
        stale.next().map(|stale| (Arc::clone(&stale.device), stale.failure.clone()))
    }

    /// All inverters, by place; `None` for those that failed.
    pub(super) fn pv(&self) -> Vec<Option<PvSample>> {
        self.of(Kind::Pv, |part| match part {
            ShownPart::Pv(pv) => Some(pv),
            ShownPart::None | ShownPart::Battery(_) => None,
        })
    }

    /// All batteries, by place; `None` for those that failed.
    pub(super) fn batteries(&self) -> Vec<Option<BatterySample>> {
        self.of(Kind::Battery, |part| match part {
            ShownPart::Battery(battery) => Some(battery),
            ShownPart::None | ShownPart::Pv(_) => None,
        })
    }

    fn of<T>(&self, kind: Kind, pick: impl Fn(ShownPart) -> Option<T>) -> Vec<Option<T>> {
        let devices = self.plan.devices.iter().zip(&self.parts);
        let devices = devices.filter(|(device, _)| device.kind == kind);
        devices.map(|(_, part)| part.and_then(&pick)).collect()
    }
}

/// Several devices of one kind as one, which answered if all did. `None` where there are none.
fn together<T>(devices: Vec<Option<T>>, plus: impl Fn(T, T) -> T) -> Option<Result<T, Unanswered>> {
    let answers = devices.into_iter().map(|device| device.ok_or(Unanswered));
    answers.reduce(|one, other| Ok(plus(one?, other?)))
}
