//! How far a node can trust what it sees, in plain words: the part of the status that says why a
//! node abstains (P25) and what its owner can do.

use boltgrid_market::abstention::{Abstaining, Cause, Hearing, PeerClocks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Quoted;

/// Why a node signs nothing new, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbstentionStatus {
    /// `eclipsed`, `clock_disagrees` or `clock_jumped`.
    pub cause: String,
    /// The cause in words.
    pub why: String,
    /// What the owner can do.
    pub advice: String,
    /// The interval in which it began.
    #[serde(with = "Quoted")]
    pub since_interval: u64,
    /// It signs again after this interval, if no cause is seen until then.
    #[serde(with = "Quoted")]
    pub returns_after_interval: u64,
}

/// The clocks of peers against one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockStatus {
    /// The median of their time less ours.
    #[serde(with = "Quoted")]
    pub median_offset_ms: i64,
    /// How many peers it rests on.
    pub peers: u32,
}

/// How many of the other members were heard in a whole interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HearingStatus {
    /// How many were heard.
    pub heard: u32,
    /// Of how many.
    pub members: u32,
}

impl From<&Abstaining> for AbstentionStatus {
    fn from(abstaining: &Abstaining) -> Self {
        Self {
            cause: abstaining.cause.name().to_owned(),
            why: why(&abstaining.cause),
            advice: advice(&abstaining.cause).to_owned(),
            since_interval: abstaining.since.to_number(),
            returns_after_interval: abstaining.returns_after.to_number(),
        }
    }
}

impl From<PeerClocks> for ClockStatus {
    fn from(clocks: PeerClocks) -> Self {
        Self { median_offset_ms: clocks.median_offset_ms, peers: clocks.peers }
    }
}

impl From<Hearing> for HearingStatus {
    fn from(hearing: Hearing) -> Self {
        Self { heard: hearing.heard, members: hearing.members }
    }
}

fn why(cause: &Cause) -> String {
    let (behind, ahead) = ("this node's clock is behind", "this node's clock is ahead");
    match cause {
        Cause::Eclipsed { heard, members } => {
            format!("only {heard} of {members} other members were heard in a whole interval")
        }
        Cause::ClockDisagrees { median_offset_ms, peers } => {
            let which = if *median_offset_ms > 0 { behind } else { ahead };
            let by_ms = median_offset_ms.unsigned_abs();
            format!("{which} by {by_ms} ms, says the median of {peers} peers")
        }
        Cause::ClockJumped { by_ms } => {
            let to = if *by_ms > 0 { "forward" } else { "back" };
            format!("this machine's clock jumped {to} by {} ms, or it slept", by_ms.unsigned_abs())
        }
    }
}

const fn advice(cause: &Cause) -> &'static str {
    match cause {
        Cause::Eclipsed { .. } => {
            "check the connection and the firewall, and that `network.bootstrap` names members that \
             are up"
        }
        Cause::ClockDisagrees { .. } | Cause::ClockJumped { .. } => {
            "check the system clock: `chronyc tracking` or `timedatectl`; nothing but the system's \
             own time service should set it"
        }
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Interval;

    use super::*;

    #[test]
    fn the_words_say_which_way_a_clock_is_wrong() {
        let cause = |median_offset_ms| Cause::ClockDisagrees { median_offset_ms, peers: 5 };
        assert!(why(&cause(3000)).contains("is behind by 3000 ms"));
        assert!(why(&cause(-3000)).contains("is ahead by 3000 ms"));
        assert!(why(&Cause::ClockJumped { by_ms: -7 }).contains("back by 7 ms"));
    }

    #[test]
    fn the_status_is_json_with_quoted_64_bit_integers() {
        let abstaining = Abstaining {
            cause: Cause::Eclipsed { heard: 1, members: 12 },
            since: Interval::from_number(7),
            returns_after: Interval::from_number(9),
        };
        let json = serde_json::to_value(AbstentionStatus::from(&abstaining)).unwrap();
        assert_eq!(json["cause"], "eclipsed");
        assert_eq!(json["why"], "only 1 of 12 other members were heard in a whole interval");
        assert_eq!(json["since_interval"], "7");
        assert_eq!(json["returns_after_interval"], "9");
    }
}
