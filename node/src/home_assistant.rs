//! The node in Home Assistant: everything that it measures, earns and pays appears there by itself, over
//! an MQTT broker (MQTT discovery, by device).
//!
//! It only tells, and nobody can tell it anything but that Home Assistant was started. A broker that is
//! away does not concern the node.
//! Not for: meters that publish over MQTT, which are read (`metering`).

mod discovery;
#[cfg(test)]
mod tests;
mod told;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use boltgrid_metering::drivers::Host;
use boltgrid_protocol::id::ParticipantId;
use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    NetworkOptions, Outgoing, Packet, QoS,
};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::dispatcher::DispatchDesk;
use crate::history::History;
use crate::lightning::LightningHandle;
use crate::site::SiteState;
use discovery::Device;
use told::{Told, told};

/// Most messages waiting for the broker.
const QUEUE_MAX: usize = 16;
/// The largest message either way; the discovery of all quantities has some 6 000 bytes.
const MESSAGE_MAX: usize = 65_536;
/// How often the broker is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long connecting may take.
const CONNECT_TIMEOUT_S: u64 = 5;
/// The first pause after the broker was lost; it doubles with each further failure …
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long saying goodbye may take.
const GOODBYE_TIME: Duration = Duration::from_secs(2);
/// Where Home Assistant says that it was started, below its prefix, and what it says.
const STATUS: (&str, &[u8]) = ("status", b"online");
/// What availability topics say.
const ONLINE: &str = "online";
const OFFLINE: &str = "offline";

/// Home Assistant as the owner wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeAssistantConfig {
    /// The broker that Home Assistant listens to.
    pub broker: Host<1883>,
    /// A file with `user:password` in its first line, where the broker asks for it.
    pub credentials_file: Option<PathBuf>,
    /// What Home Assistant's discovery topics begin with.
    pub discovery_prefix: String,
    /// How often what changed is told.
    pub every: Duration,
}

/// Why Home Assistant cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum HomeAssistantError {
    /// The file cannot be read.
    #[error("the file {path} of `home_assistant.credentials_file` cannot be read: {source}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is something else in it.
    #[error("the file {0} of `home_assistant.credentials_file` must begin with `user:password`")]
    NoCredentials(PathBuf),
}

/// Where what is told comes from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) site: watch::Receiver<Option<SiteState>>,
    pub(crate) history: watch::Receiver<History>,
    pub(crate) lightning: Option<LightningHandle>,
    pub(crate) dispatch: DispatchDesk,
}

impl Sources {
    fn told(&self) -> Vec<Told> {
        let site = self.site.borrow().clone();
        let lightning = self.lightning.as_ref().map(LightningHandle::status);
        told(site.as_ref(), &self.history.borrow(), lightning.as_ref(), &self.dispatch.status())
    }
}

/// The task that tells Home Assistant.
#[derive(Debug)]
pub(crate) struct HomeAssistant {
    device: Device,
    options: MqttOptions,
    every: Duration,
    sources: Sources,
}

/// What goes wrong between the node and the broker.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A connection, and what was told over it.
struct Session {
    client: AsyncClient,
    events: EventLoop,
    ticks: Interval,
    connected: bool,
    announced: Vec<&'static str>,
    state: String,
}

impl HomeAssistant {
    /// Gets ready to tell; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`HomeAssistantError`].
    pub(crate) fn open(
        config: &HomeAssistantConfig,
        participant: &ParticipantId,
        grid: &str,
        sources: Sources,
    ) -> Result<Self, HomeAssistantError> {
        let device = Device::new(&participant.to_string(), grid, &config.discovery_prefix);
        let Host(place) = &config.broker;
        let mut options = MqttOptions::new(device.id(), place.host.clone(), place.port);
        options.set_keep_alive(KEEP_ALIVE).set_max_packet_size(MESSAGE_MAX, MESSAGE_MAX);
        options.set_last_will(LastWill::new(
            device.availability_topic(),
            OFFLINE,
            QoS::AtLeastOnce,
            true,
        ));
        if let Some(path) = &config.credentials_file {
            let text = fs::read_to_string(path)
                .map_err(|source| HomeAssistantError::Credentials { path: path.clone(), source })?;
            let (user, password) = text
                .lines()
                .next()
                .and_then(|line| line.split_once(':'))
                .ok_or_else(|| HomeAssistantError::NoCredentials(path.clone()))?;
            options.set_credentials(user, password);
        }
        Ok(Self { device, options, every: config.every, sources })
    }

    /// Tells until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (mut pause, mut failing) = (PAUSE_MIN, false);
        loop {
            let mut session = self.session();
            let lost = tokio::select! {
                () = stop.cancelled() => {
                    self.goodbye(session).await;
                    return;
                }
                lost = self.tell(&mut session) => lost,
            };
            if session.connected || !failing {
                warn!(error = %lost, "the broker of Home Assistant is lost; it is tried again");
            } else {
                debug!(error = %lost, "the broker of Home Assistant is still lost");
            }
            failing = true;
            if session.connected {
                pause = PAUSE_MIN;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn session(&self) -> Session {
        let (client, mut events) = AsyncClient::new(self.options.clone(), QUEUE_MAX);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_TIMEOUT_S);
        events.set_network_options(network);
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (announced, state) = (Vec::new(), String::new());
        Session { client, events, ticks, connected: false, announced, state }
    }

    /// Tells until the broker is lost, and why it is.
    async fn tell(&self, session: &mut Session) -> Lost {
        loop {
            let done = tokio::select! {
                event = session.events.poll() => match event {
                    Ok(event) => self.heard(session, &event),
                    Err(error) => return error.into(),
                },
                _ = session.ticks.tick(), if session.connected => self.update(session),
            };
            if let Err(error) = done {
                return error.into();
            }
        }
    }

    fn heard(&self, session: &mut Session, event: &Event) -> Result<(), ClientError> {
        let status = self.device.prefixed(STATUS.0);
        if let Event::Incoming(Packet::ConnAck(_)) = event {
            info!("connected to the broker of Home Assistant");
            session.connected = true;
            session.client.try_subscribe(status, QoS::AtLeastOnce)?;
            self.announce(session)?;
        } else if let Event::Incoming(Packet::Publish(message)) = event
            && message.topic == status
            && message.payload == STATUS.1
        {
            self.announce(session)?;
        }
        Ok(())
    }

    /// Tells everything, whether it is known or not.
    fn announce(&self, session: &mut Session) -> Result<(), ClientError> {
        (session.announced, session.state) = (Vec::new(), String::new());
        self.update(session)?;
        let topic = self.device.availability_topic();
        session.client.try_publish(topic, QoS::AtLeastOnce, true, ONLINE)
    }

    /// Tells what is new: first which quantities there are, then what they are.
    fn update(&self, session: &mut Session) -> Result<(), ClientError> {
        let told = self.sources.told();
        let quantities: Vec<&'static str> = told.iter().map(|it| it.key).collect();
        if quantities != session.announced {
            let topic = self.device.discovery_topic();
            let config = self.device.discovery(&told);
            session.client.try_publish(topic, QoS::AtLeastOnce, true, config)?;
            session.announced = quantities;
        }
        let state = discovery::state(&told);
        if state != session.state {
            let topic = self.device.state_topic();
            session.client.try_publish(topic, QoS::AtLeastOnce, false, state.clone())?;
            session.state = state;
        }
        Ok(())
    }

    /// Says that the node is gone: who disconnects in order leaves no last will.
    async fn goodbye(&self, mut session: Session) {
        if !session.connected {
            return;
        }
        let topic = self.device.availability_topic();
        let said = session.client.try_publish(topic, QoS::AtLeastOnce, true, OFFLINE);
        let leaving = async {
            let mut waits_for = None;
            loop {
                match session.events.poll().await? {
                    Event::Outgoing(Outgoing::Publish(number)) => waits_for = Some(number),
                    // Only what the broker has acknowledged survives a closed connection for sure.
                    Event::Incoming(Packet::PubAck(ack)) if Some(ack.pkid) == waits_for => {
                        session.client.try_disconnect()?;
                    }
                    Event::Outgoing(Outgoing::Disconnect) => return Ok::<_, Lost>(()),
                    Event::Incoming(_) | Event::Outgoing(_) => {}
                }
            }
        };
        if said.is_err() || !matches!(timeout(GOODBYE_TIME, leaving).await, Ok(Ok(()))) {
            debug!("the broker of Home Assistant was not told that the node stops");
        }
    }
}
