//! Alerts to an MQTT broker.

use std::path::Path;
use std::time::Duration;

use boltgrid_metering::drivers::broker::{Broker, BrokerError, Client, Said, Session};
use boltgrid_metering::drivers::{MqttServer, TlsConfig};

use super::{SendError, credentials};

/// As long as the connection may last.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Reads the certificates that the setting names, if any.
pub(super) fn ready(server: &MqttServer, tls: Option<&TlsConfig>) -> Result<Broker, SendError> {
    Broker::new(server, tls).map_err(|error| SendError::Setting(error.to_string()))
}

/// Connects, publishes and waits until the broker has it.
pub(super) async fn publish(
    broker: &Broker,
    topic: &str,
    credentials_file: Option<&Path>,
    json: String,
) -> Result<(), SendError> {
    // A name for each connection: one that is still open under the same would be ended by the broker.
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|error| SendError::Unreached(error.to_string()))?;
    let name = format!("boltgrid-alert-{}", hex::encode(name));
    let login = credentials_file.map(credentials).transpose()?;
    let client = Client { name, login, will: None, keep_alive: KEEP_ALIVE };
    let mut session = Session::connect(broker, &client).await.map_err(failed)?;
    let number = session.publish(topic.to_owned(), json, false).await.map_err(failed)?;
    while session.next().await.map_err(failed)? != Said::Taken(number) {}
    // It has arrived, however the goodbye goes.
    drop(session.leave().await);
    Ok(())
}

fn failed(error: BrokerError) -> SendError {
    if matches!(error, BrokerError::Refused(_)) {
        return SendError::Refused(error.to_string());
    }
    SendError::Unreached(error.to_string())
}
