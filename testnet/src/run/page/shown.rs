//! What the testnet's page shows, as plain data, and the picture of an interval's trades.
//!
//! Not for: gathering it ([`crate::run::course`]), or serving it.

use boltgrid_protocol::units::Interval;
use serde_json::{Value, json};

use crate::run::table::thousandths;

/// Intervals of the price's curve, the latest.
pub const PRICES_MAX: usize = 2_000;
/// Things done to the grid that are shown, the latest.
pub const EVENTS_MAX: usize = 12;
/// The width of the picture of trades, …
const WIDTH: u64 = 800;
/// … how far from its edges the bands begin, …
const EDGE: u64 = 150;
/// … how much of its height all energy takes, …
const ENERGY_HEIGHT: u64 = 260;
/// … and how far two sites are apart.
const GAP: u64 = 26;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The grid's name; empty before there is one.
    pub grid: String,
    /// What is under way.
    pub phase: String,
    /// The nodes, in the order of the sites.
    pub nodes: Vec<NodeShown>,
    /// What goes wrong now.
    pub faults: Vec<String>,
    /// What was done to the grid, the latest first.
    pub events: Vec<String>,
    /// Price and volume of each interval, at most [`PRICES_MAX`].
    pub prices: Vec<PriceShown>,
    /// The last interval that was looked at.
    pub last: Option<LastShown>,
    /// How many intervals were decided.
    pub decided: u32,
    /// How many things were seen that must not be.
    pub violations: u32,
    /// Whether anything is paid at all.
    pub pays: bool,
}

/// One node.
#[derive(Clone, Debug, Default)]
pub struct NodeShown {
    /// Its site's name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Net power, taken positive; none before it was measured.
    pub power_mw: Option<i64>,
    /// What its PV gives.
    pub pv_mw: Option<i64>,
    /// What its own channels hold; none without payments.
    pub channels_sat: Option<u64>,
    /// What it was paid less what it paid, since it started.
    pub earned_msat: i64,
    /// Where its dashboard is, and the token that opens it; none for a rogue, which has none.
    pub dashboard: Option<(String, String)>,
}

/// How a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has not found the others yet.
    #[default]
    Starting,
    /// All is well.
    Trading,
    /// It signs nothing new for now.
    Abstaining,
    /// It stands still.
    Paused,
    /// It was killed.
    Killed,
    /// Something keeps it from trading like the others.
    Hindered,
    /// It is played by a rogue.
    Rogue,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Trading => "trading",
            Self::Abstaining => "abstains",
            Self::Paused => "paused",
            Self::Killed => "killed",
            Self::Hindered => "hindered",
            Self::Rogue => "rogue",
        }
    }

    /// Whether it is as it should be.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Trading)
    }
}

/// An interval's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceShown {
    /// Seconds since 1970 on the clock that is shown.
    pub at_unix_s: u64,
    /// None where nothing matched.
    pub price_msat_per_kwh: Option<i64>,
    /// What was matched.
    pub volume_mwh: u64,
}

/// The last interval that was looked at.
#[derive(Clone, Debug)]
pub struct LastShown {
    /// Which one.
    pub interval: Interval,
    /// Its time in the profiles.
    pub local_time: String,
    /// Its price; none where nothing matched.
    pub price_msat_per_kwh: Option<i64>,
    /// Its trades.
    pub trades: Vec<TradeShown>,
}

/// A trade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TradeShown {
    /// The seller's site.
    pub seller: String,
    /// The buyer's.
    pub buyer: String,
    /// How much.
    pub energy_mwh: u64,
    /// Whether both signed it.
    pub is_confirmed: bool,
    /// What is due; none before both metered it.
    pub due_msat: Option<u64>,
    /// What of it is paid.
    pub paid_msat: u64,
}

impl TradeShown {
    /// How far it has come: `paid`, `due`, or `signed`; `unsigned` counts for nothing.
    #[must_use]
    pub const fn stage(&self) -> &'static str {
        match self.due_msat {
            _ if !self.is_confirmed => "unsigned",
            Some(due) if due > 0 && self.paid_msat >= due => "paid",
            Some(due) if due > 0 => "due",
            Some(_) | None => "signed",
        }
    }
}

impl NodeShown {
    /// Its power with a unit.
    #[must_use]
    pub fn power(&self) -> String {
        self.power_mw.map_or_else(|| "–".to_owned(), kilowatts)
    }

    /// What its PV gives, with a unit.
    #[must_use]
    pub fn pv(&self) -> String {
        self.pv_mw.map_or_else(|| "–".to_owned(), kilowatts)
    }

    /// What it was paid less what it paid, with a unit.
    #[must_use]
    pub fn earned(&self) -> String {
        format!("{} sat", thousandths(self.earned_msat, 3))
    }
}

fn kilowatts(mw: i64) -> String {
    format!("{} kW", thousandths(mw / 1_000, 2))
}

impl LastShown {
    /// The price with its unit.
    #[must_use]
    pub fn price(&self) -> String {
        let price = self.price_msat_per_kwh.map(|price| thousandths(price, 1));
        price.map_or_else(|| "nothing matched".to_owned(), |price| format!("{price} sat/kWh"))
    }

    /// The picture of its trades: sellers left, buyers right, bands as wide as energy.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let sum: u64 = self.trades.iter().map(|it| it.energy_mwh).fold(0, u64::saturating_add);
        let (mut sellers, mut buyers) = (Side::default(), Side::default());
        let mut bands = Vec::new();
        // The height of so much energy; at least what can be seen.
        let height = |mwh: u64| {
            let height = u128::from(mwh) * u128::from(ENERGY_HEIGHT) / u128::from(sum.max(1));
            u64::try_from(height).unwrap_or(ENERGY_HEIGHT).max(2)
        };
        let heights: Vec<u64> = self.trades.iter().map(|it| height(it.energy_mwh)).collect();
        for (trade, height) in self.trades.iter().zip(&heights) {
            sellers.add(&trade.seller, *height);
            buyers.add(&trade.buyer, *height);
        }
        sellers.place();
        buyers.place();
        let (left, right, middle) = (EDGE, WIDTH - EDGE, WIDTH / 2);
        for (trade, height) in self.trades.iter().zip(heights) {
            let (from, to) =
                (sellers.next(&trade.seller, height), buyers.next(&trade.buyer, height));
            let path = format!("M{left} {from}C{middle} {from} {middle} {to} {right} {to}");
            let watt_hours = thousandths(i64::try_from(trade.energy_mwh).unwrap_or(i64::MAX), 1);
            let sat = thousandths(i64::try_from(trade.paid_msat).unwrap_or(i64::MAX), 3);
            let title = format!(
                "{} → {}: {watt_hours} Wh, {sat} sat paid ({})",
                trade.seller,
                trade.buyer,
                trade.stage()
            );
            bands.push(Band { path, width: height, stage: trade.stage(), title });
        }
        let height = sellers.end.max(buyers.end).max(GAP);
        Picture { height, sellers: sellers.labels(), buyers: buyers.labels(), bands }
    }
}

/// The picture of an interval's trades.
#[derive(Clone, Debug)]
pub struct Picture {
    /// In the picture's own units.
    pub height: u64,
    /// Names on the left, and how high each is.
    pub sellers: Vec<(String, u64)>,
    /// Names on the right.
    pub buyers: Vec<(String, u64)>,
    /// The trades.
    pub bands: Vec<Band>,
}

/// A trade in the picture.
#[derive(Clone, Debug)]
pub struct Band {
    /// Its middle line.
    pub path: String,
    /// How wide it is.
    pub width: u64,
    /// How far the trade has come.
    pub stage: &'static str,
    /// All of it in words.
    pub title: String,
}

/// The sites of one side, each with the heights of its trades below one another.
#[derive(Debug, Default)]
struct Side {
    sites: Vec<Site>,
    end: u64,
}

#[derive(Debug)]
struct Site {
    name: String,
    height: u64,
    top: u64,
    used: u64,
}

impl Side {
    fn add(&mut self, name: &str, height: u64) {
        if let Some(site) = self.sites.iter_mut().find(|site| site.name == name) {
            site.height += height;
        } else {
            self.sites.push(Site { name: name.to_owned(), height, top: 0, used: 0 });
        }
    }

    fn place(&mut self) {
        let mut top = GAP / 2;
        for site in &mut self.sites {
            site.top = top;
            top += site.height + GAP;
        }
        self.end = top;
    }

    /// The middle of the next band at a site.
    fn next(&mut self, name: &str, height: u64) -> u64 {
        let Some(site) = self.sites.iter_mut().find(|site| site.name == name) else { return 0 };
        let middle = site.top + site.used + height / 2;
        site.used += height;
        middle
    }

    fn labels(&self) -> Vec<(String, u64)> {
        // Text stands on its line, a little below the middle.
        let label = |site: &Site| (site.name.clone(), site.top + site.height / 2 + 5);
        self.sites.iter().map(label).collect()
    }
}

impl Shown {
    /// The price's curve, as the script of the dashboards takes it.
    #[must_use]
    pub fn chart(&self) -> Value {
        let column = |of: fn(&PriceShown) -> Value| self.prices.iter().map(of).collect::<Vec<_>>();
        // A chart needs no more than thousandths, which are exact as text and read as numbers.
        let decimal =
            |it: String| it.parse::<serde_json::Number>().map_or(Value::Null, Value::Number);
        let prices: Vec<Value> = self
            .prices
            .iter()
            .map(|it| it.price_msat_per_kwh.map_or(Value::Null, |it| decimal(thousandths(it, 3))))
            .collect();
        let volumes: Vec<Value> = self
            .prices
            .iter()
            .map(|it| {
                let wh = i64::try_from(it.volume_mwh / 1_000).unwrap_or(i64::MAX);
                decimal(thousandths(wh, 3))
            })
            .collect();
        json!({
            "time": "Time",
            "labels": ["Price", "Traded"],
            "units": ["sat/kWh", "kWh"],
            "colours": ["--bad", "--neighbours"],
            "styles": ["line", "bars"],
            "scales": ["y", "volume"],
            "columns": [column(|it| json!(it.at_unix_s)), prices, volumes],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(seller: &str, buyer: &str, energy_mwh: u64) -> TradeShown {
        TradeShown {
            seller: seller.to_owned(),
            buyer: buyer.to_owned(),
            energy_mwh,
            is_confirmed: true,
            ..TradeShown::default()
        }
    }

    fn last(trades: Vec<TradeShown>) -> LastShown {
        LastShown {
            interval: Interval::from_number(1),
            local_time: String::new(),
            price_msat_per_kwh: None,
            trades,
        }
    }

    #[test]
    fn bands_are_as_wide_as_energy_and_do_not_overlap_at_a_site() {
        let picture =
            last(vec![trade("a", "b", 3_000), trade("a", "c", 1_000), trade("d", "c", 0)])
                .picture();
        let widths: Vec<u64> = picture.bands.iter().map(|band| band.width).collect();
        assert_eq!(widths, [ENERGY_HEIGHT * 3 / 4, ENERGY_HEIGHT / 4, 2]);
        let start =
            |band: &Band| -> u64 { band.path.split([' ', 'C']).nth(1).unwrap().parse().unwrap() };
        let (first, second) = (start(&picture.bands[0]), start(&picture.bands[1]));
        assert_eq!(second - first, widths[0].div_ceil(2) + widths[1] / 2);
        assert_eq!(picture.sellers.len(), 2);
        assert!(picture.height >= ENERGY_HEIGHT);
        assert_eq!(last(Vec::new()).picture().bands.len(), 0);
    }

    #[test]
    fn a_trade_is_paid_once_all_that_is_due_is() {
        let mut it = trade("a", "b", 1);
        assert_eq!(it.stage(), "signed");
        it.due_msat = Some(100);
        it.paid_msat = 99;
        assert_eq!(it.stage(), "due");
        it.paid_msat = 100;
        assert_eq!(it.stage(), "paid");
        it.is_confirmed = false;
        assert_eq!(it.stage(), "unsigned");
    }

    #[test]
    fn the_curve_has_a_gap_where_nothing_matched() {
        let at = |at_unix_s, price_msat_per_kwh| PriceShown {
            at_unix_s,
            price_msat_per_kwh,
            volume_mwh: 1_500_000,
        };
        let shown = Shown { prices: vec![at(1, Some(-52_345)), at(2, None)], ..Shown::default() };
        let chart = shown.chart();
        assert_eq!(chart["columns"][1].to_string(), "[-52.345,null]");
        assert_eq!(chart["columns"][2].to_string(), "[1.5,1.5]");
    }
}
