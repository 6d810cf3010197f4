//! The last word of a device that sends by itself, and the task that listens for it.
//!
//! A listener runs beside whoever reads, and goes with it. Ages are told by the monotonic clock, so a
//! clock that is set makes nothing fresh. What is too old is never handed out.
//! Not for: devices that are asked.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::stream::{CHUNK, LineSettings, Stream, StreamAddress};
use super::{DeviceError, PointRejected};
use crate::shown::Shown;

/// How long the first read waits for a first word.
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// The first pause after a connection failed; it doubles with each further failure …
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(250);
/// … up to this: no longer than two ordinary samples take, so that a device that is back is soon read.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What went wrong last.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The way to the device.
    Io { doing: &'static str, kind: io::ErrorKind, text: String },
    /// It says what is not its language.
    Garbled(String),
    /// It says what cannot be.
    Point { point: String, source: PointRejected },
    /// Nothing comes although the way is open.
    Quiet,
}

impl Trouble {
    pub(super) fn io(doing: &'static str, error: &io::Error) -> Self {
        Self::Io { doing, kind: error.kind(), text: error.to_string() }
    }
}

/// What was heard of a device.
#[derive(Debug, Default)]
pub(super) struct Heard {
    latest: Option<(Instant, Shown)>,
    trouble: Option<Trouble>,
}

impl Heard {
    /// A good word, whose oldest part arrived at `since`.
    pub(super) fn shown_since(&mut self, since: Instant, shown: Shown) {
        *self = Self { latest: Some((since, shown)), trouble: None };
    }

    /// Something went wrong. What was heard before stands until it is too old.
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
    }

    const fn is_blank(&self) -> bool {
        self.latest.is_none() && self.trouble.is_none()
    }
}

/// Listens, and hands out the last word.
#[derive(Debug)]
pub(super) struct Ear {
    device: Arc<str>,
    heard: watch::Receiver<Heard>,
    stale_after: Duration,
    waited: bool,
    /// Ends the listener when dropped.
    _listening: JoinSet<()>,
}

impl Ear {
    /// Starts `listen`, which puts what it hears into what it is given, and never ends.
    pub(super) fn start<F>(
        device: &str,
        stale_after: Duration,
        listen: impl FnOnce(watch::Sender<Heard>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, heard) = watch::channel(Heard::default());
        let mut listening = JoinSet::new();
        listening.spawn(listen(sender));
        Self { device: device.into(), heard, stale_after, waited: false, _listening: listening }
    }

    /// What the device said last, with its age. The first call waits a little for the first word.
    pub(super) async fn read(&mut self) -> Result<Shown, DeviceError> {
        if !self.waited {
            let first = self.heard.wait_for(|heard| !heard.is_blank());
            // In time or not, what there is is looked at below.
            drop(timeout(FIRST_WAIT, first).await);
            self.waited = true;
        }
        let heard = self.heard.borrow();
        let age = heard.latest.as_ref().map(|(at, _)| at.elapsed());
        if let Some((_, shown)) = heard.latest
            && let Some(age) = age.filter(|age| *age <= self.stale_after)
        {
            return Ok(Shown { age_ms: in_ms(age), ..shown });
        }
        let device = Arc::clone(&self.device);
        Err(match heard.trouble.clone() {
            Some(Trouble::Io { doing, kind, text }) => {
                DeviceError::Io { device, doing, source: io::Error::new(kind, text) }
            }
            Some(Trouble::Garbled(what)) => DeviceError::Garbled { device, what },
            Some(Trouble::Point { point, source }) => {
                DeviceError::Point { device, point: point.into(), source }
            }
            Some(Trouble::Quiet) | None => {
                DeviceError::Silent { device, silent_ms: age.map(in_ms) }
            }
        })
    }
}

fn in_ms(age: Duration) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

/// Tells a language's words apart in a stream of bytes.
pub(super) trait Words: Send + 'static {
    /// Takes bytes as they come, and says what they end: what is shown, `None` for a word that is only
    /// the last one again, or what is wrong.
    fn push(&mut self, bytes: &[u8]) -> Vec<Result<Option<Shown>, Trouble>>;
    /// Forgets what was begun: the stream starts anew.
    fn restart(&mut self);
}

/// Listens to a stream for ever, opening it anew whenever it fails or is quiet for too long.
pub(super) async fn listen(
    address: StreamAddress,
    line: LineSettings,
    quiet_max: Duration,
    mut words: impl Words,
    heard: watch::Sender<Heard>,
) {
    let mut pause = PAUSE_MIN;
    loop {
        words.restart();
        let (trouble, any) = until_it_fails(&address, line, quiet_max, &mut words, &heard).await;
        heard.send_modify(|heard| heard.trouble(trouble));
        if any {
            pause = PAUSE_MIN;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Why the stream ended, and whether it said anything that makes sense.
async fn until_it_fails(
    address: &StreamAddress,
    line: LineSettings,
    quiet_max: Duration,
    words: &mut impl Words,
    heard: &watch::Sender<Heard>,
) -> (Trouble, bool) {
    let mut any = false;
    let mut stream = match Stream::open(address, line).await {
        Ok(stream) => stream,
        Err(error) => return (Trouble::io("connecting", &error), any),
    };
    let mut buffer = vec![0; CHUNK];
    // When what is being said was begun: a device measures before it speaks, and a slow line takes a
    // second for a word.
    let mut begun: Option<Instant> = None;
    loop {
        let count = match timeout(quiet_max, stream.read(&mut buffer)).await {
            Err(_) => return (Trouble::Quiet, any),
            Ok(Err(error)) => return (Trouble::io("listening", &error), any),
            Ok(Ok(count)) => count,
        };
        let since = *begun.get_or_insert_with(Instant::now);
        for word in words.push(buffer.get(..count).unwrap_or_default()) {
            begun = None;
            match word {
                Ok(shown) => {
                    any = true;
                    if let Some(shown) = shown {
                        heard.send_modify(|heard| heard.shown_since(since, shown));
                    }
                }
                Err(trouble) => heard.send_modify(|heard| heard.trouble(trouble)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_old_is_not_handed_out() {
        let mut ear = Ear::start("meter", Duration::from_millis(100), |heard| async move {
            heard.send_modify(|heard| heard.shown_since(Instant::now(), Shown::default()));
            std::future::pending().await
        });
        let silent_ms = loop {
            match ear.read().await {
                Ok(shown) => assert!(shown.age_ms <= 100, "{} ms old", shown.age_ms),
                Err(DeviceError::Silent { silent_ms, .. }) => break silent_ms,
                Err(other) => panic!("{other}"),
            }
            sleep(Duration::from_millis(5)).await;
        };
        assert!(silent_ms >= Some(100), "{silent_ms:?}");
    }

    #[tokio::test]
    async fn trouble_is_told_only_when_there_is_nothing_else() {
        let (say, mut said) = tokio::sync::mpsc::channel(1);
        let mut ear = Ear::start("meter", Duration::from_millis(100), |heard| async move {
            while let Some(word) = said.recv().await {
                heard.send_modify(|heard| match word {
                    Some(shown) => heard.shown_since(Instant::now(), shown),
                    None => heard.trouble(Trouble::Garbled("noise".to_owned())),
                });
            }
        });
        say.send(None).await.unwrap();
        assert!(matches!(ear.read().await, Err(DeviceError::Garbled { .. })));
        say.send(Some(Shown::default())).await.unwrap();
        while ear.read().await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
        say.send(None).await.unwrap();
        while ear.read().await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(matches!(ear.read().await, Err(DeviceError::Garbled { .. })));
    }
}
