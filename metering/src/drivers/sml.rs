//! Meters that speak SML (Smart Message Language, EDL21), as most in Germany do on their optical port:
//! over a serial line or a serial server, of their own accord once every one to four seconds.
//!
//! Written after the published forms ("Smart Message Language", version 1.04, and the Lastenheft EDL of
//! the network operators' forum), and read here rather than by a library: the one there is reserves as
//! much memory as the meter says that it needs, and its framing stops at 65 536 bytes of noise.
//! Not for: asking a meter for anything.

mod file;
mod frame;
mod tree;

use std::time::Duration;

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};

use super::DeviceError;
use super::heard::{Ear, Trouble, Words, listen};
use super::stream::{LineSettings, StreamAddress};
use crate::shown::Shown;

pub use file::SmlRejected;
pub use frame::FILE_MAX;

/// How old a file may be where nothing is said.
const STALE_AFTER_MS: u32 = 15_000;
/// What the configuration may say instead.
const STALE_AFTER_MS_RANGE: std::ops::RangeInclusive<u32> = 1_000..=600_000;
/// How every optical port talks: 9600 baud, eight bits, no parity.
const LINE: LineSettings = LineSettings { baud: 9_600, seven_even: false };

/// A meter that speaks SML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmlConfig {
    /// A serial server, as `host:port`, or a serial port.
    pub address: StreamAddress,
    /// How old its last file may be; 1 000 to 600 000, default 15 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after_ms: Option<u32>,
}

/// An SML meter that is listened to.
#[derive(Debug)]
pub struct SmlMeter {
    ear: Ear,
}

impl SmlMeter {
    /// Begins to listen. Whether there is a meter is seen by the first read. Powers beyond half as much
    /// again as `rated` are refused.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Setting`].
    #[expect(clippy::unused_async, reason = "all drivers are opened alike")]
    pub async fn open(
        config: &SmlConfig,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        let stale_after_ms = config.stale_after_ms.unwrap_or(STALE_AFTER_MS);
        if !STALE_AFTER_MS_RANGE.contains(&stale_after_ms) {
            let problem = format!("stale_after_ms is {stale_after_ms}, not 1000 to 600000");
            return Err(DeviceError::Setting { device: name.into(), problem });
        }
        let stale_after = Duration::from_millis(stale_after_ms.into());
        let (address, words) = (config.address.clone(), Files::new(rated));
        let ear =
            Ear::start(name, stale_after, |heard| listen(address, LINE, stale_after, words, heard));
        Ok(Self { ear })
    }

    /// What the last file showed, with its age.
    ///
    /// # Errors
    ///
    /// [`DeviceError`], where the last good file is too old: why, as far as that is known.
    pub async fn read(&mut self) -> Result<Shown, DeviceError> {
        self.ear.read().await
    }
}

/// What a stream of bytes shows, file by file, as a meter would be heard: for trying out.
#[must_use]
pub fn read_stream(bytes: &[u8], rated: Option<Power>) -> Vec<Shown> {
    Files::new(rated).push(bytes).into_iter().filter_map(|word| word.ok().flatten()).collect()
}

/// What one file shows: what is between its escape sequences.
///
/// # Errors
///
/// [`SmlRejected`]; nothing of it is taken then.
pub fn read_file(bytes: &[u8], rated: Option<Power>) -> Result<Shown, SmlRejected> {
    file::read(bytes, rated).map(|(shown, _)| shown)
}

/// Files as words of a stream.
struct Files {
    frames: frame::Frames,
    /// The last good one that said when it was made: a gateway that repeats it has nothing new.
    last: Option<Vec<u8>>,
    rated: Option<Power>,
}

impl Files {
    fn new(rated: Option<Power>) -> Self {
        Self { frames: frame::Frames::default(), last: None, rated }
    }

    fn word(&mut self, file: Vec<u8>) -> Result<Option<Shown>, Trouble> {
        if self.last.as_ref() == Some(&file) {
            return Ok(None);
        }
        let (shown, tells_time) = file::read(&file, self.rated).map_err(trouble)?;
        self.last = tells_time.then_some(file);
        Ok(Some(shown))
    }
}

impl Words for Files {
    fn push(&mut self, bytes: &[u8]) -> Vec<Result<Option<Shown>, Trouble>> {
        let ended = self.frames.push(bytes);
        ended.into_iter().map(|file| self.word(file?)).collect()
    }

    fn restart(&mut self) {
        self.frames.restart();
    }
}

fn trouble(rejected: SmlRejected) -> Trouble {
    match rejected {
        SmlRejected::Impossible { quantity, source } => {
            Trouble::Point { point: quantity.name().to_owned(), source }
        }
        SmlRejected::Malformed(_) | SmlRejected::Checksum | SmlRejected::Value { .. } => {
            Trouble::Garbled(rejected.to_string())
        }
    }
}
