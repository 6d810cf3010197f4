//! Proposals of a leader that wants two books, or none.

use std::collections::BTreeMap;

use boltgrid_protocol::agreement::{Book, BookEntry, Proposal};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;

use super::{Deed, Rogue, Role, gossip, whisper};

const DICE_WITHHOLD: u64 = 20;
const DICE_FEW: u64 = 21;

impl Rogue {
    /// What becomes of our own proposal.
    pub(super) fn bend_proposal(&mut self, proposal: &Verified<Proposal>) -> Vec<Deed> {
        let interval = proposal.interval();
        let roster = self.hand.roster(interval);
        let book = proposal.body().book.hash(&roster, interval);
        self.memory.at(interval).add_book(book);
        let honest = vec![gossip(Topic::Votes, proposal.bytes().clone())];
        match self.role {
            Role::EquivocatingLeader => self.propose_two(proposal).unwrap_or(honest),
            Role::WithholdingLeader => self.withhold(proposal),
            Role::DoubleVoter => {
                let mut deeds = honest;
                deeds.extend(self.vote_twice(proposal));
                deeds
            }
            Role::Spammer => self.propose_often(proposal),
            Role::Equivocator
            | Role::LatePartial
            | Role::SelectiveAcker
            | Role::Replayer
            | Role::LyingMeter
            | Role::NeverConfirms
            | Role::NeverDelivers
            | Role::FalsePayee
            | Role::FalsePayer
            | Role::Eavesdropper => honest,
        }
    }

    /// One book to each half, with the votes of all of us for both.
    fn propose_two(&mut self, proposal: &Verified<Proposal>) -> Option<Vec<Deed>> {
        let interval = proposal.interval();
        let roster = self.hand.roster(interval);
        let mut first = proposal.body().clone();
        let second = self.contradiction(&first, interval)?;
        if first.valid_view.is_none() && first.view > 0 {
            // As if a quorum had prevoted it before.
            first.valid_view = first.view.checked_sub(1);
        }
        let view = first.view;
        let books = [&first, &second].map(|it| it.book.hash(&roster, interval));
        let halves = self.hand.halves(interval);
        let mut deeds = Vec::new();
        for ((proposal, book), to) in
            [&first, &second].into_iter().zip(books).zip([&halves.left, &halves.right])
        {
            let signed = self.hand.sign(proposal, interval)?;
            deeds.push(whisper(Topic::Votes, signed.bytes(), to.clone()));
            self.memory.at(interval).add_book(book);
            deeds.extend(self.bodies(&proposal.book, interval, to));
            deeds.extend(self.vote_together(interval, (view, book), to));
        }
        Some(deeds)
    }

    /// Our other order, to those who need it for a book that names it.
    fn bodies(&mut self, book: &Book, interval: Interval, to: &[ParticipantId]) -> Option<Deed> {
        let other = self.memory.get(interval)?.other_order.as_ref()?;
        let named = book.entries.iter().any(|entry| entry.order == other.hash());
        named.then(|| whisper(Topic::Orders, other.bytes(), to.to_vec()))
    }

    /// A valid proposal of the same view for another book: from other acks, and with other orders of
    /// those who equivocate, ourselves first.
    fn contradiction(&mut self, proposal: &Proposal, interval: Interval) -> Option<Proposal> {
        let roster = self.hand.roster(interval);
        let kept = self.memory.get(interval)?;
        let named: BTreeMap<RosterIndex, _> =
            proposal.book.entries.iter().map(|entry| (entry.author, entry.order)).collect();
        let quorum = roster.quorum();
        let acks: Vec<_> =
            kept.acks.values().skip(kept.acks.len().saturating_sub(quorum)).collect();
        if acks.len() < quorum {
            return None;
        }
        let mut holders: BTreeMap<RosterIndex, usize> = BTreeMap::new();
        for author in acks.iter().flat_map(|ack| ack.body().held.iter()) {
            *holders.entry(author).or_default() += 1;
        }
        let ours = kept.other_order.as_ref().map(|order| (order.author(), order.hash()));
        let other_hash = |author: RosterIndex| {
            let heard = kept.orders.get(&author).map_or(&[][..], Vec::as_slice);
            let other = heard.iter().copied().find(|hash| named.get(&author) != Some(hash));
            let ours = ours.filter(|(of, _)| *of == author).map(|(_, hash)| hash);
            ours.or(other).or_else(|| named.get(&author).copied())
        };
        let entries: Option<Vec<_>> = holders
            .into_iter()
            .filter(|(_, count)| *count > roster.faulty_max())
            .map(|(author, _)| Some(BookEntry { author, order: other_hash(author)? }))
            .collect();
        let book = Book { entries: entries? };
        let acks = acks.iter().map(|ack| ack.bytes().to_vec()).collect();
        (book != proposal.book).then_some(Proposal {
            view: proposal.view,
            valid_view: None,
            acks,
            book,
        })
    }

    /// Nothing, or to `f` members only, or a book of which one order is nowhere to be had.
    fn withhold(&mut self, proposal: &Verified<Proposal>) -> Vec<Deed> {
        let interval = proposal.interval();
        let view = u64::from(proposal.body().view);
        match self.hand.dice(interval, DICE_WITHHOLD.wrapping_add(view << 8), 3) {
            0 => Vec::new(),
            1 => {
                let few = self.hand.roster(interval).faulty_max();
                let mut others = self.hand.others(interval);
                let turn = self.hand.dice(interval, DICE_FEW, 1 << 32);
                let turn = usize::try_from(turn).unwrap_or(0);
                let turn = turn.checked_rem(others.len()).unwrap_or(0);
                others.rotate_left(turn);
                others.truncate(few);
                vec![whisper(Topic::Votes, proposal.bytes(), others)]
            }
            _ => self.bodiless(proposal).into_iter().collect(),
        }
    }

    fn bodiless(&mut self, proposal: &Verified<Proposal>) -> Option<Deed> {
        let interval = proposal.interval();
        let other = self.memory.get(interval)?.other_order.as_ref()?;
        let (author, hash) = (other.author(), other.hash());
        let mut body = proposal.body().clone();
        body.valid_view = None;
        let entry = body.book.entries.iter_mut().find(|entry| entry.author == author)?;
        entry.order = hash;
        let signed = self.hand.sign(&body, interval)?;
        Some(gossip(Topic::Votes, signed.bytes().clone()))
    }

    /// The same book with every valid view there can be.
    fn propose_often(&mut self, proposal: &Verified<Proposal>) -> Vec<Deed> {
        let mut deeds = vec![gossip(Topic::Votes, proposal.bytes().clone())];
        for valid_view in 0..proposal.body().view {
            let mut body = proposal.body().clone();
            body.valid_view = Some(valid_view);
            let signed = self.hand.sign(&body, proposal.interval());
            deeds.extend(signed.map(|it| gossip(Topic::Votes, it.bytes().clone())));
        }
        deeds
    }
}
