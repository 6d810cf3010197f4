//! Receivers of alerts: a webhook, ntfy, Telegram, an MQTT broker, e-mail.
//!
//! Not for: trying again, or deciding what goes when ([`super::outbox`]).

mod http;
mod mail;
mod mqtt;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boltgrid_metering::drivers::{MqttServer, TlsConfig};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::outbox::Alert;
use super::rule::Turn;

/// How long telling one alert may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A receiver as the owner writes it down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverConfig {
    /// What rules call it.
    pub name: String,
    /// Where it goes.
    pub to: Destination,
}

/// Where alerts go. Secrets are in files, of which the first line counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Destination {
    /// A URL that takes an alert as JSON by POST.
    Webhook {
        /// The URL.
        url: String,
        /// A file with a token, sent as `Authorization: Bearer`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_file: Option<PathBuf>,
    },
    /// A topic of ntfy, at ntfy.sh or a server of one's own.
    Ntfy {
        /// The topic's URL.
        url: String,
        /// A file with an access token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_file: Option<PathBuf>,
    },
    /// A Telegram chat, by a bot of one's own.
    Telegram {
        /// A file with the bot's token.
        token_file: PathBuf,
        /// The chat.
        chat_id: String,
        /// The server; `https://api.telegram.org` where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// A topic of an MQTT broker, as JSON.
    Mqtt {
        /// The broker.
        broker: MqttServer,
        /// The topic.
        topic: String,
        /// A file with `user:password`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials_file: Option<PathBuf>,
        /// Whom to take for the broker, where it is reached over TLS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<TlsConfig>,
    },
    /// E-mail.
    Mail {
        /// The mail server's name, and its port: 465 for `tls`, 587 for `starttls`, 25 for `none`,
        /// where nothing is said.
        server: String,
        /// The port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// How the way to the server is kept private.
        #[serde(default)]
        security: MailSecurity,
        /// From whom.
        from: String,
        /// To whom.
        to: String,
        /// A file with `user:password`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials_file: Option<PathBuf>,
    },
}

/// How the way to a mail server is kept private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// TLS from the start.
    #[default]
    Tls,
    /// TLS after a word in the clear; without it nothing is sent.
    Starttls,
    /// In the clear, for a server in the house. Needs no credentials.
    None,
}

/// Why an alert did not arrive, or a receiver is none.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// A file with a secret.
    #[error("{path} cannot be read: {source}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file with a secret has something else in it.
    #[error("{path} must begin with {wanted}")]
    NoSecret {
        /// The file.
        path: PathBuf,
        /// What is wanted.
        wanted: &'static str,
    },
    /// The setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The other side took it not.
    #[error("{0}")]
    Refused(String),
    /// The other side was not reached.
    #[error("{0}")]
    Unreached(String),
    /// It took too long.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Late,
}

/// A receiver, ready to be told.
#[derive(Clone, Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    client: reqwest::Client,
}

/// An alert as JSON, to webhooks and brokers.
#[derive(Debug, Serialize)]
struct Told<'a> {
    node: &'a str,
    rule: &'a str,
    turn: Turn,
    text: &'a str,
    urgent: bool,
    at_unix_ms: String,
}

impl Receiver {
    /// Gets ready, and looks whether the setting makes sense and all secrets are there.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn open(config: ReceiverConfig) -> Result<Self, SendError> {
        config.to.check()?;
        Ok(Self { config, client: http::client()? })
    }

    /// What rules call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Tells an alert of the node called `node`. Secrets are read anew each time.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub async fn tell(&self, node: &str, alert: &Alert) -> Result<(), SendError> {
        let told = Told {
            node,
            rule: &alert.rule,
            turn: alert.turn,
            text: &alert.text,
            urgent: alert.urgent,
            at_unix_ms: alert.at.to_unix_ms().to_string(),
        };
        let json = || serde_json::to_string(&told).map_err(|it| SendError::Setting(it.to_string()));
        let sending = async {
            match &self.config.to {
                Destination::Webhook { url, token_file } => {
                    http::webhook(&self.client, url, token_file.as_deref(), json()?).await
                }
                Destination::Ntfy { url, token_file } => {
                    http::ntfy(&self.client, url, token_file.as_deref(), &told).await
                }
                Destination::Telegram { token_file, chat_id, url } => {
                    http::telegram(&self.client, url.as_deref(), (token_file, chat_id), &told).await
                }
                Destination::Mqtt { broker, topic, credentials_file, tls } => {
                    let broker = mqtt::ready(broker, tls.as_ref())?;
                    mqtt::publish(&broker, topic, credentials_file.as_deref(), json()?).await
                }
                mail @ Destination::Mail { .. } => mail::send(mail, &told).await,
            }
        };
        timeout(TIMEOUT, sending).await.map_err(|_| SendError::Late)?
    }
}

impl Destination {
    fn check(&self) -> Result<(), SendError> {
        match self {
            Self::Webhook { url, token_file } | Self::Ntfy { url, token_file } => {
                http::check(url)?;
                token_file.as_deref().map_or(Ok(()), |path| secret(path, "a token").map(drop))
            }
            Self::Telegram { token_file, url, .. } => {
                url.as_deref().map_or(Ok(()), http::check)?;
                secret(token_file, "a bot's token").map(drop)
            }
            Self::Mqtt { broker, topic, credentials_file, tls } => {
                mqtt::ready(broker, tls.as_ref())?;
                if topic.is_empty() || topic.contains(['#', '+', '\0']) {
                    return Err(SendError::Setting(format!("{topic:?} is not a topic")));
                }
                credentials_file.as_deref().map_or(Ok(()), |path| credentials(path).map(drop))
            }
            mail @ Self::Mail { .. } => mail::check(mail),
        }
    }

    /// The same with files in `folder` where their paths are relative.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        if let Self::Mqtt { tls, .. } = self {
            *tls = tls.take().map(|tls| tls.relative_to(folder));
        }
        let file = match self {
            Self::Webhook { token_file, .. } | Self::Ntfy { token_file, .. } => token_file.as_mut(),
            Self::Telegram { token_file, .. } => Some(token_file),
            Self::Mqtt { credentials_file, .. } | Self::Mail { credentials_file, .. } => {
                credentials_file.as_mut()
            }
        };
        if let Some(file) = file {
            *file = folder.join(&*file);
        }
    }
}

impl Told<'_> {
    /// A line that says it all.
    fn title(&self) -> String {
        let Self { node, rule, turn, .. } = self;
        match turn {
            Turn::Begins => format!("{rule} ({node})"),
            Turn::Lasts => format!("still: {rule} ({node})"),
            Turn::Ends => format!("over: {rule} ({node})"),
            Turn::Test => format!("test of alerts ({node})"),
        }
    }
}

/// The first line of a file.
fn secret(path: &Path, wanted: &'static str) -> Result<String, SendError> {
    let text = fs::read_to_string(path)
        .map_err(|source| SendError::Secret { path: path.to_owned(), source })?;
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    line.map(str::to_owned).ok_or_else(|| SendError::NoSecret { path: path.to_owned(), wanted })
}

/// User and password.
fn credentials(path: &Path) -> Result<(String, String), SendError> {
    const WANTED: &str = "`user:password`";
    let line = secret(path, WANTED)?;
    let (user, password) = line
        .split_once(':')
        .ok_or_else(|| SendError::NoSecret { path: path.to_owned(), wanted: WANTED })?;
    Ok((user.to_owned(), password.to_owned()))
}
