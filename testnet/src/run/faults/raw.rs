//! The faults file as it is written: every key that some kind of fault has, none of them checked.
//! Not for: what the keys mean together; that is [`super::check`].

use serde::Deserialize;

use crate::devices::miners::Fault as MachineFault;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFaults {
    #[serde(default, rename = "fault")]
    pub faults: Vec<RawFault>,
}

/// One entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFault {
    pub at_interval: u64,
    #[serde(default)]
    pub at_ms: u64,
    pub every_intervals: Option<u64>,
    pub until_interval: Option<u64>,
    pub kind: RawKind,
    pub node: Option<usize>,
    pub nodes: Option<Vec<usize>>,
    pub any: Option<usize>,
    pub groups: Option<Vec<Vec<usize>>>,
    pub one_way: Option<bool>,
    pub flap_ms: Option<u64>,
    pub loss_percent: Option<u8>,
    pub delay_ms: Option<u64>,
    pub jitter_ms: Option<u64>,
    pub by_ms: Option<i64>,
    pub for_ms: Option<u64>,
    pub messages_per_s: Option<u32>,
    pub restart_after_ms: Option<u64>,
    pub depth: Option<u32>,
    pub shown_percent: Option<u32>,
    pub sun_percent: Option<u32>,
    pub located_within_intervals: Option<u64>,
    pub machine: Option<String>,
    pub does: Option<MachineFault>,
    pub role: Option<String>,
    pub roles: Option<Vec<String>>,
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawKind {
    Kill,
    Restart,
    Pause,
    Cut,
    Drop,
    Delay,
    Skew,
    DiskFull,
    Hostile,
    Rogue,
    Flood,
    Reorg,
    Falsify,
    Cloud,
    Machine,
}

impl RawKind {
    /// As it is written.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::Cut => "cut",
            Self::Drop => "drop",
            Self::Delay => "delay",
            Self::Skew => "skew",
            Self::DiskFull => "disk_full",
            Self::Hostile => "hostile",
            Self::Rogue => "rogue",
            Self::Flood => "flood",
            Self::Reorg => "reorg",
            Self::Falsify => "falsify",
            Self::Cloud => "cloud",
            Self::Machine => "machine",
        }
    }
}

impl RawFault {
    /// The keys that only some kinds have: each with whether it is given, and with which kinds it goes.
    pub(super) fn particular(&self) -> [(&'static str, bool, &'static [RawKind]); 19] {
        use RawKind::{
            Cloud, Cut, Delay, DiskFull, Drop, Falsify, Flood, Kill, Machine, Pause, Reorg,
            Restart, Rogue, Skew,
        };
        [
            ("any", self.any.is_some(), &[Kill, Restart, Pause, Skew, DiskFull]),
            ("groups", self.groups.is_some(), &[Cut]),
            ("one_way", self.one_way.is_some(), &[Cut]),
            ("flap_ms", self.flap_ms.is_some(), &[Cut]),
            ("loss_percent", self.loss_percent.is_some(), &[Drop]),
            ("delay_ms", self.delay_ms.is_some(), &[Delay]),
            ("jitter_ms", self.jitter_ms.is_some(), &[Delay]),
            ("by_ms", self.by_ms.is_some(), &[Skew]),
            (
                "for_ms",
                self.for_ms.is_some(),
                &[Pause, Cut, Drop, Delay, Skew, DiskFull, Flood, Cloud, Machine],
            ),
            ("messages_per_s", self.messages_per_s.is_some(), &[Flood]),
            ("restart_after_ms", self.restart_after_ms.is_some(), &[Restart]),
            ("depth", self.depth.is_some(), &[Reorg]),
            ("shown_percent", self.shown_percent.is_some(), &[Falsify]),
            ("sun_percent", self.sun_percent.is_some(), &[Cloud]),
            ("located_within_intervals", self.located_within_intervals.is_some(), &[Falsify]),
            ("machine", self.machine.is_some(), &[Machine]),
            ("does", self.does.is_some(), &[Machine]),
            ("role", self.role.is_some(), &[Rogue]),
            ("roles", self.roles.is_some(), &[Rogue]),
        ]
    }
}
