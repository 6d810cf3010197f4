//! Asking other members for orders and certificates that this node lacks.

use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::units::Timestamp;

use super::Round;
use crate::effect::Effect;

/// How many members are asked at once.
const ASKED_AT_ONCE: usize = 3;

impl Round {
    /// Asks others for orders and certificates that we lack.
    pub(super) fn fetch(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.outcome.is_some() || now < self.asked.fetch_again || now < self.schedule.first_view
        {
            return Vec::new();
        }
        let mut effects = Vec::new();
        let authors = self.missing_orders();
        if !authors.is_empty() {
            let from = self.whom_to_ask();
            effects.push(Effect::FetchOrders { interval: self.interval, authors, from });
        }
        // Others may have decided in the first view; after the last one they are sure to know.
        let may_be_decided = now >= self.schedule.view_starts(1) && self.awaited.is_none();
        if may_be_decided && (now <= self.schedule.confirm_by || !self.restored.is_empty()) {
            let mut from = self.whom_to_ask();
            if now < self.schedule.views_end() {
                from.truncate(1);
            }
            effects.push(Effect::FetchCertificate { interval: self.interval, from });
        }
        if !effects.is_empty() {
            self.asked.fetch_again = now.plus_ms(self.seat.charter.interval.view_ms.div_euclid(4));
        }
        effects
    }

    /// Members that can be expected to have what we lack, others first each time.
    fn whom_to_ask(&self) -> Vec<ParticipantId> {
        let is_other = |index: &RosterIndex| Some(*index) != self.seat.me;
        let heard = self.acks.keys().copied().chain(self.ballot.voters());
        let mut heard: Vec<RosterIndex> = heard.filter(is_other).collect();
        if heard.is_empty() {
            // After a restart only our own acks and votes are here.
            heard = self.seat.roster.voters().iter().copied().filter(is_other).collect();
        }
        heard.sort_unstable();
        heard.dedup();
        let turn = usize::try_from(self.asked.fetch_again.to_unix_ms()).unwrap_or(0);
        let start = turn.checked_rem(heard.len()).unwrap_or(0);
        heard
            .iter()
            .cycle()
            .skip(start)
            .take(ASKED_AT_ONCE.min(heard.len()))
            .filter_map(|index| self.seat.roster.participant(*index))
            .collect()
    }
}
