//! Meters with a P1 port (DSMR, eMUCS, Swedish and Luxembourg ones alike), over a serial line or a
//! serial server, as they speak of their own accord once every one to ten seconds.
//!
//! Where telegrams are encrypted, as in Luxembourg and Austria, the key is in a file.
//! Not for: meters that are encrypted and speak DLMS instead of text.

mod frame;
mod secret;
mod telegram;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};

use super::DeviceError;
use super::heard::{Ear, Trouble, Words, listen};
use super::stream::{LineSettings, StreamAddress};
use crate::shown::Shown;

pub use frame::TELEGRAM_MAX;
use secret::{Keys, Opener};
pub use telegram::{Checksum, TelegramRejected, read as read_telegram};

/// How old a telegram may be where nothing is said: the slowest meters send every ten seconds.
const STALE_AFTER_MS: u32 = 25_000;
/// What the configuration may say instead.
const STALE_AFTER_MS_RANGE: std::ops::RangeInclusive<u32> = 1_000..=600_000;

/// A meter with a P1 port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct P1Config {
    /// A serial server, as `host:port`, or a serial port.
    pub address: StreamAddress,
    /// A Dutch meter of DSMR 2 or 3, or one with a D0 interface: its telegrams have no checksum, and on
    /// a serial line it speaks at 9600 baud, seven bits and even parity instead of 115 200.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dsmr2: bool,
    /// The file with the key of its telegrams, where they are encrypted: 32 hexadecimal digits in the
    /// first line; in the second its authentication key, where it is not the one that all meters share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How old its last telegram may be; 1 000 to 600 000, default 25 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after_ms: Option<u32>,
}

/// A P1 meter that is listened to.
#[derive(Debug)]
pub struct P1Meter {
    ear: Ear,
}

impl P1Meter {
    /// Begins to listen. Whether there is a meter is seen by the first read. Powers beyond half as much
    /// again as `rated` are refused.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Setting`], [`DeviceError::Io`] where the file with the key cannot be read.
    #[expect(clippy::unused_async, reason = "all drivers are opened alike")]
    pub async fn open(
        config: &P1Config,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        let stale_after_ms = config.stale_after_ms.unwrap_or(STALE_AFTER_MS);
        if !STALE_AFTER_MS_RANGE.contains(&stale_after_ms) {
            let problem = format!("stale_after_ms is {stale_after_ms}, not 1000 to 600000");
            return Err(DeviceError::Setting { device: name.into(), problem });
        }
        let stale_after = Duration::from_millis(stale_after_ms.into());
        let (address, line, checksum) = (config.address.clone(), line(config), checksum(config));
        let frames = match &config.key_file {
            Some(path) => {
                Frames::Encrypted(Box::new(Opener::new(Keys::read(&Arc::from(name), path)?)))
            }
            None => Frames::Plain(frame::Frames::default()),
        };
        let words = Telegrams { frames, last: None, checksum, rated };
        let ear =
            Ear::start(name, stale_after, |heard| listen(address, line, stale_after, words, heard));
        Ok(Self { ear })
    }

    /// What the last telegram showed, with its age.
    ///
    /// # Errors
    ///
    /// [`DeviceError`], where the last good telegram is too old: why, as far as that is known.
    pub async fn read(&mut self) -> Result<Shown, DeviceError> {
        self.ear.read().await
    }
}

const fn line(config: &P1Config) -> LineSettings {
    let baud = if config.dsmr2 { 9_600 } else { 115_200 };
    LineSettings { baud, seven_even: config.dsmr2 }
}

const fn checksum(config: &P1Config) -> Checksum {
    if config.dsmr2 { Checksum::Optional } else { Checksum::Required }
}

/// What a stream of bytes shows, telegram by telegram, as a meter would be heard: for trying out.
#[must_use]
pub fn read_stream(bytes: &[u8], checksum: Checksum, rated: Option<Power>) -> Vec<Shown> {
    let frames = Frames::Plain(frame::Frames::default());
    let mut words = Telegrams { frames, last: None, checksum, rated };
    words.push(bytes).into_iter().filter_map(|word| word.ok().flatten()).collect()
}

/// Where telegrams come from in a stream.
enum Frames {
    Plain(frame::Frames),
    Encrypted(Box<Opener>),
}

/// Telegrams as words of a stream.
struct Telegrams {
    frames: Frames,
    /// The last good one: a gateway that repeats it has nothing new.
    last: Option<Vec<u8>>,
    checksum: Checksum,
    rated: Option<Power>,
}

impl Words for Telegrams {
    fn push(&mut self, bytes: &[u8]) -> Vec<Result<Option<Shown>, Trouble>> {
        let ended = match &mut self.frames {
            Frames::Plain(frames) => {
                frames.push(bytes).into_iter().map(|frame| frame.map(Some)).collect()
            }
            Frames::Encrypted(opener) => opener.push(bytes),
        };
        ended.into_iter().map(|frame| frame?.map_or(Ok(None), |it| self.word(it))).collect()
    }

    fn restart(&mut self) {
        match &mut self.frames {
            Frames::Plain(frames) => frames.restart(),
            Frames::Encrypted(opener) => opener.restart(),
        }
    }
}

impl Telegrams {
    fn word(&mut self, frame: Vec<u8>) -> Result<Option<Shown>, Trouble> {
        if telegram::tells_time(&frame) && self.last.as_ref() == Some(&frame) {
            return Ok(None);
        }
        let shown = telegram::read(&frame, self.checksum, self.rated).map_err(trouble)?;
        self.last = Some(frame);
        Ok(Some(shown))
    }
}

fn trouble(rejected: TelegramRejected) -> Trouble {
    match rejected {
        TelegramRejected::Impossible { quantity, source } => {
            Trouble::Point { point: quantity.name().to_owned(), source }
        }
        TelegramRejected::Checksum { .. }
        | TelegramRejected::NoChecksum
        | TelegramRejected::Malformed(_)
        | TelegramRejected::Value { .. } => Trouble::Garbled(rejected.to_string()),
    }
}
