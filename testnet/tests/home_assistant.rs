//! What a broker in a testnet hears of a real node for Home Assistant: every quantity that the node has,
//! by itself, with the kinds that Home Assistant's documentation of MQTT discovery and of sensors asks
//! for, and then its numbers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use boltgrid::clock;
use boltgrid_testnet::devices::Meters;
use boltgrid_testnet::run::RunOptions;
use boltgrid_testnet::run::fleet::Fleet;
use boltgrid_testnet::run::stage::Stage;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};

const PROGRAM: &str = env!("CARGO_BIN_EXE_boltgrid-testnet");
/// Something that takes a few seconds takes no longer than this, on a machine that is busy as well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Name, unit, device class and state class of a quantity, and whether its number is known at once.
type Quantity = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, bool);

/// All that a node with a full meter, PV, a battery, a machine and Lightning has.
const EXPECTED: [Quantity; 19] = [
    ("power", "W", Some("power"), Some("measurement"), true),
    ("import_energy", "kWh", Some("energy"), Some("total_increasing"), true),
    ("export_energy", "kWh", Some("energy"), Some("total_increasing"), true),
    ("load_power", "W", Some("power"), Some("measurement"), true),
    ("pv_power", "W", Some("power"), Some("measurement"), true),
    ("surplus_power", "W", Some("power"), Some("measurement"), true),
    ("voltage", "V", Some("voltage"), Some("measurement"), true),
    ("frequency", "Hz", Some("frequency"), Some("measurement"), true),
    ("battery_power", "W", Some("power"), Some("measurement"), true),
    ("battery_charge", "%", Some("battery"), Some("measurement"), true),
    ("battery_energy", "kWh", Some("energy_storage"), Some("measurement"), true),
    ("miner_power", "W", Some("power"), Some("measurement"), true),
    // Home Assistant knows no class for it; and a machine behind a relay tells nobody how fast it is.
    ("miner_hash_rate", "TH/s", None, Some("measurement"), false),
    // Nothing was cleared yet.
    ("price", "sat/kWh", Some("monetary"), None, false),
    ("balance", "sat", Some("monetary"), None, true),
    ("earned", "sat", Some("monetary"), None, true),
    ("paid", "sat", Some("monetary"), None, true),
    ("due_to_us", "sat", Some("monetary"), None, true),
    ("due_by_us", "sat", Some("monetary"), None, true),
];

fn read(config: &Path) -> toml::Table {
    toml::from_str(&std::fs::read_to_string(config).unwrap()).unwrap()
}

/// Gives the first node all that any site has, and the broker of the site that has one. Returns the broker.
fn equip(stage: &Stage) -> String {
    let configs: Vec<toml::Table> = stage.places.iter().map(|it| read(&it.config)).collect();
    let mut own = configs[0].clone();
    let first = |pick: &dyn Fn(&toml::Table) -> Option<toml::Value>, what: &str| {
        configs.iter().find_map(pick).unwrap_or_else(|| panic!("no site has a {what}"))
    };
    let some = |value: &toml::Value| value.as_array().is_none_or(|it| !it.is_empty());
    for device in ["pv", "battery"] {
        let of_site =
            |config: &toml::Table| config["site"].get(device).filter(|it| some(it)).cloned();
        let devices = first(&of_site, device);
        own["site"].as_table_mut().unwrap().insert(device.to_owned(), devices);
    }
    let machines = |config: &toml::Table| config.get("miner").filter(|it| some(it)).cloned();
    own.insert("miner".to_owned(), first(&machines, "miner"));
    let told = |config: &toml::Table| Some(config.get("home_assistant")?.get("broker")?.clone());
    let broker = first(&told, "broker").as_str().unwrap().to_owned();
    let home_assistant = format!("broker = \"{broker}\"\nevery_ms = 1000");
    own.insert("home_assistant".to_owned(), toml::from_str(&home_assistant).unwrap());
    std::fs::write(&stage.places[0].config, toml::to_string(&own).unwrap()).unwrap();
    broker
}

/// The next message of a topic that ends so.
async fn message(events: &mut EventLoop, topic_end: &str) -> Value {
    loop {
        // Whatever else is said, and a broker that is not there yet, is passed over.
        match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(it))) if it.topic.ends_with(topic_end) => {
                return serde_json::from_slice(&it.payload).unwrap();
            }
            Ok(_) => {}
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quantity_of_a_node_appears_in_home_assistant_with_its_kind() {
    let options = RunOptions {
        nodes: NonZeroUsize::new(13),
        interval_ms: 60_000,
        from: Some("2016-05-25T12:00".to_owned()),
        meters: Meters::Mixed,
        miners: true,
        ..RunOptions::default()
    };
    let stage = Stage::set(&options).await.unwrap();
    let broker = equip(&stage);
    let places = (stage.places[..1].to_vec(), Vec::new());
    let mut fleet = Fleet::start(PROGRAM.into(), places, &BTreeMap::new(), &|_, _| {}).unwrap();

    // A listener of another make than the node's, which comes as Home Assistant does: at any time.
    let (host, port) = broker.rsplit_once(':').unwrap();
    let options = MqttOptions::new("home-assistant", host, port.parse().unwrap());
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("homeassistant/#", QoS::AtLeastOnce).await.unwrap();
    client.subscribe("boltgrid/#", QoS::AtLeastOnce).await.unwrap();

    let deadline = Instant::now() + PATIENCE;
    // The quantities grow in number as devices answer for the first time.
    let mut found = Value::Null;
    while found["components"].as_object().is_none_or(|it| it.len() < EXPECTED.len()) {
        let next = timeout_at(deadline, message(&mut events, "/config")).await;
        found = next.unwrap_or_else(|_| panic!("no more is told than {found}"));
    }
    assert_eq!(found["components"].as_object().unwrap().len(), EXPECTED.len(), "{found}");
    for (key, unit, class, state_class, _) in EXPECTED {
        let it = &found["components"][key];
        assert_eq!(it["platform"], "sensor", "{key}");
        assert_eq!(it["unit_of_measurement"], unit, "{key}");
        assert_eq!(it["device_class"].as_str(), class, "{key}");
        assert_eq!(it["state_class"].as_str(), state_class, "{key}");
        assert_eq!(it["value_template"], format!("{{{{ value_json.{key} }}}}"));
    }
    // What Home Assistant needs to show them at all.
    for needed in ["state_topic", "availability_topic", "origin", "device"] {
        assert!(!found[needed].is_null(), "{needed}");
    }
    let mut state = Value::Null;
    let is_known =
        |state: &Value, key: &str| state[key].as_str().is_some_and(|it| it.parse::<f64>().is_ok());
    while !EXPECTED.iter().all(|(key, .., at_once)| !at_once || is_known(&state, key)) {
        let next = timeout_at(deadline, message(&mut events, "/state")).await;
        state = next.unwrap_or_else(|_| panic!("no more is known than {state}"));
    }
    fleet.look(clock::now()).await;
    fleet.check_alive().unwrap();

    let slow = fleet.stop().await.unwrap();
    assert!(slow.is_empty(), "{slow:?}");
    // A node that stops in order says so; what is retained is still there for who comes later.
    let gone = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::Publish(it)))
                    if it.topic.ends_with("/availability") && it.payload == "offline" =>
                {
                    return;
                }
                Ok(_) => {}
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    };
    timeout(PATIENCE, gone).await.expect("the node does not say that it is gone");
    stage.farm.stop().await;
}
