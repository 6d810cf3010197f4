//! What a view had come to when it passed without a decision, for those who ask why.
//!
//! Not for: deciding anything; nothing here is looked at by the algorithm.

use boltgrid_protocol::agreement::Stage;
use boltgrid_protocol::units::Timestamp;

use super::Round;
use crate::effect::Effect;
use crate::notice::{Notice, PassedView};

impl Round {
    /// Tells once of every view that has passed, as long as nothing is decided.
    pub(super) fn tell_passed(&mut self, now: Timestamp) -> Vec<Effect> {
        let views = self.seat.charter.interval.views;
        let mut effects = Vec::new();
        while self.outcome.is_none()
            && self.asked.passed < views
            && now >= self.schedule.view_starts(self.asked.passed.saturating_add(1))
        {
            let passed = Box::new(self.passed(self.asked.passed));
            effects.push(Effect::Tell(Notice::Passed(passed)));
            self.asked.passed = self.asked.passed.saturating_add(1);
        }
        effects
    }

    fn passed(&self, view: u32) -> PassedView {
        let roster = &self.seat.roster;
        let leader = roster.leader(self.interval, view);
        PassedView {
            interval: self.interval,
            view,
            leader: leader.and_then(|leader| roster.participant(leader)),
            quorum: roster.quorum(),
            acks: self.acks.len(),
            is_proposed: self.candidates.contains_key(&view),
            lacks_orders: self.missing_orders().len(),
            prevotes: self.most(view, Stage::Prevote),
            precommits: self.most(view, Stage::Precommit),
        }
    }

    /// The votes for the book that most of the voters heard voted for.
    fn most(&self, view: u32, stage: Stage) -> usize {
        let tally = self.ballot.tally(view, stage);
        tally.filter(|(book, _)| book.is_some()).map(|(_, count)| count).max().unwrap_or(0)
    }
}
