//! What hashing earns: from the chain's difficulty, subsidy and fees, and how long that is believed.
//!
//! Pure: whoever asks a chain source hands over what it said.
//! Not for: asking one (the node does), or what it makes of a kilowatt-hour ([`crate::break_even`]).

use std::collections::BTreeMap;

use boltgrid_protocol::units::Timestamp;

use crate::hash::Hashprice;

/// Blocks whose fees are averaged: about a day.
pub const BLOCKS: usize = 144;
/// How long a hashprice is believed after it was last found: a day, within which difficulty and fees
/// rarely move by more than a tenth.
pub const BELIEVED_MS: u64 = 86_400_000;

/// Blocks between two halvings.
const HALVING_BLOCKS: u64 = 210_000;
/// The first subsidy, in satoshi.
const FIRST_SUBSIDY_SAT: u64 = 5_000_000_000;
/// Hashes that a terahash a second makes in a day.
const HASHES_PER_TH_DAY: u128 = 86_400_000_000_000_000;
/// The bits of a compact target's mantissa, but for its sign, which no target has.
const MANTISSA: u32 = 0x007f_ffff;

/// What a block pays for its hashes, as a chain source said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// Its target in the header's compact form.
    pub bits: u32,
    /// All fees of its transactions, in satoshi; `None` where the source cannot say.
    pub fees_sat: Option<u64>,
}

/// What a block at `height` creates, in satoshi.
#[must_use]
pub fn subsidy_sat(height: u64) -> u64 {
    let halvings = height.div_euclid(HALVING_BLOCKS);
    u32::try_from(halvings).ok().and_then(|it| FIRST_SUBSIDY_SAT.checked_shr(it)).unwrap_or(0)
}

/// How many hashes a block with these bits takes on average: 2²⁵⁶ / target, rounded down. `None` for
/// bits of no target, or for more hashes than 128 bits count.
///
/// Difficulty D is 2³² · D of them, but for one part in 65 536: <https://en.bitcoin.it/wiki/Difficulty>.
#[must_use]
pub fn hashes_of(bits: u32) -> Option<u128> {
    let mantissa = u128::from(bits & MANTISSA);
    if mantissa == 0 || bits & !MANTISSA & 0x00ff_ffff != 0 {
        return None;
    }
    // target = mantissa · 256^(exponent − 3)
    let exponent = bits.checked_shr(24)?;
    let below_256 = 256_u32.checked_sub(exponent.checked_sub(3)?.checked_mul(8)?)?;
    1_u128.checked_shl(below_256)?.checked_div(mantissa)
}

/// The latest blocks that a chain source told of.
///
/// Invariant: at most [`BLOCKS`], and none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    blocks: BTreeMap<u64, Block>,
    /// When the source last said what its tip is.
    seen_at: Option<Timestamp>,
}

impl Chain {
    /// Notes a block; one of the same height is replaced, as after a reorganisation.
    pub fn note(&mut self, block: Block) {
        self.blocks.insert(block.height, block);
        while self.blocks.len() > BLOCKS {
            self.blocks.pop_first();
        }
    }

    /// Notes that `tip` is the highest block at `now`: what was above it is gone.
    pub fn tip(&mut self, now: Timestamp, tip: u64) {
        drop(self.blocks.split_off(&tip.saturating_add(1)));
        self.seen_at = Some(now);
    }

    /// The heights up to `tip` that are yet to be asked for, latest first.
    pub fn missing(&self, tip: u64) -> impl Iterator<Item = u64> {
        let span = u64::try_from(BLOCKS).unwrap_or(0);
        let oldest = tip.saturating_sub(span.saturating_sub(1));
        (oldest..=tip).rev().filter(|height| !self.blocks.contains_key(height))
    }

    /// The hashprice by the latest block's difficulty and subsidy and the mean fees of those that say
    /// theirs, rounded down. `None` without a block, or with none that is believed at `now`.
    ///
    /// h = 86 400 · 10¹² / (hashes of a block) · (subsidy + fees).
    #[must_use]
    pub fn hashprice(&self, now: Timestamp) -> Option<Hashprice> {
        if now.ms_since(self.seen_at?) > BELIEVED_MS {
            return None;
        }
        let (height, latest) = self.blocks.last_key_value()?;
        let fees = self.blocks.values().filter_map(|block| block.fees_sat);
        let (sum, count) = fees.fold((0_u128, 0_u128), |(sum, count), fees| {
            (sum.saturating_add(u128::from(fees)), count.saturating_add(1))
        });
        // In msat, so that the mean is not cut to whole satoshi.
        let fees_msat = sum.saturating_mul(1_000).checked_div(count).unwrap_or(0);
        let subsidy_msat = u128::from(subsidy_sat(*height)).saturating_mul(1_000);
        let reward_msat = subsidy_msat.saturating_add(fees_msat);
        let earned = reward_msat.checked_mul(HASHES_PER_TH_DAY)?;
        let found = earned.checked_div(hashes_of(latest.bits)?)?;
        Some(Hashprice::from_msat_per_th_day(u64::try_from(found).unwrap_or(u64::MAX)))
    }

    /// How many blocks' fees are known.
    #[must_use]
    pub fn blocks_with_fees(&self) -> usize {
        self.blocks.values().filter(|block| block.fees_sat.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    fn chain(blocks: impl IntoIterator<Item = (u64, u32, Option<u64>)>) -> Chain {
        let mut chain = Chain::default();
        for (height, bits, fees_sat) in blocks {
            chain.note(Block { height, bits, fees_sat });
            chain.tip(NOW, height);
        }
        chain
    }

    #[test]
    fn the_subsidy_halves_every_210_000_blocks() {
        let subsidies = [0, 209_999, 210_000, 840_000, 6_929_999, 6_930_000, u64::MAX];
        let expected = [5_000_000_000, 5_000_000_000, 2_500_000_000, 312_500_000, 1, 0, 0];
        assert_eq!(subsidies.map(subsidy_sat), expected);
    }

    #[test]
    fn bits_are_read_as_the_header_says_them() {
        // The genesis block's, of difficulty 1: 2^32 · 65536/65535 hashes.
        assert_eq!(hashes_of(0x1d00_ffff), Some(4_295_032_833));
        assert_eq!(hashes_of(0x207f_ffff), Some(2), "a regtest block");
        assert_eq!([0, 0x1d80_0001, 0x0200_ffff].map(hashes_of), [None; 3]);
    }

    #[test]
    fn a_known_block_gives_the_hashprice_that_its_difficulty_does() {
        // Block 840 000, the fourth halving: bits 0x17034219, a difficulty of 86.388558 T. By the usual
        // formula 86400e12 / (86.388558e12 · 2^32) · 312 500 000 sat = 72.7692 sat, which takes a block
        // for one part in 65 536 easier than it is.
        let found = chain([(840_000, 0x1703_4219, None)]).hashprice(NOW).unwrap();
        assert_eq!(found.to_msat_per_th_day(), 72_768);
    }

    #[test]
    fn fees_are_the_mean_of_the_blocks_that_say_theirs() {
        let bits = 0x1703_4219;
        let base = chain([(840_002, bits, None)]).hashprice(NOW).unwrap().to_msat_per_th_day();
        let blocks =
            [(840_000, bits, Some(312_500_000)), (840_001, bits, Some(0)), (840_002, bits, None)];
        let found = chain(blocks).hashprice(NOW).unwrap().to_msat_per_th_day();
        assert_eq!(found, base + base / 2, "half a subsidy more");
    }

    #[test]
    fn what_was_found_too_long_ago_is_not_believed() {
        let chain = chain([(840_000, 0x1703_4219, None)]);
        assert!(chain.hashprice(NOW.plus_ms(BELIEVED_MS)).is_some());
        assert_eq!(chain.hashprice(NOW.plus_ms(BELIEVED_MS + 1)), None);
        assert_eq!(Chain::default().hashprice(NOW), None);
    }

    #[test]
    fn only_a_days_blocks_are_kept_and_only_those_of_the_chain() {
        let bits = 0x1703_4219;
        let mut chain = chain((0..200).map(|height| (height, bits, Some(height))));
        assert_eq!(chain.blocks_with_fees(), BLOCKS);
        assert_eq!(chain.missing(199).count(), 0);
        assert_eq!(chain.missing(201).collect::<Vec<_>>(), [201, 200]);
        chain.tip(NOW, 190);
        assert_eq!(chain.blocks_with_fees(), BLOCKS - 9, "what was reorganised away");
    }
}
