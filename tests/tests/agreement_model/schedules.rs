//! Real markets on schedules of chance, held to the rules that the model explores.
//!
//! Four voters, one of them faulty, agree on one interval's book. What reaches whom, in which order, how
//! often, and what everybody's clock shows is drawn; so is what the faulty voter says to whom, and who is
//! started anew. Whatever an honest market signs is looked up in [`crate::rules`], which share no code
//! with it. Not for: progress, or anything but votes; the simulator has all of that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::{Effect, JournalEntry, Slot};
use boltgrid_market::input::Input;
use boltgrid_market::payments::Means;
use boltgrid_protocol::agreement::{self, Proposal};
use boltgrid_protocol::charter::Schedule as Moments;
use boltgrid_protocol::id::{BookHash, RosterIndex};
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::adversary::Adversary;
use crate::fixture::{Grid, INTERVAL, order};
use crate::rules::{Rules, Stage, Vote, Voter, quorum};

/// In percent: what is delivered at all in a phase is drawn between these for every schedule.
const DELIVERED_PERCENT: (u64, u64) = (30, 95);
/// In percent: an order comes before the gate.
const ORDERS_PERCENT: u64 = 85;
/// In percent: what came comes again.
const AGAIN_PERCENT: u64 = 5;
/// In percent, for every voter and phase: it is started anew.
const RESTARTS_PERCENT: u64 = 3;
/// In percent, for every voter and phase: its clock stands still, or is somewhere else.
const CLOCK_STANDS_PERCENT: u64 = 10;
const CLOCK_ERRS_PERCENT: u64 = 4;
/// In percent: an order that is asked for comes.
const FETCHED_PERCENT: u64 = 80;
/// Moments of a view at which something may happen, in percent of it.
const PHASES: [u64; 4] = [1, 30, 50, 80];

/// What is wrong on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Voters prevote whatever is proposed.
    LocksIgnored,
    /// A restart loses the journal.
    JournalLost,
}

/// What came of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Votes that no rule allows, and books beyond the first that could be certified.
    pub(crate) wrong: Vec<String>,
    /// The view in which a book could first be certified.
    pub(crate) decided_in: Option<u32>,
    /// Prevotes for a book that was proposed again.
    pub(crate) again: usize,
    /// Views in which a locked voter heard another book proposed and prevoted nothing.
    pub(crate) held_back: usize,
}

/// Chance, from a seed.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let drawn = self.0.next_u64() % u64::try_from(bound.max(1)).expect("a small number");
        usize::try_from(drawn).expect("it is below a small number")
    }

    pub(crate) fn happens(&mut self, percent: u64) -> bool {
        self.0.next_u64() % 100 < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).cloned()
    }
}

/// What a voter has signed and what came to its ears, in the words of the rules.
#[derive(Debug, Default)]
struct Known {
    signed: BTreeMap<(u32, Stage), Option<BookHash>>,
    proposed: BTreeSet<(u32, BookHash, Option<u32>)>,
    prevoted: BTreeMap<(u32, BookHash), BTreeSet<RosterIndex>>,
}

impl Voter<BookHash> for Known {
    fn has_signed(&self, view: u32, stage: Stage) -> bool {
        self.signed.contains_key(&(view, stage))
    }

    fn lock(&self) -> Option<(u32, BookHash)> {
        let precommits =
            self.signed.iter().rev().filter(|((_, stage), _)| *stage == Stage::Precommit);
        precommits.filter_map(|((view, _), book)| Some((*view, (*book)?))).next()
    }

    fn heard_proposed(&self, view: u32, book: BookHash, valid_view: Option<u32>) -> bool {
        self.proposed.contains(&(view, book, valid_view))
    }

    fn heard_prevoted(&self, view: u32, book: BookHash) -> usize {
        self.prevoted.get(&(view, book)).map_or(0, BTreeSet::len)
    }
}

/// An honest voter.
struct Honest {
    place: RosterIndex,
    market: Market,
    journal: BTreeMap<Slot, JournalEntry>,
    known: Known,
    now: Timestamp,
    /// What was said and has yet to come, as places in [`Schedule::said`].
    coming: Vec<usize>,
}

/// One schedule.
struct Schedule<'a> {
    grid: &'a Grid,
    rosters: Rosters,
    gate: Gatekeeper,
    dice: Dice,
    sabotage: Option<Sabotage>,
    honest: Vec<Honest>,
    adversary: Adversary,
    /// What honest voters said to all.
    said: Vec<Message>,
    delivered_percent: u64,
    rules: Rules,
    outcome: Outcome,
}

/// Plays the schedule that follows from a seed.
pub(crate) fn play(grid: &Grid, seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let mut schedule = Schedule::new(grid, seed, sabotage);
    schedule.trade();
    for view in 0..grid.charter.interval.views {
        for percent in PHASES {
            schedule.phase(view, percent);
        }
        schedule.count_held_back(view);
    }
    schedule.judge();
    schedule.outcome
}

impl<'a> Schedule<'a> {
    fn new(grid: &'a Grid, seed: u64, sabotage: Option<Sabotage>) -> Self {
        let enrolments = grid.people.iter().map(|person| person.certified.clone()).collect();
        let rosters = Rosters::new(Arc::clone(&grid.charter), enrolments).expect("a sample");
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let voters = grid.roster.voters();
        let faulty = dice.pick(voters).expect("some vote");
        let (least, most) = DELIVERED_PERCENT;
        let delivered_percent = least + dice.0.next_u64() % (most - least);
        let mut schedule = Self {
            grid,
            rosters,
            gate: grid.gatekeeper(),
            dice,
            sabotage,
            honest: Vec::new(),
            adversary: Adversary::new(faulty, order(faulty.get())),
            said: Vec::new(),
            delivered_percent,
            rules: Rules { quorum: quorum(voters.len()), broken: None },
            outcome: Outcome::default(),
        };
        let now = schedule.times().orders_open.plus_ms(1);
        for place in voters.iter().filter(|place| **place != faulty) {
            let market = schedule.market(*place, Vec::new());
            let (journal, known, coming) = (BTreeMap::new(), Known::default(), Vec::new());
            schedule.honest.push(Honest { place: *place, market, journal, known, now, coming });
        }
        schedule
    }

    fn times(&self) -> Moments {
        self.grid.charter.interval.schedule(INTERVAL)
    }

    fn market(&self, place: RosterIndex, journal: Vec<JournalEntry>) -> Market {
        let key = self.grid.person(place).key.clone();
        let charter = Arc::clone(&self.grid.charter);
        let mut market = Market::new(charter, self.rosters.clone(), key, journal, Means::Ledger);
        if self.sabotage == Some(Sabotage::LocksIgnored) {
            market.ignore_locks();
        }
        market
    }

    /// Orders are placed and handed round, and acked at the gate.
    fn trade(&mut self) {
        let all = 0..self.honest.len();
        all.clone().for_each(|it| self.input(it, Input::Tick));
        for it in all.clone() {
            self.deliver(it, ORDERS_PERCENT);
            let orders = self.adversary.orders(self.grid);
            if let Some(order) = self.dice.pick(&orders) {
                self.hear(it, Message::Order(order));
            }
        }
        let gate = self.times().gate;
        for it in all {
            self.honest[it].now = gate;
            self.input(it, Input::Tick);
        }
        self.adversary.ack(self.grid, &self.said, &mut self.dice);
    }

    fn count_held_back(&mut self, view: u32) {
        let is_held_back = |known: &Known| {
            known.lock().is_some_and(|(_, locked)| {
                let mut proposed = known.proposed.iter().filter(|(of, ..)| *of == view);
                proposed.any(|(_, book, _)| *book != locked)
            }) && !known.has_signed(view, Stage::Prevote)
        };
        self.outcome.held_back += self.honest.iter().filter(|it| is_held_back(&it.known)).count();
    }

    /// One moment of a view, at which some of what was said comes to some.
    fn phase(&mut self, view: u32, percent: u64) {
        let now = self.times().within_view(view, percent);
        for it in 0..self.honest.len() {
            if self.dice.happens(RESTARTS_PERCENT) {
                self.restart(it);
            }
            if self.dice.happens(CLOCK_ERRS_PERCENT) {
                let views = usize::try_from(self.grid.charter.interval.views).expect("a few");
                let view = u32::try_from(self.dice.below(views)).expect("a few");
                self.honest[it].now = self.times().within_view(view, percent);
            } else if !self.dice.happens(CLOCK_STANDS_PERCENT) {
                self.honest[it].now = now;
            }
            let mut lies = self.adversary.lies(self.grid, view, &self.said, &mut self.dice);
            // What is false comes before or after what is true.
            let first = self.dice.below(lies.len() + 1);
            lies.drain(..first).for_each(|lie| self.hear(it, lie));
            self.deliver(it, self.delivered_percent);
            lies.into_iter().for_each(|lie| self.hear(it, lie));
            self.input(it, Input::Tick);
        }
    }

    /// Lets some of what was said come to a voter, in any order, and now and then again.
    fn deliver(&mut self, it: usize, percent: u64) {
        let mut coming = std::mem::take(&mut self.honest[it].coming);
        while !coming.is_empty() {
            let place = coming.swap_remove(self.dice.below(coming.len()));
            let comes = self.dice.happens(percent);
            if comes {
                self.hear(it, self.said[place].clone());
            }
            if !comes || self.dice.happens(AGAIN_PERCENT) {
                self.honest[it].coming.push(place);
            }
        }
    }

    fn restart(&mut self, it: usize) {
        let Honest { place, journal, .. } = &self.honest[it];
        let keeps = self.sabotage != Some(Sabotage::JournalLost);
        let journal = journal.values().filter(|_| keeps).cloned().collect();
        self.honest[it].market = self.market(*place, journal);
        // Others say it again, or are asked.
        self.honest[it].coming = (0..self.said.len()).collect();
        self.input(it, Input::Tick);
    }

    fn hear(&mut self, it: usize, message: Message) {
        self.honest[it].known.note(&message, self.grid);
        self.input(it, Input::Heard { message: Box::new(message), token: Some(0) });
    }

    fn input(&mut self, it: usize, input: Input) {
        let honest = &mut self.honest[it];
        let mut effects: Vec<Effect> = honest.market.handle(honest.now, input);
        effects.reverse();
        while let Some(effect) = effects.pop() {
            let more = self.carry_out(it, effect);
            effects.extend(more.into_iter().rev());
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only votes and what they follow from matter"
    )]
    fn carry_out(&mut self, it: usize, effect: Effect) -> Vec<Effect> {
        match effect {
            Effect::AskOrder(INTERVAL) => {
                let order = order(self.honest[it].place.get());
                let Honest { market, now, .. } = &mut self.honest[it];
                return market.handle(*now, Input::Place { interval: INTERVAL, order });
            }
            Effect::Persist(entry) if entry.slot.interval() == INTERVAL => self.sign(it, entry),
            Effect::Gossip(_, bytes) => {
                let message = self.gate.admit(bytes, self.honest[it].now).expect("it is honest");
                self.honest[it].known.note(&message, self.grid);
                let is_of_book = matches!(
                    message,
                    Message::Order(_) | Message::Ack(_) | Message::Proposal(_) | Message::Vote(_)
                );
                if is_of_book {
                    self.said.push(message);
                    let place = self.said.len() - 1;
                    let others =
                        self.honest.iter_mut().enumerate().filter(|(other, _)| *other != it);
                    others.for_each(|(_, other)| other.coming.push(place));
                }
            }
            Effect::FetchOrders { interval: INTERVAL, authors, .. } => {
                return self.fetched(it, &authors);
            }
            _ => {}
        }
        Vec::new()
    }

    /// Some of the orders that are asked for come, of whoever signed several all of them.
    fn fetched(&mut self, it: usize, authors: &[RosterIndex]) -> Vec<Effect> {
        let lies = self.adversary.orders(self.grid).into_iter().map(Message::Order);
        let all: Vec<Message> = self.said.iter().cloned().chain(lies).collect();
        let mut effects = Vec::new();
        for message in all {
            let Message::Order(order) = &message else { continue };
            if authors.contains(&order.author()) && self.dice.happens(FETCHED_PERCENT) {
                let Honest { market, now, .. } = &mut self.honest[it];
                let heard = Input::Heard { message: Box::new(message), token: None };
                effects.extend(market.handle(*now, heard));
            }
        }
        effects
    }

    /// Holds a market that signs to the rules, and keeps what it signed.
    fn sign(&mut self, it: usize, entry: JournalEntry) {
        let honest = &mut self.honest[it];
        if let Slot::Prevote(_, view) | Slot::Precommit(_, view) = entry.slot {
            let admitted = self.gate.admit(Arc::clone(&entry.bytes), honest.now);
            let Ok(Message::Vote(signed)) = admitted else { return };
            let vote = in_words_of_rules(signed.body());
            let views = self.grid.charter.interval.views;
            if vote.view != view || !self.rules.allow(vote, &honest.known, views) {
                let who = honest.place;
                self.outcome
                    .wrong
                    .push(format!("{who:?} signed {vote:?}, knowing {:?}", honest.known));
            }
            if let (Some(book), Stage::Prevote) = (vote.book, vote.stage) {
                let fresh = honest.known.heard_proposed(view, book, None);
                self.outcome.again += usize::from(!fresh);
            }
            honest.known.signed.entry((vote.view, vote.stage)).or_insert(vote.book);
        }
        honest.journal.insert(entry.slot, entry);
    }

    /// At most one book can be certified, whatever the faulty voter has told whom.
    fn judge(&mut self) {
        let mut precommits: BTreeMap<(u32, BookHash), BTreeSet<RosterIndex>> = BTreeMap::new();
        for message in &self.said {
            let Message::Vote(vote) = message else { continue };
            let Vote { view, stage, book } = in_words_of_rules(vote.body());
            if let (Stage::Precommit, Some(book)) = (stage, book) {
                precommits.entry((view, book)).or_default().insert(vote.author());
            }
        }
        let is_won = |voters: &BTreeSet<_>| voters.len() + 1 >= self.rules.quorum;
        let won: Vec<_> = precommits.iter().filter(|(_, voters)| is_won(voters)).collect();
        let books: BTreeSet<BookHash> = won.iter().map(|((_, book), _)| *book).collect();
        self.outcome.decided_in = won.first().map(|((view, _), _)| *view);
        if books.len() > 1 {
            self.outcome.wrong.push(format!("{} books can be certified", books.len()));
        }
    }
}

impl Known {
    /// Takes in what was heard, or said by the voter itself.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rules are about votes and proposals")]
    fn note(&mut self, message: &Message, grid: &Grid) {
        match message {
            Message::Proposal(proposal) => {
                let Proposal { view, valid_view, book, .. } = proposal.body();
                self.proposed.insert((*view, book.hash(&grid.roster, INTERVAL), *valid_view));
            }
            Message::Vote(vote) => {
                let Vote { view, stage, book } = in_words_of_rules(vote.body());
                if let (Stage::Prevote, Some(book)) = (stage, book) {
                    self.prevoted.entry((view, book)).or_default().insert(vote.author());
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn in_words_of_rules(vote: &agreement::Vote) -> Vote<BookHash> {
    let stage = match vote.stage {
        agreement::Stage::Prevote => Stage::Prevote,
        agreement::Stage::Precommit => Stage::Precommit,
    };
    Vote { view: vote.view, stage, book: vote.book }
}
