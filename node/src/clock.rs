//! The node's only wall clock. Everything else takes the time as an argument.
//! Not for: time-outs, which tokio's monotonic clock keeps.

use std::time::{SystemTime, UNIX_EPOCH};

use boltgrid_protocol::units::Timestamp;

/// Now, as the operating system tells it; held at 1970 where its clock is before that.
#[must_use]
pub fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_in_milliseconds_of_this_century() {
        let now = now();
        assert!(now > Timestamp::from_unix_ms(1_700_000_000_000), "{now}");
        assert!(now < Timestamp::from_unix_ms(4_102_444_800_000), "{now}");
    }
}
