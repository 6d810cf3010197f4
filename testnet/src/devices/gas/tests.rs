//! A well's devices, spoken to by the project's own drivers, next to the plant's truth.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use boltgrid_metering::drivers::{Buses, Meter, MeterConfig};
use boltgrid_metering::shown::Shown;
use boltgrid_miners::drivers::{Flame, FlameConfig, Genset, GensetConfig};
use boltgrid_miners::generator::{Generator, Point};
use boltgrid_protocol::units::Timestamp;

use super::*;
use crate::plant::{Plant, PlantOptions, TICKS_PER_INTERVAL, WellRating};
use crate::scenario::{RURAL1, Scenario};

const EPOCH_MS: u64 = 1_700_000_000_000;
const SITE: usize = 4;

/// A well at noon whose clock is set by hand.
struct Noon {
    devices: WellDevices,
    plant: SharedPlant,
    ms: Arc<AtomicU64>,
}

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).unwrap()
}

impl Noon {
    async fn start() -> Self {
        let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
        let options = PlantOptions {
            nodes: NonZeroUsize::new(5).unwrap(),
            seed: 7,
            interval_ms: 10_000,
            ticks_per_interval: TICKS_PER_INTERVAL,
            start_row: scenario.profiles.row_at("2016-05-25T12:00:00").unwrap(),
            epoch: Timestamp::from_unix_ms(EPOCH_MS),
        };
        let point = |w, efficiency_ppm| Point { output: watts(w), efficiency_ppm };
        let generator = Generator::new(vec![point(8_000, 240_000), point(24_000, 330_000)]);
        let mut generator = generator.unwrap();
        generator.warm_up_ms = 2_000;
        let rating = WellRating { generator, gas_ml_per_h: 9_000_000, heat_wh_per_m3: 10_000 };
        let mut plant = Plant::new(scenario, options).unwrap();
        plant.install_well(SITE, rating);
        let plant = Arc::new(Mutex::new(plant));
        let ms = Arc::new(AtomicU64::new(EPOCH_MS));
        let hand = Arc::clone(&ms);
        let clock: Clock = Arc::new(move || Timestamp::from_unix_ms(hand.load(Ordering::SeqCst)));
        let devices = WellDevices::start(&plant, &clock, SITE).await.unwrap();
        Self { devices, plant, ms }
    }

    fn pass(&self, seconds: u64) -> WellTruth {
        self.ms.fetch_add(seconds * 1_000, Ordering::SeqCst);
        let mut plant = self.plant.lock().unwrap();
        plant.step_to(Timestamp::from_unix_ms(self.ms.load(Ordering::SeqCst)));
        plant.well_truth(SITE).unwrap()
    }

    fn genset(&self) -> Genset {
        let text = format!(
            "address = \"{}\"\nunit = {CONTROLLER_UNIT}\nrun_coil = 0\nset_point_register = 0\n\
             set_point_w = 100\nruns_input = 0\nhours_register = 10\n",
            self.devices.address
        );
        Genset::new(&toml::from_str::<GensetConfig>(&text).unwrap())
    }

    fn flame(&self) -> Flame {
        let text = format!(
            "address = \"{}\"\nunit = {FLARE_UNIT}\nflame_input = 0\n",
            self.devices.address
        );
        Flame::new(&toml::from_str::<FlameConfig>(&text).unwrap())
    }

    /// What a meter shows that is read by a map.
    async fn shown(&self, unit: u8, map: &str) -> Shown {
        let text = format!(
            "driver = \"modbus-map\"\naddress = \"{}\"\nunit = {unit}\n{map}\n",
            self.devices.address
        );
        let config: MeterConfig = toml::from_str(&text).unwrap();
        let buses = Buses::new(Duration::from_secs(5));
        let mut meter = Meter::open(&config, &buses, "meter", None).await.unwrap();
        meter.read().await.unwrap()
    }
}

#[tokio::test]
async fn a_generator_is_started_loaded_and_stopped_and_its_meter_shows_it() {
    let noon = Noon::start().await;
    let genset = noon.genset();
    let looked = genset.look().await.unwrap();
    assert_eq!((looked.runs, looked.hours), (false, Some(0)));
    genset.command(true, watts(16_049)).await.unwrap();
    noon.pass(3);
    assert!(genset.look().await.unwrap().runs);
    let truth = noon.pass(7);
    assert_eq!(truth.output, watts(16_000), "a count of the register is 100 W");
    let shown = noon.shown(GENERATOR_METER_UNIT, "map = \"eastron-sdm630\"").await;
    assert_eq!(shown.power, Some(watts(-16_000)), "what it gives is negative");
    let site = noon.plant.lock().unwrap().site_truth(SITE);
    assert_eq!(site.generator, watts(-16_000));
    assert_eq!(
        site.net,
        site.load.checked_add(site.battery).unwrap().checked_sub(watts(16_000)).unwrap()
    );
    genset.command(false, Power::ZERO).await.unwrap();
    assert_eq!(noon.pass(2).output, Power::ZERO);
    assert!(!genset.look().await.unwrap().runs);
    let hours = noon.pass(0).ran_ms;
    assert!((9_000..=12_000).contains(&hours), "{hours}");
}

#[tokio::test]
async fn gas_meters_count_and_the_flare_says_whether_it_burns() {
    let noon = Noon::start().await;
    let pulses = "map = \"pulse-counter-gas\"\nscale = { gas = \"0.1\" }";
    let truth = noon.pass(100);
    for (unit, ml) in [(WELL_UNIT, truth.gas_ml), (FLARE_METER_UNIT, truth.to_flare_ml)] {
        let shown = noon.shown(unit, pulses).await.gas.unwrap().thousandths_floor().unwrap();
        assert_eq!(shown, ml / PULSE_ML * PULSE_ML, "unit {unit}");
    }
    assert_eq!(truth.gas_ml, truth.to_flare_ml, "nothing else burns it");
    assert!(noon.flame().burns().await.unwrap());
    let now = Timestamp::from_unix_ms(noon.ms.load(Ordering::SeqCst));
    let out = Command::Well(WellCommand::Flame(false));
    noon.plant.lock().unwrap().command(now, SITE, out).unwrap();
    assert!(!noon.flame().burns().await.unwrap());
    assert!(noon.pass(10).vented_ml > 0);
}

#[tokio::test]
async fn a_generator_that_is_not_there_is_an_error_that_names_it() {
    let noon = Noon::start().await;
    let genset = noon.genset();
    noon.devices.stop().await;
    let error = genset.command(true, watts(9_000)).await.unwrap_err().to_string();
    assert!(error.starts_with("generator: "), "{error}");
}
