//! A machine as a plan sees it.

use boltgrid_protocol::units::{Power, Timestamp};

use crate::break_even::Worth;
use crate::machine::{Abilities, SetPoint};

/// One machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// What it can.
    pub abilities: &'a Abilities,
    /// What power is worth to it.
    pub worth: Worth,
    /// Whether its heat is wanted now.
    pub heat_is_due: bool,
    /// What it was told last and, once it settled, does; off where nothing was said yet and it is not
    /// seen to run.
    pub told: SetPoint,
    /// How its owner wants it treated.
    pub habits: Habits,
    /// When it was switched.
    pub past: Past,
    /// Who says what it does.
    pub say: Say,
}

/// How a machine is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Once started it runs at least so long …
    pub on_ms_min: u64,
    /// … and once stopped it rests at least so long.
    pub off_ms_min: u64,
    /// It is started at most so often in a day.
    pub starts_per_day_max: u32,
    /// Its power is left as it is for a smaller change than this.
    pub dead_band: Power,
}

/// When a machine was switched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// When it was started or stopped last; `None` where that is not known.
    pub switched_at: Option<Timestamp>,
    /// How often it was started within the last day.
    pub starts_of_a_day: u32,
}

/// Who says what a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// The plan.
    Plan,
    /// Nobody: it does not do as it is told, or is silent. It is taken to draw this, and told nothing.
    Nobody {
        /// What it is taken to draw.
        draws: Power,
    },
    /// The place that it warms: it is to be off there.
    TooHot,
    /// A rule of its owner's.
    Rule {
        /// What it is to do.
        set_point: SetPoint,
        /// Which one, counted from 0.
        number: u16,
    },
    /// Its owner.
    Owner {
        /// What it is to do.
        set_point: SetPoint,
        /// Until when.
        until: Timestamp,
    },
}

impl Machine<'_> {
    /// Whether it was told to run.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self.told, SetPoint::Run { .. })
    }

    /// What it draws once it does as it was told, in mW beyond what it draws asleep.
    pub(super) fn told_mw(&self) -> i64 {
        self.above_idle_mw(self.told)
    }

    /// What it draws where no plan decides, in mW beyond what it draws asleep.
    pub(super) fn undecided_mw(&self) -> i64 {
        match self.say {
            Say::Nobody { draws } => {
                let idle = self.abilities.idle.to_milliwatts();
                draws.to_milliwatts().saturating_sub(idle).max(0)
            }
            Say::Plan | Say::TooHot | Say::Rule { .. } | Say::Owner { .. } => self.told_mw(),
        }
    }

    /// What a set point draws, in mW beyond what the machine draws asleep; never negative. What it
    /// draws asleep is load like any other, which no plan changes.
    pub(super) fn above_idle_mw(&self, set_point: SetPoint) -> i64 {
        let draws = self.abilities.draws(set_point).to_milliwatts();
        draws.saturating_sub(self.abilities.idle.to_milliwatts()).max(0)
    }

    /// Until when it runs on after its start; `None` where it is free to stop.
    pub(super) fn runs_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.past.switched_at?.plus_ms(self.habits.on_ms_min);
        (self.runs() && now < until).then_some(until)
    }

    /// Until when it rests after its stop; `None` where it is free to start.
    pub(super) fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.past.switched_at?.plus_ms(self.habits.off_ms_min);
        (!self.runs() && now < until).then_some(until)
    }

    /// Whether it follows what frequency and voltage ask.
    pub(super) const fn is_fast(&self) -> bool {
        self.abilities.settle_ms <= super::FAST_MS
    }

    /// The most that it can draw, in mW beyond what it draws asleep.
    pub(super) fn most_mw(&self) -> i64 {
        self.above_idle_mw(SetPoint::Run { power_mw: self.abilities.most() })
    }

    /// The set point that draws most without drawing more than `mw` beyond what it draws asleep.
    pub(super) fn within_mw(&self, mw: i64) -> SetPoint {
        let mw = mw.saturating_add(self.abilities.idle.to_milliwatts());
        self.abilities.within(Power::from_milliwatts(mw)).unwrap_or(SetPoint::Off)
    }

    /// The set point that draws least of those that draw more than `set_point`; the same where it is
    /// the highest.
    pub(super) fn next_above(&self, set_point: SetPoint) -> SetPoint {
        self.abilities.next_above(set_point)
    }
}
