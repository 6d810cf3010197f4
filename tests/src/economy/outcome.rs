//! What a grid's months came to.

use std::collections::BTreeMap;

use boltgrid_market::channels::Deed;
use boltgrid_protocol::units::Msat;

/// One month of a whole grid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Month {
    /// What all trades of the clearings come to.
    pub cleared: Msat,
    /// Of it, what was not signed since the payer would have owed too much.
    pub lapsed: Msat,
    /// Trades signed.
    pub trades: u64,
    /// Trades not signed.
    pub trades_lapsed: u64,
    /// What became due.
    pub due: Msat,
    /// Of it, what was paid at once over the channel of the two, …
    pub direct: Msat,
    /// … at once over one other member, …
    pub over_one: Msat,
    /// … later, one way or the other …
    pub after_waiting: Msat,
    /// … and what waits at the end, of this month and earlier; …
    pub waiting: Msat,
    /// … of it, between members that are within two channels of each other.
    pub waiting_within: Msat,
    /// Payments, one a tranche.
    pub payments: u64,
    /// The longest that anything waited, in intervals.
    pub longest_wait: u64,
    /// What the chain took.
    pub fees: Msat,
    /// What was done on the chain, and how often.
    pub deeds: BTreeMap<Deed, u64>,
}

/// What all months came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Month by month.
    pub months: Vec<Month>,
    /// The most channels of a member, at the end.
    pub channels_max: usize,
    /// All channels, at the end.
    pub channels: usize,
    /// Pairs of members that are not within two channels of each other, at the end.
    pub pairs_beyond: usize,
    /// What is held in channels, at the end.
    pub locked: Msat,
    /// The most that anybody owed anybody at any time.
    pub owed_max: Msat,
    /// The largest part of its limit that anybody owed anybody at any time, in parts per million.
    pub limit_used_max_ppm: u64,
}

/// `part` of `whole` in parts per million, rounded down; nothing of nothing.
pub(super) fn ppm(part: Msat, whole: Msat) -> u64 {
    let ppm = u128::from(part.to_millisatoshi()) * 1_000_000;
    let ppm = ppm.checked_div(u128::from(whole.to_millisatoshi())).unwrap_or(0);
    u64::try_from(ppm).unwrap_or(u64::MAX)
}
