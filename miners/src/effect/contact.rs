//! Whether a machine is heard of, and what its relay does about it when it is not.

use boltgrid_protocol::units::{Power, Timestamp};

/// How long a machine has to be heard of once its relay has given it power again.
pub(super) const BOOT_MS: u64 = 300_000;
/// How long a machine stays cut off at least; it doubles with each try that brought nothing …
pub(super) const CUT_OFF_MIN_MS: u64 = 600_000;
/// … up to this.
const CUT_OFF_MAX_MS: u64 = 21_600_000;
/// How long after a cut the watts may still be there.
const CUT_SETTLE_MS: u64 = 10_000;

/// How it stands with the way to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// It was heard of lately.
    Heard,
    /// It was not.
    Lost { since: Timestamp },
    /// Its relay has cut it off.
    CutOff(Cut),
    /// It has power again, and is yet to be heard of.
    Restored { until: Timestamp, pause_ms: u64 },
}

/// A cut by the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) since: Timestamp,
    /// How long it stays at least.
    pub(super) pause_ms: u64,
    /// When the relay was told last.
    told_at: Timestamp,
    tries: u8,
}

/// What a cut comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// No power flows, or it is too early to say.
    Fine,
    /// The relay is to be told once more.
    Again,
    /// It does not cut.
    NotCut,
}

impl Cut {
    pub(super) const fn new(now: Timestamp, pause_ms: u64) -> Self {
        Self { since: now, pause_ms, told_at: now, tries: 1 }
    }

    /// The next pause after a try that brought nothing.
    pub(super) fn longer(pause_ms: u64) -> u64 {
        pause_ms.saturating_mul(2).min(CUT_OFF_MAX_MS)
    }

    /// Looks at the watts of a machine that should have none.
    pub(super) fn seen(&mut self, at: Timestamp, power: Power, tolerance_mw: i64) -> Seen {
        if at.ms_since(self.told_at) < CUT_SETTLE_MS || power.to_milliwatts() <= tolerance_mw {
            return Seen::Fine;
        }
        let seen = match self.tries {
            1 => Seen::Again,
            2 => Seen::NotCut,
            _ => return Seen::Fine,
        };
        self.tries = self.tries.saturating_add(1);
        self.told_at = at;
        seen
    }
}
