//! Looking at ports of this machine behind which something speaks as meters do.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

#[test]
fn a_battery_is_told_from_a_meter_whatever_models_it_has() {
    let section = |models: &[u16]| sunspec_kind(models).map(|(_, section)| section);
    let battery = Some(Some("[[site.battery]]"));
    for models in [
        &[1, 103, 120, 124, 802][..],
        &[1, 701, 702, 704, 713],
        &[1, 701, 802, 803, 804, 804],
        &[1, 103, 803],
        &[1, 802, 803, 804, 805, 805],
    ] {
        assert_eq!(section(models), battery, "{models:?}");
    }
    assert_eq!(section(&[1, 203]), Some(Some("[site.meter]")));
    assert_eq!(section(&[1, 103, 120, 160]), Some(Some("[[site.pv]]")));
    assert_eq!(section(&[1, 701, 702, 704]), Some(Some("[[site.pv]]")));
    assert_eq!(section(&[1, 64_111]), None);
}

#[test]
fn parts_of_a_battery_are_named_and_belong_nowhere() {
    for models in [&[1, 805][..], &[1, 803], &[1, 804, 805], &[1, 806], &[1, 807, 808, 809]] {
        let (kind, section) = sunspec_kind(models).unwrap();
        assert!(kind.contains("parts of a battery") && section.is_none(), "{models:?}");
    }
}

/// A serial server: says the same to whoever connects, again and again.
async fn speaker(words: &'static [u8]) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut speaking = JoinSet::new();
    speaking.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while stream.write_all(words).await.is_ok() {
                sleep(TELEGRAM_POLL).await;
            }
        }
    });
    (port, speaking)
}

#[tokio::test]
async fn what_a_serial_server_says_by_itself_is_told_apart() {
    let sml = include_bytes!(
        "../../../../../../metering/tests/captures/sml/ISKRA_MT631-D1A52-K0z-H01_with_PIN.bin"
    );
    let p1 = include_bytes!("../../../../../../metering/tests/captures/p1/nl-dsmr5-iskra.txt");
    for (words, driver) in [(&sml[..], "sml"), (&sml[11..], "sml"), (&p1[..], "p1")] {
        let (port, _speaking) = speaker(words).await;
        let found = look("127.0.0.1", port).await;
        let [it] = found.as_slice() else { panic!("{driver}: {found:?}") };
        assert!(it.settings.starts_with(&format!("driver = \"{driver}\"")), "{it:?}");
        assert!(it.section == Some(METER) && it.power_mw.is_some(), "{it:?}");
    }
}

/// What a gateway's units answer to a request to read: a meter with a map is the first, one with
/// SunSpec the second, and there are no others.
fn answer(unit: u8, function: u8, first: u16, count: u16) -> Vec<u8> {
    let at = |register: u16| -> u16 {
        match (unit, function) {
            // An SDM630: 230 V, 1500 W and 50 Hz, as floats.
            (1, 4) => match register {
                0x00 | 0x02 | 0x04 => 0x4366,
                0x34 => 0x44BB,
                0x35 => 0x8000,
                0x46 => 0x4248,
                _ => 0,
            },
            (2, 3) => match register.wrapping_sub(40_000) {
                0 => 0x5375,
                1 => 0x6E53,
                2 => 203,
                3 => 105,
                9 => 230,
                18 => 50,
                20 => 700,
                41 | 49 => 1_000,
                109 => 0xFFFF,
                _ => 0,
            },
            _ => 0,
        }
    };
    match (unit, function) {
        (1, 4) | (2, 3) => {
            let words = (first..first + count).flat_map(|register| at(register).to_be_bytes());
            [unit, function, u8::try_from(2 * count).unwrap()].into_iter().chain(words).collect()
        }
        (1 | 2, _) => vec![unit, function | 0x80, 1],
        _ => vec![unit, function | 0x80, 0x0B],
    }
}

fn crc(bytes: &[u8]) -> [u8; 2] {
    let crc = bytes.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 }
        })
    });
    crc.to_le_bytes()
}

/// Serves the units over Modbus TCP, or as frames of a serial line; hangs up on everything else.
async fn serve(mut stream: TcpStream, is_rtu: bool) -> std::io::Result<()> {
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    loop {
        let mut asked = [0; 12];
        let asked = if is_rtu { &mut asked[..8] } else { &mut asked[..] };
        stream.read_exact(asked).await?;
        let pdu = if is_rtu { &asked[..] } else { &asked[6..] };
        let is_right =
            if is_rtu { crc(&asked[..6]) == asked[6..] } else { asked[2..6] == [0, 0, 0, 6] };
        if !is_right {
            return Ok(());
        }
        let said = answer(pdu[0], pdu[1], word(pdu[2], pdu[3]), word(pdu[4], pdu[5]));
        let length = u16::try_from(said.len()).unwrap().to_be_bytes();
        let framed = if is_rtu {
            [&said[..], &crc(&said)].concat()
        } else {
            [&asked[..4], &length, &said].concat()
        };
        stream.write_all(&framed).await?;
    }
}

#[tokio::test]
async fn a_meter_with_a_map_is_found_beside_one_with_sunspec_behind_a_gateway_and_a_serial_server()
{
    for (is_rtu, scheme) in [(false, ""), (true, "rtu-tcp://")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                talks.spawn(async move { drop(serve(stream, is_rtu).await) });
            }
        });
        let found = look("127.0.0.1", port).await;
        let [sunspec, mapped] = found.as_slice() else { panic!("{scheme}: {found:?}") };
        let at = format!("address = \"{scheme}127.0.0.1:{port}\"");
        assert!(
            sunspec.settings.contains(&at) && sunspec.settings.contains("unit = 2"),
            "{found:?}"
        );
        assert_eq!(sunspec.power_mw.as_deref(), Some("700000"));
        assert!(mapped.settings.contains(&at), "{found:?}");
        assert!(mapped.settings.contains("map = \"eastron-sdm630\""), "{found:?}");
        assert_eq!(mapped.power_mw.as_deref(), Some("1500000"));
    }
}
