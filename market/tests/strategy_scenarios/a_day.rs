//! A village of four sites that trades for a day and knows exactly what comes.

use boltgrid_market::auction::{AuctionRules, BookOrder, Clearing, Trade, clear};
use boltgrid_market::settlement::{Contract, Delivery, Metered, Settlement, settle};
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::units::NetEnergy;

use super::*;

struct Village {
    charter: Charter,
    sites: [Site; 4],
    stored: [Energy; 4],
    grid: GridPower,
    throttle: Throttle,
    prices: Vec<Price>,
}

/// What one interval came to.
struct Outcome {
    price: Option<Price>,
    /// What the battery holds at the end.
    stored: Energy,
    settlements: Vec<Settlement>,
}

/// A parabola from 5:00 to 19:00.
fn sun(interval: Interval, peak_w: i64) -> i64 {
    let quarter = i64::try_from(interval.to_number() % 96).expect("a day has 96 quarters") - 20;
    if (0..56).contains(&quarter) { peak_w * quarter * (56 - quarter) / (28 * 28) } else { 0 }
}

impl Village {
    fn new() -> Self {
        let mut charter = CHARTER.clone();
        charter.connection.export_capacity_w = 20_000;
        Self {
            charter,
            sites: [MUST_RUN, SITE, with_battery(), SITE],
            stored: [Energy::ZERO, Energy::ZERO, kwh(10), Energy::ZERO],
            grid: GridPower::default(),
            throttle: Throttle::OPEN,
            prices: Vec::new(),
        }
    }

    fn situations(&self, interval: Interval) -> Vec<Situation> {
        let from = self.charter.interval.start_of(interval);
        let outlook = Outlook::new(&self.charter, from, &self.prices);
        let expected =
            [(500, sun(interval, 20_000)), (500, sun(interval, 20_000)), (700, 0), (2_500, 0)];
        let sample = |(load, pv)| Sample { load: watts(load), pv: watts(pv) };
        let sites = expected.into_iter().zip(self.stored);
        sites
            .map(|(expected, stored)| Situation {
                interval,
                expected: sample(expected),
                stored,
                outlook,
                flexible: Vec::new(),
                generation: None,
            })
            .collect()
    }

    fn clear(&self, interval: Interval, situations: &[Situation]) -> Clearing {
        let no_cap = Energy::from_milliwatt_hours(u64::MAX);
        let rules =
            AuctionRules { band: self.charter.price, import_cap: no_cap, export_cap: no_cap };
        let book: Vec<_> = (0_u8..)
            .zip(self.sites.iter().zip(situations))
            .filter_map(|(number, (site, situation))| {
                let relations = Relations::default();
                Some(BookOrder {
                    participant: RosterIndex::new(u32::from(number)),
                    hash: MessageHash::from_bytes([number; 32]),
                    outside: false,
                    order: order(&self.charter, site, situation, &self.grid, &relations)?,
                })
            })
            .collect();
        clear(interval, &rules, &book)
    }

    fn live(&mut self, interval: Interval) -> Outcome {
        let situations = self.situations(interval);
        let clearing = self.clear(interval, &situations);
        self.prices.extend(clearing.price_msat_per_kwh);
        let tariff = self.charter.tariff.at(self.charter.interval.start_of(interval));
        let capacity = self.charter.connection.export_capacity();
        self.throttle = self.throttle.after(&self.grid, capacity, tariff.feed_in_msat_per_kwh);
        let (mut power_mw, mut potential_mw) = (0, 0);
        let mut meters = Vec::new();
        for (number, situation) in situations.iter().enumerate() {
            let contracted = contracted(&clearing, number);
            let site = &self.sites[number];
            let done = dispatch(&self.charter, site, situation, &contracted, self.throttle);
            let Sample { load, pv } = situation.expected;
            let net = |pv: Power| {
                load.to_milliwatts() - pv.to_milliwatts() + done.battery.to_milliwatts()
            };
            let actual = net(done.pv_at_most.map_or(pv, |most| pv.min(most)));
            power_mw += actual;
            potential_mw += net(pv);
            meters.push(metered(actual));
            if let Some(battery) = &site.battery {
                let moved = metered(done.battery.to_milliwatts());
                let moved = NetEnergy::between(moved.import, moved.export)
                    .expect("a quarter of an hour of a battery fits");
                self.stored[number] = battery.projected(situation.stored, moved);
            }
        }
        self.grid = GridPower {
            power_mw: Power::from_milliwatts(power_mw),
            potential_mw: Power::from_milliwatts(potential_mw),
            members: 4,
        };
        Outcome {
            price: clearing.price_msat_per_kwh,
            stored: self.stored[2],
            settlements: self.settle(&clearing, &meters),
        }
    }

    fn settle(&self, clearing: &Clearing, meters: &[Metered]) -> Vec<Settlement> {
        let prices = self.charter.tariff.at(self.charter.interval.start_of(clearing.interval));
        let contracts = |me: RosterIndex| -> Vec<Contract> {
            let mine = (0_u32..).zip(&clearing.trades);
            mine.filter(|(_, trade)| trade.seller == me || trade.buyer == me)
                .map(|(index, trade)| Contract {
                    terms: TradeTerms {
                        index,
                        seller: trade.seller,
                        buyer: trade.buyer,
                        energy_mwh: trade.energy_mwh,
                        price_msat_per_kwh: clearing.price_msat_per_kwh.unwrap_or_default(),
                    },
                    counterparty: ParticipantId::from_bytes([0; 32]),
                    seller_total: contracted(clearing, trade.seller.as_usize()).sold,
                    buyer_total: contracted(clearing, trade.buyer.as_usize()).bought,
                    seller_committed: Energy::ZERO,
                    buyer_committed: Energy::ZERO,
                    seller: Some(meters[trade.seller.as_usize()]),
                    buyer: Some(meters[trade.buyer.as_usize()]),
                })
                .collect()
        };
        (0..4)
            .map(|number| {
                let me = RosterIndex::new(number);
                let delivery = Delivery {
                    interval: clearing.interval,
                    me,
                    metered: Some(meters[me.as_usize()]),
                    prices,
                    loss_ppm: LOSS_PPM,
                };
                settle(&delivery, &contracts(me), &[]).expect("the clearing is settled")
            })
            .collect()
    }
}

fn contracted(clearing: &Clearing, number: usize) -> Contracted {
    let sum = |of: fn(&Trade) -> RosterIndex| {
        clearing
            .trades
            .iter()
            .filter(|trade| of(trade).as_usize() == number)
            .fold(Energy::ZERO, |sum, trade| sum.saturating_add(trade.energy_mwh))
    };
    Contracted { bought: sum(|trade| trade.buyer), sold: sum(|trade| trade.seller) }
}

/// What registers show after an interval of steady power, rounded down.
fn metered(power_mw: i64) -> Metered {
    let energy = Power::from_milliwatts(power_mw)
        .energy_over_floor(INTERVAL_MS)
        .expect("a quarter of an hour of a village fits");
    let none = Energy::ZERO;
    if power_mw > 0 {
        Metered { import: energy, export: none }
    } else {
        Metered { import: none, export: energy }
    }
}

fn live_through_the_day() -> Vec<(u64, Outcome)> {
    let mut village = Village::new();
    (24..96)
        .map(|quarter| (quarter, village.live(Interval::from_number(DAY * 96 + quarter))))
        .collect()
}

#[test]
fn the_price_follows_the_sun_and_the_battery_carries_noon_into_the_evening() {
    let day = live_through_the_day();
    let prices = |hours: std::ops::Range<u64>| -> Vec<Price> {
        day.iter()
            .filter(|(quarter, _)| hours.contains(&(quarter / 4)))
            .filter_map(|(_, outcome)| outcome.price)
            .collect()
    };
    let stored = |hour: u64| day.iter().find(|(quarter, _)| *quarter == hour * 4).unwrap().1.stored;
    assert!(prices(6..7).iter().all(|price| *price > sat(80)), "{:?}", prices(6..7));
    assert!(prices(13..15).iter().all(|price| price.is_negative()), "{:?}", prices(13..15));
    assert!(prices(11..15).iter().min().unwrap() >= &sat(-200));
    let evening = prices(20..24);
    assert_eq!(evening.len(), 16);
    assert!(evening.iter().all(|price| sat(80) < *price && *price < sat(300)), "{evening:?}");
    assert!(evening.first() < evening.last(), "what is left gets dearer: {evening:?}");
    assert!(stored(15) > kwh(39), "noon fills the battery: {}", stored(15));
    assert!(stored(23) < stored(20), "the evening draws on it");
}

#[test]
fn who_knows_what_comes_keeps_every_contract() {
    for (quarter, outcome) in live_through_the_day() {
        for settlement in outcome.settlements {
            let deviation = settlement.deviation_mwh;
            assert_eq!(deviation, Energy::ZERO, "quarter {quarter}: {settlement:?}");
        }
    }
}
