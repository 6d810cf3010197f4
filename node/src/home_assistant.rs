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

use boltgrid_metering::drivers::broker::{Broker, BrokerError, Client, Said, Session};
use boltgrid_metering::drivers::{MqttServer, TlsConfig, TlsError};
use boltgrid_protocol::id::ParticipantId;
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

/// How often the broker is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
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
    pub broker: MqttServer,
    /// Whom to take for it, where it is reached over TLS.
    pub tls: Option<TlsConfig>,
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
    /// The broker's address and certificates do not go together.
    #[error("`home_assistant.broker` cannot be reached: {0}")]
    Tls(#[from] TlsError),
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
    broker: Broker,
    client: Client,
    every: Duration,
    sources: Sources,
}

/// A connection, and what was told over it.
struct Telling {
    session: Session,
    ticks: Interval,
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
        let login = match &config.credentials_file {
            None => None,
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|source| {
                    HomeAssistantError::Credentials { path: path.clone(), source }
                })?;
                let login = text.lines().next().and_then(|line| line.split_once(':'));
                let (user, password) =
                    login.ok_or_else(|| HomeAssistantError::NoCredentials(path.clone()))?;
                Some((user.to_owned(), password.to_owned()))
            }
        };
        let will = Some((device.availability_topic(), OFFLINE));
        let client = Client { name: device.id().to_owned(), login, will, keep_alive: KEEP_ALIVE };
        let broker = Broker::new(&config.broker, config.tls.as_ref())?;
        Ok(Self { device, broker, client, every: config.every, sources })
    }

    /// Tells until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (mut pause, mut failing) = (PAUSE_MIN, false);
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                connected = Session::connect(&self.broker, &self.client) => connected,
            };
            let was_connected = connected.is_ok();
            let lost = match connected {
                Err(lost) => lost,
                Ok(session) => {
                    info!("connected to the broker of Home Assistant");
                    let mut telling = self.telling(session);
                    tokio::select! {
                        () = stop.cancelled() => {
                            self.goodbye(telling).await;
                            return;
                        }
                        lost = self.tell(&mut telling) => lost,
                    }
                }
            };
            if was_connected || !failing {
                warn!(error = %lost, "the broker of Home Assistant is lost; it is tried again");
            } else {
                debug!(error = %lost, "the broker of Home Assistant is still lost");
            }
            failing = true;
            if was_connected {
                pause = PAUSE_MIN;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn telling(&self, session: Session) -> Telling {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Telling { session, ticks, announced: Vec::new(), state: String::new() }
    }

    /// Tells until the broker is lost, and why it is.
    async fn tell(&self, telling: &mut Telling) -> BrokerError {
        let status = std::iter::once(self.device.prefixed(STATUS.0));
        if let Err(error) = telling.session.subscribe(status).await {
            return error;
        }
        if let Err(error) = self.announce(telling).await {
            return error;
        }
        loop {
            let done = tokio::select! {
                said = telling.session.next() => match said {
                    Ok(said) => self.heard(telling, said).await,
                    Err(error) => Err(error),
                },
                _ = telling.ticks.tick() => self.update(telling).await,
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    async fn heard(&self, telling: &mut Telling, said: Said) -> Result<(), BrokerError> {
        match said {
            Said::Message { topic, payload, .. }
                if topic == self.device.prefixed(STATUS.0) && payload == STATUS.1 =>
            {
                self.announce(telling).await
            }
            Said::Subscribed { to_all: false } => {
                // It is told nevertheless, and hears it when the node connects the next time.
                warn!("the broker does not say when Home Assistant is started anew");
                Ok(())
            }
            Said::Message { .. } | Said::Subscribed { .. } | Said::Taken(_) => Ok(()),
        }
    }

    /// Tells everything, whether it is known or not.
    async fn announce(&self, telling: &mut Telling) -> Result<(), BrokerError> {
        (telling.announced, telling.state) = (Vec::new(), String::new());
        self.update(telling).await?;
        let topic = self.device.availability_topic();
        telling.session.publish(topic, ONLINE, true).await.map(drop)
    }

    /// Tells what is new: first which quantities there are, then what they are.
    async fn update(&self, telling: &mut Telling) -> Result<(), BrokerError> {
        let told = self.sources.told();
        let quantities: Vec<&'static str> = told.iter().map(|it| it.key).collect();
        if quantities != telling.announced {
            let topic = self.device.discovery_topic();
            telling.session.publish(topic, self.device.discovery(&told), true).await?;
            telling.announced = quantities;
        }
        let state = discovery::state(&told);
        if state != telling.state {
            telling.session.publish(self.device.state_topic(), state.clone(), false).await?;
            telling.state = state;
        }
        Ok(())
    }

    /// Says that the node is gone: who disconnects in order leaves no last will.
    async fn goodbye(&self, telling: Telling) {
        let Telling { mut session, .. } = telling;
        let topic = self.device.availability_topic();
        let leaving = async {
            let number = session.publish(topic, OFFLINE, true).await?;
            // Only what the broker has acknowledged survives a closed connection for sure.
            while session.next().await? != Said::Taken(number) {}
            session.leave().await
        };
        if !matches!(timeout(GOODBYE_TIME, leaving).await, Ok(Ok(()))) {
            debug!("the broker of Home Assistant was not told that the node stops");
        }
    }
}
