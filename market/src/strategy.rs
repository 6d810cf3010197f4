//! The site's strategy: which order to place for an interval, and what to do once it is cleared.
//!
//! Pure functions of what the site knows. An order says how the site's net power should answer to
//! the price; dispatch turns the part of it that was traded into a battery set point and a PV
//! limit. In short:
//!
//! 1. [`History::forecast`]: load and PV of the interval, from the last samples and from
//!    yesterday's.
//! 2. [`Outlook`]: how cheap and how dear energy gets within a day; [`Battery`]: what a stored
//!    kilowatt-hour is worth between the two, and so what the battery bids and asks.
//! 3. `curve`: load, PV, battery and [`Flexible`] load as one net curve that cannot cross itself; [`order()`]: that
//!    curve within tariff, owner's limits and ratings.
//! 4. [`Throttle`]: whether the grid connection has room, and who gives way when it has none.
//! 5. [`dispatch()`]: the meter shows what was contracted, and the rest does least harm.
//!
//! Not for: buying from the supplier to sell later, reading devices, or deciding when any of this
//! is called.

mod battery;
mod connection;
mod curve;
mod dispatch;
mod flexible;
mod forecast;
mod generation;
mod limit;
mod order;
mod outlook;
mod steps;

use boltgrid_protocol::units::{Energy, Interval, Power, Price};

pub use battery::Battery;
pub use connection::Throttle;
pub use dispatch::{Contracted, Dispatch, dispatch};
pub use flexible::Flexible;
pub use forecast::{History, Sample};
pub use generation::Generation;
pub use order::{Relations, beside, order};
pub use outlook::Outlook;

/// What one site can do and what its owner wants; changes rarely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Most power the connection point may take, positive.
    pub rated_import: Power,
    /// Most power the connection point may give, as a positive amount.
    pub rated_export: Power,
    /// Whether PV can be turned down.
    pub pv: PvControl,
    /// The battery, if there is one.
    pub battery: Option<Battery>,
    /// What the owner accepts.
    pub limits: OwnerLimits,
}

/// Whether PV can be turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PvControl {
    /// It can, and turning it down costs nothing.
    Curtailable,
    /// It cannot: what it gives has to go somewhere.
    MustRun,
}

/// What the owner accepts, whatever the market says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Whether to trade at all; if not, the site still uses its own PV and battery.
    pub trade: bool,
    /// The highest price to buy at; the retail price bounds it anyway.
    pub buy_at_most: Option<Price>,
    /// The lowest price to sell at; the feed-in price bounds it anyway, but for must-run PV without
    /// room on the grid connection.
    pub sell_at_least: Option<Price>,
}

/// What the site expects of one interval of delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The interval.
    pub interval: Interval,
    /// Mean load without what is flexible, and mean potential PV.
    pub expected: Sample,
    /// What the battery holds when delivery starts; see [`Battery::projected`].
    pub stored: Energy,
    /// How cheap and how dear energy gets over the coming day.
    pub outlook: Outlook,
    /// The load that runs only where power is cheap enough.
    pub flexible: Vec<Flexible>,
    /// What a generator can give, if there is one that runs by then.
    pub generation: Option<Generation>,
}
