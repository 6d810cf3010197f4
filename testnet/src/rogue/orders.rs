//! Orders: two instead of one, or one that comes late and to some only.

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};

use super::{Deed, Rogue, Role, gossip, whisper};

/// From when before the gate on a late order leaves.
const LATE_MS: u64 = 1000;
const DICE_LATE: u64 = 1;

impl Rogue {
    /// What becomes of our own order.
    pub(super) fn bend_order(&mut self, now: Timestamp, order: &Verified<Order>) -> Vec<Deed> {
        let interval = order.interval();
        let other = self.contradicting(order.body(), interval);
        let kept = self.memory.at(interval);
        kept.orders.entry(order.author()).or_default().push(order.hash());
        kept.other_order = other.clone();
        match self.role {
            Role::Equivocator => self.split(Topic::Orders, order, other.as_ref()),
            Role::LatePartial => {
                let at = self.late(interval);
                let to = self.hand.halves(interval).left;
                self.plan(at.max(now), whisper(Topic::Orders, order.bytes(), to));
                Vec::new()
            }
            Role::SelectiveAcker
            | Role::DoubleVoter
            | Role::EquivocatingLeader
            | Role::WithholdingLeader
            | Role::Replayer
            | Role::Spammer
            | Role::LyingMeter
            | Role::NeverConfirms
            | Role::NeverDelivers
            | Role::FalsePayee
            | Role::FalsePayer
            | Role::Eavesdropper => {
                vec![gossip(Topic::Orders, order.bytes().clone())]
            }
        }
    }

    /// A moment around the gate: some clocks are past it and some are not.
    fn late(&self, interval: Interval) -> Timestamp {
        let timing = &self.hand.charter.interval;
        let (gate, skew) = (timing.schedule(interval).gate, timing.clock_skew_max_ms);
        let before = LATE_MS.max(skew);
        let after = self.hand.dice(interval, DICE_LATE, before.saturating_add(skew));
        gate.minus_ms(before).plus_ms(after)
    }

    /// Another valid order of ours: a little less or more of the same.
    fn contradicting(&mut self, order: &Order, interval: Interval) -> Option<Verified<Order>> {
        let mut other = order.clone();
        for step in &mut other.steps {
            let less = step.energy_mwh.to_milliwatt_hours().div_euclid(2).max(1);
            step.energy_mwh = Energy::from_milliwatt_hours(less);
        }
        if other == *order {
            // Less than this cannot be said; the rating may leave room for more.
            let first = other.steps.first_mut()?;
            first.energy_mwh = Energy::from_milliwatt_hours(2);
        }
        self.hand.sign(&other, interval)
    }
}
