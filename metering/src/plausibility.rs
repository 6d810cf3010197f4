//! Whether what the settling meter and the PV show can be: registers, power and the sun against one
//! another, over time.
//!
//! Each check is one file and says of what it has seen that it holds, that it does not, or nothing.
//! What does not hold for long enough begins an [`Anomaly`], which ends by itself once two whole
//! intervals are clean, as an abstention does (P25). A meter that was reset or replaced never shows
//! clean values again under its old key: it needs a new key, and a new enrolment of it (P7, P18).
//! Not for: a single value that cannot be ([`crate::quantity`], [`crate::register`]), or what a site
//! does about an anomaly (the node decides).

mod disagree;
mod finding;
mod frozen;
mod night;
mod tracker;

use boltgrid_protocol::units::Timestamp;

use crate::register::RegisterRejected;
use crate::sample::Sample;
use disagree::Disagree;
use frozen::Frozen;
use tracker::Tracker;

pub use finding::{AnomalyKind, Finding};
pub use tracker::{Anomaly, Change};

/// What a check says of what it has seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It does not hold, and why not.
    Violated(Finding),
    /// It was looked at, and holds.
    Holds,
    /// Nothing can be said yet.
    Unknown,
}

/// So many rejected registers in a row are no garbled answer any more.
const REJECTIONS: u32 = 3;
/// So many windows in a row in which registers and power disagree.
const WINDOWS: u32 = 2;
/// So many samples of PV in a row at night, where a single one may be a glitch.
const NIGHT_SAMPLES: u32 = 10;
/// An anomaly ends after so many whole intervals without its cause.
const CLEAN_INTERVALS: u64 = 2;
/// No sample for this long is a gap, however seldom the meter is read …
const GAP_MS: u64 = 60_000;
/// … and for so many samples' time, where it is read seldom.
const GAP_SAMPLES: u64 = 5;

/// The pace of a site, from which the checks take theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long an interval is.
    pub interval_ms: u64,
    /// How often the meter is read.
    pub sample_every_ms: u64,
}

impl Pace {
    const fn clean_ms(self) -> u64 {
        self.interval_ms.saturating_mul(CLEAN_INTERVALS)
    }

    fn gap_ms(self) -> u64 {
        self.sample_every_ms.saturating_mul(GAP_SAMPLES).max(GAP_MS)
    }
}

/// All checks of one site.
///
/// Invariant: its size does not depend on how long it has watched.
#[derive(Debug)]
pub struct Plausibility {
    pace: Pace,
    last: Option<Timestamp>,
    frozen: Frozen,
    disagree: Disagree,
    trackers: [Tracker; AnomalyKind::ALL.len()],
}

impl Plausibility {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            last: None,
            frozen: Frozen::default(),
            disagree: Disagree::new(pace.interval_ms),
            trackers: AnomalyKind::ALL.map(|kind| {
                let raise_after = match kind {
                    AnomalyKind::RegisterBack | AnomalyKind::RegisterJump => REJECTIONS,
                    AnomalyKind::Disagrees => WINDOWS,
                    AnomalyKind::PvAtNight => NIGHT_SAMPLES,
                    AnomalyKind::Frozen | AnomalyKind::Gap => 1,
                };
                Tracker::new(raise_after, pace.clean_ms())
            }),
        }
    }

    /// Takes a sample of the site, with the height of the sun over the horizon where the site's
    /// place is known, in thousandths of a degree. Returns what began and what ended with it.
    pub fn sampled(&mut self, sample: &Sample, sun_millidegrees: Option<i32>) -> Vec<Change> {
        let at = sample.at;
        let mut changes = Vec::new();
        if self.last.is_some_and(|last| at < last) {
            // The clock was set back: what was measured over time means nothing any more.
            self.frozen = Frozen::default();
            self.disagree = Disagree::new(self.pace.interval_ms);
            self.last = Some(at);
            return changes;
        }
        let gap_ms = self.last.map_or(0, |last| at.ms_since(last));
        let gap = if gap_ms > self.pace.gap_ms() {
            self.frozen = Frozen::default();
            self.disagree = Disagree::new(self.pace.interval_ms);
            Verdict::Violated(Finding::Gap { for_ms: gap_ms })
        } else {
            Verdict::Holds
        };
        self.last = Some(at);
        let frozen = self.frozen.sampled(at, &sample.meter);
        let disagree = self.disagree.sampled(at, &sample.meter);
        let night = night::check(sample.pv, sun_millidegrees);
        for (kind, verdict) in [
            (AnomalyKind::RegisterBack, Verdict::Holds),
            (AnomalyKind::RegisterJump, Verdict::Holds),
            (AnomalyKind::Gap, gap),
            (AnomalyKind::Frozen, frozen),
            (AnomalyKind::Disagrees, disagree),
            (AnomalyKind::PvAtNight, night),
        ] {
            changes.extend(self.tracker(kind).judge(at, verdict));
        }
        changes
    }

    /// Takes note that a register was not taken.
    pub fn rejected(&mut self, at: Timestamp, why: &RegisterRejected) -> Option<Change> {
        let finding = Finding::of_register(why)?;
        self.tracker(finding.kind()).judge(at, Verdict::Violated(finding))
    }

    /// Looks whether the meter has been silent for too long. Asked now and then, so that a gap is
    /// seen while it lasts.
    pub fn tick(&mut self, now: Timestamp) -> Option<Change> {
        let for_ms = now.ms_since(self.last?);
        let is_gap = for_ms > self.pace.gap_ms();
        is_gap.then_some(())?;
        self.tracker(AnomalyKind::Gap).judge(now, Verdict::Violated(Finding::Gap { for_ms }))
    }

    /// What stands now.
    pub fn standing(&self) -> impl Iterator<Item = &Anomaly> {
        self.trackers.iter().filter_map(Tracker::standing)
    }

    /// The first that stands and keeps the site from ordering.
    #[must_use]
    pub fn blocking(&self) -> Option<&Anomaly> {
        self.standing().find(|anomaly| anomaly.finding.kind().blocks_orders())
    }

    fn tracker(&mut self, kind: AnomalyKind) -> &mut Tracker {
        let place = AnomalyKind::ALL.iter().position(|it| *it == kind);
        &mut self.trackers[place.expect("every kind is one of all")]
    }
}

#[cfg(test)]
mod tests;
