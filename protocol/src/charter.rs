//! The charter: the constitution of one grid, from TOML to a canonical hash that is the grid's id.
//!
//! Every parameter is checked for its range and against the others; an error says which one and why.
//! Not for: what one participant chooses for itself (that is the node's configuration).

mod disclosure;
mod payment;
mod tariff;
#[cfg(test)]
mod tests;
mod timing;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::enrolment::Enrolment;
use crate::id::{GridId, ParticipantId};
use crate::units::{MILLION, Msat, Power, Price};

pub use disclosure::Disclosure;
pub use payment::{PaymentTerms, TRANCHE_MAX_MWH, TRANCHE_MIN_MWH};
pub use tariff::{Tariff, TariffClock, TariffPeriod, TariffPrices};
pub use timing::{Schedule, Timing};

/// Longest name of a grid, a feeder or a connection point, in bytes.
pub const NAME_MAX: usize = 64;
/// Most registrars.
pub const REGISTRARS_MAX: usize = 32;
/// Most feeders.
pub const FEEDERS_MAX: usize = 256;
/// Longest epoch of a roster: eleven days of one-second intervals.
const EPOCH_MAX_INTERVALS: u64 = 1_000_000;
/// Longest bar: nine years of five-minute intervals.
const BAR_MAX_INTERVALS: u64 = 1_000_000;
/// Most members a roster may have; above that, a region is several grids.
pub const MEMBERS_MAX: u32 = 1000;
/// The widest price band: a million satoshi per kWh either way.
const PRICE_ABS_MAX_MSAT_PER_KWH: u64 = 1_000_000_000;
/// What one member can order in one interval at most: a gigawatt for an hour.
const ORDER_MAX_MWH: u64 = 1_000_000_000_000;
/// The largest grid connection: a terawatt in mW, far inside 64-bit arithmetic.
const CAPACITY_MAX_W: u64 = 1_000_000_000_000;

// All that all members contract for in one interval, at the highest price, is less than there are
// bitcoin, so sums of money over a clearing cannot overflow.
const _: () = assert!(
    (ORDER_MAX_MWH as u128 * PRICE_ABS_MAX_MSAT_PER_KWH as u128 / MILLION as u128)
        * (MEMBERS_MAX as u128)
        <= Msat::MAX.to_millisatoshi() as u128
);

/// The constitution of one grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// The grid's name, for people; 1 to [`NAME_MAX`] bytes.
    pub name: String,
    /// Interval and phase lengths.
    pub interval: Timing,
    /// The prices an order may name.
    pub price: PriceBand,
    /// What the grid connection and the lines can do.
    pub connection: Connection,
    /// How members are admitted, and for how long they are barred.
    pub membership: Membership,
    /// What everyone falls back to.
    pub tariff: Tariff,
    /// How members pay each other; the default where a file has no such table, so that older files
    /// can be read. The grid's id is of the values, wherever they come from.
    #[serde(default)]
    pub settlement: PaymentTerms,
    /// Groups of connection points behind one line, for what is measured there.
    #[serde(default, rename = "feeder")]
    pub feeders: Vec<Feeder>,
    /// Who sees the members' readings. Open is left out where it is written or hashed, so that the ids
    /// of charters from before there was a choice are what they were.
    #[serde(default, skip_serializing_if = "Disclosure::is_open")]
    pub readings: Disclosure,
}

/// The prices an order may name, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceBand {
    /// The lowest price; may be negative.
    pub floor_msat_per_kwh: Price,
    /// The highest price.
    pub ceiling_msat_per_kwh: Price,
}

impl PriceBand {
    /// Whether `price` is inside the band.
    #[must_use]
    pub fn contains(&self, price: Price) -> bool {
        self.floor_msat_per_kwh <= price && price <= self.ceiling_msat_per_kwh
    }
}

/// What the grid connection and the lines can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Most power into the grid across its connection, in W.
    pub import_capacity_w: u64,
    /// Most power out of the grid across its connection, in W.
    pub export_capacity_w: u64,
    /// Line losses between members, off the seller's metered export.
    pub loss_ppm: u32,
}

impl Connection {
    /// [`Self::import_capacity_w`] as a power.
    #[must_use]
    pub fn import_capacity(&self) -> Power {
        watts(self.import_capacity_w)
    }

    /// [`Self::export_capacity_w`] as a power (a magnitude, not negative).
    #[must_use]
    pub fn export_capacity(&self) -> Power {
        watts(self.export_capacity_w)
    }
}

fn watts(watts: u64) -> Power {
    // A checked charter is at most CAPACITY_MAX_W, which fits.
    i64::try_from(watts).ok().and_then(|watts| Power::from_watts(watts).ok()).unwrap_or_default()
}

/// How members are admitted, and for how long they are barred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The keys that may sign enrolments, sorted, each once.
    #[serde(with = "registrars_hex")]
    pub registrars: Vec<ParticipantId>,
    /// How many of them an enrolment needs.
    pub registrar_threshold: u32,
    /// The roster changes only at multiples of this many intervals (about a day).
    pub roster_epoch_intervals: u64,
    /// How many intervals proven misbehaviour keeps its author out of the book.
    pub bar_intervals: u64,
}

/// Connection points behind one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feeder {
    /// The feeder's name.
    pub name: String,
    /// The names of its connection points.
    pub connection_points: Vec<String>,
}

impl Feeder {
    /// Whether a member's site is behind this line; one outside the grid connection is behind none.
    #[must_use]
    pub fn feeds(&self, site: &Enrolment) -> bool {
        !site.outside && self.connection_points.contains(&site.connection_point)
    }
}

/// Why a charter is not one.
#[derive(Debug, thiserror::Error)]
pub enum CharterRejected {
    /// Not the TOML of a charter.
    #[error("the charter is not valid TOML of a charter: {0}")]
    Syntax(#[from] Box<toml::de::Error>),
    /// A parameter out of its range, or at odds with another.
    #[error("charter parameter `{parameter}` {problem}")]
    Parameter {
        /// The dotted name of the parameter.
        parameter: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

/// Whether `text` can be the name of something: 1 to [`NAME_MAX`] bytes that a terminal shows as
/// they are.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn require_name(text: &str, parameter: &'static str) -> Result<(), CharterRejected> {
    require(is_name(text), parameter, || {
        format!("must have 1 to {NAME_MAX} bytes and no control characters, is {text:?}")
    })
}

/// Rejects `parameter` unless `holds`.
pub(crate) fn require(
    holds: bool,
    parameter: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<(), CharterRejected> {
    if holds { Ok(()) } else { Err(CharterRejected::Parameter { parameter, problem: problem() }) }
}

impl Charter {
    /// Reads and checks a charter.
    ///
    /// # Errors
    ///
    /// [`CharterRejected`], naming the parameter.
    pub fn from_toml(text: &str) -> Result<Self, CharterRejected> {
        let mut charter: Self = toml::from_str(text).map_err(Box::new)?;
        charter.membership.registrars.sort_unstable();
        charter.check()?;
        Ok(charter)
    }

    /// The grid's id: the hash of the canonical encoding (P2). Spacing, comments and the order of
    /// keys in the TOML file do not change it.
    #[must_use]
    pub fn grid_id(&self) -> GridId {
        GridId::from_bytes(blake3::derive_key("boltgrid 1 charter", &codec::canonical(self)))
    }

    /// Checks every parameter for its range and against the others (P1).
    ///
    /// # Errors
    ///
    /// The first parameter that is wrong, and why.
    pub fn check(&self) -> Result<(), CharterRejected> {
        require_name(&self.name, "name")?;
        self.interval.check()?;
        self.check_price()?;
        self.check_connection()?;
        self.check_membership()?;
        self.tariff.check(&self.price)?;
        self.settlement.check()?;
        self.check_feeders()
    }

    /// The feeder that a connection point is the beginning of, where its meter stands (P39): the one of
    /// that name, unless a site is connected there.
    #[must_use]
    pub fn feeder_metered_at(&self, connection_point: &str) -> Option<&Feeder> {
        let is_site =
            |feeder: &Feeder| feeder.connection_points.iter().any(|it| it == connection_point);
        let named = self.feeders.iter().find(|feeder| feeder.name == connection_point);
        named.filter(|_| !self.feeders.iter().any(is_site))
    }

    fn check_price(&self) -> Result<(), CharterRejected> {
        let PriceBand { floor_msat_per_kwh: floor, ceiling_msat_per_kwh: ceiling } = self.price;
        for (parameter, price) in
            [("price.floor_msat_per_kwh", floor), ("price.ceiling_msat_per_kwh", ceiling)]
        {
            require(
                price.to_msat_per_kwh().unsigned_abs() <= PRICE_ABS_MAX_MSAT_PER_KWH,
                parameter,
                || format!("must be within ±{PRICE_ABS_MAX_MSAT_PER_KWH}"),
            )?;
        }
        require(floor < ceiling, "price.floor_msat_per_kwh", || {
            format!("must be below price.ceiling_msat_per_kwh ({ceiling}), is {floor}")
        })
    }

    fn check_connection(&self) -> Result<(), CharterRejected> {
        for (parameter, capacity_w) in [
            ("connection.import_capacity_w", self.connection.import_capacity_w),
            ("connection.export_capacity_w", self.connection.export_capacity_w),
        ] {
            require(capacity_w <= CAPACITY_MAX_W, parameter, || {
                format!("must be at most {CAPACITY_MAX_W}, is {capacity_w}")
            })?;
        }
        require(self.connection.loss_ppm < 500_000, "connection.loss_ppm", || {
            format!("must be below 500000 (half is lost), is {}", self.connection.loss_ppm)
        })
    }

    fn check_membership(&self) -> Result<(), CharterRejected> {
        let members = &self.membership;
        let count = members.registrars.len();
        require((1..=REGISTRARS_MAX).contains(&count), "membership.registrars", || {
            format!("must name 1 to {REGISTRARS_MAX} keys, names {count}")
        })?;
        require(members.registrars.is_sorted_by(|a, b| a < b), "membership.registrars", || {
            "names a key twice".to_owned()
        })?;
        let threshold = members.registrar_threshold;
        require(
            threshold >= 1 && usize::try_from(threshold).is_ok_and(|threshold| threshold <= count),
            "membership.registrar_threshold",
            || format!("must be 1 to {count} (the number of registrars), is {threshold}"),
        )?;
        for (parameter, intervals, range) in [
            (
                "membership.roster_epoch_intervals",
                members.roster_epoch_intervals,
                1..=EPOCH_MAX_INTERVALS,
            ),
            ("membership.bar_intervals", members.bar_intervals, 0..=BAR_MAX_INTERVALS),
        ] {
            require(range.contains(&intervals), parameter, || {
                format!("must be {} to {}, is {intervals}", range.start(), range.end())
            })?;
        }
        Ok(())
    }

    fn check_feeders(&self) -> Result<(), CharterRejected> {
        require(self.feeders.len() <= FEEDERS_MAX, "feeder", || {
            format!("must be at most {FEEDERS_MAX}, are {}", self.feeders.len())
        })?;
        let mut names = BTreeSet::new();
        let mut points = BTreeSet::new();
        for Feeder { name, connection_points } in &self.feeders {
            require_name(name, "feeder.name")?;
            require(names.insert(name), "feeder.name", || format!("is {name:?} twice"))?;
            for point in connection_points {
                require_name(point, "feeder.connection_points")?;
                require(points.insert(point), "feeder.connection_points", || {
                    format!("names {point:?} twice")
                })?;
            }
        }
        Ok(())
    }
}

/// Registrar keys as hexadecimal text in TOML and as bytes on the wire.
mod registrars_hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::id::ParticipantId;

    pub(super) fn serialize<S: Serializer>(
        keys: &[ParticipantId],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            keys.iter().map(ToString::to_string).collect::<Vec<_>>().serialize(serializer)
        } else {
            keys.serialize(serializer)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ParticipantId>, D::Error> {
        if deserializer.is_human_readable() {
            let texts = Vec::<String>::deserialize(deserializer)?;
            texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
        } else {
            Vec::deserialize(deserializer)
        }
    }
}
