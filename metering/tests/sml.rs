//! SML meters: what real ones sent, and a serial server that also misbehaves.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::future::Future;
use std::time::Duration;

use boltgrid_metering::drivers::sml::{SmlConfig, SmlMeter, read_file, read_stream};
use boltgrid_metering::drivers::{DeviceError, StreamAddress};
use boltgrid_metering::quantity::Line;
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::Power;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

const EMH: &[u8] = include_bytes!("captures/sml/EMH-ED300L_delivery.bin");
const DZG: &[u8] = include_bytes!("captures/sml/DZG_DVS-7420.2V.G2_mtr2_neg.bin");
const ISKRA: &[u8] = include_bytes!("captures/sml/ISKRA_MT631-D1A52-K0z-H01_with_PIN.bin");
const WITHOUT_PIN: &[u8] = include_bytes!("captures/sml/ISKRA_MT631-D1A52-K0z-H01_without_PIN.bin");
const HOLLEY: &[u8] = include_bytes!("captures/sml/HOLLEY_DTZ541-BDBA_with_PIN.bin");
const EBZ: &[u8] = include_bytes!("captures/sml/eBZ_DD3_DD32R06DTA-SMZ1.bin");
const EASY: &[u8] = include_bytes!("captures/sml/EasyMeter_Q3A_A1064V1009.bin");
const BROKEN: &[u8] = include_bytes!("captures/sml/EMH_eHZ-IW8E2A5L0EK2P_with_error.bin");
const ALL: [&[u8]; 8] = [EMH, DZG, ISKRA, WITHOUT_PIN, HOLLEY, EBZ, EASY, BROKEN];

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Power in mW, energies in mWh, and the phases' power, voltage and current.
#[derive(Debug, Default, PartialEq)]
struct Said {
    power_mw: Option<i64>,
    import_mwh: Option<u64>,
    export_mwh: Option<u64>,
    frequency_mhz: Option<u32>,
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
        frequency_mhz: shown.frequency_mhz,
        phases,
    }
}

fn first(capture: &[u8]) -> Said {
    read_stream(capture, None).first().map(said).unwrap()
}

#[test]
fn meters_of_six_makes_are_read() {
    let power_and_import = |power_mw, import_mwh| Said {
        power_mw: Some(power_mw),
        import_mwh: Some(import_mwh),
        ..Said::default()
    };
    // A generator with a register of its own consumption, and a negative power of two bytes.
    let expected =
        Said { export_mwh: Some(1_500_321_300), ..power_and_import(-105_500, 13_232_900) };
    assert_eq!(first(DZG), expected);
    let expected = Said { export_mwh: Some(0), ..power_and_import(193_000, 2_043_104_700) };
    assert_eq!(first(ISKRA), expected);
    assert_eq!(first(HOLLEY), power_and_import(376_000, 2_355_929_000));
    let easy = first(EASY);
    assert_eq!((easy.power_mw, easy.import_mwh), (Some(810_260), Some(2_941_646_161)));
    assert_eq!(easy.phases[1], (Some(63_190), Some(230_700), None));
    assert_eq!(first(EMH).import_mwh, Some(17_243_675_600));
    assert_eq!(first(EBZ).export_mwh, Some(1_000_000));
    let counts = ALL.map(|capture| read_stream(capture, None).len());
    assert_eq!(counts, [2, 3, 5, 5, 2, 4, 4, 11]);
}

#[test]
fn a_meter_whose_owner_has_not_entered_the_pin_shows_whole_kilowatt_hours_and_no_power() {
    let locked = Said { import_mwh: Some(2_043_000_000), export_mwh: Some(0), ..Said::default() };
    assert_eq!(first(WITHOUT_PIN), locked);
}

#[test]
fn a_single_changed_byte_shows_nothing_else_than_before() {
    for capture in [DZG, ISKRA, WITHOUT_PIN, HOLLEY, EBZ, EASY, BROKEN] {
        let capture = &capture[capture.len().saturating_sub(2_000)..];
        let good: Vec<_> = read_stream(capture, None).iter().map(said).collect();
        assert!(!good.is_empty());
        for place in 0..capture.len() {
            let mut changed = capture.to_vec();
            changed[place] ^= 1;
            let read: Vec<_> = read_stream(&changed, None).iter().map(said).collect();
            assert!(read.iter().all(|it| good.contains(it)), "byte {place}");
            assert!(read.len() <= good.len(), "byte {place}");
        }
    }
}

/// A file with one message, a list of one value.
fn with(value: &[u8]) -> Result<Shown, String> {
    with_checksum(value, 0)
}

/// The same, with some bits of the message's checksum changed.
fn with_checksum(value: &[u8], changed: u16) -> Result<Shown, String> {
    let entry = [&[0x77][..], value].concat();
    let list = [&[0x77, 0x01, 0x02, 0x41, 0x01, 0x01, 0x71], &entry[..], &[0x01, 0x01]].concat();
    let body = [&[0x76, 0x02, 0x31, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01], &list[..]].concat();
    let crc = (crc(&body) ^ changed).to_le_bytes();
    let file = [&body[..], &[0x63], &crc, &[0]].concat();
    read_file(&file, None).map_err(|error| error.to_string())
}

/// CRC-16/X.25, for files that are made here.
fn crc(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0xFFFF, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 }
        })
    })
}

#[test]
fn values_without_meaning_are_refused_and_unknown_ones_passed_over() {
    const POWER: [u8; 7] = [0x07, 1, 0, 16, 7, 0, 0xFF];
    let power = |rest: &[u8]| with(&[&POWER[..], &[0x01, 0x01], rest].concat());
    let milliwatts = |shown: Result<Shown, String>| shown.unwrap().power.map(Power::to_milliwatts);
    assert_eq!(milliwatts(power(&[0x62, 27, 0x52, 0xFF, 0x53, 0xFF, 0x9C, 0x01])), Some(-10_000));
    assert_eq!(milliwatts(power(&[0x62, 27, 0x01, 0x62, 200, 0x01])), Some(200_000));
    for (rest, why) in [
        (&[0x62, 30, 0x52, 0, 0x62, 1, 0x01][..], "something else"),
        (&[0x01, 0x52, 0, 0x62, 1, 0x01], "something else"),
        (&[0x62, 27, 0x52, 30, 0x62, 1, 0x01], "too large"),
        (&[0x62, 27, 0x52, 12, 0x62, 1, 0x01], "power"),
        (&[0x62, 27, 0x42, 1, 0x62, 1, 0x01], "without scaler"),
        (&[0x62, 27, 0x52, 0, 0x62, 1], "malformed"),
    ] {
        let error = power(rest).unwrap_err();
        assert!(error.contains(why), "{rest:?}: {error}");
    }
    // What is no number, or no code of ours, says nothing.
    assert_eq!(power(&[0x62, 27, 0x52, 0, 0x02, 0x41, 0x01]), Ok(Shown::default()));
    let other = with(&[0x07, 1, 0, 96, 1, 0, 0xFF, 0x01, 0x01, 0x01, 0x01, 0x02, 0x41, 0x01]);
    assert_eq!(other, Ok(Shown::default()));
}

#[test]
fn a_message_whose_checksum_is_wrong_is_refused() {
    let value = [0x07, 1, 0, 16, 7, 0, 0xFF, 0x01, 0x01, 0x62, 27, 0x52, 0, 0x62, 1, 0x01];
    assert!(with_checksum(&value, 0).is_ok());
    assert!(with_checksum(&value, 0x0100).unwrap_err().contains("checksum"));
}

fn config(address: &str) -> SmlConfig {
    let address: StreamAddress = address.parse().unwrap();
    SmlConfig { address, stale_after_ms: Some(2_000) }
}

/// A serial server that serves one connection after the other with `serve`.
async fn server<F>(
    serve: impl Fn(usize, TcpStream) -> F + Send + 'static,
) -> (SmlMeter, tokio::task::JoinSet<()>)
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
    (SmlMeter::open(&config(&address), "meter", None).await.unwrap(), running)
}

/// Reads until `wanted` is met; each failure must be an error, never a wrong value.
async fn until<T>(
    meter: &mut SmlMeter,
    wanted: impl Fn(&Result<Shown, DeviceError>) -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = meter.read().await;
        if let Ok(shown) = &shown {
            let sent = [HOLLEY, ISKRA].map(|capture| read_stream(capture, None)).concat();
            let shown = said(shown);
            assert!(sent.iter().any(|it| said(it) == shown), "{shown:?} was never sent");
        }
        if let Some(met) = wanted(&shown) {
            return met;
        }
        assert!(Instant::now() < deadline, "still {shown:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // Whoever listens may be gone.
    drop(stream.write_all(bytes).await);
}

#[tokio::test]
async fn a_serial_server_is_read_and_found_again_after_whatever_it_does() {
    let (holley, iskra) = (&HOLLEY[..232], &ISKRA[..232]);
    let (mut meter, _server) = server(move |number, mut stream| async move {
        match number {
            // Half a file, then the line breaks.
            0 => send(&mut stream, &holley[..100]).await,
            // More garbage than any counter of sixteen bits holds, then files in small pieces.
            1 => {
                send(&mut stream, &vec![0xA5; 100_000]).await;
                for piece in holley.chunks(7) {
                    send(&mut stream, piece).await;
                }
            }
            // A file whose checksum is wrong.
            2 => send(&mut stream, &[&iskra[..100], &holley[100..]].concat()).await,
            // The rest of one, and whole ones; then nothing more, with the line open.
            _ => {
                send(&mut stream, &[&holley[50..100], iskra].concat()).await;
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    let power = |shown: &Result<Shown, DeviceError>| said(shown.as_ref().ok()?).power_mw;
    until(&mut meter, |shown| power(shown).filter(|it| *it == 376_000)).await;
    until(&mut meter, |shown| power(shown).filter(|it| *it == 193_000)).await;
    until(&mut meter, |shown| matches!(shown, Err(DeviceError::Silent { .. })).then_some(())).await;
}

#[tokio::test]
async fn a_line_that_is_set_up_wrongly_is_told_of() {
    let (mut meter, _server) = server(|_, mut stream| async move {
        send(&mut stream, &vec![0x7F; 20_000]).await;
        std::future::pending::<()>().await;
    })
    .await;
    let told = until(&mut meter, |shown| match shown {
        Err(DeviceError::Garbled { what, .. }) => Some(what.clone()),
        Ok(_) | Err(_) => None,
    });
    assert!(told.await.contains("is the line set up right"));
    let wrong = SmlConfig { stale_after_ms: Some(1), ..config("127.0.0.1:1") };
    assert!(SmlMeter::open(&wrong, "meter", None).await.unwrap_err().is_misconfiguration());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_becomes_of_a_file_nothing_panics_and_nothing_impossible_is_shown(
        changes in proptest::collection::vec((proptest::prelude::any::<u16>(), proptest::prelude::any::<u8>()), 1..6),
    ) {
        // One value without anything around it, so that what is behind the checksums is reached.
        let mut value = vec![0x07, 1, 0, 32, 7, 0, 0xFF, 0x01, 0x01, 0x62, 35, 0x52, 0xFF, 0x63, 9, 1, 0x01];
        for (place, byte) in changes {
            let place = usize::from(place) % value.len();
            value[place] = byte;
        }
        if let Ok(shown) = with(&value) {
            let volts = shown.phase(Line::L1).voltage_mv;
            proptest::prop_assert!(volts.is_none_or(|mv| mv <= 50_000_000));
        }
    }
}
