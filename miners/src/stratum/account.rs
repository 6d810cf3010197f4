//! What one worker proved by accepted work, over all its connections, held against what its machine
//! says that it hashes.
//!
//! Shares come by chance: `n` of them are `n ± √n`. So over the last half an hour the two agree if
//! they differ by no more than four such deviations and a tenth, which warms up, restarts and refused
//! shares take. A machine that says more than it proves draws power for nothing, or says what is not.

use std::collections::VecDeque;

use boltgrid_protocol::units::Timestamp;

use super::Difficulty;
use crate::hash::HashRate;

/// What is kept of the past: so many parts …
const PARTS_MAX: usize = 30;
/// … of so long each, in ms.
const PART_MS: u64 = 60_000;
/// What chance is allowed, in standard deviations: once in 30 000 looks.
const DEVIATIONS: u128 = 4;
/// What else is allowed: one part of so many.
const ALLOWED_DIVISOR: u128 = 10;
/// A gap between two words of a machine that is not filled in, in ms.
const GAP_MS_MAX: u64 = 5_000;
/// Hashes a millisecond at one gigahash a second.
const HASHES_PER_GH_MS: u128 = 1_000_000;

/// Whether accepted work bears out what a machine says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// Too little was said or proved to tell.
    #[default]
    Open,
    /// It does.
    Agrees,
    /// It proves less than the machine says.
    Less,
    /// It proves more, so the machine says too little.
    More,
}

/// What one worker proved.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Shares that the pool took, and could be counted.
    pub accepted: u64,
    /// Shares that it took, and of which nobody knows what they stand for.
    pub uncounted: u64,
    /// Shares that it refused.
    pub refused: u64,
    /// The hashes that accepted shares stand for.
    pub hashes: u128,
    parts: VecDeque<Part>,
    said_at: Option<Timestamp>,
}

/// A part of the past.
#[derive(Clone, Copy, Debug)]
struct Part {
    began: Timestamp,
    said: u128,
    proved: u128,
    /// What the hardest share of it stands for.
    share: u128,
}

impl Account {
    /// The pool took a share.
    pub fn accepted(&mut self, now: Timestamp, difficulty: Difficulty) {
        let hashes = difficulty.hashes_floor();
        self.accepted = self.accepted.saturating_add(1);
        self.hashes = self.hashes.saturating_add(hashes);
        let part = self.part(now);
        part.proved = part.proved.saturating_add(hashes);
        part.share = part.share.max(hashes);
    }

    /// The pool refused a share.
    pub const fn refused(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// The pool took a share of which nobody knows what it stands for.
    pub const fn uncounted(&mut self) {
        self.uncounted = self.uncounted.saturating_add(1);
    }

    /// The machine says that it hashes so fast, and shares of its next jobs are so hard.
    pub fn said(&mut self, now: Timestamp, rate: HashRate, difficulty: Option<Difficulty>) {
        let since = self.said_at.replace(now);
        let ms = since.map_or(0, |since| now.ms_since(since));
        let ms = if ms > GAP_MS_MAX { 0 } else { ms };
        let hashes = u128::from(rate.to_gigahashes())
            .saturating_mul(HASHES_PER_GH_MS)
            .saturating_mul(u128::from(ms));
        let part = self.part(now);
        part.said = part.said.saturating_add(hashes);
        part.share = part.share.max(difficulty.map_or(0, Difficulty::hashes_floor));
    }

    /// Whether the one bears out the other.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let sum = |of: fn(&Part) -> u128| self.parts.iter().map(of).fold(0, u128::saturating_add);
        let (said, proved) = (sum(|part| part.said), sum(|part| part.proved));
        let share = self.parts.iter().map(|part| part.share).max().unwrap_or(0);
        let most = said.max(proved);
        // The deviation of a sum of shares is at most the root of the sum times that of a share.
        let deviation = most.isqrt().saturating_mul(share.isqrt());
        let allowed = deviation
            .saturating_mul(DEVIATIONS)
            .saturating_add(most.checked_div(ALLOWED_DIVISOR).unwrap_or(0));
        if share == 0 || allowed >= most {
            return Proof::Open;
        }
        match (proved.saturating_add(allowed) < said, said.saturating_add(allowed) < proved) {
            (true, _) => Proof::Less,
            (_, true) => Proof::More,
            (false, false) => Proof::Agrees,
        }
    }

    /// How fast it hashes by its accepted work over what is kept of the past, up to `now`; `None` where
    /// nothing is.
    #[must_use]
    pub fn proved(&self, now: Timestamp) -> Option<HashRate> {
        let began = self.parts.front()?.began;
        let proved = self.parts.iter().map(|part| part.proved).fold(0, u128::saturating_add);
        let per_gh = HASHES_PER_GH_MS.checked_mul(u128::from(now.ms_since(began)))?;
        let gigahashes = proved.checked_div(per_gh)?;
        u64::try_from(gigahashes).ok().map(HashRate::from_gigahashes)
    }

    /// The part of the past that `now` is in.
    fn part(&mut self, now: Timestamp) -> &mut Part {
        let is_new = self.parts.back().is_none_or(|part| now.ms_since(part.began) >= PART_MS);
        if is_new {
            if self.parts.len() >= PARTS_MAX {
                self.parts.pop_front();
            }
            self.parts.push_back(Part { began: now, said: 0, proved: 0, share: 0 });
        }
        self.parts.back_mut().expect("one was just pushed, if there was none")
    }
}
