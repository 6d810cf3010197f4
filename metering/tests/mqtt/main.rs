//! Meters behind an MQTT broker: a small broker that also misbehaves, and a real Mosquitto where
//! `MOSQUITTO_EXE` names one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot be set up has failed"
)]

mod broker;
mod mosquitto;

use std::fs;
use std::time::Duration;

use boltgrid_metering::drivers::DeviceError;
use boltgrid_metering::drivers::mqtt::{MqttConfig, MqttMeter};
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::Power;
use broker::{Broker, message};
use mosquitto::Mosquitto;
use rumqttc::{AsyncClient, MqttOptions, QoS};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// What Tasmota publishes (github.com, a comment on a public converter of its messages).
const SENSOR: &str = r#"{"Time":"2018-12-03T13:48:08","ENERGY":{"TotalStartTime":"2018-11-20T00:00:51","Total":0.10263,"Yesterday":0.00114,"Today":0.00070,"Period":0,"Power":12,"ApparentPower":0,"ReactivePower":0,"Factor":0.00,"Voltage":234,"Current":0.000}}"#;

fn config(broker: &str) -> MqttConfig {
    let text = format!(
        "broker = \"{broker}\"\nstale_after_ms = 2000\n\
         [[topic]]\nname = \"tele/plug/SENSOR\"\n\
         point = [{{ quantity = \"power\", path = \"$.ENERGY.Power\", unit = \"W\" }},\n\
         {{ quantity = \"import\", path = \"$.ENERGY.Total\", unit = \"kWh\" }}]\n"
    );
    toml::from_str(&text).unwrap()
}

/// Power in mW and import in mWh.
fn said(shown: &Shown) -> (Option<i64>, Option<u64>) {
    (shown.power.map(Power::to_milliwatts), shown.import.map(|register| register.count))
}

/// Reads until `wanted` is met, while `each` is done before every read; whatever is shown must have been
/// published.
async fn until<T>(
    meter: &mut MqttMeter,
    wanted: impl Fn(&Result<Shown, DeviceError>) -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = meter.read().await;
        if let Ok(shown) = &shown {
            let (power_mw, import_mwh) = said(shown);
            assert!([Some(12_000), Some(15_000)].contains(&power_mw), "{power_mw:?}");
            assert_eq!(import_mwh, Some(102_630));
        }
        if let Some(met) = wanted(&shown) {
            return met;
        }
        assert!(Instant::now() < deadline, "still {shown:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn power(shown: &Result<Shown, DeviceError>) -> Option<i64> {
    shown.as_ref().ok().and_then(|shown| said(shown).0)
}

fn silent(shown: &Result<Shown, DeviceError>) -> Option<Option<u64>> {
    match shown {
        Err(DeviceError::Silent { silent_ms, .. }) => Some(*silent_ms),
        Ok(_) | Err(_) => None,
    }
}

#[tokio::test]
async fn a_meter_is_read_and_found_again_after_whatever_its_broker_does() {
    let topic = "tele/plug/SENSOR";
    let good = || message(topic, SENSOR.as_bytes(), false);
    let later = message(topic, SENSOR.replace("\"Power\":12", "\"Power\":15").as_bytes(), false);
    let broker = Broker::start(move |number| match number {
        // Gone before it says that it subscribed us.
        0 => None,
        // What is no MQTT.
        1 => Some(vec![0xF7; 50]),
        // Half a message, then the connection breaks.
        2 => Some(good()[..40].to_vec()),
        // A message that claims to be endless.
        3 => Some(vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F]),
        4 => Some(good()),
        // A retained one may be of any age.
        5 => Some(message(topic, SENSOR.replace("\"Power\":12", "\"Power\":13").as_bytes(), true)),
        6 => Some(
            [message(topic, b"\xFF", false), message(topic, b"{", false), later.clone()].concat(),
        ),
        _ => Some(Vec::new()),
    })
    .await;
    let mut meter = MqttMeter::open(&config(&broker.address), "meter", None).await.unwrap();
    assert_eq!(until(&mut meter, power).await, 12_000);
    assert_eq!(until(&mut meter, |shown| power(shown).filter(|it| *it == 15_000)).await, 15_000);
    // Nothing more is published; the connection ends again and again.
    until(&mut meter, |shown| shown.is_err().then_some(())).await;
}

#[tokio::test]
async fn what_a_broker_was_not_asked_to_deliver_so_is_not_taken() {
    let topic = "tele/plug/SENSOR";
    let other = SENSOR.replace("\"Power\":12", "\"Power\":13");
    // Exactly once, where at most once was asked for: with a number before what it says.
    let mut unasked = message(topic, &[&[0, 7], other.as_bytes()].concat(), false);
    unasked[0] = 0x34;
    let broker = Broker::start(move |number| match number {
        0 => Some(unasked.clone()),
        _ => Some(message(topic, SENSOR.as_bytes(), false)),
    })
    .await;
    let mut meter = MqttMeter::open(&config(&broker.address), "meter", None).await.unwrap();
    assert_eq!(until(&mut meter, power).await, 12_000);
}

#[tokio::test]
async fn mistakes_are_named() {
    let refused = async |config: MqttConfig, why: &str| {
        let error = MqttMeter::open(&config, "meter", None).await.unwrap_err();
        assert!(error.is_misconfiguration() && error.to_string().contains(why), "{error}");
    };
    let good = config("127.0.0.1:1");
    let with = |change: &dyn Fn(&mut MqttConfig)| {
        let mut config = good.clone();
        change(&mut config);
        config
    };
    refused(with(&|it| it.topic.clear()), "0 topics").await;
    refused(with(&|it| it.topic.push(it.topic[0].clone())), "named twice").await;
    refused(with(&|it| it.topic[0].name = "tele/+/SENSOR".to_owned()), "wildcards").await;
    refused(with(&|it| it.topic[0].point[0].unit = "V".to_owned()), "something else").await;
    refused(with(&|it| it.stale_after_ms = Some(1)), "stale_after_ms").await;
    let mut nobody = MqttMeter::open(&good, "meter", None).await.unwrap();
    assert!(matches!(nobody.read().await, Err(DeviceError::Io { .. })));
}

/// Somebody who publishes to a broker; it ends with the set.
fn publisher(mosquitto: &Mosquitto) -> (AsyncClient, JoinSet<()>) {
    let mut options = MqttOptions::new("publisher", "127.0.0.1", mosquitto.port);
    options.set_credentials("meter", "secret");
    let (client, mut events) = AsyncClient::new(options, 10);
    let mut running = JoinSet::new();
    running.spawn(async move {
        loop {
            if events.poll().await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        }
    });
    (client, running)
}

#[tokio::test]
async fn a_real_mosquitto_is_listened_to() {
    let Some(mut mosquitto) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    fs::write(&credentials, "meter:secret\n").unwrap();
    let config = MqttConfig {
        credentials_file: Some(credentials),
        ..config(&format!("127.0.0.1:{}", mosquitto.port))
    };
    let (client, _publisher) = publisher(&mosquitto);
    let publish = async |retain: bool, watts: u32| {
        let text = SENSOR.replace("\"Power\":12", &format!("\"Power\":{watts}"));
        client.publish("tele/plug/SENSOR", QoS::AtLeastOnce, retain, text).await.unwrap();
    };
    // Retained before we listen: it never counts.
    publish(true, 99).await;
    let mut meter = MqttMeter::open(&config, "meter", None).await.unwrap();
    until(&mut meter, |shown| silent(shown).filter(Option::is_none)).await;
    // Retained while we listen: it is as fresh as any.
    publish(true, 12).await;
    assert_eq!(until(&mut meter, power).await, 12_000);
    assert!(until(&mut meter, silent).await >= Some(2_000));
    // The broker is away for a while.
    mosquitto.restart();
    let deadline = Instant::now() + PATIENCE;
    while power(&meter.read().await) != Some(15_000) {
        assert!(Instant::now() < deadline, "the meter does not come back");
        publish(false, 15).await;
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_real_mosquitto_that_refuses_us_is_told_of() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    let config = config(&format!("127.0.0.1:{}", mosquitto.port));
    let mut meter = MqttMeter::open(&config, "meter", None).await.unwrap();
    let why = until(&mut meter, |shown| match shown {
        Err(DeviceError::Garbled { what, .. }) => Some(what.clone()),
        Ok(_) | Err(_) => None,
    });
    let why = why.await;
    assert!(why.contains("refuses the connection: NotAuthorized"), "{why}");
}
