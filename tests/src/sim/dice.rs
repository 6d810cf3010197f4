//! Chance, from the seed and nothing else.
//!
//! Plans are drawn from one `ChaCha8` stream. What happens to one message on one link is a hash of the
//! seed and that message instead, so that leaving an incident out of a plan changes nothing elsewhere
//! and a failing plan can be shrunk. Not for: keys.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A million parts: chances are in parts per million.
pub(crate) const MILLION: u64 = 1_000_000;

/// A stream of draws.
#[derive(Clone, Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `bound`; zero where there is none.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether something of this chance happens.
    pub(crate) fn happens(&mut self, chance_ppm: u64) -> bool {
        self.below(MILLION) < chance_ppm
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        to_index(self.below(len as u64))
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }
}

/// A number that depends on these and on nothing else (splitmix64 over each).
pub(crate) fn lot(parts: [u64; 4]) -> u64 {
    parts.into_iter().fold(0, |seed, part| {
        let z = (seed ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A number below a length, as an index.
pub(crate) fn to_index(number: u64) -> usize {
    usize::try_from(number).expect("it is below a length")
}
