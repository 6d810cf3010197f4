//! Builds a block: coinbase, commitment to the witnesses, and the little work that regtest wants.
//!
//! The subsidy is 50 bitcoin for ever, since a chain that halves every 150 blocks would run dry
//! within a day of use; whoever only follows headers and scripts cannot tell.
//! Not for: which transactions.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction,
    TxIn, TxMerkleNode, TxOut, Witness, transaction,
};

/// What a block makes.
pub(super) const SUBSIDY: Amount = Amount::from_int_btc(50);
/// The target of every block of regtest: every other hash is below.
const BITS_OF_REGTEST: u32 = 0x207f_ffff;
/// BIP 9's top bits with none set.
const VERSION: i32 = 0x2000_0000;
/// What opens the output that commits to the witnesses (BIP 141): `OP_RETURN`, a push of 36 bytes …
const COMMITMENT_HEAD: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
/// The coinbase's own witness.
const RESERVED: [u8; 32] = [0; 32];

/// The target of every block.
pub(super) fn bits() -> CompactTarget {
    CompactTarget::from_consensus(BITS_OF_REGTEST)
}

/// What every coinbase begins with (BIP 34).
pub(super) fn height_script(height: u32) -> ScriptBuf {
    Builder::new().push_int(i64::from(height)).into_script()
}

/// What a block is built of.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) previous: BlockHash,
    pub(super) height: u32,
    pub(super) time_s: u32,
    /// Makes it differ from all others, even of the same second on the same block.
    pub(super) extra: u64,
    pub(super) fees: Amount,
    pub(super) transactions: Vec<Transaction>,
}

impl Template {
    /// A block that pays subsidy and fees to `script`.
    pub(super) fn build(self, script: &bitcoin::Script) -> Block {
        let coinbase = self.coinbase(script);
        let header = Header {
            version: Version::from_consensus(VERSION),
            prev_blockhash: self.previous,
            merkle_root: TxMerkleNode::all_zeros(),
            time: self.time_s,
            bits: bits(),
            nonce: 0,
        };
        let mut txdata = vec![coinbase];
        txdata.extend(self.transactions);
        let mut block = Block { header, txdata };
        let root = block.witness_root().expect("a block has a coinbase");
        let commitment = Block::compute_witness_commitment(&root, &RESERVED);
        let mut bytes = COMMITMENT_HEAD.to_vec();
        bytes.extend(commitment.to_byte_array());
        let output = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(bytes) };
        block.txdata[0].output.push(output);
        block.header.merkle_root = block.compute_merkle_root().expect("a block has a coinbase");
        let target = Target::from_compact(bits());
        while !target.is_met_by(block.block_hash()) {
            block.header.nonce = block.header.nonce.wrapping_add(1);
        }
        block
    }

    fn coinbase(&self, script: &bitcoin::Script) -> Transaction {
        let extra = PushBytesBuf::from(self.extra.to_le_bytes());
        let mut script_sig = height_script(self.height);
        script_sig.push_slice(extra);
        let value = SUBSIDY.checked_add(self.fees).expect("fees are coins");
        Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig,
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[RESERVED]),
            }],
            output: vec![TxOut { value, script_pubkey: script.to_owned() }],
        }
    }
}
