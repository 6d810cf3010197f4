//! Meters that answer in JSON over HTTP: answers of real ones, and a server that also misbehaves.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::time::Duration;

use boltgrid_metering::drivers::DeviceError;
use boltgrid_metering::drivers::http::{AuthKind, HttpConfig, HttpMap, HttpMeter};
use boltgrid_metering::quantity::Line;
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::Power;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

const SHELLY: &str = include_str!("captures/http/shelly-pro3em-em.json");
const TASMOTA: &str = include_str!("captures/http/tasmota-plug.json");

/// What a shipped map makes of a device's answers.
fn by(map: &str, channel: u8, answers: &[&str]) -> Shown {
    HttpMap::shipped(map).unwrap().read(channel, answers, None).unwrap().unwrap()
}

fn power(shown: &Shown) -> Option<i64> {
    shown.total_power().map(Power::to_milliwatts)
}

/// Import and export in mWh.
fn registers(shown: &Shown) -> (Option<u64>, Option<u64>) {
    (shown.import.map(|register| register.count), shown.export.map(|register| register.count))
}

#[test]
fn a_shelly_with_three_phases_is_read_without_its_counters() {
    let shown = by("shelly-em", 0, &[SHELLY]);
    assert_eq!((power(&shown), registers(&shown)), (Some(2_413_825), (None, None)));
    let third = shown.phase(Line::L3);
    assert_eq!(third.power, Some(Power::from_milliwatts(244_000)));
    assert_eq!((third.voltage_mv, third.current_ma), (Some(230_200), Some(1_479)));
    assert_eq!(shown.frequency_mhz, Some(49_900));
}

#[test]
fn shellies_with_one_phase_are_read() {
    let em1 = include_str!("captures/http/shelly-proem50-em1.json");
    // The counters' answer is as its documentation lays it out.
    let counters = r#"{"id":1,"total_act_energy":1234.56,"total_act_ret_energy":7.89}"#;
    let shown = by("shelly-em1", 1, &[em1, counters]);
    assert_eq!(power(&shown), Some(501_800));
    assert_eq!(registers(&shown), (Some(1_234_560), Some(7_890)));
    assert_eq!(shown.phase(Line::L1).voltage_mv, Some(234_900));
    let switch = include_str!("captures/http/shelly-2pm-switch.json");
    let shown = by("shelly-switch", 1, &[switch]);
    assert_eq!((power(&shown), registers(&shown)), (Some(0), (None, None)));
}

#[test]
fn homewizard_meters_are_read() {
    let kwh = by("homewizard", 0, &[include_str!("captures/http/homewizard-kwh3.json")]);
    assert_eq!(power(&kwh), Some(-900_194));
    assert_eq!(registers(&kwh), (Some(101_000), Some(523_000)));
    assert_eq!((kwh.frequency_mhz, kwh.phase(Line::L2).current_ma), (Some(49_926), Some(15_521)));
    let p1 = by("homewizard", 0, &[include_str!("captures/http/homewizard-p1.json")]);
    assert_eq!(registers(&p1), (Some(13_779_338_000), Some(13_086_777_000)));
    assert_eq!(p1.gas.unwrap().count, 1_122_333_000);
    let old = by("homewizard", 0, &[include_str!("captures/http/homewizard-sdm230.json")]);
    assert_eq!((power(&old), registers(&old)), (Some(198_795), (Some(389_422_000), Some(0))));
}

#[test]
fn energy_by_tariff_is_added_up_only_where_all_of_it_is_there() {
    let two =
        r#"{"active_power_w":1,"total_power_import_t1_kwh":1.5,"total_power_import_t2_kwh":2.25}"#;
    assert_eq!(registers(&by("homewizard", 0, &[two])), (Some(3_750_000), None));
}

#[test]
fn fronius_meters_and_inverters_are_read() {
    let meter = by("fronius-meter", 0, &[include_str!("captures/http/fronius-smart-meter.json")]);
    assert_eq!(power(&meter), Some(653_100));
    assert_eq!(registers(&meter), (Some(2_013_105_000), Some(3_863_340_000)));
    let day = include_str!("captures/http/fronius-gen24-powerflow.json");
    assert_eq!(power(&by("fronius-grid", 0, &[day])), Some(2_274_900));
    assert_eq!(power(&by("fronius-pv", 0, &[day])), Some(-216_433));
    let night = include_str!("captures/http/fronius-symo-powerflow-night.json");
    assert_eq!(power(&by("fronius-grid", 0, &[night])), Some(975_309));
    assert_eq!(power(&by("fronius-pv", 0, &[night])), Some(0));
}

#[test]
fn tasmota_is_read_with_one_phase_and_with_several() {
    let plug = by("tasmota", 0, &[TASMOTA]);
    assert_eq!((power(&plug), registers(&plug)), (Some(2_000), (Some(41_573_000), None)));
    assert_eq!(plug.voltage_mv, Some(230_000));
    let three = r#"{"StatusSNS":{"ENERGY":{"Total":[1.5,2,3],"Power":[100,-20,0],"Voltage":[230,231,229]}}}"#;
    let three = by("tasmota", 0, &[three]);
    assert_eq!((power(&three), registers(&three)), (Some(80_000), (Some(6_500_000), None)));
}

/// A server that answers the request number `n` with the bytes that `answer` makes of `n` and the
/// request's head.
async fn server(
    answer: impl Fn(usize, &str) -> Option<Vec<u8>> + Send + 'static,
) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut hanging = Vec::new();
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = head(&mut stream).await;
            match answer(number, &head) {
                // Whoever asks may be gone.
                Some(bytes) => drop(stream.write_all(&bytes).await),
                None => hanging.push(stream),
            }
        }
    });
    (address, running)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn ok(body: &str) -> Vec<u8> {
    with_status("200 OK", "", body)
}

fn with_status(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

fn config(address: &str, map: &str) -> HttpConfig {
    HttpConfig {
        address: address.parse().unwrap(),
        map: Some(map.to_owned()),
        map_file: None,
        channel: None,
        auth: None,
        credentials_file: None,
        tls: None,
    }
}

#[tokio::test]
async fn a_device_is_asked_as_its_map_says() {
    let (address, _server) = server(|_, head| {
        assert!(head.starts_with("GET /rpc/EM.GetStatus?id=3 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: 127.0.0.1:"), "{head}");
        Some(ok(SHELLY))
    })
    .await;
    let config = HttpConfig { channel: Some(3), ..config(&address, "shelly-em") };
    let mut meter = HttpMeter::open(&config, "meter", None).await.unwrap();
    assert_eq!(power(&meter.read().await.unwrap()), Some(2_413_825));
}

#[tokio::test]
async fn whatever_a_device_answers_there_is_no_false_reading_and_the_next_one_is_right() {
    let bad: Vec<(Option<Vec<u8>>, &str)> = vec![
        (None, "timed out"),
        (Some(Vec::new()), "asking failed"),
        (Some(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"a\":".to_vec()), "asking failed"),
        (Some(vec![0xA5; 400]), "no HTTP"),
        (Some(ok("<html>busy</html>")), "no JSON"),
        (Some(ok(&SHELLY[..SHELLY.len() / 2])), "no JSON"),
        (Some(ok("{}")), "right map"),
        (Some(ok("{\"total_act_power\": \"much\"}")), "no number"),
        (Some(ok("{\"total_act_power\": 1e15}")), "not within"),
        (Some(with_status("500 Internal Server Error", "", SHELLY)), "500"),
        (Some(with_status("302 Found", "Location: /elsewhere\r\n", SHELLY)), "302"),
        (Some(with_status("401 Unauthorized", "", "")), "credentials_file"),
        (Some(ok(&format!("\"{}\"", "x".repeat(300_000)))), "longer than"),
        (Some([b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'x'; 100_000]].concat()), "no HTTP"),
        (
            Some(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
            "asking failed",
        ),
    ];
    let whys: Vec<&str> = bad.iter().map(|(_, why)| *why).collect();
    let (address, _server) = server(move |number, _| match bad.get(number / 2) {
        Some((answer, _)) if number % 2 == 0 => answer.clone(),
        Some(_) | None => Some(ok(SHELLY)),
    })
    .await;
    let mut meter = HttpMeter::open(&config(&address, "shelly-em"), "meter", None).await.unwrap();
    for why in whys {
        let error = meter.read().await.unwrap_err().to_string();
        assert!(error.starts_with("meter: ") && error.contains(why), "{why}: {error}");
        assert_eq!(power(&meter.read().await.unwrap()), Some(2_413_825), "after {why}");
    }
}

#[tokio::test]
async fn a_read_that_is_given_up_leaves_nothing_behind() {
    let (address, _server) = server(|number, _| (number > 0).then(|| ok(TASMOTA))).await;
    let mut meter = HttpMeter::open(&config(&address, "tasmota"), "meter", None).await.unwrap();
    tokio::select! {
        shown = meter.read() => panic!("nobody answered, but {shown:?}"),
        () = sleep(Duration::from_millis(100)) => {}
    }
    assert_eq!(power(&meter.read().await.unwrap()), Some(2_000));
}

const CHALLENGE: &str = "WWW-Authenticate: Digest qop=\"auth\", realm=\"shellypro3em-aabbccddeeff\", \
                         nonce=\"67fdbf66\", algorithm=SHA-256\r\n";

#[tokio::test]
async fn a_device_that_asks_for_a_digest_gets_one() {
    let (address, _server) = server(|_, head| {
        let proof = head.lines().find(|line| line.starts_with("authorization: Digest "));
        let Some(proof) = proof else {
            return Some(with_status("401 Unauthorized", CHALLENGE, ""));
        };
        let value = |name: &str| {
            let (_, rest) = proof.split_once(&format!(" {name}=")).unwrap();
            rest.split(',').next().unwrap().trim_matches('"').to_owned()
        };
        assert_eq!(
            (value("username"), value("nonce")),
            ("admin".to_owned(), "67fdbf66".to_owned())
        );
        assert_eq!(
            (value("uri"), value("response").len()),
            ("/rpc/EM.GetStatus?id=0".to_owned(), 64)
        );
        // The device forgets its nonce after two uses.
        Some(if value("nc") == "00000003" {
            with_status("401 Unauthorized", CHALLENGE, "")
        } else {
            ok(SHELLY)
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shelly.credentials");
    fs::write(&file, "admin:secret\n").unwrap();
    let config = HttpConfig {
        auth: Some(AuthKind::Digest),
        credentials_file: Some(file.clone()),
        ..config(&address, "shelly-em")
    };
    let mut meter = HttpMeter::open(&config, "meter", None).await.unwrap();
    for _ in 0..5 {
        assert_eq!(power(&meter.read().await.unwrap()), Some(2_413_825));
    }
    fs::write(&file, "no colon").unwrap();
    let error = HttpMeter::open(&config, "meter", None).await.unwrap_err();
    assert!(error.is_misconfiguration() && error.to_string().contains("user:password"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_a_wrong_setting() {
    let (address, _server) =
        server(|_, _| Some(with_status("401 Unauthorized", CHALLENGE, ""))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    fs::write(&file, "admin:wrong").unwrap();
    for auth in [AuthKind::Basic, AuthKind::Digest] {
        let config = HttpConfig {
            auth: Some(auth),
            credentials_file: Some(file.clone()),
            ..config(&address, "shelly-em")
        };
        let mut meter = HttpMeter::open(&config, "meter", None).await.unwrap();
        let error = meter.read().await.unwrap_err();
        assert!(error.is_misconfiguration(), "{error}");
        assert!(error.to_string().contains("does not take the user"), "{error}");
    }
}

#[tokio::test]
async fn a_map_of_ones_own_needs_no_compiler() {
    let (address, _server) = server(|_, head| {
        assert!(head.starts_with("POST /api HTTP/1.1\r\n"), "{head}");
        Some(ok(r#"{"values": [{"id": 7, "w": "1.25"}]}"#))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    let map = "[[request]]\npath = \"/api\"\nmethod = \"POST\"\nbody = '{\"get\": \"values\"}'\n\
               [[request.point]]\nquantity = \"power\"\nunit = \"kW\"\n\
               path = \"$.values[?@.id == 7].w\"\n";
    fs::write(&file, map).unwrap();
    let own = HttpConfig { map: None, map_file: Some(file.clone()), ..config(&address, "") };
    let mut meter = HttpMeter::open(&own, "meter", None).await.unwrap();
    assert_eq!(power(&meter.read().await.unwrap()), Some(1_250_000));
    for (config, why) in [
        (HttpConfig { map: Some("tasmota".to_owned()), ..own.clone() }, "either `map`"),
        (HttpConfig { map_file: None, ..own.clone() }, "either `map`"),
        (config(&address, "shelly"), "shelly-em1"),
        (HttpConfig { auth: Some(AuthKind::Basic), ..own.clone() }, "go together"),
    ] {
        let error = HttpMeter::open(&config, "meter", None).await.unwrap_err();
        assert!(error.is_misconfiguration() && error.to_string().contains(why), "{error}");
    }
    fs::write(&file, map.replace("kW", "kWh")).unwrap();
    let error = HttpMeter::open(&own, "meter", None).await.unwrap_err().to_string();
    assert!(error.contains("my.toml") && error.contains("something else"), "{error}");
    fs::remove_file(&file).unwrap();
    assert!(matches!(HttpMeter::open(&own, "meter", None).await, Err(DeviceError::Io { .. })));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_becomes_of_an_answer_nothing_panics(
        which in 0_usize..3,
        changes in proptest::collection::vec((proptest::prelude::any::<u16>(), 32_u8..127), 0..6),
    ) {
        let (map, answer) = [
            ("shelly-em", SHELLY),
            ("tasmota", TASMOTA),
            ("homewizard", include_str!("captures/http/homewizard-kwh3.json")),
        ][which];
        let mut bytes = answer.as_bytes().to_vec();
        for (place, byte) in changes {
            let place = usize::from(place) % bytes.len();
            bytes[place] = byte;
        }
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(shown) = HttpMap::shipped(map).unwrap().read(0, &[&text], None).unwrap() {
            let hertz = shown.frequency_mhz;
            proptest::prop_assert!(hertz.is_none_or(|mhz| (40_000..=70_000).contains(&mhz)));
        }
    }
}
