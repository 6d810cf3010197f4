//! The node's only wall clock. Everything else takes the time as an argument.
//!
//! For tests of what a wrong clock does, milliseconds can be added to it ([`Offset`]); nothing but
//! the hidden flag of `boltgrid run` turns that on.
//! Not for: time-outs, which tokio's monotonic clock keeps.

mod steadiness;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boltgrid_protocol::units::Timestamp;
use tracing::warn;

pub(crate) use steadiness::{LOOK_EVERY, Steadiness};

/// How often the offset is read again.
const READ_EVERY: Duration = Duration::from_millis(100);
/// Most bytes of an offset file: a number with its sign.
const OFFSET_BYTES_MAX: usize = 32;

/// What tests add to the clock of this process.
static OFFSET_MS: AtomicI64 = AtomicI64::new(0);
/// Whether anything may be added at all.
static IS_TEST_CLOCK: AtomicBool = AtomicBool::new(false);

/// Now, as the operating system tells it; held at 1970 where its clock is before that.
#[must_use]
pub fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let told = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_unix_ms(told.saturating_add_signed(OFFSET_MS.load(Ordering::Relaxed)))
}

/// What tests add to the clock of this process; `None` in every real node.
#[must_use]
pub fn test_offset_ms() -> Option<i64> {
    IS_TEST_CLOCK.load(Ordering::Relaxed).then(|| OFFSET_MS.load(Ordering::Relaxed))
}

/// A file that says how many milliseconds tests add to the clock: a whole number, which may be
/// negative. While the file is absent nothing is added.
#[derive(Debug)]
pub(crate) struct Offset {
    file: PathBuf,
}

impl Offset {
    /// Reads the file for the first time, and says that this clock is not to be trusted.
    pub(crate) fn start(file: PathBuf) -> Self {
        warn!(
            file = %file.display(),
            "FOR TESTS ONLY: this node's clock is offset by what a file says; a node that trades \
             must run without --clock-offset-file"
        );
        IS_TEST_CLOCK.store(true, Ordering::Relaxed);
        let offset = Self { file };
        offset.apply();
        offset
    }

    /// Reads the file again and again, for as long as it is polled.
    pub(crate) async fn follow(self) {
        let mut ticks = tokio::time::interval(READ_EVERY);
        loop {
            ticks.tick().await;
            self.apply();
        }
    }

    /// A file that says nothing usable, such as one half written, changes nothing.
    fn apply(&self) {
        let Some(offset_ms) = read(&self.file) else { return };
        let before = OFFSET_MS.swap(offset_ms, Ordering::Relaxed);
        if before != offset_ms {
            warn!(offset_ms, before_ms = before, "FOR TESTS ONLY: clock offset changed");
        }
    }
}

fn read(file: &Path) -> Option<i64> {
    match std::fs::read_to_string(file) {
        Ok(text) if text.len() <= OFFSET_BYTES_MAX => text.trim().parse().ok(),
        Ok(_) => None,
        Err(error) => (error.kind() == io::ErrorKind::NotFound).then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_in_milliseconds_of_this_century() {
        let now = now();
        assert!(now > Timestamp::from_unix_ms(1_700_000_000_000), "{now}");
        assert!(now < Timestamp::from_unix_ms(4_102_444_800_000), "{now}");
        assert_eq!(test_offset_ms(), None, "nothing is added unless a test asks for it");
    }

    #[test]
    fn an_offset_file_says_a_number_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offset");
        assert_eq!(read(&file), Some(0), "no file, no offset");
        for (text, offset_ms) in [
            ("3000\n", Some(3000)),
            (" -250 ", Some(-250)),
            ("", None),
            ("3s", None),
            ("000000000000000000000000000000000000007", None),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&file), offset_ms, "{text:?}");
        }
    }
}
