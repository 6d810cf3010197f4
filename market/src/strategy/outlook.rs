//! How cheap and how dear energy gets over the coming day: what a battery compares now with.

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::units::{Price, Timestamp};

/// How often the tariff of the coming day is looked at: every quarter of an hour of its clock.
const LOOKS_PER_DAY: u64 = 96;
/// One in so many of a day's intervals must have had a price before those prices are trusted.
const TRUSTED_ONE_IN: u64 = 2;
/// The cheap price is undercut one time in so many, and the dear one exceeded.
const TAIL_ONE_IN: usize = 10;

/// The price at which energy can be had within a day, and the one it can be sold or saved at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// When energy is cheap.
    pub low: Price,
    /// When energy is dear.
    pub high: Price,
}

impl Outlook {
    /// The outlook of the day from `from`, with the clearing prices of the last day, in any order.
    ///
    /// The tariff bounds it: nobody has to sell below the lowest feed-in price of the day or to buy
    /// above its highest retail price. Once there are prices of at least half a day, each bound
    /// moves halfway to where a tenth of them lie beyond. Only halfway: a battery that asked for no
    /// more than it saw yesterday, when prices were set by batteries, would see a little less every
    /// day.
    #[must_use]
    pub fn new(charter: &Charter, from: Timestamp, last_day: &[Price]) -> Self {
        let tariff = Self::of_tariff(charter, from);
        match Self::of_prices(charter, last_day) {
            Some(seen) => Self {
                low: tariff.low.midpoint_floor(seen.low),
                high: tariff.high.midpoint_floor(seen.high),
            },
            None => tariff,
        }
    }

    fn of_tariff(charter: &Charter, from: Timestamp) -> Self {
        let look_ms = charter.tariff.clock.day_ms().div_euclid(LOOKS_PER_DAY);
        let looks: Vec<_> = (0..LOOKS_PER_DAY)
            .map(|look| charter.tariff.at(from.plus_ms(look_ms.saturating_mul(look))))
            .collect();
        Self {
            low: looks.iter().map(|look| look.feed_in_msat_per_kwh).min().unwrap_or_default(),
            high: looks.iter().map(|look| look.retail_msat_per_kwh).max().unwrap_or_default(),
        }
    }

    fn of_prices(charter: &Charter, last_day: &[Price]) -> Option<Self> {
        let day_intervals =
            charter.tariff.clock.day_ms().checked_div(charter.interval.interval_ms)?;
        let seen = u64::try_from(last_day.len()).ok()?;
        if seen.saturating_mul(TRUSTED_ONE_IN) < day_intervals {
            return None;
        }
        let mut prices = last_day.to_vec();
        prices.sort_unstable();
        let tail = prices.len().div_euclid(TAIL_ONE_IN);
        Some(Self { low: *prices.get(tail)?, high: *prices.iter().rev().nth(tail)? })
    }
}
