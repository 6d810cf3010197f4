//! Meters that answer in JSON over HTTP, by a map in TOML: what to ask, and where what stands in the
//! answer. Maps of common devices are shipped; a user adds one without recompiling.
//!
//! Every request has a connection of its own, so nothing is left of one that failed.
//! Not for: devices elsewhere; nothing here follows a redirect or a proxy.

mod auth;
mod client;
mod map;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::DeviceError;
use super::credentials::{Credentials, read_file};
use super::json::JsonRejected;
use super::server::HttpServer;
use super::tls::{Secure, TlsConfig};
use crate::shown::Shown;
use auth::Auth;
use client::{Asked, Client};
use map::ReadyRequest;
pub use map::{HttpMap, HttpRequest, Method, SHIPPED};

/// How long all requests of one reading may take together.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The largest map.
const MAP_MAX: u64 = 65_536;

/// A meter that answers in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it is: `host`, `host:port`, or `https://host`.
    pub address: HttpServer,
    /// The name of a shipped map, such as `shelly-em`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// Or a file with a map of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_file: Option<PathBuf>,
    /// Which of several meters inside the device, for maps that ask; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// How it asks who one is; by default it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthKind>,
    /// A file with `user:password` in its first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// Whom to take for it, where it is asked over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// How a device asks who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// The password goes with every request.
    Basic,
    /// The password is proved and not told (SHA-256, as Shelly does it).
    Digest,
}

/// A meter that is asked over HTTP.
#[derive(Debug)]
pub struct HttpMeter {
    device: Arc<str>,
    client: Client,
    requests: Vec<ReadyRequest>,
    rated: Option<Power>,
}

impl HttpMeter {
    /// Gets ready to ask. Whether there is a meter is seen by the first read. Powers beyond half as much
    /// again as `rated` are refused.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Setting`], [`DeviceError::Io`] where a file cannot be read.
    #[expect(clippy::unused_async, reason = "all drivers are opened alike")]
    pub async fn open(
        config: &HttpConfig,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        let device: Arc<str> = name.into();
        let setting = |problem| DeviceError::Setting { device: Arc::clone(&device), problem };
        let (map, called) = match (&config.map, &config.map_file) {
            (Some(name), None) => (HttpMap::shipped(name), name.clone()),
            (None, Some(path)) => {
                let text = read_file(&device, path, "reading its map", MAP_MAX)?;
                (HttpMap::from_toml(&text), path.display().to_string())
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err(setting("either `map` or `map_file` must be said".to_owned()));
            }
        };
        let requests = map.and_then(|map| map.ready(config.channel.unwrap_or(0)));
        let requests = requests.map_err(|problem| setting(format!("map {called}: {problem}")))?;
        let auth = match (config.auth, &config.credentials_file) {
            (None, None) => Auth::None,
            (Some(kind), Some(path)) => {
                let credentials = Credentials::read(&device, path)?;
                match kind {
                    AuthKind::Basic => Auth::Basic(credentials),
                    AuthKind::Digest => Auth::digest(credentials),
                }
            }
            (None, Some(_)) | (Some(_), None) => {
                let problem = "`auth` and `credentials_file` go together".to_owned();
                return Err(setting(problem));
            }
        };
        let secure = Secure::of(&config.address, config.tls.as_ref());
        let secure = secure.map_err(|error| setting(error.to_string()))?;
        let client = Client::new(config.address.place.clone(), secure, auth);
        Ok(Self { device, client, requests, rated })
    }

    /// Asks it, and says what it shows.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&mut self) -> Result<Shown, DeviceError> {
        let asking = async {
            let mut answers = Vec::with_capacity(self.requests.len());
            for request in &self.requests {
                answers.push(self.client.ask(request).await?);
            }
            Ok(answers)
        };
        let answers = match timeout(TIMEOUT, asking).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(asked)) => return Err(self.failed(asked)),
            Err(_) => return Err(self.failed(Asked::Io(std::io::ErrorKind::TimedOut.into()))),
        };
        let mut shown = Shown::default();
        let mut found = 0;
        for (request, answer) in self.requests.iter().zip(&answers) {
            let read = request.points.read(answer, self.rated, &mut shown);
            found += read.map_err(|rejected| self.rejected(rejected))?;
        }
        if found == 0 {
            let what = "nothing that its map names is in it; is it the right map?".to_owned();
            return Err(self.failed(Asked::Garbled(what)));
        }
        Ok(shown)
    }

    fn failed(&self, asked: Asked) -> DeviceError {
        let device = Arc::clone(&self.device);
        match asked {
            Asked::Io(source) => DeviceError::Io { device, doing: "asking", source },
            Asked::Garbled(what) => DeviceError::Garbled { device, what },
            Asked::Unauthorized(problem) => DeviceError::Setting { device, problem },
        }
    }

    fn rejected(&self, rejected: JsonRejected) -> DeviceError {
        let device = Arc::clone(&self.device);
        match rejected {
            JsonRejected::Impossible { quantity, source } => {
                DeviceError::Point { device, point: quantity.name().into(), source }
            }
            JsonRejected::Syntax(_) | JsonRejected::NoNumber { .. } => {
                DeviceError::Garbled { device, what: rejected.to_string() }
            }
        }
    }
}
