//! Thermometers of places: asked over HTTP, or heard over MQTT.
//!
//! What a broker kept from before is not believed: nobody knows how old it is. One that says nothing any
//! more, or what cannot be, leaves the place as unknown after a while, and its machines off.
//! Not for: what follows from it (`places`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use boltgrid_metering::drivers::broker::{Broker, BrokerError, Client as Listener, Said, Session};
use boltgrid_metering::drivers::{MqttServer, TlsConfig, TlsError};
use futures::future::join_all;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::feed::shown;

/// How often one is asked over HTTP, and the pause before a broker is called again.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const ANSWER_MAX: usize = 65_536;
/// A broker that says nothing is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The longest file with a password, in bytes.
const CREDENTIALS_MAX: u64 = 4_096;
/// Thousandths.
const MILLI_DIGITS: usize = 3;

/// Where a thermometer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ThermometerConfig {
    /// It is asked.
    Http(HttpThermometer),
    /// It tells.
    Mqtt(MqttThermometer),
}

/// A thermometer that answers in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpThermometer {
    /// The address that is asked.
    pub url: String,
    /// Where in the answer the degrees Celsius stand, as a JSON pointer (RFC 6901).
    pub pointer: String,
}

/// A thermometer that publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttThermometer {
    /// The broker.
    pub broker: MqttServer,
    /// Its topic, without wildcards.
    pub topic: String,
    /// Where in the message the degrees Celsius stand; without, the message is the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// A file with `user:password` in its first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// Whom to believe that it is the broker, where that is reached over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// Which of a place's temperatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Inside.
    Inside,
    /// Outside.
    Outside,
}

/// What one shows: the place by its number, and thousandths of a degree Celsius.
pub(super) type Shown = (usize, Probe, i32);

/// Why one shows nothing.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("it cannot be asked: {0}")]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the broker does not hand on what is published there")]
    NotSubscribed,
    #[error("there is no chance: {0}")]
    Chance(#[from] getrandom::Error),
    #[error("{} cannot be read: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Garbled(String),
}

impl ThermometerConfig {
    /// What is wrong with it, in words; none where nothing is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let pointer = match self {
            Self::Http(it) => Some(&it.pointer),
            Self::Mqtt(it) => it.pointer.as_ref(),
        };
        if let Some(pointer) = pointer.filter(|pointer| !pointer.starts_with('/')) {
            return Some(format!("`pointer` begins with `/`, unlike {pointer:?}"));
        }
        match self {
            Self::Http(HttpThermometer { url, .. }) => {
                let url = Url::parse(url).ok().filter(|url| url.scheme().starts_with("http"));
                url.is_none().then(|| "`url` is no address of http or https".to_owned())
            }
            Self::Mqtt(MqttThermometer { topic, .. }) => {
                let is_one = !topic.is_empty() && !topic.contains(['#', '+', '\0']);
                (!is_one).then(|| format!("{topic:?} is no topic without wildcards"))
            }
        }
    }

    /// What it is called in logs.
    fn shown(&self) -> String {
        match self {
            Self::Http(it) => shown(&it.url),
            Self::Mqtt(it) => format!("{} at its broker", it.topic),
        }
    }

    /// The same with relative paths of files taken from `folder`.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::Mqtt(it) => Self::Mqtt(MqttThermometer {
                credentials_file: it.credentials_file.map(|path| folder.join(path)),
                tls: it.tls.map(|tls| tls.relative_to(folder)),
                ..it
            }),
            Self::Http(it) => Self::Http(it),
        }
    }
}

/// Tells what all of them show, until stopped.
pub(super) async fn follow(
    all: Vec<(usize, Probe, ThermometerConfig)>,
    shows: mpsc::Sender<Shown>,
    stop: CancellationToken,
) {
    let each = all.into_iter().map(|(place, probe, config)| {
        let shows = shows.clone();
        async move {
            let mut failing = false;
            loop {
                let tell = |shown| {
                    if shows.try_send((place, probe, shown)).is_err() {
                        debug!(place, "nobody takes the temperature; it is told again");
                    }
                };
                let ended = match &config {
                    ThermometerConfig::Http(it) => ask(it).await.map(tell),
                    ThermometerConfig::Mqtt(it) => listen(it, tell).await,
                };
                match ended {
                    Ok(()) => failing = false,
                    Err(error) => {
                        if !failing {
                            let thermometer = config.shown();
                            warn!(%thermometer, %error, "it says nothing; it is tried again");
                        }
                        failing = true;
                    }
                }
                sleep(ASK_EVERY).await;
            }
        }
    });
    let all = join_all(each);
    tokio::select! {
        () = stop.cancelled() => return,
        _ = all => {}
    }
    // There are none.
    stop.cancelled().await;
}

async fn ask(config: &HttpThermometer) -> Result<i32, Silent> {
    let client = Client::builder().redirect(Policy::none()).timeout(ANSWER_TIME).build()?;
    let answer = client.get(&config.url).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(reqwest::Error::without_url)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len().saturating_add(chunk.len()) > ANSWER_MAX {
            return Err(Silent::Garbled(format!("its answer is longer than {ANSWER_MAX} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    read(&bytes, Some(&config.pointer)).map_err(Silent::Garbled)
}

/// Listens until the broker is gone.
async fn listen(config: &MqttThermometer, tell: impl Fn(i32)) -> Result<(), Silent> {
    let MqttThermometer { broker, topic, pointer, credentials_file, tls } = config;
    let broker = Broker::new(broker, tls.as_ref())?;
    let mut chance = [0; 8];
    getrandom::fill(&mut chance)?;
    // Two clients of one name would throw each other out.
    let name = format!("boltgrid-{:016x}", u64::from_be_bytes(chance));
    let login = credentials_file.as_deref().map(credentials).transpose()?;
    let listener = Listener { name, login, will: None, keep_alive: KEEP_ALIVE };
    let mut session = Session::connect(&broker, &listener).await?;
    session.subscribe([topic.clone()].into_iter()).await?;
    let mut told = false;
    loop {
        match session.next().await? {
            Said::Message { topic: from, payload, is_retained }
                if from == *topic && !is_retained =>
            {
                match read(&payload, pointer.as_deref()) {
                    Ok(shown) => tell(shown),
                    Err(problem) if !told => {
                        info!(%topic, %problem, "a thermometer's message is no temperature");
                        told = true;
                    }
                    Err(_) => {}
                }
            }
            Said::Subscribed { to_all: false } => return Err(Silent::NotSubscribed),
            Said::Message { .. } | Said::Subscribed { to_all: true } | Said::Taken(_) => {}
        }
    }
}

fn credentials(path: &Path) -> Result<(String, String), Silent> {
    use std::io::Read as _;
    let failed = |source| Silent::File { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CREDENTIALS_MAX).read_to_string(&mut text).map_err(failed)?;
    let first = text.lines().next().and_then(|line| line.split_once(':'));
    let first = first.map(|(user, password)| (user.to_owned(), password.to_owned()));
    first.ok_or_else(|| Silent::Garbled(format!("{} has no user:password", path.display())))
}

/// Thousandths of a degree Celsius; in words, why there are none.
fn read(bytes: &[u8], pointer: Option<&str>) -> Result<i32, String> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
    let found = pointer.map_or(Some(&value), |pointer| value.pointer(pointer));
    let text = found.and_then(|found| match found {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    });
    let milli = text.as_deref().and_then(milli);
    milli.ok_or_else(|| format!("there is no temperature at {:?}", pointer.unwrap_or("/")))
}

/// A decimal number in thousandths, cut off.
fn milli(text: &str) -> Option<i32> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(part) {
        return None;
    }
    let part: String = part.chars().chain("000".chars()).take(MILLI_DIGITS).collect();
    let milli: i32 = format!("{whole}{part}").parse().ok()?;
    milli.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn degrees_are_read_to_the_thousandth_and_nothing_else_is() {
        let said = |text: &str| read(text.as_bytes(), Some("/tC"));
        assert_eq!(said(r#"{"tC": 21.4567}"#), Ok(21_456));
        assert_eq!(said(r#"{"tC": "-3.5"}"#), Ok(-3_500));
        assert_eq!(said(r#"{"tC": 0}"#), Ok(0));
        assert_eq!(read(b"41.5", None), Ok(41_500));
        for odd in ["{}", r#"{"tC": null}"#, r#"{"tC": "warm"}"#, r#"{"tC": 1e9}"#, "unavailable"] {
            assert!(said(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn one_is_written_as_an_address_or_a_topic() {
        let config = |text: &str| toml::from_str::<ThermometerConfig>(text);
        let http = config("url = \"http://10.0.0.9/t\"\npointer = \"/tC\"").unwrap();
        assert!(matches!(http, ThermometerConfig::Http(_)) && http.problem().is_none());
        let mqtt = config("broker = \"10.0.0.9\"\ntopic = \"tank/t\"").unwrap();
        assert!(matches!(mqtt, ThermometerConfig::Mqtt(_)) && mqtt.problem().is_none());
        assert!(config("broker = \"10.0.0.9\"\nurl = \"http://a\"").is_err(), "one of them");
        let wild = config("broker = \"10.0.0.9\"\ntopic = \"tank/#\"").unwrap();
        assert!(wild.problem().unwrap().contains("wildcards"));
        let odd = config("url = \"ftp://10.0.0.9/t\"\npointer = \"tC\"").unwrap();
        assert!(odd.problem().unwrap().contains("pointer"));
    }

    #[tokio::test]
    async fn one_that_answers_is_asked_and_what_it_says_is_told() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/rpc", listener.local_addr().unwrap());
        let config = ThermometerConfig::Http(HttpThermometer { url, pointer: "/tC".to_owned() });
        let (shows, mut shown) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let following = follow(vec![(2, Probe::Outside, config)], shows, stop.clone());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /rpc "));
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"tC\": -1.5}")
                .await
                .unwrap();
            let told = timeout(PATIENCE, shown.recv()).await.expect("in time");
            assert_eq!(told, Some((2, Probe::Outside, -1_500)));
            stop.cancel();
        };
        tokio::join!(following, serving);
    }

    #[tokio::test]
    async fn one_that_publishes_is_heard_and_what_the_broker_kept_is_not_believed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = listener.local_addr().unwrap().to_string().parse().unwrap();
        let config = ThermometerConfig::Mqtt(MqttThermometer {
            broker,
            topic: "tank/t".to_owned(),
            pointer: None,
            credentials_file: None,
            tls: None,
        });
        let (shows, mut shown) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let following = follow(vec![(0, Probe::Inside, config)], shows, stop.clone());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut packet = vec![0; 4_096];
            let length = stream.read(&mut packet).await.unwrap();
            assert_eq!(packet[0] >> 4, 1, "it connects: {:?}", &packet[..length]);
            stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
            let length = stream.read(&mut packet).await.unwrap();
            assert_eq!(packet[0] >> 4, 8, "it subscribes: {:?}", &packet[..length]);
            stream.write_all(&[0x90, 3, packet[2], packet[3], 0]).await.unwrap();
            let publish = |first: u8, topic: &str, text: &str| {
                let length = u8::try_from(2 + 6 + text.len()).unwrap();
                [&[first, length, 0, 6], topic.as_bytes(), text.as_bytes()].concat()
            };
            stream.write_all(&publish(0x31, "tank/t", "90.0")).await.unwrap();
            stream.write_all(&publish(0x30, "tank/u", "80.0")).await.unwrap();
            stream.write_all(&publish(0x30, "tank/t", "warm")).await.unwrap();
            stream.write_all(&publish(0x30, "tank/t", "41.5")).await.unwrap();
            let told = timeout(PATIENCE, shown.recv()).await.expect("in time");
            assert_eq!(told, Some((0, Probe::Inside, 41_500)));
            stop.cancel();
        };
        tokio::join!(following, serving);
    }
}
