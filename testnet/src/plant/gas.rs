//! A well whose gas goes into a generator, and what is left into a flare: what each burns, tick by tick.
//!
//! The well gives what it gives, a little more and a little less as time goes by; what the generator
//! leaves flows to the flare, and where that is out, into the air. The generator takes a little more gas
//! than its maker says, warms up, takes load along a ramp, and does as it is told: if that is foolish, it
//! can be seen. Not for: what its controller and meters say (the fakes).

use boltgrid_miners::generator::Generator;
use boltgrid_protocol::units::{Energy, Power};

use super::register::{Counter, Register};

/// How long the well takes from giving most to giving least and back.
const SWING_MS: u64 = 80_000;
/// By so much it gives more and less than its mean, in percent.
const SWING_PERCENT: u64 = 15;
/// What the generator burns more than its curve says, in percent.
const WORN_PERCENT: i64 = 2;
/// What it burns while it runs without load, in percent of what it burns at its least.
const IDLE_PERCENT: i64 = 15;
/// How long it takes from nothing to its rated power.
const RAMP_MS: i64 = 4_000;
/// Milliseconds of an hour.
const HOUR_MS: u128 = 3_600_000;

/// What is known of a well and its generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellRating {
    /// What it gives and how well, as its maker says.
    pub generator: Generator,
    /// What the well gives on average, in ml an hour.
    pub gas_ml_per_h: u64,
    /// What a cubic metre gives when it burns.
    pub heat_wh_per_m3: u32,
}

/// What a generator, or a flare, may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WellCommand {
    /// To run or to stand still.
    Run(bool),
    /// What to give.
    SetPoint(Power),
    /// Nobody tells it: the flare's flame burns, or goes out.
    Flame(bool),
}

/// A well at one moment, and since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WellTruth {
    /// What the generator gives, as a positive amount.
    pub output: Power,
    /// Whether it runs.
    pub runs: bool,
    /// Whether it has warmed up.
    pub is_warm: bool,
    /// Whether the flare burns.
    pub flame: bool,
    /// What the well gave.
    pub gas_ml: u64,
    /// What the generator burnt.
    pub generator_ml: u64,
    /// What flowed to the flare, burning or not.
    pub to_flare_ml: u64,
    /// What of that was not burnt.
    pub vented_ml: u64,
    /// What the generator gave; like a real meter's, it does not start at zero.
    pub given: Energy,
    /// The same since the run began.
    pub generated: Energy,
    /// How often it was started.
    pub starts: u32,
    /// For how long it ran.
    pub ran_ms: u64,
    /// The shortest that it stood still between a stop and a start; none before the first.
    pub rest_ms_min: Option<u64>,
    /// For how long it was loaded with less than its least load or more than its rated power.
    pub beyond_limits_ms: u64,
}

/// A well in motion.
#[derive(Clone, Debug)]
pub(super) struct WellPlant {
    rating: WellRating,
    told_to_run: bool,
    set_point: Power,
    runs: bool,
    warm_ms: u64,
    stopped_ms: Option<u64>,
    output_mw: i64,
    flame: bool,
    passed_ms: u64,
    /// The tick that is running, in ml an hour.
    flows: Flows,
    gas: Volume,
    generator: Volume,
    to_flare: Volume,
    vented: Volume,
    given: Register,
    generated: Counter,
    starts: u32,
    ran_ms: u64,
    rest_ms_min: Option<u64>,
    beyond_limits_ms: u64,
}

/// What flows, in ml an hour.
#[derive(Clone, Copy, Debug, Default)]
struct Flows {
    gas: u64,
    generator: u64,
}

/// What has flowed, in ml/h times ms.
#[derive(Clone, Copy, Debug, Default)]
struct Volume(u128);

impl Volume {
    fn add(&mut self, ml_per_h: u64, ms: u64) {
        self.0 += u128::from(ml_per_h) * u128::from(ms);
    }

    fn after(self, ml_per_h: u64, ms: u64) -> u64 {
        let ml = (self.0 + u128::from(ml_per_h) * u128::from(ms)) / HOUR_MS;
        u64::try_from(ml).expect("a run is shorter than the age of the world")
    }
}

impl WellPlant {
    pub(super) fn new(rating: WellRating) -> Self {
        Self {
            rating,
            told_to_run: false,
            set_point: Power::ZERO,
            runs: false,
            warm_ms: 0,
            stopped_ms: None,
            output_mw: 0,
            flame: true,
            passed_ms: 0,
            flows: Flows::default(),
            gas: Volume::default(),
            generator: Volume::default(),
            to_flare: Volume::default(),
            vented: Volume::default(),
            given: Register::new(),
            generated: Counter::default(),
            starts: 0,
            ran_ms: 0,
            rest_ms_min: None,
            beyond_limits_ms: 0,
        }
    }

    pub(super) const fn tell(&mut self, command: WellCommand) {
        match command {
            WellCommand::Run(run) => self.told_to_run = run,
            WellCommand::SetPoint(output) => self.set_point = output,
            WellCommand::Flame(burns) => self.flame = burns,
        }
    }

    /// Begins a tick of `ms`; says what the generator gives in it, in mW.
    pub(super) fn begin_tick(&mut self, ms: u64) -> i64 {
        let gas = self.gas_ml_per_h();
        if self.told_to_run && !self.runs {
            self.starts += 1;
            self.rest_ms_min = match (self.stopped_ms, self.rest_ms_min) {
                (Some(rest), Some(least)) => Some(rest.min(least)),
                (rest, least) => rest.or(least),
            };
        } else if !self.told_to_run && self.runs {
            self.stopped_ms = Some(0);
        }
        self.runs = self.told_to_run;
        if !self.runs {
            self.output_mw = 0;
            self.warm_ms = 0;
            self.flows = Flows { gas, generator: 0 };
            return 0;
        }
        let generator = &self.rating.generator;
        let rated_mw = generator.rated().to_milliwatts();
        let is_warm = self.warm_ms >= generator.warm_up_ms;
        let wanted_mw = if is_warm { self.set_point.to_milliwatts().clamp(0, rated_mw) } else { 0 };
        let step_mw = rated_mw * i64::try_from(ms).unwrap_or(i64::MAX) / RAMP_MS;
        let least_mw = generator.least().to_milliwatts().min(wanted_mw);
        // It takes its least load at once, and what is beyond that along a ramp.
        self.output_mw = wanted_mw
            .clamp(self.output_mw - step_mw, self.output_mw.max(least_mw) + step_mw)
            .max(least_mw);
        if self.burns_ml_per_h(self.output_mw) > gas {
            // There is not so much: it gives what there is gas for, or stalls.
            let heat = self.heat_mw(gas) * 100 / (100 + WORN_PERCENT);
            let able = generator.output_from_floor(Power::from_milliwatts(heat));
            self.output_mw = able.map_or(0, Power::to_milliwatts).min(self.output_mw);
        }
        let burns = self.burns_ml_per_h(self.output_mw).min(gas);
        self.flows = Flows { gas, generator: burns };
        self.output_mw
    }

    /// Ends a tick of `ms`: what flowed is counted.
    pub(super) fn end_tick(&mut self, ms: u64) {
        let Flows { gas, generator } = self.flows;
        self.gas.add(gas, ms);
        self.generator.add(generator, ms);
        self.to_flare.add(gas - generator, ms);
        if !self.flame {
            self.vented.add(gas - generator, ms);
        }
        self.given.add(self.output_mw, ms);
        self.generated.add(self.output_mw, ms);
        let limits = &self.rating.generator;
        let is_loaded = self.output_mw > 0;
        let within = limits.least()..=limits.rated();
        if is_loaded && !within.contains(&Power::from_milliwatts(self.output_mw)) {
            self.beyond_limits_ms += ms;
        }
        if self.runs {
            self.warm_ms += ms;
            self.ran_ms += ms;
        }
        self.stopped_ms = self.stopped_ms.filter(|_| !self.runs).map(|rested| rested + ms);
        self.passed_ms += ms;
    }

    /// The well `into_ms` into the running tick.
    pub(super) fn truth(&self, into_ms: u64) -> WellTruth {
        let Flows { gas, generator } = self.flows;
        let to_flare = gas - generator;
        WellTruth {
            output: Power::from_milliwatts(self.output_mw),
            runs: self.runs,
            is_warm: self.runs && self.warm_ms >= self.rating.generator.warm_up_ms,
            flame: self.flame,
            gas_ml: self.gas.after(gas, into_ms),
            generator_ml: self.generator.after(generator, into_ms),
            to_flare_ml: self.to_flare.after(to_flare, into_ms),
            vented_ml: self.vented.after(if self.flame { 0 } else { to_flare }, into_ms),
            given: self.given.shown_after(self.output_mw, into_ms),
            generated: self.generated.shown(),
            starts: self.starts,
            ran_ms: self.ran_ms,
            rest_ms_min: self.rest_ms_min,
            beyond_limits_ms: self.beyond_limits_ms,
        }
    }

    /// What the well gives now: its mean, and a triangle around it.
    fn gas_ml_per_h(&self) -> u64 {
        let into = self.passed_ms % SWING_MS;
        let half = SWING_MS / 2;
        let above = if into < half { into } else { SWING_MS - into };
        let mean = self.rating.gas_ml_per_h;
        mean * (100 - SWING_PERCENT) / 100 + mean * 2 * SWING_PERCENT / 100 * above / half
    }

    /// What the generator burns to give that, in ml an hour.
    fn burns_ml_per_h(&self, output_mw: i64) -> u64 {
        let generator = &self.rating.generator;
        let least = generator.burns_ceil(generator.least()).to_milliwatts();
        let loaded = generator.burns_ceil(Power::from_milliwatts(output_mw)).to_milliwatts();
        let heat_mw = loaded.max(least * IDLE_PERCENT / 100) * (100 + WORN_PERCENT) / 100;
        // mW / (Wh/m³) is 10⁻³ m³/h, which is 1 000 ml/h.
        let ml = i128::from(heat_mw) * 1_000 / i128::from(self.rating.heat_wh_per_m3);
        u64::try_from(ml).expect("ratings are bounded")
    }

    /// The heat of so much gas.
    fn heat_mw(&self, ml_per_h: u64) -> i64 {
        let mw = u128::from(ml_per_h) * u128::from(self.rating.heat_wh_per_m3) / 1_000;
        i64::try_from(mw).expect("ratings are bounded")
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_miners::generator::Point;

    use super::*;

    const TICK_MS: u64 = 1_000;

    fn well() -> WellPlant {
        let point = |w: i64, efficiency_ppm| Point {
            output: Power::from_milliwatts(w * 1_000),
            efficiency_ppm,
        };
        let curve = vec![point(10_000, 240_000), point(30_000, 320_000)];
        let mut generator = Generator::new(curve).unwrap();
        generator.warm_up_ms = 3_000;
        // 12 m³/h of 10 kWh: 120 kW of heat, more than the 94 that it burns at most.
        WellPlant::new(WellRating { generator, gas_ml_per_h: 12_000_000, heat_wh_per_m3: 10_000 })
    }

    fn run(well: &mut WellPlant, seconds: u64) -> WellTruth {
        for _ in 0..seconds {
            well.begin_tick(TICK_MS);
            well.end_tick(TICK_MS);
        }
        well.truth(0)
    }

    fn watts(w: i64) -> Power {
        Power::from_milliwatts(w * 1_000)
    }

    #[test]
    fn no_gas_appears_or_gets_lost_and_it_is_vented_only_while_the_flame_is_out() {
        let mut well = well();
        well.tell(WellCommand::SetPoint(watts(20_000)));
        well.tell(WellCommand::Run(true));
        let truth = run(&mut well, 160);
        assert!(truth.gas_ml.abs_diff(truth.generator_ml + truth.to_flare_ml) <= 2);
        // Two swings: 160 s of 12 m³/h on average.
        assert!(truth.gas_ml.abs_diff(533_333) < 10_000, "{}", truth.gas_ml);
        assert!(truth.generator_ml > 0 && truth.vented_ml == 0);
        well.tell(WellCommand::Flame(false));
        let out = run(&mut well, 10);
        assert!(out.vented_ml.abs_diff(out.to_flare_ml - truth.to_flare_ml) <= 2);
    }

    #[test]
    fn it_warms_up_takes_its_least_load_at_once_and_the_rest_along_a_ramp() {
        let mut well = well();
        well.tell(WellCommand::SetPoint(watts(30_000)));
        well.tell(WellCommand::Run(true));
        let cold = run(&mut well, 3);
        assert!(cold.runs && cold.output == Power::ZERO && cold.generator_ml > 0);
        assert_eq!(run(&mut well, 1).output, watts(17_500));
        assert_eq!(run(&mut well, 2).output, watts(30_000));
        well.tell(WellCommand::SetPoint(watts(12_000)));
        assert_eq!(run(&mut well, 1).output, watts(22_500));
        let truth = run(&mut well, 5);
        assert_eq!((truth.output, truth.beyond_limits_ms), (watts(12_000), 0));
    }

    #[test]
    fn what_it_should_not_be_told_it_does_and_is_seen_to_do() {
        let mut well = well();
        well.tell(WellCommand::SetPoint(watts(4_000)));
        well.tell(WellCommand::Run(true));
        let truth = run(&mut well, 13);
        assert_eq!((truth.output, truth.beyond_limits_ms), (watts(4_000), 10_000));
        well.tell(WellCommand::Run(false));
        run(&mut well, 5);
        well.tell(WellCommand::Run(true));
        let truth = run(&mut well, 1);
        assert_eq!((truth.starts, truth.rest_ms_min), (2, Some(5_000)));
    }

    #[test]
    fn without_enough_gas_it_gives_what_there_is_gas_for() {
        let mut well = well();
        well.rating.gas_ml_per_h = 6_000_000;
        well.tell(WellCommand::SetPoint(watts(30_000)));
        well.tell(WellCommand::Run(true));
        let truth = run(&mut well, 40);
        assert!(truth.output < watts(22_000) && truth.output > watts(10_000), "{}", truth.output);
        well.rating.gas_ml_per_h = 3_000_000;
        assert_eq!(run(&mut well, 5).output, Power::ZERO, "it stalls");
    }
}
