//! Votes for everything at once, each half hearing something else.

use boltgrid_protocol::agreement::{Proposal, Stage, Vote};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{BookHash, ParticipantId};
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;

use super::{Deed, Rogue, Role, gossip, whisper};

impl Rogue {
    /// What becomes of our own vote.
    pub(super) fn bend_vote(&mut self, vote: &Verified<Vote>) -> Vec<Deed> {
        let (interval, Vote { view, stage, book }) = (vote.interval(), *vote.body());
        match self.role {
            Role::DoubleVoter => {
                let books = self.memory.at(interval).books.clone();
                let book = book.or_else(|| books.first().copied());
                self.vote_for_all(interval, (view, stage), book)
            }
            Role::EquivocatingLeader => {
                let leader = self.hand.roster(interval).leader(interval, view);
                let roster = self.hand.roster(interval);
                let leader = leader.and_then(|index| roster.participant(index));
                let usurped = self.memory.at(interval).voted.contains(&(view, stage));
                // Where an accomplice leads, it votes for all of us.
                let is_accomplice =
                    leader.is_some_and(|it| it != self.hand.me && self.hand.is_ours(&it));
                if usurped || is_accomplice {
                    return Vec::new();
                }
                vec![gossip(Topic::Votes, vote.bytes().clone())]
            }
            Role::Equivocator
            | Role::LatePartial
            | Role::SelectiveAcker
            | Role::WithholdingLeader
            | Role::Replayer
            | Role::Spammer
            | Role::LyingMeter
            | Role::NeverConfirms
            | Role::NeverDelivers
            | Role::FalsePayee
            | Role::FalsePayer
            | Role::Eavesdropper => vec![gossip(Topic::Votes, vote.bytes().clone())],
        }
    }

    /// Prevotes and precommits a proposal, none, and every other book known, as soon as it is heard.
    pub(super) fn vote_twice(&mut self, proposal: &Verified<Proposal>) -> Vec<Deed> {
        let interval = proposal.interval();
        let roster = self.hand.roster(interval);
        let book = proposal.body().book.hash(&roster, interval);
        let view = proposal.body().view;
        [Stage::Prevote, Stage::Precommit]
            .into_iter()
            .flat_map(|stage| self.vote_for_all(interval, (view, stage), Some(book)))
            .collect()
    }

    /// The book to one half, none to the other, every other book to either in turn; once a stage.
    fn vote_for_all(
        &mut self,
        interval: Interval,
        (view, stage): (u32, Stage),
        book: Option<BookHash>,
    ) -> Vec<Deed> {
        let kept = self.memory.at(interval);
        if !kept.voted.insert((view, stage)) {
            return Vec::new();
        }
        let rest = kept.books.iter().copied().filter(|it| Some(*it) != book).map(Some);
        // A voter that knows no book makes one up.
        let first = book.unwrap_or_else(|| BookHash::from_bytes([7; 32]));
        let said: Vec<_> = [Some(first), None].into_iter().chain(rest).collect();
        let halves = self.hand.halves(interval);
        let mut deeds = Vec::new();
        for (turn, book) in said.into_iter().enumerate() {
            let Some(vote) = self.hand.sign(&Vote { view, stage, book }, interval) else {
                return deeds;
            };
            let half = if turn.is_multiple_of(2) { &halves.left } else { &halves.right };
            deeds.push(whisper(Topic::Votes, vote.bytes(), half.clone()));
        }
        deeds
    }

    /// Votes of all of us for a book in both stages of a view, to some members.
    pub(super) fn vote_together(
        &mut self,
        interval: Interval,
        (view, book): (u32, BookHash),
        to: &[ParticipantId],
    ) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for stage in [Stage::Prevote, Stage::Precommit] {
            self.memory.at(interval).voted.insert((view, stage));
            let votes = self.hand.sign_all(&Vote { view, stage, book: Some(book) }, interval);
            deeds.extend(votes.iter().map(|it| whisper(Topic::Votes, it.bytes(), to.to_vec())));
        }
        deeds
    }
}
