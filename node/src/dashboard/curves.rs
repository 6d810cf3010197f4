//! The supply and demand curves of one interval as a picture, in whole pixels.
//!
//! Not for: clearing, which the market does.

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Order, Side};

use super::format::Format;

/// The picture's size and margins in pixels.
const WIDTH: i64 = 760;
const HEIGHT: i64 = 360;
const LEFT: i64 = 64;
const RIGHT: i64 = 16;
const TOP: i64 = 16;
const BOTTOM: i64 = 40;
/// Lines across the picture, and along it.
const MARKS: i64 = 4;

/// One order's step, on its side's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stair {
    limit: i64,
    energy_mwh: i64,
    is_mine: bool,
}

/// What is drawn.
#[derive(Debug, Default)]
pub(super) struct Curves {
    pub(super) supply: String,
    pub(super) demand: String,
    /// Our own steps.
    pub(super) mine: String,
    /// Where the interval cleared; none where nothing matched.
    pub(super) cleared: Option<(i64, i64)>,
    /// Lines across, with their prices.
    pub(super) prices: Vec<(i64, String)>,
    /// Marks along, with their energies.
    pub(super) energies: Vec<(i64, String)>,
}

impl Curves {
    pub(super) const WIDTH: i64 = WIDTH;
    pub(super) const HEIGHT: i64 = HEIGHT;
    pub(super) const LEFT: i64 = LEFT;
    pub(super) const END: i64 = WIDTH - RIGHT;
    pub(super) const FOOT: i64 = HEIGHT - BOTTOM;

    /// The curves of a book; `cleared` are its volume in mWh and its price in msat per kWh.
    pub(super) fn new(
        orders: &[(RosterIndex, Order)],
        me: Option<RosterIndex>,
        cleared: Option<(i64, i64)>,
        format: Format,
    ) -> Option<Self> {
        let mut supply = stairs(orders, me, Side::Sell);
        let mut demand = stairs(orders, me, Side::Buy);
        supply.sort_by_key(|it| (it.limit, it.is_mine));
        demand.sort_by_key(|it| (it.limit.saturating_neg(), it.is_mine));
        let all = || supply.iter().chain(&demand).map(|it| it.limit);
        let low = all().chain(cleared.map(|it| it.1)).min()?.min(0);
        let high = all().chain(cleared.map(|it| it.1)).max()?.max(low.saturating_add(1_000));
        let total = |stairs: &[Stair]| {
            stairs.iter().fold(0_i64, |sum, it| sum.saturating_add(it.energy_mwh))
        };
        let scale = Scale { low, high, most: total(&supply).max(total(&demand)).max(1) };
        let mut mine = String::new();
        let supply = scale.path(&supply, &mut mine);
        let demand = scale.path(&demand, &mut mine);
        let part = |from: i64, to: i64, mark: i64| {
            from.saturating_add(to.saturating_sub(from) / MARKS * mark)
        };
        let prices = (0..=MARKS).map(|mark| part(low, high, mark));
        let energies = (0..=MARKS).map(|mark| part(0, scale.most, mark));
        Some(Self {
            supply,
            demand,
            mine,
            cleared: cleared.map(|(energy, price)| (scale.x(energy), scale.y(price))),
            prices: prices.map(|it| (scale.y(it), format.price(it).number)).collect(),
            energies: energies.map(|it| (scale.x(it), format.energy(it).to_string())).collect(),
        })
    }
}

fn stairs(orders: &[(RosterIndex, Order)], me: Option<RosterIndex>, side: Side) -> Vec<Stair> {
    let steps =
        orders.iter().flat_map(|(whose, order)| order.steps.iter().map(move |it| (whose, it)));
    let steps = steps.filter(|(_, step)| step.side == side);
    let stair = |(whose, step): (&RosterIndex, &boltgrid_protocol::order::Step)| Stair {
        limit: step.limit_msat_per_kwh.to_msat_per_kwh(),
        energy_mwh: i64::try_from(step.energy_mwh.to_milliwatt_hours()).unwrap_or(i64::MAX),
        is_mine: Some(*whose) == me,
    };
    steps.map(stair).collect()
}

/// From prices and energies to pixels.
#[derive(Clone, Copy, Debug)]
struct Scale {
    low: i64,
    high: i64,
    most: i64,
}

impl Scale {
    fn x(self, energy: i64) -> i64 {
        LEFT.saturating_add(share(energy, self.most, WIDTH - LEFT - RIGHT))
    }

    fn y(self, price: i64) -> i64 {
        let above = price.saturating_sub(self.low);
        let range = self.high.saturating_sub(self.low);
        (HEIGHT - BOTTOM).saturating_sub(share(above, range, HEIGHT - TOP - BOTTOM))
    }

    /// The line of a curve; own steps are added to `mine`.
    fn path(self, stairs: &[Stair], mine: &mut String) -> String {
        let (mut path, mut energy) = (String::new(), 0_i64);
        for stair in stairs {
            let (from, y) = (self.x(energy), self.y(stair.limit));
            energy = energy.saturating_add(stair.energy_mwh);
            let to = self.x(energy);
            path.push_str(&if path.is_empty() {
                format!("M{from} {y}H{to}")
            } else {
                format!("V{y}H{to}")
            });
            if stair.is_mine {
                mine.push_str(&format!("M{from} {y}H{to}"));
            }
        }
        path
    }
}

/// `part / whole` of so many pixels.
fn share(part: i64, whole: i64, pixels: i64) -> i64 {
    let exact = i128::from(part) * i128::from(pixels) / i128::from(whole.max(1));
    i64::try_from(exact).unwrap_or(pixels)
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::order::{Source, Step};
    use boltgrid_protocol::units::{Energy, Price};

    use super::*;
    use crate::dashboard::words::Language;

    fn order(side: Side, steps: &[(u64, i64)]) -> Order {
        let step = |(wh, sat): &(u64, i64)| Step {
            side,
            source: Source::Load,
            energy_mwh: Energy::from_milliwatt_hours(wh * 1_000),
            limit_msat_per_kwh: Price::from_msat_per_kwh(sat * 1_000),
        };
        Order { steps: steps.iter().map(step).collect(), ..Order::default() }
    }

    fn curves(orders: &[(RosterIndex, Order)], cleared: Option<(i64, i64)>) -> Option<Curves> {
        Curves::new(orders, Some(RosterIndex::new(1)), cleared, Format(Language::English, None))
    }

    #[test]
    fn supply_rises_demand_falls_and_both_reach_the_price_where_they_cross() {
        let orders = [
            (RosterIndex::new(0), order(Side::Sell, &[(300, 40), (100, 10)])),
            (RosterIndex::new(1), order(Side::Buy, &[(100, 50), (100, 20)])),
        ];
        let drawn = curves(&orders, Some((100_000, 30_000))).unwrap();
        let ys = |path: &str| -> Vec<i64> {
            let verticals = path.split(['M', 'V']).skip(1);
            let numbers = verticals.map(|it| it.split('H').next().unwrap());
            numbers.map(|it| it.split(' ').next_back().unwrap().parse().unwrap()).collect()
        };
        let (supply, demand) = (ys(&drawn.supply), ys(&drawn.demand));
        assert!(supply.is_sorted_by(|one, next| one > next), "{supply:?} goes up the picture");
        assert!(demand.is_sorted_by(|one, next| one < next), "{demand:?} goes down");
        let (x, y) = drawn.cleared.unwrap();
        assert!(x == LEFT + (WIDTH - LEFT - RIGHT) / 4 && y > demand[0] && y < demand[1]);
        assert_eq!(drawn.mine.matches('M').count(), 2, "the buyer is us");
    }

    #[test]
    fn an_empty_book_has_no_picture_and_extremes_stay_inside() {
        assert!(curves(&[], None).is_none());
        let most = [(RosterIndex::new(0), order(Side::Sell, &[(1, 1)]))];
        let drawn = curves(&most, None).unwrap();
        assert!(drawn.energies.iter().all(|(x, _)| (LEFT..=WIDTH).contains(x)));
        assert!(drawn.prices.iter().all(|(y, _)| (0..=HEIGHT).contains(y)));
    }
}
