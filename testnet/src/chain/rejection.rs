//! Why a transaction or a block is not taken, in the words and with the codes of bitcoind.
//! Not for: finding out.

/// The output it spends is not there, or the caller's own limit forbids it.
const CODE_ERROR: i32 = -25;
/// It breaks a rule.
const CODE_REJECTED: i32 = -26;
/// It is in a block already.
const CODE_IN_CHAIN: i32 = -27;

/// Why a transaction is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It spends nothing.
    #[error("bad-txns-vin-empty")]
    NoInputs,
    /// It pays nobody.
    #[error("bad-txns-vout-empty")]
    NoOutputs,
    /// It does not fit into any block.
    #[error("bad-txns-oversize")]
    Oversize,
    /// Its outputs come to more than there can ever be.
    #[error("bad-txns-vout-toolarge")]
    TooMuch,
    /// It spends one output twice.
    #[error("bad-txns-inputs-duplicate")]
    InputTwice,
    /// It spends what only a coinbase may.
    #[error("bad-txns-prevout-null")]
    NullInput,
    /// It is a coinbase outside a block.
    #[error("coinbase")]
    Coinbase,
    /// Its version is not relayed.
    #[error("version")]
    Version,
    /// It is heavier than what is relayed.
    #[error("tx-size")]
    TooHeavy,
    /// It is as small as an inner node of a Merkle tree.
    #[error("tx-size-small")]
    TooSmall,
    /// An output's script is of no known kind.
    #[error("scriptpubkey")]
    UnknownScript,
    /// An output is worth less than spending it costs.
    #[error("dust")]
    Dust,
    /// Its lock time has not come.
    #[error("non-final")]
    NotFinal,
    /// The relative lock time of an input has not come (BIP 68).
    #[error("non-BIP68-final")]
    NotFinalBySequence,
    /// An output it spends does not exist, or not any more.
    #[error("bad-txns-inputs-missingorspent")]
    MissingInputs,
    /// It spends a coinbase too early.
    #[error("bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth {depth}")]
    PrematureCoinbase {
        /// How deep the coinbase is.
        depth: u32,
    },
    /// It pays more than it spends.
    #[error("bad-txns-in-belowout")]
    CreatesMoney,
    /// It pays less than what is relayed.
    #[error("min relay fee not met, {fee_sat} < {required_sat}")]
    FeeTooLow {
        /// What it pays.
        fee_sat: u64,
        /// What it would have to.
        required_sat: u64,
    },
    /// It pays so much that it must be a mistake.
    #[error("Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")]
    FeeTooHigh,
    /// Too many transactions that are not in a block hang on one another.
    #[error("too-long-mempool-chain")]
    ChainTooLong,
    /// There is no space.
    #[error("mempool full")]
    MempoolFull,
    /// It pays too little to take the place of what it conflicts with.
    #[error("insufficient fee, rejecting replacement")]
    ReplacementFee,
    /// It would throw too many out.
    #[error("too many potential replacements")]
    TooManyReplaced,
    /// It spends an output of what it would throw out.
    #[error("bad-txns-spends-conflicting-tx")]
    SpendsConflict,
    /// The script of an input says no.
    #[error("mandatory-script-verify-flag-failed, input {input}")]
    Script {
        /// Which, from 0.
        input: usize,
    },
    /// It is in a block already.
    #[error("Transaction outputs already in utxo set")]
    InChain,
}

impl Rejection {
    /// What bitcoind answers `sendrawtransaction` with.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::MissingInputs | Self::FeeTooHigh => CODE_ERROR,
            Self::InChain => CODE_IN_CHAIN,
            Self::NoInputs
            | Self::NoOutputs
            | Self::Oversize
            | Self::TooMuch
            | Self::InputTwice
            | Self::NullInput
            | Self::Coinbase
            | Self::Version
            | Self::TooHeavy
            | Self::TooSmall
            | Self::UnknownScript
            | Self::Dust
            | Self::NotFinal
            | Self::NotFinalBySequence
            | Self::PrematureCoinbase { .. }
            | Self::CreatesMoney
            | Self::FeeTooLow { .. }
            | Self::ChainTooLong
            | Self::MempoolFull
            | Self::ReplacementFee
            | Self::TooManyReplaced
            | Self::SpendsConflict
            | Self::Script { .. } => CODE_REJECTED,
        }
    }
}

/// Why a block does not fit onto the tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockRejection {
    /// It stands on another block.
    #[error("the block does not stand on the tip")]
    NotOnTip,
    /// Its hash is above the target, or the target is another one.
    #[error("high-hash")]
    Work,
    /// Its time is not after the median of the blocks before.
    #[error("time-too-old")]
    TooOld,
    /// It is too heavy.
    #[error("bad-blk-weight")]
    TooHeavy,
    /// Its header does not name its transactions.
    #[error("bad-txnmrklroot")]
    MerkleRoot,
    /// Its coinbase does not name its witnesses.
    #[error("bad-witness-merkle-match")]
    WitnessRoot,
    /// It has no coinbase, more than one, or one of another height.
    #[error("bad-cb")]
    Coinbase,
    /// Its coinbase takes more than the subsidy and the fees.
    #[error("bad-cb-amount")]
    Subsidy,
    /// One of its transactions breaks a rule.
    #[error("{0}")]
    Transaction(#[from] Rejection),
}
