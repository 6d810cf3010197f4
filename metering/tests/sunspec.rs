//! The SunSpec driver against a real Modbus TCP server, well- and ill-mannered.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod device;

use std::time::{Duration, Instant};

use boltgrid_metering::drivers::sunspec::{SunSpecBattery, SunSpecMeter, SunSpecPv};
use boltgrid_metering::drivers::{Bus, DeviceError, PointRejected};
use boltgrid_metering::quantity::Line;
use boltgrid_metering::register::Width;
use boltgrid_metering::shown::Phase;
use boltgrid_protocol::units::{Energy, Power};
use device::{Manners, Registers, Running};
use sunspec::EnumValue;
use sunspec::models::model103::Model103;
use sunspec::models::model113::Model113;
use sunspec::models::model120::Model120;
use sunspec::models::model122::Model122;
use sunspec::models::model123::{Model123, WMaxLimEna};
use sunspec::models::model124::{Model124, StorCtlMod};
use sunspec::models::model203::Model203;
use sunspec::models::model213::Model213;
use sunspec::models::model701::Model701;
use sunspec::models::model702::Model702;
use sunspec::models::model704::{Model704, WMaxLimPctEna, WSetEna, WSetMod};
use sunspec::models::model713::Model713;
use sunspec::models::model714::{Model714, Prt, PrtPrtTyp};
use sunspec::models::model802::{ChaSt as ChaSt802, Model802};

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

/// A phase, in W, V and A.
fn phase(power_w: i64, voltage_v: u32, current_a: i32) -> Phase {
    let (voltage_mv, current_ma) = (Some(voltage_v * 1_000), Some(current_a * 1_000));
    Phase { power: Some(watts(power_w)), voltage_mv, current_ma }
}

#[tokio::test]
async fn a_meter_shows_its_phases() {
    let registers = meter(203)
        .put(Model203::WPH_A, Some(50))
        .put(Model203::WPH_B, Some(-173))
        .put(Model203::WPH_C, Some(i16::MIN))
        .put(Model203::PH_VPH_A, 2_300)
        .put(Model203::PH_VPH_B, 2_310)
        .put(Model203::PH_VPH_C, i16::MIN)
        .put(Model203::APH_A, 3)
        .put(Model203::APH_B, -8)
        .put(Model203::APH_C, i16::MIN)
        .put(Model203::A_SF, 0);
    let running = Running::start([(METER, registers)]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let shown = open_meter(&bus).await.unwrap().read().await.unwrap();
    assert_eq!(*shown.phase(Line::L1), phase(500, 230, 3));
    assert_eq!(*shown.phase(Line::L2), phase(-1_730, 231, -8));
    assert_eq!(*shown.phase(Line::L3), Phase::default());
    assert_eq!(shown.mean_voltage_mv(), Some(230_500));
}

#[tokio::test]
async fn all_floating_point_meters_are_read_alike() {
    for id in [211, 212, 213, 214] {
        let registers = Registers::new()
            .with_as::<Model213>(id)
            .put(Model213::W, -700.5)
            .put(Model213::WPH_A, Some(-700.5))
            .put(Model213::PH_VPH_A, 230.0)
            .put(Model213::APH_A, f32::NAN)
            .put(Model213::HZ, 50.0);
        let running = Running::start([(METER, registers)]).await;
        let bus = Bus::new(running.bus_address(), TIMEOUT);
        let shown = open_meter(&bus).await.unwrap().read().await.unwrap();
        let power = Some(Power::from_milliwatts(-700_500));
        let only = Phase { power, voltage_mv: Some(230_000), current_ma: None };
        assert_eq!((shown.power, *shown.phase(Line::L1)), (power, only));
    }
}

/// A generator that puts out 2 kW on its first phase and takes 0.5 kW on its second.
fn generator() -> Registers {
    Registers::new()
        .with::<Model701>()
        .put(Model701::W, Some(1_500))
        .put(Model701::WL1, Some(2_000))
        .put(Model701::WL2, Some(-500))
        .put(Model701::WL3, None)
        .put(Model701::W_SF, Some(0))
        .put(Model701::VL1, Some(2_300))
        .put(Model701::V_SF, Some(-1))
        .put(Model701::AL1, Some(9))
        .put(Model701::A_SF, Some(0))
        .put(Model701::HZ, Some(50_010))
        .put(Model701::HZ_SF, Some(-3))
        .put(Model701::TOT_WH_INJ, Some(5_000_000_000))
        .put(Model701::TOT_WH_ABS, Some(700))
        .put(Model701::TOT_WH_SF, Some(0))
}

#[tokio::test]
async fn a_generators_meter_is_turned_round() {
    let running = Running::start([(METER, generator())]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let shown = open_meter(&bus).await.unwrap().read().await.unwrap();
    assert_eq!(shown.power, Some(watts(-1_500)));
    assert_eq!(*shown.phase(Line::L1), phase(-2_000, 230, -9));
    assert_eq!(shown.phase(Line::L2).power, Some(watts(500)));
    assert_eq!(shown.phase(Line::L3).power, None);
    assert_eq!(shown.frequency_mhz, Some(50_010));
    let (import, export) = (shown.import.unwrap(), shown.export.unwrap());
    assert_eq!((import.count, export.count), (700, 5_000_000_000));
    running.change(METER, |unit| unit.set(Model701::W, None));
    let error = open_meter(&bus).await.unwrap().read().await.unwrap_err();
    assert!(matches!(error, DeviceError::Point { point, .. } if point == "W"));
}

#[tokio::test]
async fn registers_may_begin_in_three_places_and_have_models_nobody_knows() {
    for base in [40_000, 0, 50_000] {
        let registers = Registers::new().with_unknown(64_999, 70).with_as::<Model203>(203);
        let registers = registers.put(Model203::W, 7).put(Model203::HZ, 50);
        let registers = registers.with_unknown(64_998, 500).at(base);
        let running = Running::start([(METER, registers)]).await;
        let bus = Bus::new(running.bus_address(), TIMEOUT);
        let shown = open_meter(&bus).await.unwrap().read().await.unwrap();
        assert_eq!(shown.power, Some(watts(7)), "at {base}");
    }
}

#[tokio::test]
async fn models_without_end_or_beyond_the_registers_are_no_device_and_no_panic() {
    let endless = (0..300).fold(Registers::new(), |unit, _| unit.with_unknown(64_999, 0));
    let beyond = Registers::new().with_unknown(203, 15_600).at(50_000);
    for registers in [endless, beyond] {
        let running = Running::start([(METER, registers)]).await;
        running.change(METER, |unit| unit.lengthen(60_000));
        let bus = Bus::new(running.bus_address(), TIMEOUT);
        let error = open_meter(&bus).await.unwrap_err();
        assert!(matches!(error, DeviceError::NotSunSpec { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_meter_that_came_back_with_other_models_is_not_read_by_the_old_ones() {
    let running = Running::start([(METER, meter(203))]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let open = open_meter(&bus).await.unwrap();
    let moved = Registers::new().with_unknown(64_999, 40).with_as::<Model203>(203);
    running.change(METER, |unit| *unit = moved.put(Model203::W, 7).put(Model203::HZ, 50));
    let error = open.read().await.unwrap_err();
    assert!(matches!(error, DeviceError::Modbus { .. }) && error.to_string().contains("moved"));
    assert_eq!(open_meter(&bus).await.unwrap().read().await.unwrap().power, Some(watts(7)));
}

#[tokio::test]
async fn an_inverter_of_the_newer_models_is_read_and_turned_down() {
    let registers = generator()
        .with::<Model702>()
        .put(Model702::W_MAX_RTG, Some(500))
        .put(Model702::W_MAX, Some(400))
        .put(Model702::W_SF, Some(1))
        .with_length::<Model704>(704, 65)
        .put(Model704::W_MAX_LIM_PCT_ENA, Some(WMaxLimPctEna::Disabled))
        .put(Model704::W_MAX_LIM_PCT_SF, Some(-1));
    let running = Running::start([(PV, registers)]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let pv = SunSpecPv::open(&bus, PV, "pv", None).await.unwrap();
    let sample = pv.read().await.unwrap();
    assert_eq!((sample.power, sample.potential), (watts(1_500), Some(watts(1_500))));
    assert_eq!((sample.curtailable, sample.rated), (true, Some(watts(4_000))));
    pv.limit(Some(watts(1_000))).await.unwrap();
    assert_eq!(running.get(PV, Model704::W_MAX_LIM_PCT), Some(250));
    assert_eq!(running.get(PV, Model704::W_MAX_LIM_PCT_ENA), Some(WMaxLimPctEna::Enabled));
    assert_eq!(pv.read().await.unwrap().potential, None);
    pv.limit(None).await.unwrap();
    assert_eq!(running.get(PV, Model704::W_MAX_LIM_PCT_ENA), Some(WMaxLimPctEna::Disabled));
}

#[tokio::test]
async fn a_battery_of_the_newer_models_is_read_and_told_what_to_do() {
    let registers = generator()
        .with::<Model702>()
        .put(Model702::W_MAX, Some(5_000))
        .put(Model702::W_CHA_RTE_MAX_RTG, Some(3_000))
        .put(Model702::W_CHA_RTE_MAX, None)
        .put(Model702::W_DIS_CHA_RTE_MAX, Some(4_500))
        .put(Model702::W_SF, Some(0))
        .with_length::<Model704>(704, 65)
        .put(Model704::W_SET_SF, Some(-1))
        .with::<Model713>()
        .put(Model713::WH_RTG, Some(100))
        .put(Model713::WH_SF, Some(2))
        .put(Model713::SOC, Some(625))
        .put(Model713::PCT_SF, Some(-1));
    let running = Running::start([(BATTERY, registers)]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let battery = open_battery(&bus).await;
    let sample = battery.read().await.unwrap();
    assert_eq!((sample.power, sample.charge_max), (watts(-1_500), watts(3_000)));
    assert_eq!(sample.discharge_max, watts(4_500));
    assert_eq!(sample.capacity, Energy::from_milliwatt_hours(10_000_000));
    assert_eq!(sample.stored, Energy::from_milliwatt_hours(6_250_000));
    assert!(battery.is_controllable());
    battery.set_power(Some(watts(1_200))).await.unwrap();
    assert_eq!(running.get(BATTERY, Model704::W_SET), Some(-12_000));
    assert_eq!(running.get(BATTERY, Model704::W_SET_MOD), Some(WSetMod::Watts));
    assert_eq!(running.get(BATTERY, Model704::W_SET_ENA), Some(WSetEna::Enabled));
    battery.set_power(None).await.unwrap();
    assert_eq!(running.get(BATTERY, Model704::W_SET_ENA), Some(WSetEna::Disabled));
}

/// A hybrid of the newer models: what flows through its ports of panels, panels and battery, in W, and
/// what its battery says that it does.
fn hybrid(ports: [i16; 3], status: ChaSt802) -> Registers {
    const PORT: u16 = 25;
    let mut registers = generator()
        .with_length::<Model714>(714, 18 + 3 * PORT)
        .put(Model714::N_PRT, Some(3))
        .put(Model714::DCW_SF, Some(0))
        .with::<Model802>()
        .put(Model802::WH_RTG, 100)
        .put(Model802::WH_RTG_SF, 2)
        .put(Model802::SOC, 50)
        .put(Model802::CHA_ST, Some(status));
    let kinds = [PrtPrtTyp::Pv, PrtPrtTyp::Pv, PrtPrtTyp::Ess];
    for ((watts, kind), first) in ports.into_iter().zip(kinds).zip((18..).step_by(PORT.into())) {
        let dcw = Prt::DCW.offset;
        registers = registers
            .put_words::<Model714>(first + Prt::PRT_TYP.offset, &[kind.to_repr()])
            .put_words::<Model714>(first + dcw, &[watts.cast_unsigned()]);
    }
    registers
}

#[tokio::test]
async fn a_hybrid_of_the_newer_models_tells_its_panels_from_its_battery() {
    // The signs of ports are of no meaning, and one that is switched off shows nothing.
    let running = Running::start([
        (PV, hybrid([2_000, -500, 900], ChaSt802::Charging)),
        (BATTERY, hybrid([2_000, i16::MIN, 900], ChaSt802::Discharging)),
        (METER, hybrid([0, 0, 3], ChaSt802::Holding)),
    ])
    .await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    let read = async |unit| {
        let pv = SunSpecPv::open(&bus, unit, "pv", None).await.unwrap().read().await.unwrap();
        let battery = SunSpecBattery::open(&bus, unit, "battery", None, None).await.unwrap();
        (pv.power, battery.read().await.unwrap().power)
    };
    assert_eq!(read(PV).await, (watts(2_500), watts(900)));
    assert_eq!(read(BATTERY).await, (watts(2_000), watts(-900)));
    assert_eq!(read(METER).await, (watts(0), watts(0)));
    // Where the battery does not say what it does, its AC side is all there is.
    running.change(PV, |it| it.set(Model802::CHA_ST, Some(ChaSt802::Testing)));
    assert_eq!(read(PV).await, (watts(2_500), watts(-1_500)));
    running.change(PV, |it| it.set(Model714::DCW_SF, Some(7)));
    let pv = SunSpecPv::open(&bus, PV, "pv", None).await.unwrap();
    let error = pv.read().await.unwrap_err();
    assert!(error.to_string().contains("pv: point DCW"), "{error}");
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
