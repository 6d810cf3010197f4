//! The JSON by which Home Assistant finds the node (2024.11 and later), and its topics.

use serde::Serialize;
use serde_json::{Map, Value};

use super::told::Told;
use super::{OFFLINE, ONLINE};

/// Letters of the participant's id that stand in topics.
const ID_LEN: usize = 16;

/// The node as a device of Home Assistant's.
#[derive(Debug)]
pub(super) struct Device {
    id: String,
    grid: String,
    prefix: String,
}

/// What is published to be found.
#[derive(Serialize)]
struct Discovery<'a> {
    device: About<'a>,
    origin: Origin,
    components: Map<String, Value>,
    availability_topic: String,
    payload_available: &'static str,
    payload_not_available: &'static str,
    state_topic: String,
    qos: u8,
}

#[derive(Serialize)]
struct About<'a> {
    identifiers: [&'a str; 1],
    name: String,
    manufacturer: &'static str,
    model: &'static str,
    sw_version: &'static str,
}

#[derive(Serialize)]
struct Origin {
    name: &'static str,
    sw_version: &'static str,
}

/// One quantity.
#[derive(Serialize)]
struct Sensor<'a> {
    platform: &'static str,
    unique_id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_class: Option<&'a str>,
    unit_of_measurement: &'a str,
    value_template: String,
}

impl Device {
    pub(super) fn new(participant: &str, grid: &str, prefix: &str) -> Self {
        let id: String =
            participant.chars().filter(char::is_ascii_alphanumeric).take(ID_LEN).collect();
        Self { id: format!("boltgrid-{id}"), grid: grid.to_owned(), prefix: prefix.to_owned() }
    }

    /// By which brokers and Home Assistant know the node.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// A topic below Home Assistant's prefix.
    pub(super) fn prefixed(&self, topic: &str) -> String {
        format!("{}/{topic}", self.prefix)
    }

    pub(super) fn discovery_topic(&self) -> String {
        self.prefixed(&format!("device/{}/config", self.id))
    }

    pub(super) fn state_topic(&self) -> String {
        format!("boltgrid/{}/state", self.id)
    }

    pub(super) fn availability_topic(&self) -> String {
        format!("boltgrid/{}/availability", self.id)
    }

    /// What makes the quantities appear.
    pub(super) fn discovery(&self, told: &[Told]) -> String {
        let sensor = |it: &Told| {
            let sensor = Sensor {
                platform: "sensor",
                unique_id: format!("{}-{}", self.id, it.key),
                name: it.name,
                device_class: it.device_class,
                state_class: it.state_class,
                unit_of_measurement: it.unit,
                value_template: format!("{{{{ value_json.{} }}}}", it.key),
            };
            (it.key.to_owned(), json(&sensor))
        };
        let version = env!("CARGO_PKG_VERSION");
        json(&Discovery {
            device: About {
                identifiers: [&self.id],
                name: format!("Boltgrid {}", self.grid),
                manufacturer: "Boltgrid",
                model: "Node",
                sw_version: version,
            },
            origin: Origin { name: "boltgrid", sw_version: version },
            components: told.iter().map(sensor).collect(),
            availability_topic: self.availability_topic(),
            payload_available: ONLINE,
            payload_not_available: OFFLINE,
            state_topic: self.state_topic(),
            qos: 1,
        })
        .to_string()
    }
}

/// What the quantities are now; `null` is unknown.
pub(super) fn state(told: &[Told]) -> String {
    let value =
        |it: &Told| (it.key.to_owned(), it.value.clone().map_or(Value::Null, Value::String));
    Value::Object(told.iter().map(value).collect()).to_string()
}

#[expect(clippy::expect_used, reason = "plain structs with text keys are always JSON")]
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain structs are JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::told::told;
    use super::*;
    use crate::dispatcher::{DispatchStatus, MachineStatus};
    use crate::history::History;
    use crate::lightning::LightningStatus;

    fn machines() -> DispatchStatus {
        DispatchStatus { machines: vec![MachineStatus::default()], ..DispatchStatus::default() }
    }

    #[test]
    fn home_assistant_is_told_what_each_quantity_is() {
        let device = Device::new("ab12cd34ef56ab12cd34ef56", "Kirchberg", "homeassistant");
        assert_eq!(
            device.discovery_topic(),
            "homeassistant/device/boltgrid-ab12cd34ef56ab12/config"
        );
        let told = told(None, &History::default(), Some(&LightningStatus::default()), &machines());
        let text = device.discovery(&told);
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["device"]["identifiers"], json!(["boltgrid-ab12cd34ef56ab12"]));
        assert_eq!(found["origin"]["name"], "boltgrid");
        assert_eq!(found["state_topic"], "boltgrid/boltgrid-ab12cd34ef56ab12/state");
        assert_eq!(found["availability_topic"], "boltgrid/boltgrid-ab12cd34ef56ab12/availability");
        let expected = |key, name, class: Option<&str>, state_class: Option<&str>, unit| {
            let mut sensor = json!({
                "platform": "sensor",
                "unique_id": format!("boltgrid-ab12cd34ef56ab12-{key}"),
                "name": name,
                "unit_of_measurement": unit,
                "value_template": format!("{{{{ value_json.{key} }}}}"),
            });
            if let Some(class) = class {
                sensor["device_class"] = json!(class);
            }
            if let Some(state_class) = state_class {
                sensor["state_class"] = json!(state_class);
            }
            assert_eq!(found["components"][key], sensor);
        };
        let (measured, grows) = (Some("measurement"), Some("total_increasing"));
        expected("power", "Power", Some("power"), measured, "W");
        expected("import_energy", "Energy imported", Some("energy"), grows, "kWh");
        expected("export_energy", "Energy exported", Some("energy"), grows, "kWh");
        expected("surplus_power", "Surplus", Some("power"), measured, "W");
        expected("miner_power", "Miners", Some("power"), measured, "W");
        expected("miner_hash_rate", "Hash rate", None, measured, "TH/s");
        expected("price", "Price", Some("monetary"), None, "sat/kWh");
        expected("balance", "Balance", Some("monetary"), None, "sat");
        assert_eq!(found["components"].as_object().unwrap().len(), told.len());
    }

    #[test]
    fn a_state_has_each_quantity_and_says_what_is_unknown() {
        let told = told(None, &History::default(), Some(&LightningStatus::default()), &machines());
        let state: Value = serde_json::from_str(&state(&told)).unwrap();
        assert_eq!((&state["power"], &state["due_to_us"]), (&Value::Null, &json!("0.000")));
        assert_eq!(state.as_object().unwrap().len(), told.len());
    }
}
