//! The flare-gas site of a run: a well, its generator and its flare beside machines, what its node is told
//! of them, what is seen of them, and what must hold.
//!
//! Judged by the plant; only the account of what became of the gas is the node's own.
//! Not for: physics ([`crate::plant`]), or how the devices speak ([`crate::devices::gas`]).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use boltgrid::config::RawGas;
use boltgrid::dispatcher::{DispatchStatus, GasStatus, GeneratorConfig};
use boltgrid::site::DeviceConfig;
use boltgrid_miners::generator::{Generator, Point};
use boltgrid_protocol::units::{Interval, Power, Price};

use crate::devices::gas::{
    CONTROLLER_UNIT, FLARE_METER_UNIT, FLARE_UNIT, GENERATOR_METER_UNIT, WELL_UNIT, WellDevices,
};
use crate::devices::{Clock, SharedPlant};
use crate::plant::{Plant, TICKS_PER_INTERVAL, WellRating, WellTruth};
use crate::run::invariants::Tally;
use crate::run::report::{GasRow, InvariantRow};

/// The site: without PV, with a load of 3 kW and a small battery.
pub const SITE: usize = 4;
/// Rows of racks there: how many, and the price in sat/kWh at which their owner lets them run.
pub const ROWS: [(usize, i64); 2] = [(3, 72), (2, 42)];
/// What its generator gives and how well, in W and ppm.
const CURVE: [(u32, u32); 3] = [(8_000, 240_000), (16_000, 300_000), (24_000, 330_000)];
/// What its well gives: a little more than the generator burns at most, and at times a little less.
const GAS_ML_PER_H: u64 = 7_500_000;
/// What a cubic metre of it gives.
const HEAT_WH_PER_M3: u32 = 10_000;
/// What a kilowatt-hour wears the generator by.
const WEAR: Price = Price::from_msat_per_kwh(5_000);
/// How long a real generator warms up, rests and runs, in ms.
const WARM_UP_MS: u64 = 180_000;
const REST_MS: u64 = 600_000;
const ON_MS: u64 = 1_800_000;
/// How long it may take to follow: a tick of the plant, its ramp, and a look.
const SETTLE_S: u32 = 7;
/// Over how long the flow of gas is taken: real meters of real wells take longer.
const FLOW_WINDOW_S: u32 = 2;
/// What a set point's count is, in W.
const SET_POINT_W: u32 = 100;
/// By so much the node's account may differ from what became of the gas, in percent: the generator burns
/// 2 % more than its curve says, and the last second is not in it.
const ACCOUNT_PERCENT: u64 = 6;
/// Accounts of less gas than this are not judged, in l.
const ACCOUNT_L_MIN: u64 = 50;
/// Machines that draw more than this part of what all could draw run, those that draw less than a tenth of
/// it do not.
const RUN_DIVISOR: i64 = 2;
/// An order is placed an interval before its own, and has what a generator gives once that runs: so many
/// intervals after one in which it stood still are ordered for without it.
const BOUGHT_INTERVALS: u64 = 2;
/// Intervals that are over are remembered until their price is told; so many at most.
const UNPRICED_MAX: usize = 16;

/// A well that stands.
#[derive(Debug)]
pub struct WellStand {
    /// Its site.
    pub site: usize,
    /// How long its generator rests at least, in this run's time.
    pub rest_ms: u64,
    devices: WellDevices,
    generator: GeneratorConfig,
}

impl WellStand {
    /// Puts a well up; `seconds_of` makes this run's whole seconds of a real time in ms.
    ///
    /// # Errors
    ///
    /// What the system says where there is no port.
    ///
    /// # Panics
    ///
    /// If something has panicked while it held the plant.
    pub async fn open(
        (plant, clock): (&SharedPlant, &Clock),
        site: usize,
        seconds_of: impl Fn(u64) -> u64,
    ) -> io::Result<Self> {
        let [warm_up_ms, rest_ms, on_ms] = [WARM_UP_MS, REST_MS, ON_MS].map(&seconds_of);
        let point = |(watts, efficiency_ppm): (u32, u32)| Point {
            output: Power::from_milliwatts(i64::from(watts) * 1_000),
            efficiency_ppm,
        };
        let curve = Generator::new(CURVE.map(point).to_vec());
        let mut generator = curve.expect("a curve of an engine");
        generator.warm_up_ms = warm_up_ms;
        let rating =
            WellRating { generator, gas_ml_per_h: GAS_ML_PER_H, heat_wh_per_m3: HEAT_WH_PER_M3 };
        plant.lock().expect("a panic in the plant ends the testnet").install_well(site, rating);
        let devices = WellDevices::start(plant, clock, site).await?;
        let seconds = |ms: u64| ms / 1_000;
        let points: Vec<String> = CURVE
            .iter()
            .map(|(w, ppm)| format!("{{ output_w = {w}, efficiency_ppm = {ppm} }}"))
            .collect();
        let settings = format!(
            "meter = \"generator\"\ncurve = [{}]\nwarm_up_s = {}\nrest_s = {}\non_s_min = {}\n\
             settle_s = {SETTLE_S}\nwear_msat_per_kwh = {}\ncontrol = {{ address = \"{}\", \
             unit = {CONTROLLER_UNIT}, run_coil = 0, set_point_register = 0, \
             set_point_w = {SET_POINT_W}, runs_input = 0, hours_register = 10 }}\n",
            points.join(", "),
            seconds(warm_up_ms),
            seconds(rest_ms),
            seconds(on_ms),
            WEAR.to_msat_per_kwh(),
            devices.address,
        );
        let generator = toml::from_str(&settings).expect("settings of a node");
        Ok(Self { site, rest_ms, devices, generator })
    }

    /// What the config of the site's node says of it.
    ///
    /// # Panics
    ///
    /// Never: settings of a well are settings of a node.
    #[must_use]
    pub fn settings(&self) -> (RawGas, Vec<DeviceConfig>) {
        let address = self.devices.address;
        let meter = |name: &str, role: &str, unit: u8, rest: &str| -> DeviceConfig {
            let text = format!(
                "name = \"{name}\"\nrole = \"{role}\"\ndriver = \"modbus-map\"\n\
                 address = \"{address}\"\nunit = {unit}\n{rest}\n"
            );
            toml::from_str(&text).expect("settings of a node")
        };
        let pulses = "map = \"pulse-counter-gas\"\nscale = { gas = \"0.1\" }";
        let meters = vec![
            meter("well", "gas", WELL_UNIT, pulses),
            meter("flare", "gas", FLARE_METER_UNIT, pulses),
            meter("generator", "generator", GENERATOR_METER_UNIT, "map = \"eastron-sdm630\""),
        ];
        let flare = format!("address = \"{address}\"\nunit = {FLARE_UNIT}\nflame_input = 0\n");
        let assumed = "source = \"assumed for a testnet\"";
        let emissions = format!(
            "generator_ppm = {{ value = 980000, {assumed} }}\nmethane_ppm = {{ value = 900000, {assumed} }}\n"
        );
        let gas = RawGas {
            meter: Some("well".to_owned()),
            // Without its meter, what the generator burns follows from its curve; the meter of the flare
            // is there to be looked at.
            flare_meter: None,
            heat_wh_per_m3: Some(HEAT_WH_PER_M3),
            flow_window_s: Some(FLOW_WINDOW_S),
            flow_m3_per_h_max: Some(100),
            generator: Some(self.generator.clone()),
            flare: Some(toml::from_str(&flare).expect("settings of a node")),
            emissions: Some(toml::from_str(&emissions).expect("settings of a node")),
        };
        (gas, meters)
    }

    /// Stops listening.
    pub async fn stop(self) {
        self.devices.stop().await;
    }
}

/// What is seen of wells.
#[derive(Clone, Debug, Default)]
pub struct Wells {
    seen: BTreeMap<usize, SeenWell>,
    interval_ms: u64,
    /// The last interval in which power cost no more than the generators' wear.
    cheap: Option<Interval>,
}

/// One well.
#[derive(Clone, Debug, Default)]
struct SeenWell {
    name: String,
    rest_ms: u64,
    truth: Option<WellTruth>,
    /// What its node says of it.
    said: Option<GasStatus>,
    /// What had been given, and what had flowed to the flare, at the last look, in ml.
    flowed: Option<(u64, u64)>,
    /// While machines run and power costs more than what the generator gives, and while they do not:
    /// what the well gave and what flowed to the flare, in ml.
    with: (u64, u64),
    without: (u64, u64),
    /// The same while machines run in intervals whose price is yet to be told.
    unpriced: BTreeMap<Interval, (u64, u64)>,
}

impl Wells {
    /// The wells that stand, at sites of these names.
    #[must_use]
    pub fn new(stands: &[WellStand], names: &[String], interval_ms: u64) -> Self {
        let seen = stands.iter().map(|stand| {
            let name = names.get(stand.site).cloned().unwrap_or_default();
            (stand.site, SeenWell { name, rest_ms: stand.rest_ms, ..SeenWell::default() })
        });
        Self { seen: seen.collect(), interval_ms, cheap: None }
    }

    /// Notes the price of an interval that is over; none where nothing was decided, and what is bought
    /// is the supplier's.
    ///
    /// Where power costs no more than the generator's wear, whoever has machines buys it for them and
    /// flares the gas, as they should; and until a generator that stood still for that is warm again, and
    /// what it gives is in an order, they go on to buy. Nothing is to be seen there of what machines
    /// spare.
    pub fn priced(&mut self, interval: Interval, price_msat_per_kwh: Option<i64>) {
        if price_msat_per_kwh.is_some_and(|price| price <= WEAR.to_msat_per_kwh()) {
            self.cheap = Some(interval);
        }
        let is_dear = self.cheap.is_none_or(|cheap| interval > cheap.plus(BOUGHT_INTERVALS));
        for seen in self.seen.values_mut() {
            let Some((gave, flared)) = seen.unpriced.remove(&interval) else { continue };
            if is_dear {
                seen.with = (seen.with.0 + gave, seen.with.1 + flared);
            }
        }
    }

    /// Takes what nodes say.
    pub fn hear(&mut self, told: &[(usize, DispatchStatus)]) {
        for (node, status) in told {
            if let Some(seen) = self.seen.get_mut(node) {
                seen.said = status.gas.clone().or(seen.said.take());
            }
        }
    }

    /// Looks at the plant, which has moved on in this interval.
    pub fn look(&mut self, interval: Interval, plant: &Plant) {
        for (site, seen) in &mut self.seen {
            let Some(truth) = plant.well_truth(*site) else { continue };
            let machines = plant.machines(*site);
            let rated_mw: i64 = machines.iter().map(|it| it.rating.rated.to_milliwatts()).sum();
            let draws_mw = plant.site_truth(*site).machines.to_milliwatts();
            if let Some((gas_ml, flare_ml)) = seen.flowed {
                let gave = truth.gas_ml.saturating_sub(gas_ml);
                let flared = truth.to_flare_ml.saturating_sub(flare_ml);
                let sum = if draws_mw > rated_mw / RUN_DIVISOR {
                    Some(seen.unpriced.entry(interval).or_default())
                } else if draws_mw < rated_mw / 10 && !truth.runs {
                    Some(&mut seen.without)
                } else {
                    None
                };
                if let Some(sum) = sum {
                    *sum = (sum.0 + gave, sum.1 + flared);
                }
                while seen.unpriced.len() > UNPRICED_MAX {
                    seen.unpriced.pop_first();
                }
            }
            seen.flowed = Some((truth.gas_ml, truth.to_flare_ml));
            seen.truth = Some(truth);
        }
    }

    /// What the report says of them.
    #[must_use]
    pub fn rows(&self) -> Vec<GasRow> {
        self.seen.values().filter_map(SeenWell::row).collect()
    }

    /// What must hold.
    #[must_use]
    pub fn verdicts(&self) -> Vec<InvariantRow> {
        let rows = [
            ("gas_is_never_vented", self.of(|seen, truth, tally| seen.vents(truth, tally))),
            (
                "generators_stay_within_their_limits",
                self.of(|seen, truth, tally| seen.keeps_within(truth, self.slack_ms(), tally)),
            ),
            ("flares_burn_less_while_machines_run", self.of(|seen, _, tally| seen.spares(tally))),
            (
                "accounts_of_gas_are_what_became_of_it",
                self.of(|seen, truth, tally| seen.accounts(truth, tally)),
            ),
        ];
        let rows = rows.map(|(name, tally)| tally.row(name));
        rows.into_iter().filter(|row| row.checked > 0).collect()
    }

    /// A command may wait for a tick, and the one after it not.
    const fn slack_ms(&self) -> u64 {
        self.interval_ms.saturating_mul(2) / TICKS_PER_INTERVAL
    }

    fn of(&self, judge: impl Fn(&SeenWell, &WellTruth, &mut Tally)) -> Tally {
        let mut tally = Tally::default();
        for seen in self.seen.values() {
            if let Some(truth) = &seen.truth {
                judge(seen, truth, &mut tally);
            }
        }
        tally
    }
}

impl SeenWell {
    fn row(&self) -> Option<GasRow> {
        let truth = self.truth?;
        let part = |(gave, flared): (u64, u64)| {
            let ppm = u128::from(flared) * 1_000_000;
            ppm.checked_div(u128::from(gave)).and_then(|ppm| u32::try_from(ppm).ok())
        };
        Some(GasRow {
            site: self.name.clone(),
            gas_l: truth.gas_ml / 1_000,
            generator_l: truth.generator_ml / 1_000,
            to_flare_l: truth.to_flare_ml / 1_000,
            vented_l: truth.vented_ml / 1_000,
            generated_mwh: truth.generated.to_milliwatt_hours(),
            generator_starts: truth.starts,
            ran_ms: truth.ran_ms,
            flared_with_machines_ppm: part(self.with),
            flared_without_ppm: part(self.without),
            accounted_gas_l: self.said.as_ref().map(|it| it.burnt.gas_l),
            accounted_generator_l: self.said.as_ref().map(|it| it.burnt.generator_l),
            trouble: self.said.as_ref().and_then(|it| it.trouble.clone()),
        })
    }

    fn vents(&self, truth: &WellTruth, tally: &mut Tally) {
        tally.check(truth.vented_ml == 0, || {
            format!("{}: {} l were vented", self.name, truth.vented_ml / 1_000)
        });
    }

    fn keeps_within(&self, truth: &WellTruth, slack_ms: u64, tally: &mut Tally) {
        let beyond_ms = truth.beyond_limits_ms;
        tally.check(beyond_ms == 0, || {
            format!("{}: its generator was loaded beyond its limits for {beyond_ms} ms", self.name)
        });
        let rested = truth.rest_ms_min.is_none_or(|ms| ms + slack_ms >= self.rest_ms);
        tally.check(rested, || {
            format!("{}: its generator rested for {:?} ms only", self.name, truth.rest_ms_min)
        });
    }

    /// While machines run, and power costs more than what the generator gives, at most half as much of
    /// the gas is flared as while nothing runs, where both was seen.
    fn spares(&self, tally: &mut Tally) {
        let (with, without) = (self.with, self.without);
        if with.0 == 0 || without.0 == 0 {
            return;
        }
        let less = u128::from(with.1) * u128::from(without.0) * 2
            <= u128::from(without.1) * u128::from(with.0);
        tally.check(less, || {
            format!(
                "{}: {} of {} ml were flared while machines ran, {} of {} while nothing did",
                self.name, with.1, with.0, without.1, without.0
            )
        });
    }

    fn accounts(&self, truth: &WellTruth, tally: &mut Tally) {
        let Some(said) = &self.said else {
            return tally
                .check(false, || format!("{}: its node never spoke of its gas", self.name));
        };
        if said.burnt.gas_l < ACCOUNT_L_MIN {
            return;
        }
        // What flowed before the node looked is in no account.
        let missed_l = (truth.gas_ml / 1_000).saturating_sub(said.burnt.gas_l);
        tally.check(said.burnt.gas_l <= truth.gas_ml / 1_000, || {
            format!("{}: {} l are in the account, and less flowed", self.name, said.burnt.gas_l)
        });
        let (burnt_l, said_l) = (truth.generator_ml / 1_000, said.burnt.generator_l);
        let near = burnt_l.abs_diff(said_l) <= burnt_l * ACCOUNT_PERCENT / 100 + missed_l;
        tally.check(near, || {
            format!("{}: the generator burnt {burnt_l} l, its account says {said_l}", self.name)
        });
    }
}
