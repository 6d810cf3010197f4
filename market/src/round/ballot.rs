//! The votes of one interval and what follows from them: locks, valid books, decisions (P15, P16).
//!
//! Single-decree Tendermint (Buchman, Kwon, Milosevic, *The latest gossip on BFT consensus*, 2018,
//! algorithm 1; `L22` and the like name its lines). What a node is locked on is not a variable that a
//! crash could lose: it is what its own stored precommits say.

use std::collections::BTreeMap;

use boltgrid_protocol::agreement::{Stage, Vote};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{BookHash, RosterIndex};

/// Most votes that are kept of one voter in one stage of one view. An honest one casts one; those of
/// one that contradicts itself count for the book that each names, as the algorithm assumes: whoever
/// is locked by them could otherwise not show the others why.
const VOTES_PER_VOTER_MAX: usize = 4;

/// All votes of one interval.
///
/// Bounded by voters × views × stages × [`VOTES_PER_VOTER_MAX`]: a vote's view is below the charter's
/// when it is verified. Invariant: the votes of one voter in one stage of one view are not empty, and
/// for different books.
#[derive(Debug, Default)]
pub(super) struct Ballot {
    votes: BTreeMap<(u32, Stage), Stand>,
}

/// The votes of one stage of one view.
#[derive(Debug, Default)]
struct Stand {
    by_voter: BTreeMap<RosterIndex, Vec<Verified<Vote>>>,
    /// How many voted for what. It is looked at with every message that comes, so it is not reckoned
    /// anew each time.
    tally: BTreeMap<Option<BookHash>, usize>,
}

/// What became of a vote.
#[derive(Debug)]
pub(super) enum Cast {
    /// It counts.
    New,
    /// It was there.
    Known,
    /// The voter said something else before.
    Contradicts {
        /// What it said first.
        first: Box<Verified<Vote>>,
        /// Whether this one counts all the same.
        counts: bool,
    },
}

/// A book that won a stage of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Won {
    pub(super) view: u32,
    pub(super) book: BookHash,
}

impl Ballot {
    pub(super) fn cast(&mut self, vote: Verified<Vote>) -> Cast {
        let Vote { view, stage, .. } = *vote.body();
        let stand = self.votes.entry((view, stage)).or_default();
        let votes = stand.by_voter.entry(vote.author()).or_default();
        if votes.iter().any(|earlier| earlier.body().book == vote.body().book) {
            return Cast::Known;
        }
        let first = votes.first().cloned();
        let counts = votes.len() < VOTES_PER_VOTER_MAX;
        if counts {
            let count = stand.tally.entry(vote.body().book).or_default();
            *count = count.saturating_add(1);
            votes.push(vote);
        }
        first.map_or(Cast::New, |first| Cast::Contradicts { first: Box::new(first), counts })
    }

    /// Whether `voter` voted in this stage of this view.
    pub(super) fn has(&self, view: u32, stage: Stage, voter: RosterIndex) -> bool {
        self.votes.get(&(view, stage)).is_some_and(|it| it.by_voter.contains_key(&voter))
    }

    /// Whether `voter` voted in a view after this one.
    pub(super) fn has_left(&self, view: u32, voter: RosterIndex) -> bool {
        self.votes.iter().any(|((later, _), it)| *later > view && it.by_voter.contains_key(&voter))
    }

    /// What a quorum voted for in this stage of this view, if there is one.
    pub(super) fn winner(
        &self,
        view: u32,
        stage: Stage,
        quorum: usize,
    ) -> Option<Option<BookHash>> {
        self.tally(view, stage).find(|(_, count)| *count >= quorum).map(|(book, _)| book)
    }

    /// How many voted for what in this stage of this view.
    pub(super) fn tally(
        &self,
        view: u32,
        stage: Stage,
    ) -> impl Iterator<Item = (Option<BookHash>, usize)> {
        let stand = self.votes.get(&(view, stage));
        stand.into_iter().flat_map(|it| &it.tally).map(|(book, count)| (*book, *count))
    }

    /// The latest book that `voter` precommitted: what it is locked on (L38).
    pub(super) fn locked(&self, voter: RosterIndex) -> Option<Won> {
        self.votes.iter().rev().filter(|((_, stage), _)| *stage == Stage::Precommit).find_map(
            |((view, _), it)| {
                let book = it.by_voter.get(&voter)?.first()?.body().book?;
                Some(Won { view: *view, book })
            },
        )
    }

    /// The latest book that a quorum prevoted: what a leader proposes again (L42).
    pub(super) fn valid(&self, quorum: usize) -> Option<Won> {
        self.latest(Stage::Prevote, quorum)
    }

    /// The book that a quorum precommitted in one view: the decision (L49).
    pub(super) fn decided(&self, quorum: usize) -> Option<Won> {
        self.latest(Stage::Precommit, quorum)
    }

    fn latest(&self, wanted: Stage, quorum: usize) -> Option<Won> {
        self.votes.keys().rev().filter(|(_, stage)| *stage == wanted).find_map(|(view, stage)| {
            let book = self.winner(*view, *stage, quorum)??;
            Some(Won { view: *view, book })
        })
    }

    /// The signed precommits for a decision, ascending by voter.
    pub(super) fn precommits(&self, won: Won) -> impl Iterator<Item = &Verified<Vote>> {
        self.votes
            .get(&(won.view, Stage::Precommit))
            .into_iter()
            .flat_map(|it| it.by_voter.values())
            .flatten()
            .filter(move |vote| vote.body().book == Some(won.book))
    }

    /// The voters heard in any stage, whom to ask for what we lack.
    pub(super) fn voters(&self) -> impl Iterator<Item = RosterIndex> {
        self.votes.values().flat_map(|it| it.by_voter.keys().copied())
    }
}
