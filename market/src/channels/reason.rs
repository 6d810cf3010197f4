//! Why the policy does something, or does not: in words and numbers, for people.

use std::fmt;

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::Msat;

/// Why a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A channel brings trade within reach.
    Reach {
        /// How much, a day.
        gain: Msat,
        /// The least it would have to be.
        least: Msat,
        /// What leaves our side on balance, a day.
        net_out: Msat,
    },
    /// A channel is about to run dry.
    Drains {
        /// What it still pays.
        spendable: Msat,
        /// What leaves it on balance, a day.
        net_out: Msat,
    },
    /// Nothing goes over a channel, and nothing is expected to.
    Idle {
        /// For how many days.
        days: u64,
    },
    /// The partner is no member any more.
    Left,
}

/// Why something that is wanted is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The other side opens the channel.
    ForOpener {
        /// Who.
        partner: RosterIndex,
        /// What it brings within reach, a day.
        gain: Msat,
    },
    /// There is not enough on the chain to open a channel.
    ForCoins {
        /// With whom.
        partner: RosterIndex,
        /// What it takes, fee and reserve included.
        needed: Msat,
        /// What there is beyond the reserves.
        there: Msat,
    },
    /// There are as many channels as the owner allows, those being closed included.
    ForRoom {
        /// With whom.
        partner: RosterIndex,
        /// How many that is.
        most: usize,
    },
    /// There is not enough on the chain to refill a channel.
    ToRefill {
        /// With whom.
        partner: RosterIndex,
        /// What it takes, fee included.
        needed: Msat,
        /// What there is beyond the reserves.
        there: Msat,
    },
    /// A channel runs dry, but refilling it costs more than may go into fees within the horizon.
    NotWorthRefilling {
        /// With whom.
        partner: RosterIndex,
        /// What it would cost.
        fee: Msat,
        /// What would leave it within the horizon.
        carried: Msat,
    },
    /// A channel runs dry, and may not grow.
    AtLargest {
        /// With whom.
        partner: RosterIndex,
        /// How large it is.
        capacity: Msat,
    },
    /// No channel and nobody in between joins us with a member with whom we trade.
    Beyond {
        /// Who.
        partner: RosterIndex,
        /// What we are expected to pay each other a day.
        a_day: Msat,
        /// What a channel would have to bring within reach to be worth its fees.
        least: Msat,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reach { gain, least, net_out } => write!(
                f,
                "brings {} a day of trade within reach, {} would be worth the fees; \
                 we pay {} a day more over it than we are paid",
                sat(*gain),
                sat(*least),
                sat(*net_out)
            ),
            Self::Drains { spendable, net_out } => write!(
                f,
                "{} are left to pay with and {} a day leave on balance",
                sat(*spendable),
                sat(*net_out)
            ),
            Self::Idle { days } => {
                write!(f, "nothing went over it for {days} days and nothing is expected to")
            }
            Self::Left => f.write_str("the partner is no member any more"),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForOpener { partner, gain } => write!(
                f,
                "a channel with member {partner} brings {} a day within reach; it pays more over it, \
                 so it opens",
                sat(*gain)
            ),
            Self::ForCoins { partner, needed, there } => write!(
                f,
                "a channel with member {partner} takes {} with fee and reserve; there are {} on the \
                 chain beyond the reserves",
                sat(*needed),
                sat(*there)
            ),
            Self::ForRoom { partner, most } => {
                write!(f, "a channel with member {partner} is one more than the {most} allowed")
            }
            Self::ToRefill { partner, needed, there } => write!(
                f,
                "to refill the channel with member {partner} takes {} with the fee; there are {} on \
                 the chain beyond the reserves",
                sat(*needed),
                sat(*there)
            ),
            Self::Beyond { partner, a_day, least } => write!(
                f,
                "with member {partner} some {} a day are traded, and no channel is planned by which either \
                 reaches the other: one is opened where {} a day come within reach by it, and both may \
                 have one more; what is owed waits, is a default once its time is over, and no more is \
                 signed than may be owed",
                sat(*a_day),
                sat(*least)
            ),
            Self::AtLargest { partner, capacity } => write!(
                f,
                "the channel with member {partner} runs dry and may not grow beyond its {}; it fills \
                 again when that member pays",
                sat(*capacity)
            ),
            Self::NotWorthRefilling { partner, fee, carried } => write!(
                f,
                "the channel with member {partner} runs dry, but refilling it costs {} for {} of \
                 payments",
                sat(*fee),
                sat(*carried)
            ),
        }
    }
}

/// Whole satoshis, rounded down: for people, not for arithmetic.
fn sat(amount: Msat) -> String {
    format!("{} sat", amount.to_millisatoshi().div_euclid(1_000))
}
