//! The faulty voter of a schedule: everything that its one key can sign, said to whomever it likes.
//!
//! It knows all that honest voters said. Not for: bytes that nobody takes; the fuzz targets have those.

use std::collections::BTreeMap;

use boltgrid_protocol::agreement::{Ack, Book, BookEntry, Proposal, Stage, Vote};
use boltgrid_protocol::bitmap::Bitmap;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{BookHash, MessageHash, RosterIndex};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::units::Energy;

use crate::fixture::{Grid, INTERVAL};
use crate::schedules::Dice;

/// Votes that it hands one voter in one phase.
const VOTES_A_PHASE: usize = 4;
/// In percent: where it leads, it proposes a book again.
const AGAIN_PERCENT: u64 = 50;
/// In percent: it says nothing to a voter in a phase.
const SILENT_PERCENT: u64 = 30;

/// The faulty voter.
pub(crate) struct Adversary {
    place: RosterIndex,
    orders: [Order; 2],
    /// Everybody's acks and several of its own.
    acks: Vec<Verified<Ack>>,
    /// What it has proposed.
    proposed: Vec<Proposal>,
}

impl Adversary {
    pub(crate) fn new(place: RosterIndex, order: Order) -> Self {
        let mut other = order.clone();
        other.steps[0].energy_mwh = Energy::from_milliwatt_hours(1);
        Self { place, orders: [order, other], acks: Vec::new(), proposed: Vec::new() }
    }

    /// Its orders, of which it may have signed one.
    pub(crate) fn orders(&self, grid: &Grid) -> Vec<Verified<Order>> {
        self.orders.iter().map(|order| grid.sign(self.place.get(), order)).collect()
    }

    /// Acks what it likes, several times, once the others have acked.
    pub(crate) fn ack(&mut self, grid: &Grid, said: &[Message], dice: &mut Dice) {
        for message in said {
            if let Message::Ack(ack) = message {
                self.acks.push(ack.clone());
            }
        }
        for _ in 0..3 {
            let mut held = Bitmap::empty(grid.people.len());
            for author in grid.roster.voters() {
                if dice.happens(60) {
                    held.insert(*author);
                }
            }
            self.acks
                .push(grid.sign(self.place.get(), &Ack { held, root: MessageHash::default() }));
        }
    }

    /// What it tells one voter in a phase of a view: a proposal where it leads, and votes of any view.
    pub(crate) fn lies(
        &mut self,
        grid: &Grid,
        view: u32,
        said: &[Message],
        dice: &mut Dice,
    ) -> Vec<Message> {
        if dice.happens(SILENT_PERCENT) {
            return Vec::new();
        }
        let mut proposals = self.proposed.clone();
        for message in said {
            if let Message::Proposal(proposal) = message {
                proposals.push(proposal.body().clone());
            }
        }
        let mut lies = Vec::new();
        if grid.roster.leader(INTERVAL, view) == Some(self.place) {
            let fresh = self.afresh(grid, view, said, dice);
            let old = dice.pick(&proposals).filter(|_| dice.happens(AGAIN_PERCENT));
            if let Some(proposal) = old.map(|old| again(old, view, dice)).or(fresh) {
                lies.push(Message::Proposal(grid.sign(self.place.get(), &proposal)));
                self.proposed.push(proposal);
            }
        }
        let books: Vec<BookHash> =
            proposals.iter().map(|it| it.book.hash(&grid.roster, INTERVAL)).collect();
        for _ in 0..VOTES_A_PHASE {
            let book = dice.pick(&books).filter(|_| dice.happens(90));
            let stage = if dice.happens(60) { Stage::Prevote } else { Stage::Precommit };
            let view = if dice.happens(70) { view } else { view.saturating_sub(1) };
            lies.push(Message::Vote(grid.sign(self.place.get(), &Vote { view, stage, book })));
        }
        lies
    }

    /// A book that follows from some acks, with either of its own orders.
    fn afresh(
        &self,
        grid: &Grid,
        view: u32,
        said: &[Message],
        dice: &mut Dice,
    ) -> Option<Proposal> {
        let mut acks: BTreeMap<RosterIndex, Verified<Ack>> = BTreeMap::new();
        let start = dice.below(self.acks.len());
        for ack in self.acks.iter().cycle().skip(start).take(self.acks.len()) {
            if acks.len() < grid.roster.quorum() {
                acks.insert(ack.author(), ack.clone());
            }
        }
        let mut orders: BTreeMap<RosterIndex, MessageHash> = BTreeMap::new();
        for message in said {
            if let Message::Order(order) = message {
                orders.insert(order.author(), order.hash());
            }
        }
        orders.insert(self.place, dice.pick(&self.orders(grid))?.hash());
        let held = |author| acks.values().filter(|ack| ack.body().held.contains(author)).count();
        let needed = grid.roster.faulty_max() + 1;
        let included = orders.iter().filter(|(author, _)| held(**author) >= needed);
        let entries =
            included.map(|(author, order)| BookEntry { author: *author, order: *order }).collect();
        let acks = acks.values().map(|ack| ack.bytes().to_vec()).collect();
        Some(Proposal { view, valid_view: None, acks, book: Book { entries } })
    }
}

/// A book once more in a later view, as if it had been prevoted in some view before, or as if it were new.
fn again(old: Proposal, view: u32, dice: &mut Dice) -> Proposal {
    let before = usize::try_from(view).expect("a few views");
    let valid_view = u32::try_from(dice.below(before)).ok().filter(|_| before > 0);
    Proposal { view, valid_view: valid_view.filter(|_| dice.happens(80)), ..old }
}
