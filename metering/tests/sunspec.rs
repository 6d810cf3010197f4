//! The SunSpec driver against a real Modbus TCP server, well- and ill-mannered.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod device;

use std::time::{Duration, Instant};

use boltgrid_metering::drivers::sunspec::{SunSpecBattery, SunSpecMeter, SunSpecPv};
use boltgrid_metering::drivers::{Bus, DeviceError, PointRejected};
use boltgrid_metering::register::Width;
use boltgrid_protocol::units::{Energy, Power};
use device::{Manners, Registers, Running};
use sunspec::models::model103::Model103;
use sunspec::models::model113::Model113;
use sunspec::models::model120::Model120;
use sunspec::models::model122::Model122;
use sunspec::models::model123::{Model123, WMaxLimEna};
use sunspec::models::model124::{Model124, StorCtlMod};
use sunspec::models::model203::Model203;
use sunspec::models::model213::Model213;
use sunspec::models::model802::Model802;

const METER: u8 = 1;
const PV: u8 = 2;
const BATTERY: u8 = 3;
const TIMEOUT: Duration = Duration::from_millis(300);

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).unwrap()
}

/// −1.23 kW at 230.1 V and 49.98 Hz; 5 Wh taken and 1234.567 Wh given so far.
fn meter(id: u16) -> Registers {
    Registers::new()
        .with_as::<Model203>(id)
        .put(Model203::PH_V, 2301)
        .put(Model203::V_SF, -1)
        .put(Model203::HZ, 4998)
        .put(Model203::HZ_SF, Some(-2))
        .put(Model203::W, -123)
        .put(Model203::W_SF, 1)
        .put(Model203::TOT_WH_IMP, 5_000)
        .put(Model203::TOT_WH_EXP, 1_234_567)
        .put(Model203::TOT_WH_SF, -3)
}

/// 30 kW on the nameplate, 8 kW now, 12 kW if it were not turned down.
fn pv() -> Registers {
    Registers::new()
        .with::<Model103>()
        .put(Model103::W, 8_000)
        .with::<Model120>()
        .put(Model120::W_RTG, 300)
        .put(Model120::W_RTG_SF, 2)
        .with::<Model122>()
        .put(Model122::W_AVAL, Some(12_000))
        .put(Model122::W_AVAL_SF, Some(0))
        .with::<Model123>()
        .put(Model123::W_MAX_LIM_PCT_SF, -2)
}

/// A battery of 111 Wh and 5 kW, 62.5 % full, that discharges with 1 kW.
fn battery() -> Registers {
    Registers::new()
        .with::<Model103>()
        .put(Model103::W, 1_000)
        .with::<Model120>()
        .put(Model120::W_RTG, 5_000)
        .with::<Model124>()
        .put(Model124::W_CHA_MAX, 5_000)
        .put(Model124::CHA_STATE, Some(6_250))
        .put(Model124::CHA_STATE_SF, Some(-2))
        .put(Model124::IN_OUT_W_RTE_SF, Some(-2))
        .with::<Model802>()
        .put(Model802::WH_RTG, 11_100)
        .put(Model802::WH_RTG_SF, -2)
        .put(Model802::W_CHA_RTE_MAX, 4_000)
        .put(Model802::W_DIS_CHA_RTE_MAX, 9_000)
}

async fn site() -> (Running, Bus) {
    let running = Running::start([(METER, meter(203)), (PV, pv()), (BATTERY, battery())]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    (running, bus)
}

async fn open_meter(bus: &Bus) -> Result<SunSpecMeter, DeviceError> {
    SunSpecMeter::open(bus, METER, "grid meter", Some(watts(30_000))).await
}

async fn open_battery(bus: &Bus) -> SunSpecBattery {
    SunSpecBattery::open(bus, BATTERY, "battery", None, None).await.unwrap()
}

#[tokio::test]
async fn all_integer_meters_are_read_alike() {
    for id in [201, 202, 203, 204] {
        let running = Running::start([(METER, meter(id))]).await;
        let bus = Bus::new(running.bus_address(), TIMEOUT);
        let shown = open_meter(&bus).await.unwrap().read().await.unwrap();
        assert_eq!(shown.power, Some(watts(-1_230)));
        assert_eq!((shown.voltage_mv, shown.frequency_mhz), (Some(230_100), Some(49_980)));
        let (import, export) = (shown.import.unwrap(), shown.export.unwrap());
        assert_eq!((import.count, export.count), (5_000, 1_234_567));
        assert_eq!(import.width, Width::Acc32);
    }
}

#[tokio::test]
async fn a_floating_point_meter_is_read() {
    let registers = Registers::new()
        .with::<Model213>()
        .put(Model213::W, 1_500.25)
        .put(Model213::PH_V, 229.5)
        .put(Model213::HZ, f32::NAN)
        .put(Model213::TOT_WH_IMP, 1_024.5)
        .put(Model213::TOT_WH_EXP, 0.0);
    let running = Running::start([(METER, registers)]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let meter = open_meter(&bus).await.unwrap();
    let shown = meter.read().await.unwrap();
    assert_eq!(shown.power, Some(Power::from_milliwatts(1_500_250)));
    assert_eq!((shown.voltage_mv, shown.frequency_mhz), (Some(229_500), None));
    let import = shown.import.unwrap();
    assert_eq!((import.count, import.width), (1_024_500, Width::Float));
    running.change(METER, |unit| unit.set(Model213::W, f32::INFINITY));
    assert!(matches!(meter.read().await, Err(DeviceError::Point { point, .. }) if point == "W"));
}

#[tokio::test]
async fn sentinels_and_impossible_values_name_device_and_point() {
    let (running, bus) = site().await;
    let meter = open_meter(&bus).await.unwrap();
    type Change = fn(&mut Registers);
    let cases: [(Change, Change, &str); 6] = [
        (|unit| unit.set(Model203::W, i16::MIN), |unit| unit.set(Model203::W, 0), "W"),
        (|unit| unit.set(Model203::W_SF, i16::MIN), |unit| unit.set(Model203::W_SF, 0), "W"),
        (|unit| unit.set(Model203::W, 30_000), |unit| unit.set(Model203::W, 1), "W"),
        (
            |unit| unit.set(Model203::TOT_WH_IMP, u32::MAX),
            |unit| unit.set(Model203::TOT_WH_IMP, 1),
            "TotWhImp",
        ),
        (|unit| unit.set(Model203::HZ, 1), |unit| unit.set(Model203::HZ, 5_000), "Hz"),
        (|unit| unit.set(Model203::V_SF, 9), |unit| unit.set(Model203::V_SF, -1), "PhV"),
    ];
    // From here on a register count of W is 10 W; the third case is 300 kW at a rating of 30.
    for (spoil, mend, expected) in cases {
        running.change(METER, |unit| unit.set(Model203::W_SF, 1));
        running.change(METER, spoil);
        let error = meter.read().await.unwrap_err();
        let DeviceError::Point { device, point, .. } = &error else { panic!("{error}") };
        assert_eq!((device.as_ref(), point.as_ref()), ("grid meter", expected));
        assert!(!error.is_misconfiguration());
        running.change(METER, mend);
        meter.read().await.unwrap();
    }
}

#[tokio::test]
async fn pv_shows_what_it_could_give() {
    let (running, bus) = site().await;
    let pv = SunSpecPv::open(&bus, PV, "pv", None).await.unwrap();
    let sample = pv.read().await.unwrap();
    assert_eq!((sample.power, sample.potential), (watts(8_000), Some(watts(12_000))));
    assert_eq!((sample.curtailable, sample.rated), (true, Some(watts(30_000))));

    // Without that point, what is not limited is all there is.
    running.change(PV, |unit| unit.set(Model122::W_AVAL, None));
    assert_eq!(pv.read().await.unwrap().potential, Some(watts(8_000)));
    running.change(PV, |unit| unit.set(Model123::W_MAX_LIM_ENA, WMaxLimEna::Enabled));
    assert_eq!(pv.read().await.unwrap().potential, None);
}

#[tokio::test]
async fn pv_without_controls_is_must_run() {
    let registers = Registers::new().with::<Model113>().put(Model113::W, 2_000.0);
    let running = Running::start([(PV, registers)]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let pv = SunSpecPv::open(&bus, PV, "pv", None).await.unwrap();
    let sample = pv.read().await.unwrap();
    assert_eq!((sample.power, sample.potential), (watts(2_000), Some(watts(2_000))));
    assert!(!sample.curtailable);
    assert!(matches!(pv.limit(None).await, Err(DeviceError::ModelMissing { .. })));
}

#[tokio::test]
async fn a_pv_limit_arrives_and_is_lifted() {
    let (running, bus) = site().await;
    let pv = SunSpecPv::open(&bus, PV, "pv", None).await.unwrap();
    pv.limit(Some(watts(7_500))).await.unwrap();
    assert_eq!(running.get(PV, Model123::W_MAX_LIM_PCT), 2_500);
    assert_eq!(running.get(PV, Model123::W_MAX_LIM_ENA), WMaxLimEna::Enabled);
    pv.limit(None).await.unwrap();
    assert_eq!(running.get(PV, Model123::W_MAX_LIM_ENA), WMaxLimEna::Disabled);
}

#[tokio::test]
async fn a_battery_shows_what_it_holds_and_can_do() {
    let (running, bus) = site().await;
    let battery = open_battery(&bus).await;
    let sample = battery.read().await.unwrap();
    assert_eq!(sample.power, watts(-1_000));
    assert_eq!(sample.capacity, Energy::from_milliwatt_hours(111_000));
    assert_eq!(sample.stored, Energy::from_milliwatt_hours(69_375));
    assert_eq!((sample.charge_max, sample.discharge_max), (watts(4_000), watts(5_000)));
    running.change(BATTERY, |unit| unit.set(Model124::CHA_STATE, Some(10_001)));
    let error = battery.read().await.unwrap_err();
    let expected = PointRejected::Impossible { shown: 100_010, least: 0, most: 100_000 };
    assert!(
        matches!(error, DeviceError::Point { point, source, .. } if point == "ChaState" && source == expected)
    );
}

#[tokio::test]
async fn battery_set_points_arrive() {
    let (running, bus) = site().await;
    let battery = open_battery(&bus).await;
    let check = |out, into, mode| {
        assert_eq!(running.get(BATTERY, Model124::OUT_W_RTE), Some(out));
        assert_eq!(running.get(BATTERY, Model124::IN_W_RTE), Some(into));
        assert_eq!(running.get(BATTERY, Model124::STOR_CTL_MOD), mode);
    };
    battery.set_power(Some(watts(2_000))).await.unwrap();
    check(-4_000, 4_000, StorCtlMod::all());
    battery.set_power(Some(watts(-500))).await.unwrap();
    check(1_000, -1_000, StorCtlMod::all());
    battery.set_power(None).await.unwrap();
    check(1_000, -1_000, StorCtlMod::empty());
}

#[tokio::test]
async fn a_capacity_that_the_battery_does_not_have_is_configured() {
    let bare = Registers::new()
        .with::<Model103>()
        .with::<Model124>()
        .put(Model124::W_CHA_MAX, 5_000)
        .put(Model124::CHA_STATE, Some(50));
    let running = Running::start([(BATTERY, bare)]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let without = SunSpecBattery::open(&bus, BATTERY, "battery", None, None).await;
    assert!(without.unwrap_err().to_string().contains("capacity_wh"));
    let known = Some(Energy::from_milliwatt_hours(10_000_000));
    let battery = SunSpecBattery::open(&bus, BATTERY, "battery", None, known).await.unwrap();
    assert_eq!(battery.read().await.unwrap().stored, Energy::from_milliwatt_hours(5_000_000));
}

#[tokio::test]
async fn a_device_of_another_kind_is_a_misconfiguration() {
    let (_running, bus) = site().await;
    let error = SunSpecMeter::open(&bus, PV, "grid meter", None).await.unwrap_err();
    assert!(error.is_misconfiguration());
    assert!(error.to_string().contains("[103, 120, 122, 123]"), "{error}");
    let error = SunSpecPv::open(&bus, METER, "pv", None).await.unwrap_err();
    assert!(error.is_misconfiguration(), "{error}");
}

#[tokio::test]
async fn units_share_one_connection() {
    let (running, bus) = site().await;
    let (meter, battery) = (open_meter(&bus).await.unwrap(), open_battery(&bus).await);
    let (meter, battery) = tokio::join!(meter.read(), battery.read());
    assert_eq!(meter.unwrap().power, Some(watts(-1_230)));
    assert_eq!(battery.unwrap().power, watts(-1_000));
    assert_eq!(running.connections(), 1);
}

#[tokio::test]
async fn a_restarted_server_is_connected_to_again() {
    let (mut running, bus) = site().await;
    let meter = open_meter(&bus).await.unwrap();
    running.stop().await;
    assert!(matches!(meter.read().await, Err(DeviceError::Modbus { .. })));
    assert!(matches!(meter.read().await, Err(DeviceError::Modbus { .. })));
    running.start_again().await;
    assert_eq!(meter.read().await.unwrap().power, Some(watts(-1_230)));
    assert_eq!(running.connections(), 2);
}

#[tokio::test]
async fn wrong_answers_are_errors_and_the_next_right_one_is_taken() {
    let (running, bus) = site().await;
    let meter = open_meter(&bus).await.unwrap();
    for manners in [Manners::TooShort, Manners::TooLong, Manners::BesideThePoint] {
        running.behave(METER, manners);
        let error = meter.read().await.unwrap_err();
        assert!(matches!(error, DeviceError::Modbus { .. }), "{manners:?}: {error}");
        let error = open_meter(&bus).await.unwrap_err();
        assert!(matches!(error, DeviceError::Modbus { .. }), "{manners:?}: {error}");
        running.behave(METER, Manners::Good);
        assert_eq!(meter.read().await.unwrap().power, Some(watts(-1_230)));
    }
}

#[tokio::test]
async fn a_silent_unit_costs_a_timeout_and_nobody_else() {
    let (running, bus) = site().await;
    let (meter, battery) = (open_meter(&bus).await.unwrap(), open_battery(&bus).await);
    running.behave(METER, Manners::Silent);
    let started = Instant::now();
    assert!(matches!(meter.read().await, Err(DeviceError::Modbus { .. })));
    assert!((TIMEOUT..TIMEOUT * 5).contains(&started.elapsed()));
    let error = open_meter(&bus).await.unwrap_err();
    assert!(!error.is_misconfiguration() && error.to_string().contains("timed out"), "{error}");
    assert_eq!(battery.read().await.unwrap().power, watts(-1_000));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_error_at_once() {
    let (mut running, bus) = site().await;
    running.stop().await;
    let error = open_meter(&bus).await.unwrap_err();
    assert!(matches!(error, DeviceError::Modbus { .. }));
    assert!(error.to_string().starts_with("grid meter: discovering its models failed"), "{error}");
}
