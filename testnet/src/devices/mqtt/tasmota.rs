//! A grid meter with a reading head on its optical port, which publishes as Tasmota does: a telemetry
//! message in `tele/…/SENSOR`, and whether it is there in `tele/…/LWT`.
//!
//! The form is the one of Tasmota's documentation ("MQTT", "Smart Meter Interface"); the names inside
//! are whatever its owner wrote into the head's script.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, LastWill, MqttOptions, Packet, QoS};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::super::server::SiteServer;
use super::super::text::{decimal, kwh};
use crate::plant::SiteTruth;

/// Where it publishes what it measures.
const SENSOR_TOPIC: &str = "tele/grid-meter/SENSOR";
/// Where it says whether it is there, and what.
const PRESENCE: (&str, &str, &str) = ("tele/grid-meter/LWT", "Online", "Offline");
/// How often it publishes: as often as the testnet's other meters that send, since intervals are short.
const EVERY: Duration = Duration::from_millis(100);
/// How often the broker is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Messages waiting for the broker; one that finds no place is lost, as the next is newer anyway.
const QUEUE_MAX: usize = 8;
/// How long it rests when the broker is gone.
const PAUSE: Duration = Duration::from_millis(250);

/// Publishes what the meter shows until it is stopped.
pub(super) async fn publish(broker: SocketAddr, site: &SiteServer, stop: CancellationToken) {
    let mut options = MqttOptions::new("grid-meter", broker.ip().to_string(), broker.port());
    let (presence, online, offline) = PRESENCE;
    options.set_keep_alive(KEEP_ALIVE);
    options.set_last_will(LastWill::new(presence, offline, QoS::AtLeastOnce, true));
    let (client, mut events) = AsyncClient::new(options, QUEUE_MAX);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connected = false;
    loop {
        let queued = tokio::select! {
            () = stop.cancelled() => return,
            event = events.poll() => match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    connected = true;
                    client.try_publish(presence, QoS::AtLeastOnce, true, online)
                }
                Ok(_) => Ok(()),
                Err(error) => {
                    debug!(%error, "a meter has lost its broker");
                    connected = false;
                    sleep(PAUSE).await;
                    Ok(())
                }
            },
            _ = ticks.tick(), if connected => {
                client.try_publish(SENSOR_TOPIC, QoS::AtMostOnce, false, sensor(&site.truth()))
            }
        };
        if let Err(error) = queued {
            debug!(%error, "a meter's message found no place");
        }
    }
}

/// A telemetry message.
fn sensor(truth: &SiteTruth) -> String {
    let (mv, mhz) = (truth.phase_mv, i64::try_from(truth.frequency_mhz).unwrap_or(0));
    let volts: String =
        (1..=3).map(|phase| format!(",\"Volt_p{phase}\":{}", decimal(mv, 3))).collect();
    format!(
        "{{\"Grid\":{{\"Total_in\":{},\"Total_out\":{},\"Power\":{},\"Freq\":{}{volts}}}}}",
        kwh(truth.registers.imported, 6),
        kwh(truth.registers.exported, 6),
        decimal(truth.metered.to_milliwatts(), 3),
        decimal(mhz, 3),
    )
}

/// A node's settings for such a meter behind `broker`, in TOML.
pub(in super::super) fn settings(broker: SocketAddr) -> String {
    let points: String = [
        ("power", "Power", "W"),
        ("import", "Total_in", "kWh"),
        ("export", "Total_out", "kWh"),
        ("voltage_l1", "Volt_p1", "V"),
        ("voltage_l2", "Volt_p2", "V"),
        ("voltage_l3", "Volt_p3", "V"),
        ("frequency", "Freq", "Hz"),
    ]
    .iter()
    .map(|(quantity, name, unit)| {
        format!("{{ quantity = \"{quantity}\", path = \"$.Grid.{name}\", unit = \"{unit}\" }}, ")
    })
    .collect();
    format!(
        "driver = \"mqtt\"\nbroker = \"{broker}\"\n\
         [[topic]]\nname = \"{SENSOR_TOPIC}\"\npoint = [{points}]\n"
    )
}
