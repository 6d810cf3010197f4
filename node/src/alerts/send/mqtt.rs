//! Alerts to an MQTT broker.

use std::path::Path;
use std::time::Duration;

use boltgrid_metering::drivers::Host;
use rumqttc::{AsyncClient, ConnectionError, Event, MqttOptions, Packet, QoS};

use super::{SendError, credentials};

/// The largest message either way.
const MESSAGE_MAX: usize = 65_536;
/// Messages in the client's queue: the one alert and the goodbye.
const QUEUE_MAX: usize = 2;
/// As long as the connection may last.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Connects, publishes and waits until the broker has it.
pub(super) async fn publish(
    broker: &Host<1883>,
    topic: &str,
    credentials_file: Option<&Path>,
    json: String,
) -> Result<(), SendError> {
    let Host(place) = broker;
    // A name for each connection: one that is still open under the same would be ended by the broker.
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|error| SendError::Unreached(error.to_string()))?;
    let name = format!("boltgrid-alert-{}", hex::encode(name));
    let mut options = MqttOptions::new(name, place.host.clone(), place.port);
    options.set_keep_alive(KEEP_ALIVE).set_max_packet_size(MESSAGE_MAX, MESSAGE_MAX);
    if let Some(path) = credentials_file {
        let (user, password) = credentials(path)?;
        options.set_credentials(user, password);
    }
    let (client, mut events) = AsyncClient::new(options, QUEUE_MAX);
    let unreached = |error: String| SendError::Unreached(error);
    let published = client.publish(topic, QoS::AtLeastOnce, false, json).await;
    published.map_err(|error| unreached(error.to_string()))?;
    loop {
        let event = events.poll().await.map_err(|error| {
            if let ConnectionError::ConnectionRefused(code) = error {
                SendError::Refused(format!("the broker refuses the connection: {code:?}"))
            } else {
                unreached(error.to_string())
            }
        })?;
        if matches!(event, Event::Incoming(Packet::PubAck(_))) {
            return Ok(());
        }
    }
}
