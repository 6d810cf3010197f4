//! What must hold in every situation.

use boltgrid_protocol::enrolment::Enrolment;
use boltgrid_protocol::id::{GridId, MeterKey, ParticipantId};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::units::Timestamp;
use proptest::prelude::*;

use super::*;

fn limit() -> impl Strategy<Value = Option<Price>> {
    prop::option::weighted(0.3, (-250_i64..400).prop_map(sat))
}

fn power(most_w: i64) -> impl Strategy<Value = Power> {
    prop_oneof![
        Just(Power::ZERO),
        (0..most_w).prop_map(watts),
        (0..most_w * 1000).prop_map(Power::from_milliwatts)
    ]
}

prop_compose! {
    fn battery()(
        capacity in 0..50_000_000_u64,
        reserve_percent in 0..120_u64,
        charge_at_most in power(20_000),
        discharge_at_most in power(20_000),
        efficiency_ppm in prop_oneof![Just(0), Just(950_000), 1..1_200_000_u32],
        wear in 0..100_i64,
    ) -> Battery {
        Battery {
            capacity: Energy::from_milliwatt_hours(capacity),
            reserve: Energy::from_milliwatt_hours(capacity * reserve_percent / 100),
            charge_at_most, discharge_at_most, efficiency_ppm, wear: sat(wear),
        }
    }
}

prop_compose! {
    fn site()(
        (rated_import, rated_export) in (power(100_000), power(100_000)),
        pv in prop_oneof![Just(PvControl::Curtailable), Just(PvControl::MustRun)],
        battery in prop::option::weighted(0.8, battery()),
        (buy_at_most, sell_at_least) in (limit(), limit()),
    ) -> Site {
        let limits = OwnerLimits { trade: true, buy_at_most, sell_at_least };
        Site { rated_import, rated_export, pv, battery, limits }
    }
}

prop_compose! {
    fn flexible()(worth in -50_i64..400, power in power(5_000)) -> Flexible {
        Flexible { worth: sat(worth), power }
    }
}

prop_compose! {
    fn moment()(
        quarter in 0..96_u64,
        (load, pv) in (power(20_000), power(20_000)),
        stored in 0..60_000_000_u64,
        (low, high) in (-200_i64..300, -200_i64..300),
        flexible in prop::collection::vec(flexible(), 0..6),
        generation in prop::option::of((-50_i64..400, power(5_000))),
    ) -> Situation {
        Situation {
            interval: Interval::from_number(DAY * 96 + quarter),
            expected: Sample { load, pv },
            stored: Energy::from_milliwatt_hours(stored),
            outlook: Outlook { low: sat(low), high: sat(high) },
            flexible,
            generation: generation.map(|(cost, power)| Generation { cost: sat(cost), power }),
        }
    }
}

prop_compose! {
    fn any_grid()(power_w in -400_000_i64..100_000, more_w in 0..400_000_i64) -> GridPower {
        grid(power_w, power_w - more_w)
    }
}

fn check(site: &Site, order: &Order) -> Result<(), TestCaseError> {
    let enrolment = Enrolment {
        grid: GridId::default(),
        participant: ParticipantId::default(),
        meter: MeterKey::Ed25519([0; 32]),
        connection_point: "bus1".to_owned(),
        outside: false,
        rated_import_mw: site.rated_import,
        rated_export_mw: site.rated_export,
        votes: true,
        valid_from: Interval::default(),
        valid_until: Interval::default(),
    };
    let checked = order.check(&CHARTER, (RosterIndex::new(0), &enrolment), 13);
    prop_assert_eq!(checked, Ok(()), "{:?}", order);
    Ok(())
}

/// What is traded of an order at `price`, and `part_ppm` of what is at its very limit.
fn traded(order: &Order, price: Price, part_ppm: u64) -> Contracted {
    let of = |side| {
        let energy = order.side(side).map(|step| {
            let all = step.energy_mwh.to_milliwatt_hours();
            let wants = match side {
                Side::Buy => step.limit_msat_per_kwh.cmp(&price),
                Side::Sell => price.cmp(&step.limit_msat_per_kwh),
            };
            match wants {
                std::cmp::Ordering::Greater => all,
                std::cmp::Ordering::Equal => all * part_ppm / 1_000_000,
                std::cmp::Ordering::Less => 0,
            }
        });
        Energy::from_milliwatt_hours(energy.sum())
    };
    Contracted { bought: of(Side::Buy), sold: of(Side::Sell) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_is_valid(site in site(), moment in moment(), grid in any_grid()) {
        if let Some(order) = order(&CHARTER, &site, &moment, &grid, &Relations::default()) {
            check(&site, &order)?;
        }
    }

    #[test]
    fn no_order_does_worse_than_the_supplier_or_than_its_owner_accepts(
        site in site(), moment in moment(), grid in any_grid(),
    ) {
            let order = order(&CHARTER, &site, &moment, &grid, &Relations::default());
        let tariff = CHARTER.tariff.at(CHARTER.interval.start_of(moment.interval));
        for step in order.iter().flat_map(|order| &order.steps) {
            let limit = step.limit_msat_per_kwh;
            match step.side {
                Side::Buy => {
                    prop_assert!(limit <= tariff.retail_msat_per_kwh);
                    prop_assert!(site.limits.buy_at_most.is_none_or(|most| limit <= most));
                }
                Side::Sell => {
                    prop_assert!(site.limits.sell_at_least.is_none_or(|least| limit >= least));
                    let kept = i64::from(1_000_000 - LOSS_PPM);
                    let arrives = limit.to_msat_per_kwh() * kept;
                    let feed_in = tariff.feed_in_msat_per_kwh.to_msat_per_kwh() * 1_000_000;
                    prop_assert!(step.source == Source::PvMustRun || arrives >= feed_in);
                }
            }
        }
    }

    #[test]
    fn whatever_is_traded_of_an_order_can_be_delivered(
        site in site(), moment in moment(), grid in any_grid(),
        (choice, part_ppm) in (any::<prop::sample::Index>(), 0..=1_000_000_u64),
    ) {
            let Some(order) = order(&CHARTER, &site, &moment, &grid, &Relations::default()) else {
            return Ok(());
        };
        // At some step's limit, the marginal one, everything that could go wrong does.
        let price = choice.get(&order.steps).limit_msat_per_kwh;
        let contracted = traded(&order, price, part_ppm);
        let done = dispatch(&CHARTER, &site, &moment, &contracted, Throttle::OPEN);
        let Sample { load, pv } = moment.expected;
        let pv = done.pv_at_most.map_or(pv, |most| pv.min(most));
        let over = |power: Power| i128::from(power.to_milliwatts()) * i128::from(INTERVAL_MS);
        let net = over(load) - over(pv) + over(done.battery) + over(done.flexible)
            - over(done.generator);
        // Eight powers and energies were rounded on the way and one for each flexible load, each by less
        // than one.
        let slack = (8 + i128::try_from(moment.flexible.len()).unwrap()) * 3_600_000;
        if !contracted.bought.is_zero() {
            let bought = i128::from(contracted.bought.to_milliwatt_hours()) * 3_600_000;
            prop_assert!(net + slack >= bought, "took {} of {}", net, bought);
        }
        if !contracted.sold.is_zero() {
            let sold = i128::from(contracted.sold.to_milliwatt_hours()) * 3_600_000;
            let arrives = -net * i128::from(1_000_000 - LOSS_PPM) / 1_000_000;
            prop_assert!(arrives + slack >= sold, "gave {} of {}", arrives, sold);
        }
    }

    #[test]
    fn a_battery_is_never_asked_for_more_than_it_can_do(
        site in site(), moment in moment(), bought in 0..9_000_000_u64, sold in 0..9_000_000_u64,
    ) {
        let [bought, sold] = [bought, sold].map(Energy::from_milliwatt_hours);
        let contracted = Contracted { bought, sold };
        let done = dispatch(&CHARTER, &site, &moment, &contracted, Throttle::OPEN);
        prop_assert!(done.pv_at_most.is_none_or(|most| most >= Power::ZERO));
        let Some(battery) = site.battery else {
            prop_assert_eq!(done.battery, Power::ZERO);
            return Ok(());
        };
        let charging = done.battery >= Power::ZERO;
        let most = if charging { battery.charge_at_most } else { battery.discharge_at_most };
        prop_assert!(done.battery.to_milliwatts().abs() <= most.to_milliwatts());
        let mwh = |energy: Energy| i128::from(energy.to_milliwatt_hours());
        let moved = mwh(done.battery.energy_over_floor(INTERVAL_MS).unwrap());
        let efficiency = i128::from(battery.efficiency_ppm.min(1_000_000));
        if charging {
            let room = (mwh(battery.capacity) - mwh(moment.stored)).max(0);
            prop_assert!(moved * efficiency <= (room + 1) * 1_000_000);
        } else {
            let spare = (mwh(moment.stored) - mwh(battery.reserve)).max(0);
            prop_assert!(moved * 1_000_000 <= (spare + 1) * efficiency);
        }
    }

    #[test]
    fn absurd_numbers_never_panic(
        numbers in prop::array::uniform14(any::<i64>()),
        (load, pv) in (any::<i64>(), any::<i64>()),
        (stored, efficiency_ppm) in (any::<u64>(), any::<u32>()),
        must_run in any::<bool>(),
    ) {
        let power = |index: usize| Power::from_milliwatts(numbers[index]);
        let price = |index: usize| Price::from_msat_per_kwh(numbers[index]);
        let energy = |index: usize| Energy::from_milliwatt_hours(numbers[index].unsigned_abs());
        let site = Site {
            rated_import: power(0),
            rated_export: power(1),
            pv: if must_run { PvControl::MustRun } else { PvControl::Curtailable },
            battery: Some(Battery {
                capacity: energy(2),
                reserve: energy(3),
                charge_at_most: power(4),
                discharge_at_most: power(5),
                efficiency_ppm,
                wear: price(6),
            }),
            limits: OwnerLimits {
                trade: true,
                buy_at_most: Some(price(7)),
                sell_at_least: Some(price(8)),
            },
        };
        // Half of them small enough to be used.
        let usable = |mw: i64| if must_run { mw } else { mw % 10_000_000 };
        let [load, pv] = [load, pv].map(usable).map(Power::from_milliwatts);
        let situation = Situation {
            interval: Interval::from_number(stored),
            expected: Sample { load, pv },
            stored: Energy::from_milliwatt_hours(stored),
            outlook: Outlook { low: price(9), high: price(10) },
            flexible: vec![Flexible { worth: price(12), power: power(13) }],
            generation: None,
        };
        let grid = GridPower { power_mw: power(11), potential_mw: power(0), members: 1 };
        if let Some(order) = order(&CHARTER, &site, &situation, &grid, &Relations::default()) {
            // Negative ratings are the caller's: no roster has them.
            if site.rated_import >= Power::ZERO && site.rated_export >= Power::ZERO {
                check(&site, &order)?;
            }
        }
        let contracted = Contracted { bought: energy(2), sold: energy(3) };
        let done = dispatch(&CHARTER, &site, &situation, &contracted, Throttle::OPEN);
        prop_assert!(done.pv_at_most.is_none_or(|most| most >= Power::ZERO));
        let outlook = Outlook::new(&CHARTER, Timestamp::from_unix_ms(stored), &[price(0); 60]);
        prop_assert!(outlook.low <= outlook.high);
    }
}
