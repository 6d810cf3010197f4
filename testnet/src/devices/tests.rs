//! A site read and commanded over the loopback interface, next to the plant's truth.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
};

use boltgrid::site::{SiteConfig, Trial};
use boltgrid_protocol::units::Power;
use sunspec::client::{AsyncClient, AsyncDevice, Config};
use sunspec::models::model1::Model1;
use sunspec::models::model103::{Model103, St};
use sunspec::models::model120::Model120;
use sunspec::models::model122::Model122;
use sunspec::models::model123::{Model123, WMaxLimEna};
use sunspec::models::model124::{ChaSt, Model124, StorCtlMod};
use sunspec::models::model203::Model203;
use sunspec::models::model802::Model802;
use tokio::time::timeout;
use tokio_modbus::client::{Context, Reader, Writer, tcp::connect_slave};
use tokio_modbus::{ExceptionCode, Slave};

use super::*;
use crate::plant::{PlantOptions, SiteTruth, TICKS_PER_INTERVAL};
use crate::scenario::{RURAL1, Scenario};

const EPOCH_MS: u64 = 1_700_000_000_000;
const TICK_MS: u64 = 1000;
/// bus1: PV that can be curtailed.
const BUS1: usize = 0;
/// bus2: PV that is must-run.
const BUS2: usize = 1;
/// bus6: a battery.
const BUS6: usize = 4;

type Device = AsyncDevice<Arc<tokio::sync::Mutex<Context>>>;

/// A farm at noon whose clock is set by hand.
struct Noon {
    farm: DeviceFarm,
    plant: SharedPlant,
    ms: Arc<AtomicU64>,
}

impl Noon {
    async fn start() -> Self {
        Self::start_with(Meters::Sunspec).await
    }

    async fn start_with(meters: Meters) -> Self {
        let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
        let options = PlantOptions {
            nodes: NonZeroUsize::new(13).unwrap(),
            seed: 7,
            interval_ms: 10_000,
            ticks_per_interval: TICKS_PER_INTERVAL,
            start_row: scenario.profiles.row_at("2016-05-25T12:00:00").unwrap(),
            epoch: Timestamp::from_unix_ms(EPOCH_MS),
        };
        let plant = Arc::new(Mutex::new(Plant::new(scenario, options).unwrap()));
        let ms = Arc::new(AtomicU64::new(EPOCH_MS));
        let hand = Arc::clone(&ms);
        let clock: Clock = Arc::new(move || Timestamp::from_unix_ms(hand.load(Ordering::SeqCst)));
        let farm = DeviceFarm::start(Arc::clone(&plant), clock, meters).await.unwrap();
        Self { farm, plant, ms }
    }

    fn pass(&self, ms: u64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }

    fn truth(&self, site: usize) -> SiteTruth {
        let mut plant = self.plant.lock().unwrap();
        plant.step_to(Timestamp::from_unix_ms(self.ms.load(Ordering::SeqCst)));
        plant.site_truth(site)
    }

    async fn context(&self, site: usize, unit: u8) -> Context {
        connect_slave(self.farm.sites()[site].address, Slave(unit)).await.unwrap()
    }

    async fn device(&self, site: usize, unit: u8) -> Device {
        let context = self.context(site, unit).await;
        AsyncClient::new(context, Config::default()).device(unit).await.unwrap()
    }
}

fn scaled(register: i64, sf: i16, unit_milli: i16) -> i64 {
    let exponent = u32::try_from(sf + unit_milli).unwrap();
    register * 10_i64.pow(exponent)
}

#[tokio::test]
async fn a_node_reads_the_truth_of_the_plant_off_every_kind_of_grid_meter() {
    let noon = Noon::start_with(Meters::Mixed).await;
    noon.pass(7 * TICK_MS + 300);
    for (site, kind) in MeterKind::ALL.into_iter().enumerate() {
        let (described, address) = noon.farm.sites()[site].meter;
        assert_eq!(described, kind);
        let meter = toml::from_str(&kind.settings(address)).unwrap();
        let config = SiteConfig { meter: Some(meter), ..SiteConfig::default() };
        let mut trial = Trial::new(&config).unwrap();
        // Some answer and some send when they like.
        let read = async {
            loop {
                if let Some(value) = trial.read().await[0].last {
                    return value;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let value = timeout(Duration::from_secs(20), read).await.unwrap();
        let truth = noon.truth(site);
        let (shown_mw, mw) = (value.power.unwrap().to_milliwatts(), truth.net.to_milliwatts());
        assert!(mw.abs() > 100_000 && shown_mw.abs_diff(mw) <= 5_000, "{kind:?}: {shown_mw} {mw}");
        let import = value.import.unwrap().to_milliwatt_hours();
        let imported = truth.registers.imported.to_milliwatt_hours();
        let counted = if kind == MeterKind::Shelly { 0 } else { imported };
        assert!(import.abs_diff(counted) <= 1_000, "{kind:?}: {import} {counted}");
        let volts = value.shown.mean_voltage_mv().unwrap();
        assert!(i64::from(volts).abs_diff(truth.phase_mv) <= 200, "{kind:?}: {volts}");
    }
}

#[tokio::test]
async fn the_grid_meter_shows_the_truth_of_the_plant() {
    let noon = Noon::start().await;
    noon.pass(7 * TICK_MS + 300);
    for site in 0..13 {
        let device = noon.device(site, METER_UNIT).await;
        assert_eq!(device.models.supported_model_ids(), [1, 203]);
        let meter: Model203 = device.read_model().await.unwrap();
        let truth = noon.truth(site);
        let net_mw = scaled(meter.w.into(), meter.w_sf, 3);
        assert!((net_mw - truth.net.to_milliwatts()).abs() <= scaled(1, meter.w_sf, 3) / 2);
        let registers = truth.registers;
        assert_eq!(u64::from(meter.tot_wh_imp), registers.imported.to_milliwatt_hours());
        assert_eq!(u64::from(meter.tot_wh_exp), registers.exported.to_milliwatt_hours());
        assert_eq!(meter.tot_wh_sf, -3);
        for volts in [meter.ph_vph_a, meter.ph_vph_b, meter.ph_vph_c] {
            assert_eq!(i64::from(volts), truth.phase_mv / 100);
        }
        assert!((4998..=5002).contains(&meter.hz), "{}", meter.hz);
        let phase_ma = scaled(meter.aph_a.into(), meter.a_sf, 3);
        assert!((phase_ma * truth.phase_mv * 3 / 1000 - net_mw.abs()).abs() <= 80_000);
        assert_eq!((meter.wph_a, meter.va, meter.tot_v_arh_sf), (None, None, None));
        assert_eq!((meter.tot_wh_imp_ph_a, meter.tot_v_arh_exp_q4_ph_c), (None, None));
        let common: Model1 = device.read_model().await.unwrap();
        let name = &noon.farm.sites()[site].nameplate.name;
        assert_eq!(common.sn, format!("{name}-meter"));
    }
    noon.farm.stop().await;
}

#[tokio::test]
async fn an_inverter_shows_what_it_could_give_and_obeys_a_limit_from_the_next_tick_on() {
    let noon = Noon::start().await;
    let device = noon.device(BUS1, INVERTER_UNIT).await;
    assert_eq!(device.models.supported_model_ids(), [1, 103, 120, 122, 123]);
    let rating: Model120 = device.read_model().await.unwrap();
    assert_eq!(scaled(rating.w_rtg.into(), rating.w_rtg_sf, 0), 117_200);
    assert_eq!(rating.wh_rtg, None);
    let status: Model122 = device.read_model().await.unwrap();
    let available = scaled(status.w_aval.unwrap().into(), status.w_aval_sf.unwrap(), 0);
    assert_eq!(available, 60_620);
    let output: Model103 = device.read_model().await.unwrap();
    assert_eq!((scaled(output.w.into(), output.w_sf, 0), output.st), (60_620, St::Mppt));

    device.write_point(Model123::W_MAX_LIM_PCT, 1000).await.unwrap();
    device.write_point(Model123::W_MAX_LIM_ENA, WMaxLimEna::Enabled).await.unwrap();
    assert_eq!(noon.truth(BUS1).pv, noon.truth(BUS1).pv_potential);
    noon.pass(TICK_MS);
    let output: Model103 = device.read_model().await.unwrap();
    assert_eq!((scaled(output.w.into(), output.w_sf, 0), output.st), (11_720, St::Throttled));
    assert_eq!(noon.truth(BUS1).pv.to_milliwatts(), -11_720_000);
    let status: Model122 = device.read_model().await.unwrap();
    assert_eq!(scaled(status.w_aval.unwrap().into(), status.w_aval_sf.unwrap(), 0), 60_620);
    let controls: Model123 = device.read_model().await.unwrap();
    assert_eq!((controls.w_max_lim_pct, controls.w_max_lim_ena), (1000, WMaxLimEna::Enabled));

    device.write_point(Model123::W_MAX_LIM_ENA, WMaxLimEna::Disabled).await.unwrap();
    noon.pass(TICK_MS);
    assert_eq!(noon.truth(BUS1).pv, noon.truth(BUS1).pv_potential);
    noon.farm.stop().await;
}

#[tokio::test]
async fn a_must_run_inverter_has_no_controls() {
    let noon = Noon::start().await;
    let device = noon.device(BUS2, INVERTER_UNIT).await;
    assert_eq!(device.models.supported_model_ids(), [1, 103, 120, 122]);
    noon.farm.stop().await;
}

#[tokio::test]
async fn a_battery_follows_forced_charge_and_discharge_and_shows_its_charge() {
    let noon = Noon::start().await;
    let device = noon.device(BUS6, BATTERY_UNIT).await;
    assert_eq!(device.models.supported_model_ids(), [1, 103, 120, 124, 802]);
    let storage: Model124 = device.read_model().await.unwrap();
    assert_eq!(scaled(storage.w_cha_max.into(), storage.w_cha_max_sf, 0), 18_300);
    assert_eq!(storage.cha_st, Some(ChaSt::Holding));
    let bank: Model802 = device.read_model().await.unwrap();
    // 36.7 kWh at 10 s for 15 min are 407.7 Wh.
    assert_eq!(scaled(bank.wh_rtg.into(), bank.wh_rtg_sf, 3), 407_770);

    let check = async |mode, out_rate: i16, in_rate: i16, expected_mw: i64| {
        device.write_point(Model124::OUT_W_RTE, Some(out_rate)).await.unwrap();
        device.write_point(Model124::IN_W_RTE, Some(in_rate)).await.unwrap();
        device.write_point(Model124::STOR_CTL_MOD, mode).await.unwrap();
        noon.pass(TICK_MS);
        assert_eq!(noon.truth(BUS6).battery, Power::from_milliwatts(expected_mw));
        let output: Model103 = device.read_model().await.unwrap();
        assert_eq!(scaled(output.w.into(), output.w_sf, 3), -expected_mw);
    };
    let both = StorCtlMod::Charge | StorCtlMod::DiScharge;
    check(both, -5000, 10_000, 9_150_000).await;
    let charging: Model124 = device.read_model().await.unwrap();
    assert_eq!(charging.cha_st, Some(ChaSt::Charging));
    check(both, 10_000, -2500, -4_575_000).await;
    check(both, 5000, 5000, 0).await;
    check(both, -5000, 2000, 0).await;
    check(StorCtlMod::Charge, -5000, 10_000, 0).await;
    check(StorCtlMod::DiScharge, -10_000, 0, 18_300_000).await;

    noon.pass(5 * TICK_MS);
    let storage: Model124 = device.read_model().await.unwrap();
    let truth = noon.truth(BUS6);
    let hundredths = truth.battery_stored.to_milliwatt_hours() * 10_000 / 407_777;
    assert_eq!(u64::from(storage.cha_state.unwrap()), hundredths);
    assert!(hundredths > 5100);
    let output: Model103 = device.read_model().await.unwrap();
    assert_eq!(u64::from(output.wh), truth.battery_discharged.to_milliwatt_hours());
    noon.farm.stop().await;
}

#[tokio::test]
async fn requests_that_make_no_sense_get_the_exception_that_says_so() {
    let noon = Noon::start().await;
    let mut battery = noon.context(BUS6, BATTERY_UNIT).await;
    let model = noon.device(BUS6, BATTERY_UNIT).await.models.m124.addr;
    let mode = model + Model124::STOR_CTL_MOD.offset;
    let rates = model + Model124::OUT_W_RTE.offset;
    assert_eq!(
        battery.read_holding_registers(39_999, 2).await.unwrap(),
        Err(ExceptionCode::IllegalDataAddress)
    );
    let marker = battery.read_input_registers(40_000, 2).await.unwrap().unwrap();
    assert_eq!(marker, [0x5375, 0x6e53]);
    assert_eq!(battery.read_coils(0, 1).await.unwrap(), Err(ExceptionCode::IllegalFunction));
    let mut refused = async |address, words: &[u16], exception| {
        let answer = battery.write_multiple_registers(address, words).await.unwrap();
        assert_eq!(answer, Err(exception), "{address} {words:?}");
    };
    refused(model, &[1], ExceptionCode::IllegalDataAddress).await;
    refused(mode, &[4], ExceptionCode::IllegalDataValue).await;
    refused(rates, &[10_001, 0], ExceptionCode::IllegalDataValue).await;
    // All or nothing: the register after the rates cannot be written.
    refused(rates, &[1, 1, 1], ExceptionCode::IllegalDataAddress).await;
    refused(u16::MAX, &[1], ExceptionCode::IllegalDataAddress).await;
    let unchanged = battery.read_holding_registers(rates, 2).await.unwrap().unwrap();
    assert_eq!(unchanged, [10_000, 10_000]);
    assert_eq!(battery.write_single_register(mode, 3).await.unwrap(), Ok(()));

    let mut meter = noon.context(BUS6, METER_UNIT).await;
    let write = meter.write_single_register(40_002, 1).await.unwrap();
    assert_eq!(write, Err(ExceptionCode::IllegalDataAddress));
    let mut nobody = noon.context(BUS6, INVERTER_UNIT).await;
    let read = nobody.read_holding_registers(40_000, 2).await.unwrap();
    assert_eq!(read, Err(ExceptionCode::GatewayTargetDevice));
    noon.farm.stop().await;
}

#[tokio::test]
async fn a_site_takes_a_bounded_number_of_connections_and_stop_closes_them() {
    let noon = Noon::start().await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut context = noon.context(BUS1, METER_UNIT).await;
        context.read_holding_registers(40_000, 2).await.unwrap().unwrap();
        open.push(context);
    }
    let mut one_too_many = noon.context(BUS1, METER_UNIT).await;
    assert!(one_too_many.read_holding_registers(40_000, 2).await.is_err());
    let address = noon.farm.sites()[BUS1].address;
    noon.farm.stop().await;
    for mut context in open {
        assert!(context.read_holding_registers(40_000, 2).await.is_err());
    }
    assert!(TcpStream::connect(address).await.is_err());
}
