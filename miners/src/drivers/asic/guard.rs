//! What stands between us and the library: bounded time, its panics, and what its answers mean.
//!
//! The library reads answers without a bound in bytes, but it stops after five seconds of each; so a
//! hostile machine in one's own network can make it hold what comes in that time.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::timeout;

use crate::drivers::DeviceError;
use crate::drivers::error::words;

/// How the library begins when a machine said no, where only its text is left.
const SAID_NO: &str = "error status";

/// Waits for the library, but not for ever, and not for a panic.
pub(super) async fn guard<T>(
    device: &Arc<str>,
    doing: &'static str,
    most: Duration,
    call: impl Future<Output = T>,
) -> Result<T, DeviceError> {
    let device = || Arc::clone(device);
    let after_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    match timeout(most, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(_)) => Err(DeviceError::Panicked { device: device(), doing }),
        Err(_) => Err(DeviceError::TimedOut { device: device(), doing, after_ms }),
    }
}

/// What the answer to a command means: `true` that it was taken, anything else that it was not.
pub(super) fn accepted(
    device: &Arc<str>,
    doing: &'static str,
    answer: Result<bool, impl Display>,
) -> Result<(), DeviceError> {
    let device = || Arc::clone(device);
    match answer {
        Ok(true) => Ok(()),
        // It says no more than that.
        Ok(false) => {
            let what = "it says that it did not do it".to_owned();
            Err(DeviceError::Refused { device: device(), doing, what })
        }
        Err(error) => Err(failed(&device(), doing, &error)),
    }
}

/// Why the library could not do it.
pub(super) fn failed(device: &Arc<str>, doing: &'static str, error: &impl Display) -> DeviceError {
    let (device, text) = (Arc::clone(device), error.to_string());
    let what = words(&text);
    if text.contains(SAID_NO) {
        return DeviceError::Refused { device, doing, what };
    }
    DeviceError::Io { device, doing, source: std::io::Error::other(what) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_in_time_whatever_the_library_does() {
        let device: Arc<str> = "s19".into();
        let most = Duration::from_secs(5);
        let error = guard(&device, "asking", most, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.to_string(), "s19: asking took longer than 5000 ms");
        let panics = async { assert!(device.is_empty(), "on purpose") };
        let error = guard(&device, "asking", most, panics).await.unwrap_err();
        assert!(matches!(error, DeviceError::Panicked { .. }), "{error}");
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        let device = "s19".into();
        let answer = |answer: Result<bool, &str>| accepted(&device, "sleep", answer);
        assert!(answer(Ok(true)).is_ok());
        assert!(matches!(answer(Ok(false)), Err(DeviceError::Refused { .. })));
        let no = answer(Err("Command returned with error status: busy"));
        assert!(matches!(no, Err(DeviceError::Refused { .. })));
        assert!(matches!(answer(Err("RPC read timed out")), Err(DeviceError::Io { .. })));
    }
}
