//! The maps that come along, each against a server laid out as the meter's manual says.
//!
//! The layouts are written down here by the manuals' own numbers and not made from the maps, and a server
//! is as strict as the meter: it refuses registers that it does not have, the other table, and longer
//! requests than it takes.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};

use boltgrid_metering::drivers::DeviceError;
use boltgrid_metering::drivers::modbus_map::{ModbusMapConfig, ModbusMeter};
use boltgrid_metering::quantity::{Line, Quantity};
use boltgrid_metering::register::{CumulativeRegister, RawRegister};
use boltgrid_metering::shown::{Phase, Shown};
use boltgrid_protocol::units::{Power, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

/// Which functions read a meter's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Functions {
    Holding,
    Input,
    Both,
}

/// A meter as its manual describes it.
#[derive(Clone, Debug)]
struct Layout {
    functions: Functions,
    /// The longest request it takes.
    longest: u16,
    /// Whether registers that mean nothing read as zero.
    gaps: bool,
    words: BTreeMap<u16, u16>,
}

impl Layout {
    fn new(functions: Functions, longest: u16, gaps: bool) -> Self {
        Self { functions, longest, gaps, words: BTreeMap::new() }
    }

    fn put(mut self, first: u16, words: impl IntoIterator<Item = u16>) -> Self {
        self.words.extend((first..).zip(words));
        self
    }

    /// A float, the most significant word first.
    fn float(self, first: u16, value: f32) -> Self {
        let [b3, b2, b1, b0] = value.to_be_bytes();
        self.put(first, [u16::from_be_bytes([b3, b2]), u16::from_be_bytes([b1, b0])])
    }

    /// 32 bits, the most significant word first.
    fn long(self, first: u16, value: i32) -> Self {
        let [b3, b2, b1, b0] = value.to_be_bytes();
        self.put(first, [u16::from_be_bytes([b3, b2]), u16::from_be_bytes([b1, b0])])
    }

    /// 32 bits, the least significant word first.
    fn swapped(self, first: u16, value: i32) -> Self {
        let [b3, b2, b1, b0] = value.to_be_bytes();
        self.put(first, [u16::from_be_bytes([b1, b0]), u16::from_be_bytes([b3, b2])])
    }

    /// 64 bits, the most significant word first.
    fn wide(self, first: u16, value: u64) -> Self {
        let bytes = value.to_be_bytes();
        self.put(first, bytes.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word)))
    }

    fn read(&self, first: u16, count: u16) -> Result<Vec<u16>, ExceptionCode> {
        if count > self.longest {
            return Err(ExceptionCode::IllegalDataValue);
        }
        let word = |register| match self.words.get(&register) {
            Some(word) => Ok(*word),
            None if self.gaps => Ok(0),
            None => Err(ExceptionCode::IllegalDataAddress),
        };
        (first..first + count).map(word).collect()
    }
}

#[derive(Clone, Debug)]
struct Device(Arc<Mutex<(u8, Layout)>>);

impl Service for Device {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, SlaveRequest { slave, request }: Self::Request) -> Self::Future {
        let (unit, layout) = &*self.0.lock().unwrap();
        let holds = layout.functions != Functions::Input;
        let inputs = layout.functions != Functions::Holding;
        ready(if slave != *unit {
            Err(ExceptionCode::GatewayTargetDevice)
        } else if let Request::ReadHoldingRegisters(first, count) = request
            && holds
        {
            layout.read(first, count).map(Response::ReadHoldingRegisters)
        } else if let Request::ReadInputRegisters(first, count) = request
            && inputs
        {
            layout.read(first, count).map(Response::ReadInputRegisters)
        } else {
            Err(ExceptionCode::IllegalFunction)
        })
    }
}

/// Serves a meter; it lives as long as the tasks.
async fn serve(unit: u8, layout: Layout) -> (String, JoinSet<()>) {
    let device = Device(Arc::new(Mutex::new((unit, layout))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let on_connected = |stream, _| {
            let device = device.clone();
            async move { Ok(Some((device, stream))) }
        };
        Server::new(listener).serve(&on_connected, |_| ()).await.unwrap();
    });
    (address, tasks)
}

fn config(address: &str, map: &str, extra: &str) -> ModbusMapConfig {
    toml::from_str(&format!("address = \"{address}\"\nmap = \"{map}\"\n{extra}")).unwrap()
}

async fn read(map: &str, layout: Layout) -> Shown {
    let (address, _tasks) = serve(1, layout).await;
    let rated = Some(Power::from_watts(30_000).unwrap());
    let mut meter = ModbusMeter::open(&config(&address, map, ""), "meter", rated).await.unwrap();
    meter.read().await.unwrap()
}

/// What a register shows, in mWh or ml.
fn counted(register: Option<RawRegister>) -> u64 {
    let mut counter = CumulativeRegister::new(Power::ZERO);
    let counted = counter.observe(register.unwrap(), Timestamp::from_unix_ms(0)).unwrap();
    counted.to_milliwatt_hours()
}

fn milliwatts(milliwatts: i64) -> Option<Power> {
    Some(Power::from_milliwatts(milliwatts))
}

/// A phase, in mW, mV and mA.
fn phase(power_mw: i64, voltage_mv: u32, current_ma: i32) -> Phase {
    let (voltage_mv, current_ma) = (Some(voltage_mv), Some(current_ma));
    Phase { power: milliwatts(power_mw), voltage_mv, current_ma }
}

fn check_totals(shown: &Shown, power_mw: i64, (import_mwh, export_mwh): (u64, u64)) {
    assert_eq!(shown.power, milliwatts(power_mw));
    assert_eq!((counted(shown.import), counted(shown.export)), (import_mwh, export_mwh));
    assert_eq!(shown.frequency_mhz, Some(49_980));
}

/// The three phases of a site that exports on one and imports on two; 375 W go out in all.
const PHASES: [(i64, u32, i32); 3] =
    [(-1_500_000, 230_500, 6_500), (1_000_000, 229_000, 4_375), (125_000, 231_000, 550)];

fn check_phases(shown: &Shown) {
    for (line, (power_mw, voltage_mv, current_ma)) in
        [Line::L1, Line::L2, Line::L3].iter().zip(PHASES)
    {
        assert_eq!(*shown.phase(*line), phase(power_mw, voltage_mv, current_ma), "{line:?}");
    }
}

/// The address on the wire of a register that a manual calls 3xxxx.
const fn input(number: u16) -> u16 {
    number - 30_001
}

#[tokio::test]
async fn eastron_sdm630() {
    // Manual: 30001 ff. phase volts, 30007 ff. amperes, 30013 ff. watts, 30053 total system power,
    // 30071 frequency, 30073 import kWh, 30075 export kWh; 40 parameters a request.
    let layout = Layout::new(Functions::Input, 80, true)
        .float(input(30_001), 230.5)
        .float(input(30_003), 229.0)
        .float(input(30_005), 231.0)
        .float(input(30_007), 6.5)
        .float(input(30_009), 4.375)
        .float(input(30_011), 0.55)
        .float(input(30_013), -1_500.0)
        .float(input(30_015), 1_000.0)
        .float(input(30_017), 125.0)
        .float(input(30_053), -375.0)
        .float(input(30_071), 49.98)
        .float(input(30_073), 1_234.5)
        .float(input(30_075), 10_000.25);
    let shown = read("eastron-sdm630", layout).await;
    check_totals(&shown, -375_000, (1_234_500_000, 10_000_250_000));
    check_phases(&shown);
}

#[tokio::test]
async fn eastron_sdm120_and_sdm230() {
    // Manuals: 30001 volts, 30007 amperes, 30013 watts, 30071 frequency, 30073 import, 30075 export.
    let layout = Layout::new(Functions::Input, 80, true)
        .float(input(30_001), 230.5)
        .float(input(30_007), 6.5)
        .float(input(30_013), -1_500.0)
        .float(input(30_071), 49.98)
        .float(input(30_073), 0.5)
        .float(input(30_075), 12.25);
    for map in ["eastron-sdm120", "eastron-sdm230"] {
        let shown = read(map, layout.clone()).await;
        check_totals(&shown, -1_500_000, (500_000, 12_250_000));
        let only = Phase { power: None, ..phase(0, 230_500, 6_500) };
        assert_eq!(*shown.phase(Line::L1), only);
        assert_eq!(*shown.phase(Line::L2), Phase::default());
    }
}

/// The instantaneous variables that all three-phase meters of Carlo Gavazzi have at the same places:
/// 0000h ff. V L-N · 10, 000Ch ff. A · 1000, 0012h ff. W · 10, 0028h W sys · 10.
fn carlo_gavazzi(layout: Layout) -> Layout {
    layout
        .swapped(0x0000, 2_305)
        .swapped(0x0002, 2_290)
        .swapped(0x0004, 2_310)
        .swapped(0x000C, 6_500)
        .swapped(0x000E, 4_375)
        .swapped(0x0010, 550)
        .swapped(0x0012, -15_000)
        .swapped(0x0014, 10_000)
        .swapped(0x0016, 1_250)
        .swapped(0x0028, -3_750)
}

#[tokio::test]
async fn carlo_gavazzi_em24() {
    // 0037h Hz · 10, 0042h kWh(+) TOT · 10, 005Ch kWh(-) TOT · 10; at most 11 words a request.
    let layout = carlo_gavazzi(Layout::new(Functions::Both, 11, false))
        .put(0x0037, [500])
        .swapped(0x0042, 1_234_567)
        .swapped(0x005C, 76_543);
    let shown = read("carlo-gavazzi-em24", layout).await;
    let at_50_hz = Shown { frequency_mhz: Some(49_980), ..shown };
    assert_eq!(shown.frequency_mhz, Some(50_000));
    check_totals(&at_50_hz, -375_000, (123_456_700_000, 7_654_300_000));
    check_phases(&shown);
}

#[tokio::test]
async fn carlo_gavazzi_em340() {
    // The table has no holes up to 0052h: 0033h Hz · 10, 0034h kWh(+) TOT · 10, 004Eh kWh(-) TOT · 10;
    // at most 50 words a request.
    let mut layout = Layout::new(Functions::Both, 50, false);
    for register in 0x0000..=0x0053 {
        layout = layout.put(register, [0]);
    }
    let layout =
        carlo_gavazzi(layout).put(0x0033, [500]).swapped(0x0034, 1_234_567).swapped(0x004E, 76_543);
    let shown = read("carlo-gavazzi-em340", layout).await;
    let at_50_hz = Shown { frequency_mhz: Some(49_980), ..shown };
    assert_eq!(shown.frequency_mhz, Some(50_000));
    check_totals(&at_50_hz, -375_000, (123_456_700_000, 7_654_300_000));
    check_phases(&shown);
}

#[tokio::test]
async fn carlo_gavazzi_em111() {
    // 0000h V · 10, 0002h A · 1000, 0004h W · 10, 000Fh Hz · 10, 0010h kWh(+) · 10, 0020h kWh(-) · 10.
    let layout = Layout::new(Functions::Both, 50, false)
        .swapped(0x0000, 2_305)
        .swapped(0x0002, 6_500)
        .swapped(0x0004, -15_000)
        .put(0x000F, [500])
        .swapped(0x0010, 5)
        .swapped(0x0020, 10);
    let shown = read("carlo-gavazzi-em111", layout).await;
    assert_eq!(shown.power, milliwatts(-1_500_000));
    assert_eq!((counted(shown.import), counted(shown.export)), (500_000, 1_000_000));
    let only = Phase { power: None, ..phase(0, 230_500, 6_500) };
    assert_eq!(*shown.phase(Line::L1), only);
}

#[tokio::test]
async fn janitza_umg96() {
    // 19000 ff. _ULN, 19012 ff. _ILN, 19020 ff. _PLN, 19026 _P_SUM3, 19050 _FREQ, 19062 ff. _WH_V,
    // 19068 _WH_V_HT_SUML13 (consumed, Wh), 19070 ff. _WH_Z, 19076 (delivered).
    let mut layout = Layout::new(Functions::Both, 125, false);
    for register in 19_000..19_122 {
        layout = layout.put(register, [0]);
    }
    let layout = layout
        .float(19_000, 230.5)
        .float(19_002, 229.0)
        .float(19_004, 231.0)
        .float(19_012, 6.5)
        .float(19_014, 4.375)
        .float(19_016, 0.55)
        .float(19_020, -1_500.0)
        .float(19_022, 1_000.0)
        .float(19_024, 125.0)
        .float(19_026, -375.0)
        .float(19_050, 49.98)
        .float(19_068, 1_234_500.0)
        .float(19_076, 10_000_250.0);
    let shown = read("janitza-umg96", layout).await;
    check_totals(&shown, -375_000, (1_234_500_000, 10_000_250_000));
    check_phases(&shown);
}

/// 5B00h ff. V · 10, 5B0Ch ff. A · 100, 5B14h W total · 100 (signed), 5B2Ch Hz · 100, 5000h active import
/// kWh · 100 and 5004h active export, both of 64 bits.
fn abb(with_phases: bool) -> Layout {
    let mut layout = Layout::new(Functions::Holding, 125, false);
    // The tables of instantaneous and of total energies have no holes here.
    for register in (0x5000..=0x5017).chain(0x5B00..=0x5B3D) {
        layout = layout.put(register, [0xFFFF]);
    }
    let layout = layout
        .long(0x5B00, 2_305)
        .long(0x5B0C, 650)
        .long(0x5B14, -37_500)
        .put(0x5B2C, [4_998])
        .wide(0x5000, 123_456)
        .wide(0x5004, 1_000_025);
    if !with_phases {
        return (0..3).fold(layout, |layout, phase| layout.long(0x5B16 + 2 * phase, i32::MAX));
    }
    layout
        .long(0x5B02, 2_290)
        .long(0x5B04, 2_310)
        .long(0x5B0E, 438)
        .long(0x5B10, 55)
        .long(0x5B16, -150_000)
        .long(0x5B18, 100_000)
        .long(0x5B1A, 12_500)
}

#[tokio::test]
async fn abb_b23() {
    let shown = read("abb-b23", abb(true)).await;
    check_totals(&shown, -375_000, (1_234_560_000, 10_000_250_000));
    // It tells currents in steps of 10 mA.
    assert_eq!(*shown.phase(Line::L1), phase(-1_500_000, 230_500, 6_500));
    assert_eq!(*shown.phase(Line::L2), phase(1_000_000, 229_000, 4_380));
    assert_eq!(*shown.phase(Line::L3), phase(125_000, 231_000, 550));
}

#[tokio::test]
async fn abb_b21_has_one_phase_and_says_so() {
    for map in ["abb-b21", "abb-b23"] {
        let shown = read(map, abb(false)).await;
        check_totals(&shown, -375_000, (1_234_560_000, 10_000_250_000));
        let only = Phase { power: None, ..phase(0, 230_500, 6_500) };
        assert_eq!(*shown.phase(Line::L1), only, "{map}");
        assert_eq!(*shown.phase(Line::L2), Phase::default(), "{map}: all ones are no value");
    }
}

#[tokio::test]
async fn schneider_iem3155() {
    // The manual counts from 1: 3000 ff. A, 3028 ff. V L-N, 3054 ff. kW, 3060 kW total, 3110 Hz, 3204 total
    // active energy import Wh (64 bits), 3208 export.
    let wire = |number: u16| number - 1;
    let layout = Layout::new(Functions::Holding, 125, false)
        .float(wire(3_000), 6.5)
        .float(wire(3_002), 4.375)
        .float(wire(3_004), 0.55)
        .float(wire(3_028), 230.5)
        .float(wire(3_030), 229.0)
        .float(wire(3_032), 231.0)
        .float(wire(3_054), -1.5)
        .float(wire(3_056), 1.0)
        .float(wire(3_058), 0.125)
        .float(wire(3_060), -0.375)
        .float(wire(3_110), 49.98)
        .wide(wire(3_204), 1_234_500)
        .wide(wire(3_208), 10_000_250);
    let shown = read("schneider-iem3155", layout).await;
    check_totals(&shown, -375_000, (1_234_500_000, 10_000_250_000));
    check_phases(&shown);
}

#[tokio::test]
async fn a_gas_meter_with_a_pulse_counter() {
    let layout = Layout::new(Functions::Holding, 2, false).long(0, 70_000);
    let (address, _tasks) = serve(9, layout).await;
    let read = async |extra: &str| {
        let config = config(&address, "pulse-counter-gas", extra);
        ModbusMeter::open(&config, "gas", None).await.unwrap().read().await.unwrap()
    };
    // 70 000 pulses of 10 l, and of an eighth of a cubic metre.
    let shown = read("unit = 9\n").await;
    assert_eq!((counted(shown.gas), shown.power), (700_000_000, None));
    let shown = read("unit = 9\nscale = { gas = 125 }\n").await;
    assert_eq!(counted(shown.gas), 8_750_000_000);
}

#[tokio::test]
async fn another_meter_than_the_maps_is_a_misconfiguration() {
    let (address, _tasks) = serve(1, abb(true)).await;
    let config = config(&address, "eastron-sdm630", "");
    let error = ModbusMeter::open(&config, "meter", None).await.unwrap_err();
    assert!(error.is_misconfiguration(), "{error}");
    assert!(error.to_string().contains("SDM630"), "{error}");
}

#[tokio::test]
async fn a_value_that_cannot_be_names_device_and_quantity() {
    let (address, _tasks) = serve(1, abb(true).long(0x5B14, 4_600_000)).await;
    let rated = Some(Power::from_watts(30_000).unwrap());
    let config = config(&address, "abb-b23", "");
    let mut meter = ModbusMeter::open(&config, "grid meter", rated).await.unwrap();
    let error = meter.read().await.unwrap_err();
    let DeviceError::Point { device, point, .. } = &error else { unreachable!("{error}") };
    assert_eq!((device.as_ref(), point.as_ref()), ("grid meter", Quantity::Power.name()));
}
