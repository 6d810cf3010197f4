//! All blocks that were ever made, and which of them are the chain.
//! Not for: what is in them.

use std::collections::BTreeMap;

use bitcoin::{Block, BlockHash, Network, constants};

/// Blocks whose median time counts.
const MEDIAN_BLOCKS: usize = 11;

/// A block and its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) block: Block,
    pub(super) height: u32,
}

/// All blocks. Those that are no part of the chain any more can still be asked for, since whoever
/// followed them must find the way back.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    blocks: BTreeMap<BlockHash, Placed>,
    /// The chain from the first block on.
    active: Vec<BlockHash>,
}

impl Tree {
    /// The first block alone.
    pub(super) fn new() -> Self {
        let mut tree = Self { blocks: BTreeMap::new(), active: Vec::new() };
        tree.push(constants::genesis_block(Network::Regtest));
        tree
    }

    pub(super) fn tip(&self) -> BlockHash {
        *self.active.last().expect("the first block stays")
    }

    pub(super) fn height(&self) -> u32 {
        u32::try_from(self.active.len() - 1).expect("fewer blocks than a header has nonces")
    }

    /// How many blocks were ever made.
    pub(super) fn made(&self) -> u64 {
        u64::try_from(self.blocks.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(usize::try_from(height).ok()?).copied()
    }

    pub(super) fn get(&self, hash: &BlockHash) -> Option<&Placed> {
        self.blocks.get(hash)
    }

    pub(super) fn is_active(&self, placed: &Placed) -> bool {
        self.hash_at(placed.height) == Some(placed.block.block_hash())
    }

    /// The median time of the eleven blocks up to a height of the chain.
    pub(super) fn time_past(&self, height: u32) -> u32 {
        let end = usize::try_from(height).unwrap_or(usize::MAX).saturating_add(1);
        let end = end.min(self.active.len());
        let blocks = self.active.iter().take(end).skip(end.saturating_sub(MEDIAN_BLOCKS));
        let mut times: Vec<u32> =
            blocks.filter_map(|hash| Some(self.get(hash)?.block.header.time)).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }

    /// The median time of the block with this hash, which may be no part of the chain any more.
    pub(super) fn time_past_of(&self, hash: &BlockHash) -> u32 {
        let mut times = Vec::new();
        let mut next = self.get(hash);
        while let Some(placed) = next.filter(|_| times.len() < MEDIAN_BLOCKS) {
            times.push(placed.block.header.time);
            next = self.get(&placed.block.header.prev_blockhash);
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }

    /// Puts a block on the tip.
    pub(super) fn push(&mut self, block: Block) {
        let hash = block.block_hash();
        self.active.push(hash);
        let height = self.height();
        self.blocks.insert(hash, Placed { block, height });
    }

    /// Takes the tip off the chain, unless it is the first block.
    pub(super) fn pop(&mut self) -> Option<Block> {
        if self.active.len() < 2 {
            return None;
        }
        let hash = self.active.pop()?;
        self.get(&hash).map(|placed| placed.block.clone())
    }
}
