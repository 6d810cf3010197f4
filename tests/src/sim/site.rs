//! What each site orders and what its meter shows: a simple truth that depends on seed, site and
//! interval only. Not for: strategy; any order inside the rules will do here.

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Order, Preference, Side, Source, Step};
use boltgrid_protocol::units::{Energy, Interval, Price};

use super::dice::{MILLION, lot};
use super::plan::INTERVAL_MS;

/// One site in so many skips an interval.
const SKIPS_ONE_IN: u64 = 20;
/// One order in so many is placed late in the window rather than at once.
const HESITATES_ONE_IN: u64 = 3;
/// How long a site hesitates at most: to the last moment of the window.
const HESITATES_MAX_MS: u64 = 2_000;

/// A site.
#[derive(Clone, Debug)]
pub(super) struct Site {
    seed: u64,
    node: u64,
    /// Registers at the start of each interval from `since` on: import and export.
    edges: Vec<(u64, u64)>,
    since: Interval,
}

impl Site {
    pub(super) fn new(seed: u64, node: usize, since: Interval) -> Self {
        Self { seed, node: node as u64, edges: vec![(0, 0)], since }
    }

    fn lot(&self, interval: Interval, what: u64) -> u64 {
        lot([self.seed, self.node, interval.to_number(), what])
    }

    /// What the site wants in an interval; `None` if nothing. `members` is for its preferences.
    pub(super) fn order(&self, interval: Interval, me: u32, members: u32) -> Option<Order> {
        if self.lot(interval, 0).is_multiple_of(SKIPS_ONE_IN) {
            return None;
        }
        let count = 1 + self.lot(interval, 1) % 3;
        let kind = self.lot(interval, 2) % 5;
        let steps = (0..count).map(|number| self.step(interval, number, kind)).collect();
        let other = RosterIndex::new(
            u32::try_from(self.lot(interval, 3) % u64::from(members.max(1))).unwrap_or(0),
        );
        let likes = other.get() != me && self.lot(interval, 4).is_multiple_of(3);
        Some(Order {
            steps,
            channel_partners: if likes { vec![other] } else { Vec::new() },
            preferences: if likes { vec![Preference::Source(Source::Pv)] } else { Vec::new() },
            ..Order::default()
        })
    }

    /// Two sites in five sell, two buy, one does both.
    fn step(&self, interval: Interval, number: u64, kind: u64) -> Step {
        let draw = self.lot(interval, 10 + number);
        let sells = match kind {
            0 | 1 => true,
            2 | 3 => false,
            _ => number.is_multiple_of(2),
        };
        // Sells from −100 to 150, buys from there to 350, in thousands: no curve crosses itself.
        let (side, source, lowest, spread) = if kind > 3 && !sells {
            (Side::Buy, Source::Battery, -190_000, 80_000)
        } else if sells {
            (Side::Sell, Source::Pv, -100_000, 250_000)
        } else {
            (Side::Buy, Source::Load, 0, 350_000)
        };
        let limit = lowest + i64::try_from(draw % spread).expect("it is below the spread");
        Step {
            side,
            source,
            energy_mwh: Energy::from_milliwatt_hours(1 + (draw >> 32) % 60_000),
            limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
        }
    }

    /// How long after the window opens the site says what it wants.
    pub(super) fn hesitates_ms(&self, interval: Interval) -> u64 {
        let draw = self.lot(interval, 5);
        if draw.is_multiple_of(HESITATES_ONE_IN) { (draw >> 8) % HESITATES_MAX_MS } else { 0 }
    }

    /// Import and export registers at true time `now_ms`, in mWh.
    pub(super) fn registers(&mut self, now_ms: u64) -> (u64, u64) {
        let interval = Interval::from_number(now_ms / INTERVAL_MS).max(self.since);
        let number = interval.to_number() - self.since.to_number();
        let number = usize::try_from(number).expect("a run is short");
        while self.edges.len() <= number + 1 {
            let (import, export) = self.edges[self.edges.len() - 1];
            let at = self.since.plus(self.edges.len() as u64 - 1);
            let (taken, given) = self.moves(at);
            self.edges.push((import + taken, export + given));
        }
        let ((from_in, from_out), (to_in, to_out)) = (self.edges[number], self.edges[number + 1]);
        let part = |from: u64, to: u64| from + (to - from) * (now_ms % INTERVAL_MS) / INTERVAL_MS;
        (part(from_in, to_in), part(from_out, to_out))
    }

    /// What the site takes and gives in an interval: what it ordered, more or less.
    fn moves(&self, interval: Interval) -> (u64, u64) {
        let ordered = |side| {
            let order = self.order(interval, 0, 1);
            order
                .iter()
                .flat_map(|order| order.side(side))
                .map(|step| step.energy_mwh)
                .fold(0, |sum, energy| sum + energy.to_milliwatt_hours())
        };
        let kept_ppm = 600_000 + self.lot(interval, 6) % 600_000;
        (ordered(Side::Buy) * kept_ppm / MILLION, ordered(Side::Sell) * kept_ppm / MILLION)
    }
}
