//! When a voter may sign which vote: P11, P15 and P21 written a second time, from the page alone.
//!
//! The model explores what these rules allow; the schedules hold the real market to them. They share
//! no code with `boltgrid_market`. Not for: when a voter must sign, which is about progress.

/// The two votes of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    Prevote,
    Precommit,
}

/// A vote for a book, or for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vote<B> {
    pub(crate) view: u32,
    pub(crate) stage: Stage,
    pub(crate) book: Option<B>,
}

/// A rule that is left out, to see that something goes wrong without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A fresh proposal is prevoted whatever the voter is locked on.
    LockIgnored,
    /// A proposal with a valid view is believed without the prevotes of that view.
    ValidViewUnchecked,
    /// A lock yields to prevotes of a view before it.
    LockYieldsToThePast,
    /// A voter goes back to a view, or a stage, that it has left.
    ViewsGoBack,
    /// The lock is a variable that a restart loses.
    LockForgotten,
    /// What was signed is not on disk, and a restart loses it.
    VotesForgotten,
}

/// The rules, or all but one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How many votes decide (P11).
    pub(crate) quorum: usize,
    pub(crate) broken: Option<Broken>,
}

/// `q = w − f` (P11).
pub(crate) const fn quorum(voters: usize) -> usize {
    voters - (voters - 1) / 3
}

/// What one voter has signed and what has come to its ears.
pub(crate) trait Voter<B> {
    /// Whether it signed anything in this stage of this view.
    fn has_signed(&self, view: u32, stage: Stage) -> bool;
    /// The latest book it precommitted, with the view.
    fn lock(&self) -> Option<(u32, B)>;
    /// Whether it heard the view's leader propose this.
    fn heard_proposed(&self, view: u32, book: B, valid_view: Option<u32>) -> bool;
    /// How many voters it heard prevote this book in this view, itself among them.
    fn heard_prevoted(&self, view: u32, book: B) -> usize;
}

impl Rules {
    /// Whether `voter` may sign `vote` now. `views` is how many an interval has.
    pub(crate) fn allow<B: Copy + Eq>(
        self,
        vote: Vote<B>,
        voter: &impl Voter<B>,
        views: u32,
    ) -> bool {
        if voter.has_signed(vote.view, vote.stage) || self.is_behind(vote, voter, views) {
            return false;
        }
        match (vote.book, vote.stage) {
            // Giving up needs no reason, so no clock can make it wrong.
            (None, _) => true,
            (Some(book), Stage::Prevote) => {
                self.allow_fresh(vote.view, book, voter)
                    || (0..vote.view).any(|valid| self.allow_again(vote.view, book, valid, voter))
            }
            (Some(book), Stage::Precommit) => self.is_quorum(voter, vote.view, book),
        }
    }

    fn is_behind<B>(self, vote: Vote<B>, voter: &impl Voter<B>, views: u32) -> bool {
        let later = |view, stage| (view, stage) > (vote.view, vote.stage);
        let stages = [Stage::Prevote, Stage::Precommit];
        let mut slots = (0..views).flat_map(|view| stages.map(|stage| (view, stage)));
        self.broken != Some(Broken::ViewsGoBack)
            && slots.any(|(view, stage)| later(view, stage) && voter.has_signed(view, stage))
    }

    fn is_quorum<B>(self, voter: &impl Voter<B>, view: u32, book: B) -> bool {
        voter.heard_prevoted(view, book) >= self.quorum
    }

    fn allow_fresh<B: Copy + Eq>(self, view: u32, book: B, voter: &impl Voter<B>) -> bool {
        let free = voter.lock().is_none_or(|(_, locked)| locked == book);
        voter.heard_proposed(view, book, None) && (free || self.broken == Some(Broken::LockIgnored))
    }

    fn allow_again<B: Copy + Eq>(
        self,
        view: u32,
        book: B,
        valid: u32,
        voter: &impl Voter<B>,
    ) -> bool {
        let yields =
            |locked_in| locked_in <= valid || self.broken == Some(Broken::LockYieldsToThePast);
        let free = voter.lock().is_none_or(|(since, locked)| locked == book || yields(since));
        let proven =
            self.is_quorum(voter, valid, book) || self.broken == Some(Broken::ValidViewUnchecked);
        voter.heard_proposed(view, book, Some(valid)) && free && proven
    }
}
