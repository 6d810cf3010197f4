//! A plug or relay that is switched over HTTP, and may say what flows through it.
//!
//! Every request has a connection of its own; redirects are not followed, and an answer is bounded
//! while it is read.
//! Not for: HTTPS or digest authentication; switch those off for the local network.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boltgrid_protocol::units::Power;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::drivers::credentials::Credentials;
use crate::drivers::error::words;
use crate::drivers::number::milli;
use crate::drivers::{DeviceError, Host};

/// The largest answer, in bytes.
const ANSWER_MAX: usize = 65_536;
/// The largest head of an answer, in bytes.
const HEAD_MAX: usize = 16_384;
/// Most headers of an answer.
const HEADERS_MAX: usize = 64;
/// Longest path of a request, in bytes.
const PATH_MAX: usize = 1_024;
/// The most that flows through a plug or relay that says so, in W.
const POWER_MAX_W: u32 = 1_000_000;

/// A plug or relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRelayConfig {
    /// Where it is: `host` or `host:port`.
    pub address: Host<80>,
    /// What it is, if it is one that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plug: Option<Plug>,
    /// Which of several switches of it; default 0.
    #[serde(default)]
    pub channel: u8,
    /// For others: the path to ask for to switch it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_path: Option<String>,
    /// The path to ask for to switch it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_path: Option<String>,
    /// The path to ask for to hear how it is, if it says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_path: Option<String>,
    /// Where in that answer the power stands, in W, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_w_pointer: Option<String>,
    /// A file with `user:password` in its first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// Plugs and relays that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plug {
    /// Shelly of the second generation or later.
    Shelly,
    /// Shelly of the first generation.
    ShellyGen1,
    /// Whatever runs Tasmota.
    Tasmota,
}

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Paths {
    on: String,
    off: String,
    state: Option<String>,
    power: Option<String>,
}

#[derive(Debug)]
pub(super) struct HttpRelay {
    address: Host<80>,
    paths: Paths,
    credentials: Option<Credentials>,
}

impl Plug {
    fn paths(self, channel: u8) -> Paths {
        match self {
            Self::Shelly => Paths {
                on: format!("/rpc/Switch.Set?id={channel}&on=true"),
                off: format!("/rpc/Switch.Set?id={channel}&on=false"),
                state: Some(format!("/rpc/Switch.GetStatus?id={channel}")),
                power: Some("/apower".to_owned()),
            },
            Self::ShellyGen1 => Paths {
                on: format!("/relay/{channel}?turn=on"),
                off: format!("/relay/{channel}?turn=off"),
                state: Some("/status".to_owned()),
                power: Some(format!("/meters/{channel}/power")),
            },
            // Its switches are counted from 1.
            Self::Tasmota => {
                let number = u16::from(channel).saturating_add(1);
                Paths {
                    on: format!("/cm?cmnd=Power{number}%20On"),
                    off: format!("/cm?cmnd=Power{number}%20Off"),
                    state: Some("/cm?cmnd=Status%208".to_owned()),
                    power: Some("/StatusSNS/ENERGY/Power".to_owned()),
                }
            }
        }
    }
}

impl HttpRelayConfig {
    fn paths(&self) -> Result<Paths, String> {
        let Self { plug, on_path, off_path, state_path, power_w_pointer, channel, .. } = self;
        let own = [on_path, off_path, state_path, power_w_pointer];
        let paths = match (plug, on_path, off_path) {
            (Some(plug), _, _) if own.iter().all(|it| it.is_none()) => plug.paths(*channel),
            (None, Some(on), Some(off)) if state_path.is_some() == power_w_pointer.is_some() => {
                Paths {
                    on: on.clone(),
                    off: off.clone(),
                    state: state_path.clone(),
                    power: power_w_pointer.clone(),
                }
            }
            (Some(_) | None, _, _) => {
                return Err(
                    "say either `plug`, or `on_path` and `off_path`, with `state_path` and \
                            `power_w_pointer` together or not at all"
                        .to_owned(),
                );
            }
        };
        for path in [Some(&paths.on), Some(&paths.off), paths.state.as_ref()].into_iter().flatten()
        {
            let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
            if !path.starts_with('/') || !printable || path.len() > PATH_MAX {
                return Err(format!("`{path}` must begin with `/`, with spaces written as %20"));
            }
        }
        Ok(paths)
    }
}

impl HttpRelay {
    pub(super) fn open(config: &HttpRelayConfig, device: &Arc<str>) -> Result<Self, DeviceError> {
        let setting = |problem| DeviceError::Setting { device: Arc::clone(device), problem };
        let paths = config.paths().map_err(setting)?;
        let file = config.credentials_file.as_deref();
        let credentials = file.map(|path| Credentials::read(device, path)).transpose()?;
        Ok(Self { address: config.address.clone(), paths, credentials })
    }

    pub(super) fn about(&self) -> String {
        format!("relay at {}", self.address)
    }

    pub(super) async fn switch(&self, on: bool, device: &Arc<str>) -> Result<(), DeviceError> {
        let path = if on { &self.paths.on } else { &self.paths.off };
        self.ask(path, device, "switching").await.map(drop)
    }

    /// What flows through it; `None` where it is not asked. That it does not say so although it is
    /// asked is an error.
    pub(super) async fn power(&self, device: &Arc<str>) -> Result<Option<Power>, DeviceError> {
        let (Some(path), Some(pointer)) = (&self.paths.state, &self.paths.power) else {
            return Ok(None);
        };
        let text = self.ask(path, device, "asking").await?;
        let garbled = |what: String| DeviceError::Garbled { device: Arc::clone(device), what };
        let answer: Value = serde_json::from_slice(&text)
            .map_err(|error| garbled(format!("it is no JSON: {error}")))?;
        let found = answer.pointer(pointer);
        let watts = found.and_then(Value::as_f64).and_then(|watts| milli(watts, POWER_MAX_W));
        watts.map(|mw| Some(Power::from_milliwatts(mw))).ok_or_else(|| {
            let found = found.map_or_else(|| "nothing".to_owned(), |it| words(&it.to_string()));
            garbled(format!("at {pointer} there is {found} and no power in W"))
        })
    }

    async fn ask(
        &self,
        path: &str,
        device: &Arc<str>,
        doing: &'static str,
    ) -> Result<Vec<u8>, DeviceError> {
        let io = |source| DeviceError::Io { device: Arc::clone(device), doing, source };
        let failed = |error: hyper::Error| io(io::Error::other(error));
        let mut request = Request::get(path).header(HOST, self.address.to_string());
        if let Some(Credentials { user, password }) = &self.credentials {
            let told = Zeroizing::new(format!("{user}:{}", password.as_str()));
            let told = Zeroizing::new(format!("Basic {}", STANDARD.encode(told.as_bytes())));
            request = request.header(AUTHORIZATION, told.as_str());
        }
        let request =
            request.body(Empty::<Bytes>::new()).map_err(|error| io(io::Error::other(error)))?;
        let Host { host, port } = &self.address;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(io)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let talking = async move {
            let response = sender.send_request(request).await.map_err(failed)?;
            answer(response, device, doing).await
        };
        // The connection ends once the talk is over; what went wrong with it the talk knows as well.
        let (answer, _) = tokio::join!(talking, connection);
        answer
    }
}

async fn answer(
    response: Response<Incoming>,
    device: &Arc<str>,
    doing: &'static str,
) -> Result<Vec<u8>, DeviceError> {
    let device = || Arc::clone(device);
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            let problem = "it wants another user and password, or a digest of them, which is not \
                           spoken here; set `credentials_file`, or switch its login off";
            return Err(DeviceError::Setting { device: device(), problem: problem.to_owned() });
        }
        status => {
            let what = format!("HTTP status {status}");
            return Err(DeviceError::Refused { device: device(), doing, what });
        }
    }
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| DeviceError::Io {
            device: device(),
            doing,
            source: io::Error::other(error),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > ANSWER_MAX {
            let what = format!("it is longer than {ANSWER_MAX} bytes");
            return Err(DeviceError::Garbled { device: device(), what });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> HttpRelayConfig {
        toml::from_str(&format!("address = \"127.0.0.1\"\n{text}")).unwrap()
    }

    #[test]
    fn a_plug_is_known_or_told_of_in_full() {
        assert_eq!(
            config("plug = \"shelly\"\nchannel = 2").paths().unwrap().off,
            "/rpc/Switch.Set?id=2&on=false"
        );
        assert_eq!(config("plug = \"tasmota\"").paths().unwrap().on, "/cm?cmnd=Power1%20On");
        let own = config("on_path = \"/a\"\noff_path = \"/b\"").paths().unwrap();
        assert_eq!((own.on.as_str(), own.state), ("/a", None));
        for odd in [
            "",
            "on_path = \"/a\"",
            "plug = \"shelly\"\non_path = \"/a\"",
            "on_path = \"/a\"\noff_path = \"/b\"\nstate_path = \"/c\"",
            "on_path = \"/a\"\noff_path = \"b\"",
            "on_path = \"/a\"\noff_path = \"/b c\"",
        ] {
            assert!(config(odd).paths().is_err(), "{odd}");
        }
    }
}
