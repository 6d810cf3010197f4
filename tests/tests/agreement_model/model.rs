//! Agreement on one interval's book as a graph of states: what the honest voters have signed.
//!
//! The network needs no state. Nothing that was signed is ever unsaid, every rule asks "have I heard
//! enough", and giving up needs no reason; so a voter may act on any part of what was sent, and a
//! message that is lost, late, repeated or out of order is one that it does not act on yet. For the
//! same reason the faulty voters need no state: whatever they could have said to whomever they wish,
//! each may be taken to have heard. A restart loses what was heard, which is no state either.
//!
//! Not for: acks, orders and who must act when; a book is a number here, and time does not pass.

use crate::explore::{Model, Property};
use crate::rules::{Broken, Rules, Stage, Vote, Voter};

/// Voters; the leader of a view is the voter with its number (P12).
const VOTERS: usize = 4;
/// Most views of a model.
const VIEWS_MAX: usize = 3;
const STAGES: [Stage; 2] = [Stage::Prevote, Stage::Precommit];

type Book = u8;

/// Which votes were signed in one slot, one bit each: bit 0 for none, the others for the books.
type Signed = u8;

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    pub(crate) rules: Rules,
    pub(crate) views: u32,
    pub(crate) books: Book,
    /// The places of those who do as they like.
    pub(crate) faulty: Vec<usize>,
    /// Whether votes for none are signed. They release no rule for anybody else and hold their own
    /// signer back, so that leaving them out leaves no outcome out, only waiting.
    pub(crate) votes_for_none: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Honest {
    /// What it ever sent.
    signed: [[Signed; 2]; VIEWS_MAX],
    /// What its journal says that it signed: the same, unless that is what is broken.
    stored: [[Signed; 2]; VIEWS_MAX],
    lock: Option<(u8, Book)>,
}

/// Everything that matters of what was said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    voters: [Honest; VOTERS],
    /// What an honest leader proposed in each view: a book, and its valid view.
    proposals: [Option<(Book, Option<u8>)>; VIEWS_MAX],
}

/// One step of somebody honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Propose { view: u32, book: Book, valid_view: Option<u32> },
    Sign { voter: usize, vote: Vote<Book> },
    Restart { voter: usize },
}

/// One honest voter that has heard all that was sent.
struct Place<'a> {
    model: &'a Agreement,
    state: &'a State,
    voter: usize,
}

impl Voter<Book> for Place<'_> {
    fn has_signed(&self, view: u32, stage: Stage) -> bool {
        self.state.voters[self.voter].stored[view as usize][stage as usize] != 0
    }

    fn lock(&self) -> Option<(u32, Book)> {
        self.state.voters[self.voter].lock.map(|(view, book)| (view.into(), book))
    }

    fn heard_proposed(&self, view: u32, book: Book, valid_view: Option<u32>) -> bool {
        self.model.is_faulty(view as usize)
            || self.state.proposals[view as usize].is_some_and(|(proposed, valid)| {
                proposed == book && valid.map(u32::from) == valid_view
            })
    }

    fn heard_prevoted(&self, view: u32, book: Book) -> usize {
        self.model.count(self.state, view, Stage::Prevote, book)
    }
}

impl Agreement {
    fn is_faulty(&self, voter: usize) -> bool {
        self.faulty.contains(&voter)
    }

    fn honest(&self) -> impl Iterator<Item = usize> {
        (0..VOTERS).filter(|voter| !self.is_faulty(*voter))
    }

    fn all_books(&self) -> impl Iterator<Item = Book> + use<> {
        1..=self.books
    }

    /// How many could have cast this vote: honest voters who did, and all faulty ones.
    fn count(&self, state: &State, view: u32, stage: Stage, book: Book) -> usize {
        let cast = |voter: &Honest| voter.signed[view as usize][stage as usize] & (1 << book) != 0;
        state.voters.iter().filter(|voter| cast(voter)).count() + self.faulty.len()
    }

    fn is_certified(&self, state: &State, view: u32, book: Book) -> bool {
        self.count(state, view, Stage::Precommit, book) >= self.rules.quorum
    }

    fn is_certified_in_any_view(&self, state: &State, book: Book) -> bool {
        (0..self.views).any(|view| self.is_certified(state, view, book))
    }

    fn decides(&self, state: &State, view: u32) -> bool {
        self.all_books().any(|book| self.is_certified(state, view, book))
    }

    fn proposals(&self, state: &State, step: &mut impl FnMut(Action, State)) {
        for view in (0..self.views).filter(|view| !self.is_faulty(*view as usize)) {
            if state.proposals[view as usize].is_some() {
                continue;
            }
            for book in self.all_books() {
                let proven = |valid: &u32| {
                    self.count(state, *valid, Stage::Prevote, book) >= self.rules.quorum
                };
                // The leader may not have heard the prevotes that would make it propose again.
                let valid_views = (0..view).filter(proven).map(Some).chain([None]);
                for valid_view in valid_views {
                    let mut next = *state;
                    let valid = valid_view.map(|view| u8::try_from(view).expect("a few views"));
                    next.proposals[view as usize] = Some((book, valid));
                    step(Action::Propose { view, book, valid_view }, next);
                }
            }
        }
    }

    fn votes(&self, state: &State, voter: usize, step: &mut impl FnMut(Action, State)) {
        let place = Place { model: self, state, voter };
        for view in 0..self.views {
            for stage in STAGES {
                let none = self.votes_for_none.then_some(None);
                for book in none.into_iter().chain(self.all_books().map(Some)) {
                    let vote = Vote { view, stage, book };
                    if self.rules.allow(vote, &place, self.views) {
                        let mut next = *state;
                        next.voters[voter].sign(vote);
                        step(Action::Sign { voter, vote }, next);
                    }
                }
            }
        }
    }

    /// The lock is what the stored precommits say, so a restart changes nothing: but where that is
    /// what is broken.
    fn restarted(&self, state: &State, voter: usize) -> State {
        let mut next = *state;
        let restarted = &mut next.voters[voter];
        if self.rules.broken == Some(Broken::LockForgotten) {
            restarted.lock = None;
        }
        if self.rules.broken == Some(Broken::VotesForgotten) {
            *restarted = Honest { signed: restarted.signed, ..Honest::default() };
        }
        next
    }
}

impl Honest {
    fn sign(&mut self, vote: Vote<Book>) {
        let bit = 1 << vote.book.unwrap_or(0);
        self.signed[vote.view as usize][vote.stage as usize] |= bit;
        self.stored[vote.view as usize][vote.stage as usize] |= bit;
        if let (Some(book), Stage::Precommit) = (vote.book, vote.stage) {
            let view = u8::try_from(vote.view).expect("a few views");
            self.lock = self.lock.max(Some((view, book)));
        }
    }
}

impl Model for Agreement {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        State::default()
    }

    fn steps(&self, state: &State, step: &mut impl FnMut(Action, State)) {
        self.proposals(state, step);
        for voter in self.honest() {
            self.votes(state, voter, step);
            step(Action::Restart { voter }, self.restarted(state, voter));
        }
    }
}

pub(crate) const ONE_BOOK: &str = "at most one book is certified";
pub(crate) const ONE_VOTE: &str = "an honest voter signs one vote per slot";
pub(crate) const PROPOSED: &str = "what is certified was proposed";
pub(crate) const FIRST_VIEW: &str = "the first view can decide";
pub(crate) const SECOND_VIEW: &str = "the second view can decide when the first has not";
pub(crate) const LOCK_KEPT: &str = "the second view can decide what some locked in the first";

/// What must be, and what must be possible lest the rest be empty words.
pub(crate) const PROPERTIES: [Property<Agreement>; 6] = [
    Property {
        name: ONE_BOOK,
        always: true,
        holds: |model, state| {
            let certified = |book: &Book| model.is_certified_in_any_view(state, *book);
            model.all_books().filter(certified).count() <= 1
        },
    },
    Property {
        name: ONE_VOTE,
        always: true,
        holds: |_, state| {
            let slots = state.voters.iter().flat_map(|voter| voter.signed.as_flattened());
            slots.copied().all(|signed: Signed| signed.count_ones() <= 1)
        },
    },
    Property {
        name: PROPOSED,
        always: true,
        holds: |model, state| {
            let by_honest = |book| {
                let mut proposed = state.proposals.iter().flatten();
                proposed.any(|(proposed, _)| *proposed == book)
            };
            let by_faulty = model.faulty.iter().any(|voter| *voter < model.views as usize);
            by_faulty
                || model
                    .all_books()
                    .all(|book| by_honest(book) || !model.is_certified_in_any_view(state, book))
        },
    },
    Property { name: FIRST_VIEW, always: false, holds: |model, state| model.decides(state, 0) },
    Property {
        name: SECOND_VIEW,
        always: false,
        holds: |model, state| !model.decides(state, 0) && model.decides(state, 1),
    },
    Property {
        name: LOCK_KEPT,
        always: false,
        holds: |model, state| {
            let locked = |book| model.count(state, 0, Stage::Precommit, book) > model.faulty.len();
            !model.decides(state, 0)
                && model.all_books().any(|book| locked(book) && model.is_certified(state, 1, book))
        },
    },
];
