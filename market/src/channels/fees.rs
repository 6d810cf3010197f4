//! What the chain takes for opening, closing and splicing a channel, by the size of the transaction.
//! Not for: what fee rate to pay.

use boltgrid_protocol::units::Msat;

/// Something that is done with a channel on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Open it.
    Open,
    /// Close it, both agreeing.
    CloseTogether,
    /// Close it alone, and sweep what is ours.
    CloseAlone,
    /// Put more into it.
    SpliceIn,
}

impl Deed {
    /// The size of its transactions, in virtual bytes, rounded up.
    ///
    /// Parts, in vB: 10.5 for version, counts, marker and lock time; 68 for an input of the wallet
    /// (P2WPKH, BIP 141 with a 72-byte signature); 43 for a channel's output (P2WSH, BOLT 3); 31 for
    /// an output to a wallet (P2WPKH); 96.5 for an input that spends a channel (BOLT 3: 222 units of
    /// witness).
    #[must_use]
    pub const fn vbytes(self) -> u64 {
        match self {
            // 10.5 + 68 + 43 + 31 for the change.
            Self::Open => 153,
            // 10.5 + 96.5 + 31 + 31.
            Self::CloseTogether => 169,
            // A commitment with anchors is 1124 units (BOLT 3, appendix A), its anchor's child with
            // an input of the wallet about 154 vB, and the sweep of what was delayed about 121 vB.
            Self::CloseAlone => 281 + 154 + 121,
            // 10.5 + 96.5 + 68 + 43 + 31 for the change.
            Self::SpliceIn => 249,
        }
    }
}

/// What a deed costs at a fee rate, in satoshis per virtual byte.
#[must_use]
pub const fn fee(deed: Deed, sat_per_vb: u64) -> Msat {
    Msat::from_satoshi_saturating(deed.vbytes().saturating_mul(sat_per_vb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_at_ten_satoshis_a_byte_costs_what_a_household_trades_in_days() {
        assert_eq!(fee(Deed::Open, 10).to_millisatoshi(), 1_530_000);
        assert_eq!(fee(Deed::Open, u64::MAX), Msat::MAX, "held at all the money there is");
    }
}
