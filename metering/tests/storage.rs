//! Batteries whose strings and whose DC side SunSpec shows (802 to 804), against a real Modbus TCP server.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[expect(dead_code, reason = "only meters misbehave, are elsewhere and are told what to do")]
mod device;

use std::time::Duration;

use boltgrid_metering::drivers::sunspec::SunSpecBattery;
use boltgrid_metering::drivers::{Bus, DeviceError};
use boltgrid_metering::sample::BatterySample;
use boltgrid_protocol::units::{Energy, Power};
use device::{Registers, Running};
use sunspec::models::model103::Model103;
use sunspec::models::model802::{ChaSt, Model802};
use sunspec::models::model803::{Model803, String as BankString};
use sunspec::models::model804::{Model804, St};

const UNIT: u8 = 1;
const TIMEOUT: Duration = Duration::from_millis(300);
/// What is before the strings of a bank.
const BANK_LEN: u16 = 26;
const STRING_LEN: u16 = 32;
/// The contactors of a string are closed, or it is switched on and they are not.
const ON: u16 = 3;
const OFF: u16 = 1;

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).unwrap()
}

fn watt_hours(wh: u64) -> Energy {
    Energy::from_milliwatt_hours(wh * 1_000)
}

/// 10 kWh, 62.5 % full, that takes 4 kW and gives 5 kW at most; it does nothing.
fn battery() -> Registers {
    Registers::new()
        .with::<Model802>()
        .put(Model802::WH_RTG, 10_000)
        .put(Model802::SOC, 6_250)
        .put(Model802::SOC_SF, -2)
        .put(Model802::W_CHA_RTE_MAX, 4_000)
        .put(Model802::W_DIS_CHA_RTE_MAX, 5_000)
        .put(Model802::CHA_ST, Some(ChaSt::Holding))
}

/// With strings of ten modules each: whether they are on, and how full in tenths of a per cent.
fn with_strings(registers: Registers, strings: &[(u16, u16)]) -> Registers {
    let count = u16::try_from(strings.len()).unwrap();
    let mut registers = registers
        .with_length::<Model803>(803, BANK_LEN + count * STRING_LEN)
        .put(Model803::N_STR, count)
        .put(Model803::SOC_SF, -1);
    for ((state, charge), first) in strings.iter().zip((BANK_LEN..).step_by(STRING_LEN.into())) {
        let put = |registers: Registers, offset: u16, word| {
            registers.put_words::<Model803>(first + offset, &[word])
        };
        registers = put(registers, BankString::STR_N_MOD.offset, 10);
        registers = put(registers, BankString::STR_ST.offset + 1, *state);
        registers = put(registers, BankString::STR_SOC.offset, *charge);
    }
    registers
}

/// With an inverter that gives 1 kW.
fn with_inverter(registers: Registers) -> Registers {
    registers.with::<Model103>().put(Model103::W, 1_000)
}

async fn served(registers: Registers) -> (Running, Bus) {
    let running = Running::start([(UNIT, registers)]).await;
    let bus = Bus::new(running.bus_address(), TIMEOUT);
    (running, bus)
}

async fn read(bus: &Bus) -> Result<BatterySample, DeviceError> {
    let rated = Some(watts(5_000));
    SunSpecBattery::open(bus, UNIT, "battery", rated, None).await?.read().await
}

/// The point of the battery that could not be read, or else what is wrong.
fn point(read: Result<BatterySample, DeviceError>) -> String {
    let error = read.unwrap_err();
    if let DeviceError::Point { device, point, .. } = &error
        && &**device == "battery"
    {
        return point.to_string();
    }
    error.to_string()
}

#[tokio::test]
async fn without_an_inverter_a_battery_shows_what_flows_and_says_which_way() {
    let registers = battery().put(Model802::W, -320).put(Model802::W_SF, Some(1));
    let (running, bus) = served(registers).await;
    let says = |status| running.change(UNIT, |it| it.set(Model802::CHA_ST, status));
    assert_eq!(read(&bus).await.unwrap().power, Power::ZERO, "it holds");
    says(Some(ChaSt::Charging));
    assert_eq!(read(&bus).await.unwrap().power, watts(3_200));
    says(Some(ChaSt::Discharging));
    assert_eq!(read(&bus).await.unwrap().power, watts(-3_200));
    for unclear in [None, Some(ChaSt::Testing), Some(ChaSt::Invalid(99))] {
        says(unclear);
        assert_eq!(point(read(&bus).await), "ChaSt", "{unclear:?}");
    }
    running.change(UNIT, |it| it.set(Model802::W, 0));
    assert_eq!(read(&bus).await.unwrap().power, Power::ZERO);
    running.change(UNIT, |it| it.set(Model802::W, 751));
    assert_eq!(point(read(&bus).await), "W", "half as much again as its rating is 7.5 kW");
}

#[tokio::test]
async fn a_battery_that_shows_no_power_shows_voltage_and_current() {
    let registers = battery()
        .put(Model802::W, i16::MIN)
        .put(Model802::V, 4_805)
        .put(Model802::V_SF, -1)
        .put(Model802::A, -102)
        .put(Model802::A_SF, -1)
        .put(Model802::CHA_ST, Some(ChaSt::Discharging));
    let (running, bus) = served(registers).await;
    // 480.5 V · 10.2 A
    assert_eq!(read(&bus).await.unwrap().power, Power::from_milliwatts(-4_901_100));
    running.change(UNIT, |it| it.set(Model802::A, i16::MIN));
    assert_eq!(point(read(&bus).await), "A");
    running.change(UNIT, |it| it.set(Model802::A, 1));
    running.change(UNIT, |it| it.set(Model802::V_SF, i16::MIN));
    assert_eq!(point(read(&bus).await), "A");
}

#[tokio::test]
async fn a_battery_holds_what_its_connected_strings_hold() {
    let whole = with_inverter(with_strings(battery(), &[(ON, 300), (ON, 500)]));
    let (_running, bus) = served(whole).await;
    // While all are connected, the battery's own word counts.
    let sample = read(&bus).await.unwrap();
    assert_eq!((sample.power, sample.charge_max), (watts(-1_000), watts(4_000)));
    assert_eq!((sample.stored, sample.capacity), (watt_hours(6_250), watt_hours(10_000)));

    let strings = [(ON, 300), (OFF, 900), (ON, 500), (OFF, u16::MAX)];
    let (_running, bus) = served(with_inverter(with_strings(battery(), &strings))).await;
    let sample = read(&bus).await.unwrap();
    assert_eq!((sample.stored, sample.capacity), (watt_hours(2_000), watt_hours(5_000)));
    assert_eq!((sample.charge_max, sample.discharge_max), (watts(4_000), watts(5_000)));
}

#[tokio::test]
async fn a_battery_without_a_connected_string_takes_and_gives_nothing() {
    let registers = with_inverter(with_strings(battery(), &[(OFF, 300), (OFF, 500)]));
    let (_running, bus) = served(registers).await;
    let sample = read(&bus).await.unwrap();
    assert_eq!((sample.charge_max, sample.discharge_max), (Power::ZERO, Power::ZERO));
    assert_eq!((sample.stored, sample.capacity), (watt_hours(4_000), watt_hours(10_000)));
}

#[tokio::test]
async fn the_strings_say_what_the_battery_does_not_and_their_sentinels_are_seen() {
    let registers = battery().put(Model802::SOC, u16::MAX);
    let (running, bus) = served(with_strings(registers, &[(ON, 300), (ON, 500)])).await;
    assert_eq!(read(&bus).await.unwrap().stored, watt_hours(4_000));
    let first = BANK_LEN + BankString::STR_SOC.offset;
    let spoil = |charge: u16| {
        running.change(UNIT, |it| *it = it.clone().put_words::<Model803>(first, &[charge]));
    };
    spoil(u16::MAX);
    assert_eq!(point(read(&bus).await), "ChaState", "a string does not say");
    spoil(1_001);
    assert_eq!(point(read(&bus).await), "StrSoC");
    spoil(300);
    running.change(UNIT, |it| it.set(Model803::SOC_SF, i16::MIN));
    assert_eq!(point(read(&bus).await), "StrSoC");
}

#[tokio::test]
async fn more_strings_than_the_model_has_room_for_are_malformed() {
    let registers = with_strings(battery(), &[(ON, 300)]).put(Model803::N_STR, 60_000);
    let (_running, bus) = served(registers).await;
    let error = read(&bus).await.unwrap_err();
    assert!(matches!(error, DeviceError::Malformed { model: 803, .. }), "{error}");
}

#[tokio::test]
async fn a_model_for_each_string_is_read_where_the_bank_has_none() {
    let string = |modules, charge, state| {
        move |registers: Registers| {
            registers
                .with::<Model804>()
                .put(Model804::N_MOD, modules)
                .put(Model804::SOC, charge)
                .put(Model804::ST, state)
        }
    };
    // A string has room for its modules; ours have none, as if it had forgotten them.
    let registers = battery().put(Model802::SOC, u16::MAX);
    let registers = string(0, 20, St::all())(registers);
    let registers = string(0, 60, St::all())(registers);
    let registers = string(0, 100, St::StringEnabled)(registers);
    let (_running, bus) = served(with_inverter(registers)).await;
    let sample = read(&bus).await.unwrap();
    assert_eq!(
        (sample.stored, sample.capacity),
        (Energy::from_milliwatt_hours(2_666_666), Energy::from_milliwatt_hours(6_666_666))
    );
}
