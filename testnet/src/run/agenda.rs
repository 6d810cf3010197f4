//! What is to be done to the grid, in the order of time: a run's faults, and what follows from each
//! once it has happened (a start after a kill, healing after a cut).
//! Not for: doing it.

use std::collections::BTreeMap;

use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::faults::{Fault, FaultKind};

/// Something to be done to the grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A fault begins.
    Begin(FaultKind),
    /// A node that was killed, or that ended for want of space, is started again.
    Start(usize),
    /// A node that stands still goes on.
    Resume(usize),
    /// A node's clock is stepped so much.
    StepClock(usize, i64),
    /// There is space on a node's disk again.
    FreeDisk(usize),
    /// The sun is back.
    ClearSky,
    /// Nothing is wrong any more with a mining machine, by its number in the park.
    MendMachine(usize),
    /// A fault of links ends.
    EndLinks {
        /// The number that it has in the weather.
        number: u64,
        /// Its word.
        name: &'static str,
    },
}

/// What is to be done, the earliest first.
#[derive(Debug, Default)]
pub struct Agenda {
    due: BTreeMap<(Timestamp, u64), Action>,
    added: u64,
}

impl Agenda {
    /// The faults of a run whose first interval is `first`.
    #[must_use]
    pub fn of(faults: &[Fault], timing: &Timing, first: Interval) -> Self {
        let mut agenda = Self::default();
        for fault in faults {
            let at = timing.start_of(first.plus(fault.at_interval)).plus_ms(fault.at_ms);
            agenda.add(at, Action::Begin(fault.kind.clone()));
        }
        agenda
    }

    /// Adds something; of what is due at one time, what was added first comes first.
    pub fn add(&mut self, at: Timestamp, action: Action) {
        self.added = self.added.saturating_add(1);
        self.due.insert((at, self.added), action);
    }

    /// Takes the next action that is due.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Action> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_come_when_they_are_due_the_earliest_first() {
        let at = Timestamp::from_unix_ms;
        let mut agenda = Agenda::default();
        for (due, node) in [(30, 0), (10, 1), (10, 2), (20, 3)] {
            agenda.add(at(due), Action::Start(node));
        }
        let mut taken = Vec::new();
        for now in [9, 20, 30] {
            while let Some(Action::Start(node)) = agenda.take_due(at(now)) {
                taken.push((now, node));
            }
        }
        assert_eq!(taken, [(20, 1), (20, 2), (20, 3), (30, 0)]);
    }
}
