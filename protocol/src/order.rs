//! An order: the whole net curve of one site for one interval, and the checks it must pass.
//! Not for: how a site arrives at its order (`market::strategy`), or what becomes of it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::Charter;
use crate::enrolment::Enrolment;
use crate::id::RosterIndex;
use crate::units::{Energy, Power, Price};

/// Most steps in one order (P8).
pub const STEPS_MAX: usize = 8;
/// Most channel partners one order may name (P8).
pub const PARTNERS_MAX: usize = 8;
/// Most preferences one order may name (P8).
pub const PREFERENCES_MAX: usize = 8;

/// Which side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Takes energy from the others.
    Buy,
    /// Gives energy to the others.
    Sell,
}

impl Side {
    /// The side of whoever trades with this one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        })
    }
}

/// What stands behind a step, so that others can prefer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What the site consumes.
    Load,
    /// Photovoltaics that can be turned down.
    Pv,
    /// Photovoltaics that cannot be turned down.
    PvMustRun,
    /// A battery, charging or discharging.
    Battery,
    /// A bitcoin miner.
    Miner,
    /// A generator.
    Generator,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Pv => "pv",
            Self::PvMustRun => "pv_must_run",
            Self::Battery => "battery",
            Self::Miner => "miner",
            Self::Generator => "generator",
        })
    }
}

/// One step of the curve: so much energy at this limit or better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Buy or sell.
    pub side: Side,
    /// What stands behind it.
    pub source: Source,
    /// How much, above zero.
    pub energy_mwh: Energy,
    /// The highest price to buy at, or the lowest to sell at.
    pub limit_msat_per_kwh: Price,
}

/// Whom or what an order would rather trade with. Changes nobody's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Preference {
    /// A participant.
    Partner(RosterIndex),
    /// Anybody's steps of this source.
    Source(Source),
}

/// The whole net curve of one site for one interval. The interval is in the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// One to [`STEPS_MAX`] steps; every buy limit is below every sell limit.
    pub steps: Vec<Step>,
    /// Roster members with whom a payment channel is open, at most [`PARTNERS_MAX`].
    pub channel_partners: Vec<RosterIndex>,
    /// Whom or what to trade with rather, first is best, at most [`PREFERENCES_MAX`].
    pub preferences: Vec<Preference>,
    /// What its author has sold ahead for the interval, beside the steps (P29).
    pub committed_sell_mwh: Energy,
    /// What its author has bought ahead for the interval, beside the steps (P29).
    pub committed_buy_mwh: Energy,
}

/// Why an order is not one (P8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRejected {
    /// No steps.
    #[error("the order has no steps")]
    Empty,
    /// Too many steps, partners or preferences.
    #[error("the order has more than {STEPS_MAX} steps, partners or preferences")]
    TooLong,
    /// A step without energy.
    #[error("a step has no energy")]
    NoEnergy,
    /// A limit outside the charter's band.
    #[error("a limit is outside the price band")]
    OutsideBand,
    /// It would trade with itself.
    #[error("a buy limit is not below every sell limit")]
    Crossed,
    /// More than the connection point is rated for.
    #[error("the order exceeds the rated power of its connection point")]
    AboveRating,
    /// A partner or preference is not in the roster, is the author, or is named twice.
    #[error("a partner or preference is unknown, named twice, or the author itself")]
    BadPartner,
}

impl Order {
    /// All steps of one side.
    pub fn side(&self, side: Side) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.side == side)
    }

    /// The energy of all steps of one side, held at the largest amount.
    #[must_use]
    pub fn energy(&self, side: Side) -> Energy {
        self.side(side).fold(Energy::ZERO, |sum, step| sum.saturating_add(step.energy_mwh))
    }

    /// What its author has traded ahead on one side.
    #[must_use]
    pub const fn committed(&self, side: Side) -> Energy {
        match side {
            Side::Buy => self.committed_buy_mwh,
            Side::Sell => self.committed_sell_mwh,
        }
    }

    /// Checks the order of the roster's member `author` against rule P8.
    ///
    /// # Errors
    ///
    /// The first rule it breaks.
    pub fn check(
        &self,
        charter: &Charter,
        author: (RosterIndex, &Enrolment),
        roster_len: usize,
    ) -> Result<(), OrderRejected> {
        let (author, enrolment) = author;
        if self.steps.is_empty() {
            return Err(OrderRejected::Empty);
        }
        if self.steps.len() > STEPS_MAX
            || self.channel_partners.len() > PARTNERS_MAX
            || self.preferences.len() > PREFERENCES_MAX
        {
            return Err(OrderRejected::TooLong);
        }
        if self.steps.iter().any(|step| step.energy_mwh.is_zero()) {
            return Err(OrderRejected::NoEnergy);
        }
        if self.steps.iter().any(|step| !charter.price.contains(step.limit_msat_per_kwh)) {
            return Err(OrderRejected::OutsideBand);
        }
        if self.is_crossed() {
            return Err(OrderRejected::Crossed);
        }
        self.check_rating(charter, enrolment)?;
        self.check_partners(author, roster_len)
    }

    fn is_crossed(&self) -> bool {
        let highest_buy = self.side(Side::Buy).map(|step| step.limit_msat_per_kwh).max();
        let lowest_sell = self.side(Side::Sell).map(|step| step.limit_msat_per_kwh).min();
        matches!((highest_buy, lowest_sell), (Some(buy), Some(sell)) if buy >= sell)
    }

    fn check_rating(&self, charter: &Charter, enrolment: &Enrolment) -> Result<(), OrderRejected> {
        let fits = |side, rated: Power| {
            rated
                .energy_over_floor(charter.interval.interval_ms)
                .is_ok_and(|most| self.energy(side).saturating_add(self.committed(side)) <= most)
        };
        if fits(Side::Buy, enrolment.rated_import_mw) && fits(Side::Sell, enrolment.rated_export_mw)
        {
            Ok(())
        } else {
            Err(OrderRejected::AboveRating)
        }
    }

    fn check_partners(&self, author: RosterIndex, roster_len: usize) -> Result<(), OrderRejected> {
        let known = |partner: RosterIndex| partner != author && partner.as_usize() < roster_len;
        let partners: BTreeSet<_> = self.channel_partners.iter().collect();
        let preferences: BTreeSet<_> = self.preferences.iter().collect();
        let all_known = partners.iter().all(|partner| known(**partner))
            && preferences.iter().all(|preference| match preference {
                Preference::Partner(partner) => known(*partner),
                Preference::Source(_) => true,
            });
        let none_twice = partners.len() == self.channel_partners.len()
            && preferences.len() == self.preferences.len();
        if all_known && none_twice { Ok(()) } else { Err(OrderRejected::BadPartner) }
    }
}

#[cfg(test)]
mod tests;
