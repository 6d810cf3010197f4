//! How much an author can have to say in one interval, and what it has said.
//!
//! Only verified messages are charged: otherwise anybody could use up somebody else's budget with
//! forged ones. What is beyond the budget is dropped before its signature is looked at, so one
//! member cannot make the others verify without end. Not for: peers that pass on forgeries; those
//! are counted by [`super::faults`].

use std::collections::BTreeMap;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{Header, Kind};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::Interval;
use libp2p::gossipsub::MessageId;

use super::refused::Refused;

/// One more than an author may say, so that everyone can see that it said two things.
const CONTRADICTION: usize = 1;
/// Evidence that one member may have to show in one interval.
const EVIDENCE_MAX: usize = 8;

/// What every author has said, by interval.
///
/// Invariant: no list is longer than its kind's allowance.
#[derive(Debug)]
pub(super) struct Budget {
    views: usize,
    said: BTreeMap<Interval, BTreeMap<(ParticipantId, Kind), Vec<MessageId>>>,
}

impl Budget {
    pub(super) fn new(charter: &Charter) -> Self {
        let views = usize::try_from(charter.interval.views).unwrap_or(usize::MAX);
        Self { views, said: BTreeMap::new() }
    }

    /// How many messages of a kind an author may gossip in one interval.
    const fn allowance(&self, kind: Kind) -> usize {
        match kind {
            Kind::Order | Kind::Ack | Kind::Reading | Kind::Seal | Kind::Share => 1 + CONTRADICTION,
            // One in every view that it leads.
            Kind::Proposal => self.views.saturating_add(CONTRADICTION),
            // A prevote and a precommit in every view, and one too many of each.
            Kind::Vote => self.views.saturating_add(CONTRADICTION).saturating_mul(2),
            Kind::Evidence => EVIDENCE_MAX,
            Kind::TradeConfirm
            | Kind::PeerRecord
            | Kind::Offer
            | Kind::Acceptance
            | Kind::Reply
            | Kind::Invoice
            | Kind::Deed => 0,
        }
    }

    /// How many messages of all kinds together.
    pub(super) fn allowance_of_all(&self) -> usize {
        use Kind::{Ack, Evidence, Order, Proposal, Reading, Share, Vote};
        // A charter lets a member gossip either readings or seals.
        [Order, Ack, Proposal, Vote, Reading, Share, Evidence]
            .map(|kind| self.allowance(kind))
            .iter()
            .sum()
    }

    /// Whether the author may still say this.
    pub(super) fn check(&self, header: &Header, id: &MessageId) -> Result<(), Refused> {
        let said = self
            .said
            .get(&header.interval)
            .and_then(|authors| authors.get(&(header.author, header.kind)))
            .map_or(&[][..], Vec::as_slice);
        if said.contains(id) {
            Err(Refused::Replayed)
        } else if said.len() >= self.allowance(header.kind) {
            Err(Refused::OverBudget)
        } else {
            Ok(())
        }
    }

    /// Notes a verified message for which [`Self::check`] held.
    pub(super) fn charge(&mut self, header: &Header, id: MessageId) {
        let authors = self.said.entry(header.interval).or_default();
        authors.entry((header.author, header.kind)).or_default().push(id);
    }

    /// Forgets what is too old to come in.
    pub(super) fn forget_before(&mut self, interval: Interval) {
        self.said = self.said.split_off(&interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::id::{GridId, RosterHash};

    const VIEWS: usize = 5;

    fn budget() -> Budget {
        Budget { views: VIEWS, said: BTreeMap::new() }
    }

    fn header(kind: Kind, interval: u64) -> Header {
        Header {
            kind,
            grid: GridId::default(),
            roster: RosterHash::default(),
            interval: Interval::from_number(interval),
            author: ParticipantId::default(),
        }
    }

    /// How many different messages of a kind get in.
    fn admitted(budget: &mut Budget, header: &Header) -> usize {
        (0_u8..100)
            .map(|number| MessageId::new(&[number]))
            .take_while(|id| {
                budget.check(header, id).map(|()| budget.charge(header, id.clone())).is_ok()
            })
            .count()
    }

    #[test]
    fn an_author_can_say_what_the_protocol_asks_for_and_one_contradiction() {
        let mut budget = budget();
        for (kind, expected) in [
            (Kind::Order, 2),
            (Kind::Ack, 2),
            (Kind::Reading, 2),
            (Kind::Proposal, VIEWS + 1),
            (Kind::Vote, 2 * (VIEWS + 1)),
            (Kind::Evidence, EVIDENCE_MAX),
            (Kind::TradeConfirm, 0),
            (Kind::PeerRecord, 0),
            (Kind::Offer, 0),
            (Kind::Acceptance, 0),
            (Kind::Reply, 0),
            (Kind::Invoice, 0),
            (Kind::Deed, 0),
            (Kind::Seal, 2),
            (Kind::Share, 2),
        ] {
            assert_eq!(admitted(&mut budget, &header(kind, 7)), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_replay_is_known_as_one_even_where_the_budget_is_used_up() {
        let mut budget = budget();
        let header = header(Kind::Order, 7);
        admitted(&mut budget, &header);
        assert_eq!(budget.check(&header, &MessageId::new(&[0])), Err(Refused::Replayed));
        assert_eq!(budget.check(&header, &MessageId::new(&[99])), Err(Refused::OverBudget));
    }

    #[test]
    fn every_interval_has_its_own_budget_and_old_ones_are_forgotten() {
        let mut budget = budget();
        for interval in 5..9 {
            assert_eq!(admitted(&mut budget, &header(Kind::Order, interval)), 2);
        }
        budget.forget_before(Interval::from_number(8));
        assert_eq!(budget.said.len(), 1);
    }
}
