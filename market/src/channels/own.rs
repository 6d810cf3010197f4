//! What the policy knows of this node: its channels, its coins, and the limits that its owner sets.

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{Msat, SignedMsat};

use super::{Flows, Graph};

/// Names a channel for as long as it exists; the wallet makes it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u128);

/// What can be done with a channel now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// Its opening, or a splice, is not confirmed.
    Pending,
    /// It pays.
    Usable,
    /// The partner is not there.
    Away,
    /// It is being closed.
    Closing,
}

/// One of our own channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnChannel {
    /// Which.
    pub id: ChannelId,
    /// With whom; `None` if the partner is no member any more.
    pub partner: Option<RosterIndex>,
    /// What both sides hold in it together.
    pub capacity: Msat,
    /// What we can pay over it now, reserves and fees left out.
    pub spendable: Msat,
    /// What we can be paid over it now.
    pub receivable: Msat,
    /// What left our side of it a day on balance, lately; came in, where negative. `None` where that
    /// was not watched for long enough.
    pub drained_a_day: Option<SignedMsat>,
    /// How long nothing has gone over it, in milliseconds.
    pub idle_ms: u64,
    /// What can be done with it.
    pub state: ChannelState,
}

/// What the owner allows. All nodes work out the graph with their own limits, so graphs are the same
/// where owners leave them as they are, and nearly the same where they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most channels at a time, those that others opened included.
    pub channels_max: usize,
    /// What stays on the chain for each channel, so that it can be closed alone when fees are high.
    pub anchor_reserve: Msat,
    /// The smallest channel.
    pub capacity_min: Msat,
    /// The largest channel.
    pub capacity_max: Msat,
    /// How many days of payments a channel is filled with.
    pub fill_days: u64,
    /// A channel is refilled when it lasts for fewer days than this.
    pub refill_days: u64,
    /// Within how many days a channel must have paid for itself.
    pub horizon_days: u64,
    /// After how many days without a payment a channel is closed.
    pub idle_days: u64,
    /// Most of all that a member pays and is paid within the horizon that may go into its channels, in
    /// parts per million; half of a channel counts for each side.
    pub fee_share_max_ppm: u32,
    /// Most of what a single channel brings within reach that may go into it, in parts per million.
    pub channel_share_max_ppm: u32,
    /// Whether channels can be spliced.
    pub splices: bool,
}

impl Default for Limits {
    fn default() -> Self {
        const fn sat(sat: u64) -> Msat {
            Msat::from_satoshi_saturating(sat)
        }
        Self {
            channels_max: 5,
            anchor_reserve: sat(25_000),
            capacity_min: sat(50_000),
            capacity_max: sat(1_000_000),
            fill_days: 60,
            refill_days: 3,
            horizon_days: 365,
            idle_days: 60,
            fee_share_max_ppm: 30_000,
            channel_share_max_ppm: 250_000,
            splices: true,
        }
    }
}

/// All that a plan depends on.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// This node's place in the roster.
    pub me: RosterIndex,
    /// The members whose Lightning node is known, with this one, in the order of the roster.
    pub members: &'a [RosterIndex],
    /// Who has a channel with whom, as the orders of the last day tell.
    pub graph: &'a Graph,
    /// The expected payments.
    pub flows: &'a Flows,
    /// Our own channels.
    pub channels: &'a [OwnChannel],
    /// Our coins on the chain that are confirmed, reserves included.
    pub onchain: Msat,
    /// What a transaction has to pay now, in satoshis per virtual byte.
    pub sat_per_vb: u64,
    /// What the owner allows.
    pub limits: &'a Limits,
}
