//! P1 meters: telegrams of real ones, and a serial server that also misbehaves.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::future::Future;
use std::time::Duration;

use boltgrid_metering::drivers::p1::{
    Checksum, P1Config, P1Meter, TelegramRejected, read_telegram,
};
use boltgrid_metering::drivers::{DeviceError, StreamAddress};
use boltgrid_metering::quantity::Line;
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::Power;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

const ISKRA: &[u8] = include_bytes!("captures/p1/nl-dsmr5-iskra.txt");
const KAIFA: &[u8] = include_bytes!("captures/p1/nl-dsmr4-kaifa.txt");
const THREE_PHASES: &[u8] = include_bytes!("captures/p1/nl-dsmr5-sagemcom.txt");
const OLD: &[u8] = include_bytes!("captures/p1/nl-dsmr2-iskra.txt");
const BELGIAN: &[u8] = include_bytes!("captures/p1/be-fluvius-sagemcom.txt");
const LUXEMBOURG: &[u8] = include_bytes!("captures/p1/lu-smarty-sagemcom.txt");
const SWEDISH: &[u8] = include_bytes!("captures/p1/se-ellevio.txt");
const AUSTRIAN: &[u8] = include_bytes!("captures/p1/at-sagemcom-t210.txt");
const CHECKED: [&[u8]; 7] = [ISKRA, KAIFA, THREE_PHASES, BELGIAN, LUXEMBOURG, SWEDISH, AUSTRIAN];

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn read(telegram: &[u8]) -> Result<Shown, TelegramRejected> {
    read_telegram(telegram, Checksum::Required, None)
}

/// Power in W, energies in Wh, gas in l, and the phases' power, voltage and current.
#[derive(Debug, Default, PartialEq)]
struct Said {
    power_mw: Option<i64>,
    import_mwh: Option<u64>,
    export_mwh: Option<u64>,
    gas_ml: Option<u64>,
    phases: [(Option<i64>, Option<u32>, Option<i32>); 3],
}

fn said(shown: &Shown) -> Said {
    let phases = [Line::L1, Line::L2, Line::L3].map(|line| {
        let phase = shown.phase(line);
        (phase.power.map(Power::to_milliwatts), phase.voltage_mv, phase.current_ma)
    });
    Said {
        power_mw: shown.power.map(Power::to_milliwatts),
        import_mwh: shown.import.map(|register| register.count),
        export_mwh: shown.export.map(|register| register.count),
        gas_ml: shown.gas.map(|register| register.count),
        phases,
    }
}

#[test]
fn dutch_meters_are_read() {
    let phases =
        [(Some(193_000), Some(236_100), Some(1_000)), (None, None, None), (None, None, None)];
    let expected = Said {
        power_mw: Some(193_000),
        import_mwh: Some(1_041_401_000),
        export_mwh: Some(0),
        gas_ml: Some(304_089_000),
        phases,
    };
    assert_eq!(said(&read(ISKRA).unwrap()), expected);
    let kaifa = said(&read(KAIFA).unwrap());
    assert_eq!((kaifa.power_mw, kaifa.import_mwh), (Some(335_000), Some(13_043_392_000)));
    assert_eq!(kaifa.phases[1], (Some(83_000), None, Some(0)));
    let three = said(&read(THREE_PHASES).unwrap());
    assert_eq!((three.import_mwh, three.export_mwh), (Some(6_825_000), Some(2_444_000)));
    assert_eq!(three.phases[2], (Some(142_000), Some(229_000), Some(860)));
}

#[test]
fn an_old_dutch_meter_is_read_where_it_is_said_to_be_one() {
    let old = said(&read_telegram(OLD, Checksum::Optional, None).unwrap());
    let expected = Said {
        power_mw: Some(1_010_000),
        import_mwh: Some(2_002_000),
        export_mwh: Some(2_002_000),
        gas_ml: Some(1_001_000),
        ..Said::default()
    };
    assert_eq!(old, expected);
    assert_eq!(read(OLD), Err(TelegramRejected::NoChecksum));
}

#[test]
fn a_belgian_meter_is_read() {
    let belgian = said(&read(BELGIAN).unwrap());
    assert_eq!((belgian.import_mwh, belgian.export_mwh), (Some(2_111_339_000), Some(688_000)));
    assert_eq!(belgian.phases[0], (Some(31_000), Some(236_400), Some(1_380)));
    assert_eq!(belgian.gas_ml, Some(555_937_000));
}

#[test]
fn meters_of_luxembourg_sweden_and_austria_are_read() {
    let luxembourg = said(&read(LUXEMBOURG).unwrap());
    assert_eq!(luxembourg.power_mw, Some(-3_454_000));
    assert_eq!(
        (luxembourg.import_mwh, luxembourg.export_mwh),
        (Some(17_901_000), Some(55_437_011_000))
    );
    assert_eq!(luxembourg.phases[1], (Some(-1_146_000), Some(233_000), Some(4_000)));
    let swedish = said(&read(SWEDISH).unwrap());
    assert_eq!((swedish.power_mw, swedish.import_mwh), (Some(6_000_000), Some(1_605_055_000)));
    assert_eq!(swedish.phases[2], (Some(2_386_000), Some(235_100), Some(10_200)));
    let austrian = said(&read(AUSTRIAN).unwrap());
    assert_eq!((austrian.power_mw, austrian.import_mwh), (Some(286_000), Some(6_545_766_000)));
    assert_eq!(austrian.export_mwh, Some(58_000));
}

#[test]
fn a_single_changed_byte_costs_the_telegram() {
    for telegram in CHECKED {
        read(telegram).unwrap();
        let end = telegram.iter().rposition(|byte| *byte == b'!').unwrap();
        for place in 0..end {
            let mut changed = telegram.to_vec();
            changed[place] ^= 1;
            assert!(read(&changed).is_err(), "byte {place}");
        }
        for place in 0..end {
            assert!(read(&telegram[..place]).is_err(), "cut off at {place}");
        }
    }
}

/// A telegram around some lines, as a meter without checksum would send it.
fn with(lines: &str) -> Result<Shown, TelegramRejected> {
    read_telegram(format!("/X\r\n\r\n{lines}\r\n!\r\n").as_bytes(), Checksum::Optional, None)
}

#[test]
fn values_without_meaning_are_refused_and_empty_ones_are_absent() {
    for (lines, why) in [
        ("1-0:1.7.0(00.1.1*kW)", "1-0:1.7.0"),
        ("1-0:1.7.0(1,5*kW)", "no number"),
        ("1-0:1.7.0(1.5)", "without unit"),
        ("1-0:1.7.0(1.5*kWh)", "something else"),
        ("1-0:1.8.0(-1*kWh)", "import"),
        ("1-0:1.8.0(1*kWh)\r\n1-0:1.8.0(2*kWh)", "two different"),
        ("1-0:1.7.0(99999999*MW)", "power"),
        ("1-0:32.7.0(999999*V)", "voltage_l1"),
        ("1-0:14.7.0(20*Hz)", "frequency"),
        ("0-1:24.1.0(003)\r\n0-1:24.2.1(1)(x*m3)", "0-1:24.2.1"),
    ] {
        let error = with(lines).unwrap_err().to_string();
        assert!(error.contains(why), "{lines}: {error}");
    }
    assert_eq!(with("1-0:1.7.0()\r\n1-0:1.8.1\r\nnonsense(\r\n)("), Ok(Shown::default()));
    let many = "\r\n".repeat(300);
    assert!(matches!(with(&many), Err(TelegramRejected::Malformed(_))));
}

#[test]
fn water_is_no_gas_and_of_two_gas_meters_the_newer_counts() {
    let gas = |lines: &str| said(&with(lines).unwrap()).gas_ml;
    let water = "0-1:24.1.0(007)\r\n0-1:24.2.1(230211111004W)(5.5*m3)\r\n";
    assert_eq!(gas(water), None);
    let replaced = "0-2:24.1.0(003)\r\n0-2:24.2.3(220101000000W)(900*m3)\r\n\
                    0-3:24.1.0(003)\r\n0-3:24.2.3(230211111004W)(1.25*m3)";
    assert_eq!(gas(&format!("{water}{replaced}")), Some(1_250_000));
}

fn config(address: &str) -> P1Config {
    let address: StreamAddress = address.parse().unwrap();
    P1Config { address, dsmr2: false, key_file: None, stale_after_ms: Some(2_000) }
}

/// A serial server that serves one connection after the other with `serve`.
async fn server<F>(
    serve: impl Fn(usize, TcpStream) -> F + Send + 'static,
) -> (P1Meter, tokio::task::JoinSet<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            serve(number, stream).await;
        }
    });
    (P1Meter::open(&config(&address), "meter", None).await.unwrap(), running)
}

/// Reads until `wanted` is met; each failure must be an error, never a wrong value.
async fn until<T>(
    meter: &mut P1Meter,
    wanted: impl Fn(&Result<Shown, DeviceError>) -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = meter.read().await;
        if let Ok(shown) = &shown {
            let power_mw = said(shown).power_mw.unwrap();
            assert!([193_000, 335_000].contains(&power_mw), "{power_mw} was never sent");
        }
        if let Some(met) = wanted(&shown) {
            return met;
        }
        assert!(Instant::now() < deadline, "still {shown:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn power(shown: &Result<Shown, DeviceError>) -> Option<i64> {
    shown.as_ref().ok().and_then(|shown| said(shown).power_mw)
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // Whoever listens may be gone.
    drop(stream.write_all(bytes).await);
}

#[tokio::test]
async fn a_serial_server_is_read_and_found_again_after_whatever_it_does() {
    let (mut meter, _server) = server(|number, mut stream| async move {
        match number {
            // Half a telegram, then the line breaks.
            0 => send(&mut stream, &ISKRA[..ISKRA.len() / 2]).await,
            // Garbage, then a telegram in small pieces.
            1 => {
                send(&mut stream, &[0xA5; 3_000]).await;
                for piece in ISKRA.chunks(7) {
                    send(&mut stream, piece).await;
                }
            }
            // A telegram whose checksum is wrong.
            2 => send(&mut stream, &[&KAIFA[..100], &ISKRA[100..]].concat()).await,
            // The rest of one, and a whole one; then nothing more, with the line open.
            _ => {
                send(&mut stream, &[&ISKRA[400..], KAIFA].concat()).await;
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    assert_eq!(until(&mut meter, power).await, 193_000);
    assert_eq!(until(&mut meter, |shown| power(shown).filter(|it| *it == 335_000)).await, 335_000);
    until(&mut meter, |shown| matches!(shown, Err(DeviceError::Silent { .. })).then_some(())).await;
}

#[tokio::test]
async fn a_gateway_that_repeats_its_last_telegram_has_nothing_new() {
    let (mut meter, _server) = server(|_, mut stream| async move {
        while stream.write_all(ISKRA).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    until(&mut meter, power).await;
    let silent = |shown: &Result<Shown, DeviceError>| match shown {
        Err(DeviceError::Silent { silent_ms, .. }) => *silent_ms,
        Ok(_) | Err(_) => None,
    };
    assert!(until(&mut meter, silent).await >= 2_000);
}

#[tokio::test]
async fn a_telegram_is_as_old_as_its_first_byte() {
    const SLOW: Duration = Duration::from_millis(700);
    let (mut meter, _server) = server(|_, mut stream| async move {
        let (first, rest) = ISKRA.split_at(5);
        send(&mut stream, first).await;
        sleep(SLOW).await;
        send(&mut stream, rest).await;
        std::future::pending::<()>().await;
    })
    .await;
    let age_ms = until(&mut meter, |shown| Some(shown.as_ref().ok()?.age_ms)).await;
    // What a busy machine adds to it only makes it older.
    assert!(u128::from(age_ms) >= SLOW.as_millis() - 50, "{age_ms} ms");
}

#[tokio::test]
async fn encrypted_telegrams_are_read_with_the_key_in_a_file() {
    const ENCRYPTED: &[u8] = include_bytes!("captures/p1/at-sagemcom-t210-encrypted.bin");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("p1.key");
    std::fs::write(&key_file, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    let config = config(&listener.local_addr().unwrap().to_string());
    let open = async |key_file: &std::path::Path| {
        let config = P1Config { key_file: Some(key_file.to_owned()), ..config.clone() };
        P1Meter::open(&config, "meter", None).await
    };
    let mut meter = open(&key_file).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The same telegram again and again is one telegram.
            while stream.write_all(ENCRYPTED).await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let shown = meter.read().await.unwrap();
    assert_eq!(said(&shown).power_mw, Some(286_000));
    let deadline = Instant::now() + PATIENCE;
    while meter.read().await.is_ok() {
        assert!(Instant::now() < deadline, "an old telegram stays fresh");
        sleep(Duration::from_millis(50)).await;
    }
    drop(meter);
    let mut without = P1Meter::open(&config, "meter", None).await.unwrap();
    loop {
        match without.read().await {
            Err(DeviceError::Garbled { what, .. }) if what.contains("key_file") => break,
            Err(_) => sleep(Duration::from_millis(50)).await,
            Ok(shown) => unreachable!("{shown:?}"),
        }
        assert!(Instant::now() < deadline, "nobody says that it is encrypted");
    }
    std::fs::write(&key_file, "my key\n").unwrap();
    let error = open(&key_file).await.unwrap_err();
    assert!(error.is_misconfiguration() && !error.to_string().contains("my key"), "{error}");
    let error = open(&folder.path().join("missing")).await.unwrap_err();
    assert!(matches!(error, DeviceError::Io { .. }), "{error}");
}

#[tokio::test]
async fn what_is_wrong_is_told_where_there_is_nothing_else_to_tell() {
    let (mut meter, _server) = server(|_, mut stream| async move {
        send(&mut stream, OLD).await;
        std::future::pending::<()>().await;
    })
    .await;
    let told = until(&mut meter, |shown| match shown {
        Err(DeviceError::Garbled { what, .. }) => Some(what.clone()),
        Ok(_) | Err(_) => None,
    });
    let told = told.await;
    assert!(told.contains("dsmr2 = true"), "{told}");
    let mut nobody = P1Meter::open(&config("127.0.0.1:1"), "meter", None).await.unwrap();
    assert!(matches!(nobody.read().await, Err(DeviceError::Io { doing: "connecting", .. })));
    let wrong = P1Config { stale_after_ms: Some(1), ..config("127.0.0.1:1") };
    let error = P1Meter::open(&wrong, "meter", None).await.unwrap_err();
    assert!(error.is_misconfiguration(), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_serial_line_is_read() {
    use std::fs::File;
    use std::io::Write;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let meter_end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&meter_end).unwrap();
    unlockpt(&meter_end).unwrap();
    let path = ptsname(&meter_end, Vec::new()).unwrap();
    let mut meter_end = File::from(meter_end);
    let mut meter = P1Meter::open(&config(path.to_str().unwrap()), "meter", None).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        meter_end.write_all(ISKRA).unwrap();
        let shown = meter.read().await;
        if let Some(power_mw) = power(&shown) {
            assert_eq!(power_mw, 193_000);
            break;
        }
        assert!(Instant::now() < deadline, "still {shown:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn the_configuration_is_short() {
    let config: P1Config = toml::from_str("address = \"/dev/ttyUSB0\"").unwrap();
    assert_eq!(toml::to_string(&config).unwrap(), "address = \"/dev/ttyUSB0\"\n");
    assert!(toml::from_str::<P1Config>("address = \"a:1\"\nbaud = 1").is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_becomes_of_a_telegram_nothing_panics_and_nothing_impossible_is_shown(
        which in 0..CHECKED.len(),
        changes in proptest::collection::vec((proptest::prelude::any::<u16>(), proptest::prelude::any::<u8>()), 1..6),
        cut in proptest::prelude::any::<u16>(),
    ) {
        let end = CHECKED[which].iter().rposition(|byte| *byte == b'!').unwrap();
        let mut bytes = CHECKED[which][..end].to_vec();
        for (place, byte) in changes {
            let place = usize::from(place) % bytes.len();
            bytes[place] = byte;
        }
        if cut % 4 == 0 {
            let length = bytes.len();
            bytes.drain(usize::from(cut) % length..);
        }
        // Without a checksum, so that what is behind it is reached.
        bytes.extend(b"!\r\n");
        if let Ok(shown) = read_telegram(&bytes, Checksum::Optional, None) {
            let volts = [Line::L1, Line::L2, Line::L3].map(|line| shown.phase(line).voltage_mv);
            proptest::prop_assert!(volts.into_iter().flatten().all(|mv| mv <= 50_000_000));
        }
    }
}
