//! What a site orders in situations that people know.

use boltgrid_protocol::order::Preference;

use super::*;

/// What a seller asks to have as much left as the supplier would give it.
const FEED_IN_AND_LOSSES: Price = Price::from_msat_per_kwh(82_475);

#[test]
fn a_household_without_anything_buys_its_load_at_the_retail_price() {
    let steps = ordered(&SITE, &situation(at(7, 0), 4_000, 0, Energy::ZERO));
    assert_eq!(steps, [step(Side::Buy, Source::Load, kwh(1), sat(300))]);
}

#[test]
fn own_pv_serves_the_own_load_first() {
    let deficit = ordered(&SITE, &situation(at(7, 0), 4_000, 3_000, Energy::ZERO));
    assert_eq!(deficit, [step(Side::Buy, Source::Load, wh(250), sat(300))]);
    let surplus = ordered(&SITE, &situation(at(9, 0), 4_000, 8_000, Energy::ZERO));
    assert_eq!(surplus, [step(Side::Sell, Source::Pv, wh(970), FEED_IN_AND_LOSSES)]);
}

#[test]
fn at_noon_pv_that_can_be_turned_down_is_not_sold_below_zero() {
    let full = grid(-160_000, -320_000);
    let steps = order_of(&SITE, &situation(at(12, 0), 0, 4_000, Energy::ZERO), &full);
    assert_eq!(steps, [step(Side::Sell, Source::Pv, wh(970), Price::ZERO)]);
}

#[test]
fn must_run_pv_is_worth_its_feed_in_while_the_connection_has_room() {
    let room = grid(-150_000, -159_000);
    let noon = order_of(&MUST_RUN, &situation(at(12, 0), 0, 4_000, Energy::ZERO), &room);
    let limit = Price::from_msat_per_kwh(-30_927);
    assert_eq!(noon, [step(Side::Sell, Source::PvMustRun, wh(970), limit)]);
    let morning = order_of(&MUST_RUN, &situation(at(9, 0), 0, 4_000, Energy::ZERO), &room);
    assert_eq!(morning[0].limit_msat_per_kwh, FEED_IN_AND_LOSSES);
}

#[test]
fn must_run_pv_without_room_goes_down_to_the_floor_in_steps() {
    // The members could export twice of what the connection carries: half is too much.
    let full = grid(-160_000, -320_000);
    let steps = order_of(&MUST_RUN, &situation(at(12, 0), 0, 4_000, Energy::ZERO), &full);
    assert!(steps.iter().all(|step| step.source == Source::PvMustRun));
    let limits: Vec<_> =
        steps.iter().map(|step| step.limit_msat_per_kwh.to_msat_per_kwh()).collect();
    assert_eq!(limits, [-200_000, -157_732, -115_464, -73_196, -30_927]);
    let energies: Vec<_> = steps.iter().map(|step| step.energy_mwh).collect();
    assert_eq!(
        energies,
        [121_250, 121_250, 121_250, 121_250, 485_000].map(Energy::from_milliwatt_hours)
    );
}

#[test]
fn an_owners_limits_hold_even_for_must_run_pv() {
    let limits =
        OwnerLimits { trade: true, buy_at_most: Some(sat(150)), sell_at_least: Some(sat(-50)) };
    let full = grid(-160_000, -480_000);
    let site = Site { limits, ..MUST_RUN };
    let steps = order_of(&site, &situation(at(12, 0), 0, 4_000, Energy::ZERO), &full);
    let lowest = steps.iter().map(|step| step.limit_msat_per_kwh).min();
    assert_eq!(lowest, Some(sat(-50)));
    let steps = ordered(&site, &situation(at(20, 0), 4_000, 0, Energy::ZERO));
    assert_eq!(steps[0].limit_msat_per_kwh, sat(150));
}

#[test]
fn in_the_evening_a_battery_covers_its_house_and_sells_between_feed_in_and_retail() {
    let steps = ordered(&with_battery(), &situation(at(20, 0), 1_600, 0, kwh(20)));
    let sells = side(&steps, Side::Sell);
    assert!(sells.len() >= 2, "the price is to move in steps: {sells:?}");
    for sell in &sells {
        assert_eq!(sell.source, Source::Battery);
        assert!(sat(80) < sell.limit_msat_per_kwh && sell.limit_msat_per_kwh < sat(300));
    }
    let sold: u64 = sells.iter().map(|step| step.energy_mwh.to_milliwatt_hours()).sum();
    // 10 kW for a quarter of an hour, less the house's 400 Wh, less losses.
    assert!((2_036_990..=2_037_000).contains(&sold), "{sold}");
    // The house buys only from who is cheaper than its own battery.
    let cheapest = sells.iter().map(|step| step.limit_msat_per_kwh).min().unwrap();
    let loads: Vec<_> = steps.iter().filter(|step| step.source == Source::Load).collect();
    assert_eq!(loads.iter().map(|step| step.energy_mwh).max(), Some(wh(400)));
    assert!(loads.iter().all(|step| step.limit_msat_per_kwh < cheapest));
}

#[test]
fn from_a_cold_start_a_half_full_battery_waits_for_noon() {
    let most = |hour| {
        let steps = ordered(&with_battery(), &situation(at(hour, 0), 0, 0, kwh(28)));
        side(&steps, Side::Buy).iter().map(|step| step.limit_msat_per_kwh).max().unwrap()
    };
    assert!(most(6) < sat(80), "surplus costs its feed-in price in the morning");
    assert!(most(12) > Price::ZERO, "surplus is free at noon");
}

#[test]
fn the_emptier_a_battery_the_more_it_bids_and_asks() {
    let limits = |stored, wanted| {
        let steps = ordered(&with_battery(), &situation(at(6, 0), 0, 0, kwh(stored)));
        side(&steps, wanted).iter().map(|step| step.limit_msat_per_kwh).max()
    };
    assert!(limits(8, Side::Buy) > limits(30, Side::Buy));
    assert!(limits(8, Side::Sell) > limits(30, Side::Sell));
    assert_eq!(limits(40, Side::Buy), None, "a full battery buys nothing");
    assert_eq!(limits(4, Side::Sell), None, "a battery at its reserve sells nothing");
}

#[test]
fn surplus_goes_into_the_battery_unless_the_market_pays_more() {
    // 1 kWh of surplus, and room for 2.5 in a battery that is nearly empty.
    let steps = ordered(&with_battery(), &situation(at(9, 0), 0, 4_000, kwh(5)));
    let pv: Vec<_> = steps.iter().filter(|step| step.source == Source::Pv).collect();
    assert!(!pv.is_empty());
    assert!(pv.iter().all(|step| step.limit_msat_per_kwh > sat(200)), "{pv:?}");
    // Most of it would go into the emptiest part, which is worth most.
    let [first, last] = [pv[0], pv[pv.len() - 1]];
    assert!(first.limit_msat_per_kwh < last.limit_msat_per_kwh);
    assert!(first.energy_mwh < last.energy_mwh);
    let bought: u64 =
        side(&steps, Side::Buy).iter().map(|step| step.energy_mwh.to_milliwatt_hours()).sum();
    assert_eq!(bought, 1_500_000, "the rest of the room is filled from the market");
}

#[test]
fn where_energy_is_worth_less_than_nothing_a_battery_still_charges_first() {
    let mut site = with_battery();
    site.battery.as_mut().unwrap().wear = Price::ZERO;
    let outlook = Outlook { low: sat(-180), high: sat(-170) };
    let steps = ordered(&site, &Situation { outlook, ..situation(at(20, 0), 4_000, 0, kwh(20)) });
    let charged = steps.iter().filter(|step| step.source == Source::Battery);
    let charged = charged.filter(|step| step.side == Side::Buy);
    let charged: u64 = charged.map(|step| step.energy_mwh.to_milliwatt_hours()).sum();
    assert_eq!(charged, 2_500_000, "10 kW for a quarter of an hour: {steps:?}");
}

#[test]
fn a_day_of_prices_shapes_what_a_battery_expects() {
    let from = CHARTER.interval.start_of(at(6, 0));
    let outlook = |prices: &[Price]| {
        let outlook = Outlook::new(&CHARTER, from, prices);
        (outlook.low, outlook.high)
    };
    assert_eq!(outlook(&[]), (sat(-30), sat(300)), "a cold start knows the tariff");
    assert_eq!(outlook(&[sat(100); 47]), (sat(-30), sat(300)), "that is not half a day");
    let prices: Vec<_> = (0..80).map(|number| sat(100 + number)).collect();
    // A tenth of them lie below 108, a tenth above 171.
    assert_eq!(outlook(&prices), (sat(39), Price::from_msat_per_kwh(235_500)));
}

#[test]
fn who_does_not_want_to_trade_orders_nothing() {
    let limits = OwnerLimits { trade: false, ..SITE.limits };
    let site = Site { limits, ..with_battery() };
    assert_eq!(ordered(&site, &situation(at(20, 0), 4_000, 0, kwh(20))), []);
}

#[test]
fn a_weak_connection_point_carries_what_is_worth_most() {
    let site = Site { rated_import: watts(2_000), ..with_battery() };
    let steps = ordered(&site, &situation(at(9, 0), 1_000, 0, kwh(4)));
    let bought: u64 =
        side(&steps, Side::Buy).iter().map(|step| step.energy_mwh.to_milliwatt_hours()).sum();
    assert_eq!(bought, 500_000);
    assert_eq!((steps[0].source, steps[0].energy_mwh), (Source::Load, wh(250)));
}

#[test]
fn partners_and_preferences_are_passed_on() {
    let relations = Relations {
        channel_partners: &[RosterIndex::new(4)],
        preferences: &[Preference::Source(Source::Pv)],
    };
    let situation = situation(at(7, 0), 4_000, 0, Energy::ZERO);
    let order = order(&CHARTER, &SITE, &situation, &GridPower::default(), &relations);
    let order = order.unwrap();
    assert_eq!(order.channel_partners, relations.channel_partners);
    assert_eq!(order.preferences, relations.preferences);
}
