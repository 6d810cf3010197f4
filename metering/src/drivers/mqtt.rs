//! Meters that publish to an MQTT broker: topics, and where what stands in what is published there.
//!
//! Only what is published while we listen counts: a retained message may be as old as it likes. What is
//! shown is as old as the oldest of its topics, and none is left out.
//! Not for: publishing anything, or the connection itself ([`super::broker`]).

mod inbox;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;

use super::DeviceError;
use super::broker::{Broker, BrokerError, Client, Said, Session};
use super::credentials::Credentials;
use super::heard::{Ear, Heard, PAUSE_MAX, PAUSE_MIN, Trouble};
use super::json::{JsonPoint, JsonPoints};
use super::server::MqttServer;
use super::tls::TlsConfig;
use crate::shown::Shown;
use inbox::Inbox;
pub use inbox::read_payload;

/// Most topics of one meter.
const TOPICS_MAX: usize = 32;
/// Longest topic.
const TOPIC_LEN_MAX: usize = 512;
/// How old the oldest topic may be where nothing is said.
const STALE_AFTER_MS: u32 = 60_000;
/// What the configuration may say instead.
const STALE_AFTER_MS_RANGE: std::ops::RangeInclusive<u32> = 1_000..=3_600_000;
/// How often the broker is asked whether it is there; twice that without an answer and it is not.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Bytes of chance in the name by which the broker knows us.
const CHANCE_LEN: usize = 8;

/// A meter behind an MQTT broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// Where the broker is: `host`, `host:port`, or `mqtts://host`.
    pub broker: MqttServer,
    /// A file with `user:password` in its first line, where the broker asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// Whom to take for the broker, where it is reached over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// What to listen to.
    pub topic: Vec<MqttTopic>,
    /// How old the oldest topic may be; 1 000 to 3 600 000, default 60 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after_ms: Option<u32>,
}

/// A topic, and what is published there: a number, or JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttTopic {
    /// The topic, without wildcards.
    pub name: String,
    /// What stands where.
    pub point: Vec<JsonPoint>,
}

/// A meter that is listened to.
#[derive(Debug)]
pub struct MqttMeter {
    ear: Ear,
}

impl MqttMeter {
    /// Begins to listen. Whether anything is published is seen by the first read. Powers beyond half as
    /// much again as `rated` are refused.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Setting`], [`DeviceError::Io`] where a file cannot be read.
    #[expect(clippy::unused_async, reason = "all drivers are opened alike")]
    pub async fn open(
        config: &MqttConfig,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        let device: Arc<str> = name.into();
        let setting = |problem| DeviceError::Setting { device: Arc::clone(&device), problem };
        let stale_after_ms = config.stale_after_ms.unwrap_or(STALE_AFTER_MS);
        if !STALE_AFTER_MS_RANGE.contains(&stale_after_ms) {
            let problem = format!("stale_after_ms is {stale_after_ms}, not 1000 to 3600000");
            return Err(setting(problem));
        }
        let inbox = Inbox::new(topics(config).map_err(setting)?, rated);
        let credentials = match &config.credentials_file {
            Some(path) => Some(Credentials::read(&device, path)?),
            None => None,
        };
        let client = client(credentials).map_err(setting)?;
        let broker = Broker::new(&config.broker, config.tls.as_ref());
        let broker = broker.map_err(|error| setting(error.to_string()))?;
        let stale_after = Duration::from_millis(stale_after_ms.into());
        let ear = Ear::start(name, stale_after, |heard| listen((broker, client), inbox, heard));
        Ok(Self { ear })
    }

    /// What was published last, with the age of the oldest part.
    ///
    /// # Errors
    ///
    /// [`DeviceError`], where that is too old: why, as far as that is known.
    pub async fn read(&mut self) -> Result<Shown, DeviceError> {
        self.ear.read().await
    }
}

/// The topics, checked.
fn topics(config: &MqttConfig) -> Result<Vec<(String, JsonPoints)>, String> {
    let topics = &config.topic;
    if topics.is_empty() || topics.len() > TOPICS_MAX {
        return Err(format!("{} topics are named, not 1 to {TOPICS_MAX}", topics.len()));
    }
    let names: BTreeSet<&String> = topics.iter().map(|topic| &topic.name).collect();
    if names.len() < topics.len() {
        return Err("a topic is named twice; give it several points instead".to_owned());
    }
    let ready = topics.iter().map(|MqttTopic { name, point }| {
        if name.is_empty() || name.len() > TOPIC_LEN_MAX || name.contains(['#', '+', '\0']) {
            return Err(format!("`{name}` is no topic; it must be said without wildcards"));
        }
        let points = JsonPoints::new(point, 0).map_err(|why| format!("topic `{name}`: {why}"))?;
        Ok((name.clone(), points))
    });
    ready.collect()
}

fn client(credentials: Option<Credentials>) -> Result<Client, String> {
    let mut chance = [0; CHANCE_LEN];
    getrandom::fill(&mut chance).map_err(|error| format!("there is no chance: {error}"))?;
    // Two clients of one name would throw each other out.
    let name = format!("boltgrid-{:016x}", u64::from_be_bytes(chance));
    let login = credentials.map(|it| (it.user, it.password.as_str().to_owned()));
    Ok(Client { name, login, will: None, keep_alive: KEEP_ALIVE })
}

/// Listens for ever, connecting anew whenever the broker is gone.
async fn listen(way: (Broker, Client), mut inbox: Inbox, heard: watch::Sender<Heard>) {
    let mut pause = PAUSE_MIN;
    loop {
        let mut any = false;
        let lost = until_it_fails(&way, &mut inbox, &heard, &mut any).await;
        heard.send_modify(|heard| heard.trouble(lost));
        if any {
            pause = PAUSE_MIN;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Why the connection ended; `any` says whether anything good came over it.
async fn until_it_fails(
    (broker, client): &(Broker, Client),
    inbox: &mut Inbox,
    heard: &watch::Sender<Heard>,
    any: &mut bool,
) -> Trouble {
    let mut session = match Session::connect(broker, client).await {
        Ok(session) => session,
        Err(error) => return trouble(error),
    };
    if let Err(error) = session.subscribe(inbox.names().cloned()).await {
        return trouble(error);
    }
    loop {
        match session.next().await {
            // Nobody knows when a retained message was published.
            Ok(Said::Message { topic, payload, is_retained: false }) => {
                match inbox.take(&topic, &payload) {
                    Ok(shown) => {
                        *any = true;
                        if let Some((since, shown)) = shown {
                            heard.send_modify(|heard| heard.shown_since(since, shown));
                        }
                    }
                    Err(trouble) => heard.send_modify(|heard| heard.trouble(trouble)),
                }
            }
            Ok(Said::Subscribed { to_all: false }) => {
                let what = "the broker refuses a topic; may the user read it?".to_owned();
                return Trouble::Garbled(what);
            }
            Ok(Said::Message { .. } | Said::Subscribed { .. } | Said::Taken(_)) => {}
            Err(error) => return trouble(error),
        }
    }
}

fn trouble(error: BrokerError) -> Trouble {
    match error {
        BrokerError::Unreached(error) => Trouble::io("connecting to the broker", &error),
        BrokerError::Lost(error) => Trouble::io("listening to the broker", &error),
        BrokerError::Silent => Trouble::Io {
            doing: "listening to the broker",
            kind: std::io::ErrorKind::TimedOut,
            text: error.to_string(),
        },
        BrokerError::Refused(_) | BrokerError::Garbled(_) | BrokerError::Unsayable(_) => {
            Trouble::Garbled(error.to_string())
        }
    }
}
