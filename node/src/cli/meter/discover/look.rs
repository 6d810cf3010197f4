//! Looking what a port of a host is: the drivers themselves are tried on it, and what they read decides.

use std::time::Duration;

use boltgrid_metering::drivers::{
    BusAddress, Buses, DeviceError, Meter, MeterConfig, http, modbus_map, sunspec,
};
use boltgrid_metering::quantity::Quantity;
use boltgrid_metering::shown::Shown;
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long connecting may take, and one request of Modbus.
const CONNECT_TIME: Duration = Duration::from_millis(700);
/// The port of Modbus TCP, where slow gateways get a second chance.
const MODBUS_PORT: u16 = 502;
/// The port of HTTP.
const HTTP_PORT: u16 = 80;
/// What files of SML begin with.
const SML_ESCAPE: [u8; 4] = [0x1B; 4];
/// So much text in a row is no SML …
const TEXT_MIN: usize = 64;
/// … and no more than this is listened to, to tell.
const HEARD_MAX: usize = 4_096;
/// How long to wait for a port to speak by itself, as most P1 meters do once a second.
const FIRST_WORD_TIME: Duration = Duration::from_millis(1_200);
/// How long a P1 port may be silent: the slowest send every ten seconds.
const TELEGRAM_TIME: Duration = Duration::from_secs(12);
/// How often a P1 port is asked what it has heard.
const TELEGRAM_POLL: Duration = Duration::from_millis(100);
/// The units that SunSpec devices have when they are sold.
const UNITS: [u8; 6] = [1, 2, 3, 100, 126, 240];
/// A phase of a home, in mV: what looks otherwise was read by the wrong map.
const PHASE_MV: std::ops::RangeInclusive<u32> = 90_000..=300_000;
/// A grid's frequency, in mHz.
const GRID_MHZ: std::ops::RangeInclusive<u32> = 45_000..=65_000;
/// The models of meters, of inverters and of batteries, by their SunSpec numbers.
const METERS: [u16; 8] = [201, 202, 203, 204, 211, 212, 213, 214];
const INVERTERS: [u16; 7] = [101, 102, 103, 111, 112, 113, 701];
const BATTERIES: [u16; 6] = [124, 713, 714, 802, 803, 804];
/// The model of a battery that is enough without an inverter's.
const BANK: [u16; 1] = [802];
/// The models of parts of a battery, which are none without the others: strings, modules, and what there
/// is for flow batteries.
const PARTS: [u16; 7] = [803, 804, 805, 806, 807, 808, 809];

/// Where the meter at the grid connection belongs.
pub(crate) const METER: &str = "[site.meter]";

/// What was found at a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    /// Where.
    pub(crate) address: String,
    /// What it seems to be.
    pub(crate) what: String,
    /// Where its lines belong in the config file, such as `[site.meter]`; nowhere where it has nothing
    /// that a node reads.
    pub(crate) section: Option<&'static str>,
    /// The lines.
    pub(crate) settings: String,
    /// What else the same answers would fit.
    pub(crate) also: Vec<String>,
    /// The power that it showed, where it is a meter; a string, as all 64-bit integers.
    pub(crate) power_mw: Option<String>,
}

/// All that is found at a port of a host.
pub(crate) async fn look(host: &str, port: u16) -> Vec<Found> {
    let connecting = TcpStream::connect((host, port));
    let Ok(Ok(stream)) = timeout(CONNECT_TIME, connecting).await else { return Vec::new() };
    let address = format!("{host}:{port}");
    let speaks_first = matches!(timeout(FIRST_WORD_TIME, stream.peek(&mut [0])).await, Ok(Ok(1)));
    if speaks_first {
        let driver = if speaks_sml(stream).await { "sml" } else { "p1" };
        return spoken(&address, driver).await.into_iter().collect();
    }
    drop(stream);
    let found = modbus(&address, port == MODBUS_PORT).await;
    if !found.is_empty() {
        return found;
    }
    let found = http(&address).await;
    if !found.is_empty() {
        return found;
    }
    if ![MODBUS_PORT, HTTP_PORT].contains(&port) {
        let found = modbus(&format!("rtu-tcp://{address}"), false).await;
        if !found.is_empty() {
            return found;
        }
    }
    spoken(&address, "p1").await.into_iter().collect()
}

/// What answers by Modbus: with SunSpec, or by a map. `is_sure` says to try the maps also where nobody
/// has said yet that Modbus is spoken there.
async fn modbus(address: &str, is_sure: bool) -> Vec<Found> {
    let (mut found, is_other) = sunspec(address).await;
    // Maps are of the first unit; beside it there may be SunSpec's.
    if is_other || (is_sure && found.is_empty()) {
        found.extend(mapped(address).await);
    }
    found
}

/// Settings in TOML and what they mean.
fn parsed(settings: &str) -> Option<MeterConfig> {
    toml::from_str(settings).ok()
}

fn power(shown: &Shown) -> Option<String> {
    shown.total_power().map(|power| power.to_milliwatts().to_string())
}

/// The units of a SunSpec bus, and whether its first one answers and is something else.
async fn sunspec(address: &str) -> (Vec<Found>, bool) {
    let (mut found, mut is_modbus) = (Vec::new(), false);
    let Ok(at) = address.parse::<BusAddress>() else { return (found, is_modbus) };
    let Ok(bus) = Buses::new(CONNECT_TIME).at(&at, address) else { return (found, is_modbus) };
    for unit in UNITS {
        match sunspec::models(&bus, unit, address).await {
            Ok(models) => found.extend(sunspec_unit(address, unit, &models).await),
            // It is there and says that it is something else; other units may be none.
            Err(DeviceError::NotSunSpec { .. }) => is_modbus |= found.is_empty(),
            // Nobody speaks Modbus there.
            Err(_) if found.is_empty() && !is_modbus => break,
            Err(_) => {}
        }
    }
    (found, is_modbus)
}

/// What a SunSpec unit with these models is; none where it is nothing of a site.
async fn sunspec_unit(address: &str, unit: u8, models: &[u16]) -> Option<Found> {
    let (kind, section) = sunspec_kind(models)?;
    let settings = format!("address = \"{address}\"\nunit = {unit}\n");
    let mut found = Found {
        address: address.to_owned(),
        what: format!("SunSpec {kind}, unit {unit}, models {models:?}"),
        section,
        settings: section.map_or_else(String::new, |_| settings.clone()),
        also: Vec::new(),
        power_mw: None,
    };
    if section == Some(METER) {
        found.what = format!("SunSpec {kind}, unit {unit}");
        let config = parsed(&format!("driver = \"sunspec\"\n{settings}"))?;
        let opened = Meter::open(&config, &Buses::new(CONNECT_TIME), address, None).await;
        found.power_mw = opened.ok()?.read().await.ok().as_ref().and_then(power);
    }
    Some(found)
}

/// What has these models, and where it belongs in the config file.
///
/// What a battery has beside its meter's or inverter's models tells it from these; 701 alone is an
/// inverter's, whose meter counts what it puts out and not what a site takes.
fn sunspec_kind(models: &[u16]) -> Option<(&'static str, Option<&'static str>)> {
    let has = |wanted: &[u16]| models.iter().any(|model| wanted.contains(model));
    Some(if has(&METERS) {
        ("meter", Some(METER))
    } else if (has(&INVERTERS) && has(&BATTERIES)) || has(&BANK) {
        ("battery", Some("[[site.battery]]"))
    } else if has(&INVERTERS) {
        ("inverter", Some("[[site.pv]]"))
    } else if has(&PARTS) {
        ("parts of a battery, which say nothing that a node needs", None)
    } else {
        return None;
    })
}

/// A Modbus meter that one of the shipped maps fits: its voltages and frequency are a grid's.
async fn mapped(address: &str) -> Vec<Found> {
    let buses = Buses::new(CONNECT_TIME);
    let mut fitting: Vec<(usize, String, Found)> = Vec::new();
    for map in modbus_map::shipped() {
        let settings =
            format!("driver = \"modbus-map\"\naddress = \"{address}\"\nmap = \"{}\"\n", map.name);
        let Some(config) = parsed(&settings) else { continue };
        let Ok(mut meter) = Meter::open(&config, &buses, address, None).await else { continue };
        let Ok(shown) = meter.read().await else { continue };
        if !is_of_a_grid(&shown) {
            continue;
        }
        let count = Quantity::ALL.iter().filter(|quantity| shown.has(**quantity)).count();
        let found = Found {
            address: address.to_owned(),
            what: format!("Modbus meter that `{}` fits; look at its nameplate", map.name),
            section: Some(METER),
            settings,
            also: Vec::new(),
            power_mw: power(&shown),
        };
        fitting.push((count, map.name.to_owned(), found));
    }
    fitting.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    let mut fitting = fitting.into_iter();
    let Some((_, _, mut best)) = fitting.next() else { return Vec::new() };
    best.also = fitting.map(|(_, name, _)| name).collect();
    vec![best]
}

/// Whether what was read can be a meter's on a grid: every phase that is told has a phase's voltage.
fn is_of_a_grid(shown: &Shown) -> bool {
    let phases = shown.phases.iter().filter_map(|phase| phase.voltage_mv);
    let mut volts = phases.chain(shown.voltage_mv).peekable();
    volts.peek().is_some()
        && volts.all(|mv| PHASE_MV.contains(&mv))
        && shown.frequency_mhz.is_none_or(|mhz| GRID_MHZ.contains(&mhz))
        && shown.total_power().is_some()
}

/// A device that answers in JSON as one of the shipped maps expects.
async fn http(address: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (map, _) in http::SHIPPED {
        let settings = format!("driver = \"http\"\naddress = \"{address}\"\nmap = \"{map}\"\n");
        let Some(config) = parsed(&settings) else { continue };
        let buses = Buses::new(CONNECT_TIME);
        let Ok(mut meter) = Meter::open(&config, &buses, address, None).await else { continue };
        let shown = match meter.read().await {
            Ok(shown) => shown,
            // Nobody speaks HTTP there.
            Err(DeviceError::Io { .. }) => break,
            Err(_) => continue,
        };
        let section = Some(if map.ends_with("-pv") { "[[site.pv]]" } else { METER });
        found.push(Found {
            address: address.to_owned(),
            what: format!("answers like `{map}`"),
            section,
            settings,
            also: Vec::new(),
            power_mw: power(&shown),
        });
    }
    found
}

/// Whether what a port says by itself is SML, which begins its files so, and no text as of a P1 port.
async fn speaks_sml(mut stream: TcpStream) -> bool {
    let mut heard = Vec::with_capacity(HEARD_MAX);
    let listening = async {
        while heard.len() < HEARD_MAX && stream.read_buf(&mut heard).await.unwrap_or(0) > 0 {
            let is_text =
                heard.iter().all(|byte| byte.is_ascii_graphic() || b" \r\n".contains(byte));
            if heard.windows(SML_ESCAPE.len()).any(|bytes| bytes == SML_ESCAPE) {
                return true;
            } else if is_text && heard.len() >= TEXT_MIN {
                return false;
            }
        }
        false
    };
    timeout(TELEGRAM_TIME, listening).await.unwrap_or(false)
}

/// A serial server that passes on what a meter says by itself.
async fn spoken(address: &str, driver: &str) -> Option<Found> {
    let settings = format!("driver = \"{driver}\"\naddress = \"{address}\"\n");
    let config = parsed(&settings)?;
    let buses = Buses::new(CONNECT_TIME);
    let mut meter = Meter::open(&config, &buses, address, None).await.ok()?;
    let what = if driver == "sml" { "SML files" } else { "P1 telegrams" };
    let until = Instant::now() + TELEGRAM_TIME;
    while Instant::now() < until {
        if let Ok(shown) = meter.read().await {
            return Some(Found {
                address: address.to_owned(),
                what: what.to_owned(),
                section: Some(METER),
                settings,
                also: Vec::new(),
                power_mw: power(&shown),
            });
        }
        sleep(TELEGRAM_POLL).await;
    }
    None
}

#[cfg(test)]
mod tests;
