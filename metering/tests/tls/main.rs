//! Devices and brokers over TLS: who is taken for the one that was meant, who is not, and that nobody
//! else is told anything.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../mqtt/broker.rs"]
#[expect(dead_code, reason = "brokers here speak TLS, so only its manners are used")]
mod broker;
mod certificates;
#[path = "../mqtt/mosquitto.rs"]
#[expect(dead_code, reason = "the other tests restart it and give it passwords")]
mod mosquitto;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boltgrid_metering::drivers::TlsConfig;
use boltgrid_metering::drivers::http::{HttpConfig, HttpMeter};
use boltgrid_metering::drivers::mqtt::{MqttConfig, MqttMeter};
use boltgrid_protocol::units::Power;
use broker::{message, serve};
use certificates::{Authority, Identity};
use mosquitto::Mosquitto;
use rumqttc::{AsyncClient, MqttOptions, QoS};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};
use tokio_rustls::TlsAcceptor;

const ANSWER: &str = r#"{"total_act_power": 1234.5}"#;

/// A device that answers over TLS, and how many were answered.
struct Device {
    address: String,
    asked: Arc<AtomicUsize>,
    _running: JoinSet<()>,
}

async fn device(tls: TlsAcceptor) -> Device {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let (asked, mut running) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let counts = Arc::clone(&asked);
    running.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whoever does not take the certificate goes.
            let Ok(mut stream) = tls.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            if head.is_empty() {
                continue;
            }
            counts.fetch_add(1, Ordering::SeqCst);
            let length = ANSWER.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{ANSWER}");
            // It may be gone again.
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    Device { address, asked, _running: running }
}

impl Device {
    /// What is read of it by somebody with these settings: its power in mW, or why there is none.
    async fn read(&self, tls: Option<TlsConfig>) -> Result<i64, String> {
        let config = HttpConfig {
            address: self.address.parse().unwrap(),
            map: Some("shelly-em".to_owned()),
            map_file: None,
            channel: None,
            auth: None,
            credentials_file: None,
            tls,
        };
        let mut meter = HttpMeter::open(&config, "meter", None).await.unwrap();
        // The second time over a session that is taken up again.
        let shown = [meter.read().await, meter.read().await];
        let [first, second] = shown.map(|shown| {
            let shown = shown.map_err(|error| error.to_string())?;
            Ok::<_, String>(shown.total_power().map(Power::to_milliwatts).unwrap())
        });
        assert_eq!(first, second);
        first
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_device_is_read_if_the_owners_authority_vouches_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, other) = (Authority::new(), Authority::new());
    let device = device(mine.signs("127.0.0.1").serves(None)).await;
    assert_eq!(device.read(Some(mine.trusted(folder.path()))).await, Ok(1_234_500));
    assert_eq!(device.asked(), 2);
    for stranger in [Some(other.trusted(folder.path())), None] {
        let why = device.read(stranger).await.unwrap_err();
        assert!(why.contains("certificate_sha256 = "), "{why}");
    }
    assert_eq!(device.asked(), 2, "a stranger is asked nothing");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mine = Authority::new();
    let device = device(mine.signs("other.local").serves(None)).await;
    let why = device.read(Some(mine.trusted(folder.path()))).await.unwrap_err();
    assert!(why.contains("not valid for name"), "{why}");
    assert_eq!(device.asked(), 0);
}

#[tokio::test]
async fn a_device_that_vouches_for_itself_is_read_by_its_sha256_and_no_other_is() {
    let (itself, another) = (Identity::of_a_device(), Identity::of_a_device());
    let device = device(itself.serves(None)).await;
    assert_eq!(device.read(Some(itself.pinned())).await, Ok(1_234_500));
    let why = device.read(Some(another.pinned())).await.unwrap_err();
    assert!(why.contains(&itself.sha256()), "{why}");
    assert_eq!(device.asked(), 2, "a stranger is asked nothing");
}

#[tokio::test]
async fn whoever_shows_a_certificate_must_have_its_key() {
    let (itself, thief) = (Identity::of_a_device(), Identity::of_a_device());
    // A thief has seen the certificate, as everybody may, and signs with a key of its own.
    for version in [&TLS12, &TLS13] {
        let impostor = device(itself.stolen_by(&thief, version)).await;
        let why = impostor.read(Some(itself.pinned())).await.unwrap_err();
        assert!(why.contains("asking failed"), "{why}");
        assert_eq!(impostor.asked(), 0);
        // With its own key the same server is read.
        let right = device(itself.stolen_by(&itself, version)).await;
        assert_eq!(right.read(Some(itself.pinned())).await, Ok(1_234_500));
    }
}

#[tokio::test]
async fn a_certificate_that_is_over_or_not_yet_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mine = Authority::new();
    for (years, wrong) in [((2000, 2020), "expired"), ((2090, 2100), "not valid yet")] {
        let device = device(mine.signs_for("127.0.0.1", years).serves(None)).await;
        let why = device.read(Some(mine.trusted(folder.path()))).await.unwrap_err();
        assert!(why.contains(wrong), "{why}");
        assert_eq!(device.asked(), 0);
    }
}

#[tokio::test]
async fn a_device_that_speaks_in_the_clear_is_not_read_over_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let mut running = JoinSet::new();
    running.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{ANSWER}");
            // Whoever asks is gone at once.
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    let device = Device { address, asked: Arc::default(), _running: running };
    let why = device.read(Some(Identity::of_a_device().pinned())).await.unwrap_err();
    assert!(why.contains("asking failed"), "{why}");
}

/// A broker over TLS that says of each client, once it has subscribed, what is measured.
async fn tls_broker(tls: TlsAcceptor) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("mqtts://{}", listener.local_addr().unwrap());
    let mut running = JoinSet::new();
    running.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = tls.accept(stream).await else { continue };
            // Whoever listens may be gone.
            drop(serve(stream, Some(message("house/power", b"1234.5", false))).await);
        }
    });
    (address, running)
}

/// What is heard over a broker: power in mW, or why there is none.
async fn heard(address: &str, tls: Option<TlsConfig>) -> Result<i64, String> {
    let text = format!(
        "broker = \"{address}\"\n[[topic]]\nname = \"house/power\"\n\
         point = [{{ quantity = \"power\", unit = \"W\" }}]\n"
    );
    let config = MqttConfig { tls, ..toml::from_str(&text).unwrap() };
    let mut meter = MqttMeter::open(&config, "meter", None).await.unwrap();
    let shown = meter.read().await.map_err(|error| error.to_string())?;
    Ok(shown.total_power().map(Power::to_milliwatts).unwrap())
}

#[tokio::test]
async fn a_broker_is_listened_to_over_tls_if_it_is_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, other) = (Authority::new(), Authority::new());
    let (address, _running) = tls_broker(mine.signs("127.0.0.1").serves(None)).await;
    assert_eq!(heard(&address, Some(mine.trusted(folder.path()))).await, Ok(1_234_500));
    for stranger in [Some(other.trusted(folder.path())), None] {
        let why = heard(&address, stranger).await.unwrap_err();
        assert!(why.contains("connecting to the broker failed"), "{why}");
        assert!(why.contains("certificate_sha256 = "), "{why}");
    }
}

#[tokio::test]
async fn a_broker_that_asks_for_a_certificate_is_shown_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, clients, other) = (Authority::new(), Authority::new(), Authority::new());
    let (address, _running) = tls_broker(mine.signs("127.0.0.1").serves(Some(&clients))).await;
    let trusted = mine.trusted(folder.path());
    let with = |identity: &Identity, name: &str| {
        let (certificate, key) = identity.files(folder.path(), name);
        TlsConfig {
            client_certificate_file: Some(certificate),
            client_key_file: Some(key),
            ..trusted.clone()
        }
    };
    let known = with(&clients.signs("node"), "known");
    assert_eq!(heard(&address, Some(known.clone())).await, Ok(1_234_500));
    assert!(heard(&address, Some(trusted.clone())).await.is_err(), "it shows none");
    assert!(heard(&address, Some(with(&other.signs("node"), "other"))).await.is_err());
    // A key that belongs to another certificate is found out before anything is connected.
    let foreign = with(&clients.signs("node"), "foreign").client_key_file;
    let mixed = TlsConfig { client_key_file: foreign, ..known };
    let text = "broker = \"mqtts://127.0.0.1:1\"\n[[topic]]\nname = \"a\"\n\
                point = [{ quantity = \"power\", unit = \"W\" }]\n";
    let config = MqttConfig { tls: Some(mixed.clone()), ..toml::from_str(text).unwrap() };
    let error = MqttMeter::open(&config, "meter", None).await.unwrap_err();
    assert!(error.is_misconfiguration(), "{error}");
    fs::write(mixed.client_key_file.unwrap(), "no key").unwrap();
    let error = MqttMeter::open(&config, "meter", None).await.unwrap_err().to_string();
    assert!(error.contains("a private key"), "{error}");
}

/// Where `MOSQUITTO_EXE` names one.
#[tokio::test]
async fn a_real_mosquitto_is_listened_to_over_tls_with_certificates_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, clients) = (Authority::new(), Authority::new());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let in_the_clear = free.local_addr().unwrap().port();
    drop(free);
    let mosquitto = Mosquitto::start_with(|folder| {
        let (certificate, key) = mine.signs("127.0.0.1").files(folder, "broker");
        let authority = clients.trusted(folder).ca_file.unwrap();
        format!(
            "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             allow_anonymous true\nlistener {in_the_clear} 127.0.0.1\n",
            authority.display(),
            certificate.display(),
            key.display()
        )
    });
    let Some(mosquitto) = mosquitto else { return };
    // Somebody publishes all the time, in the clear.
    let options = MqttOptions::new("publisher", "127.0.0.1", in_the_clear);
    let (client, mut events) = AsyncClient::new(options, 10);
    let mut running = JoinSet::new();
    running.spawn(async move { while events.poll().await.is_ok() {} });
    running.spawn(async move {
        while client.publish("house/power", QoS::AtLeastOnce, false, "1234.5").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let address = format!("mqtts://127.0.0.1:{}", mosquitto.port);
    let trusted = mine.trusted(folder.path());
    let (certificate, key) = clients.signs("node").files(folder.path(), "node");
    let known = TlsConfig {
        client_certificate_file: Some(certificate),
        client_key_file: Some(key),
        ..trusted.clone()
    };
    assert_eq!(heard(&address, Some(known.clone())).await, Ok(1_234_500));
    assert!(heard(&address, Some(trusted)).await.is_err(), "it shows no certificate");
    let stranger = clients.trusted(folder.path());
    let why = heard(&address, Some(TlsConfig { ca_file: stranger.ca_file, ..known })).await;
    assert!(why.unwrap_err().contains("certificate_sha256 = "));
}
