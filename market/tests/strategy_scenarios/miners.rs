//! What a site with flexible load orders and does: a miner is a standing bid at its break-even.

use boltgrid_protocol::order::STEPS_MAX;

use super::*;

const NOTHING: Contracted = Contracted { bought: Energy::ZERO, sold: Energy::ZERO };

fn miner(worth_sat: i64, power_w: i64) -> Flexible {
    Flexible { worth: sat(worth_sat), power: watts(power_w) }
}

fn with(flexible: &[Flexible], situation: Situation) -> Situation {
    Situation { flexible: flexible.to_vec(), ..situation }
}

fn dispatched(site: &Site, situation: &Situation, contracted: Contracted) -> Dispatch {
    dispatch(&CHARTER, site, situation, &contracted, Throttle::OPEN)
}

#[test]
fn each_miner_is_a_bid_at_its_break_even_beside_the_load() {
    let evening =
        with(&[miner(160, 2_000), miner(120, 3_000)], situation(at(20, 0), 4_000, 0, kwh(0)));
    let expected = [
        step(Side::Buy, Source::Load, kwh(1), sat(300)),
        step(Side::Buy, Source::Miner, wh(500), sat(160)),
        step(Side::Buy, Source::Miner, wh(750), sat(120)),
    ];
    assert_eq!(ordered(&SITE, &evening), expected);
}

#[test]
fn own_surplus_is_kept_for_a_miner_up_to_its_break_even_and_sold_above() {
    let morning = with(&[miner(120, 3_000)], situation(at(9, 0), 1_000, 9_000, kwh(0)));
    let steps = ordered(&SITE, &morning);
    // 5 kW of the 8 at what the supplier gives, 3 kW at the break-even; 3 % are lost on the way.
    let limit = |msat| Price::from_msat_per_kwh(msat);
    let expected = [
        step(Side::Sell, Source::Pv, Energy::from_milliwatt_hours(1_212_500), limit(82_475)),
        step(Side::Sell, Source::Pv, Energy::from_milliwatt_hours(727_500), limit(123_712)),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn a_miner_that_waits_for_negative_prices_bids_below_zero() {
    let cheap = Flexible { worth: Price::from_msat_per_kwh(-1), power: watts(2_000) };
    let noon = with(&[cheap], situation(at(12, 0), 0, 0, kwh(0)));
    let expected = [step(Side::Buy, Source::Miner, wh(500), Price::from_msat_per_kwh(-1))];
    assert_eq!(ordered(&SITE, &noon), expected);
}

#[test]
fn with_more_machines_than_steps_the_nearest_are_laid_together_and_none_pays_more() {
    let machines: Vec<Flexible> = (0..40).map(|it| miner(60 + it, 1_000)).collect();
    let noon = with(&machines, situation(at(12, 0), 1_000, 0, kwh(20)));
    let steps = ordered(&with_battery(), &noon);
    assert_eq!(steps.len(), STEPS_MAX);
    let bought: u64 =
        side(&steps, Side::Buy).iter().map(|it| it.energy_mwh.to_milliwatt_hours()).sum();
    let at_least = wh(250 * 41).to_milliwatt_hours();
    assert!(bought >= at_least, "{bought} of {at_least}: none is left out");
    // At every price no more is bid for than the machines, the load and the battery are worth.
    for price in (0..300).map(sat) {
        let worth: u64 = machines
            .iter()
            .filter(|it| it.worth >= price)
            .map(|it| u64::try_from(it.power.to_milliwatts()).unwrap() / 4)
            .sum();
        let others = wh(250 + 2_500).to_milliwatt_hours();
        let bid: u64 = side(&steps, Side::Buy)
            .iter()
            .filter(|step| step.limit_msat_per_kwh >= price)
            .map(|step| step.energy_mwh.to_milliwatt_hours())
            .sum();
        assert!(bid <= worth + others, "at {price:?}: {bid} of {worth}");
    }
}

#[test]
fn what_was_bought_for_a_miner_is_taken_and_the_meter_shows_it() {
    let noon = with(&[miner(120, 3_000)], situation(at(12, 0), 1_000, 0, kwh(0)));
    let bought = Contracted { bought: kwh(1), ..NOTHING };
    let done = dispatched(&SITE, &noon, bought);
    assert_eq!((done.flexible, done.net), (watts(3_000), watts(4_000)));
}

#[test]
fn surplus_that_nobody_bought_is_mined_before_the_supplier_gets_it() {
    let morning = with(&[miner(120, 3_000)], situation(at(9, 0), 1_000, 9_000, kwh(0)));
    assert_eq!(dispatched(&SITE, &morning, NOTHING).flexible, watts(3_000));
    let cheap = with(&[miner(79, 3_000)], situation(at(9, 0), 1_000, 9_000, kwh(0)));
    assert_eq!(dispatched(&SITE, &cheap, NOTHING).flexible, Power::ZERO, "the supplier gives 80");
    // At noon the supplier wants money: PV is turned down to the load and the miner.
    let noon = with(&[miner(79, 3_000)], situation(at(12, 0), 1_000, 9_000, kwh(0)));
    let done = dispatched(&SITE, &noon, NOTHING);
    assert_eq!((done.flexible, done.pv_at_most), (watts(3_000), Some(watts(4_000))));
}

#[test]
fn a_battery_and_a_miner_share_surplus_by_what_it_is_worth_to_them() {
    // 4 kW are spare; the battery takes 10 at up to what the evening saves.
    let spare = |worth_sat| {
        let morning = with(&[miner(worth_sat, 3_000)], situation(at(9, 0), 0, 4_000, kwh(10)));
        let done = dispatched(&with_battery(), &morning, NOTHING);
        (done.battery, done.flexible)
    };
    assert_eq!(spare(290), (watts(1_000), watts(3_000)));
    assert_eq!(spare(81), (watts(4_000), Power::ZERO));
}

#[test]
fn power_that_is_worth_more_than_retail_is_bought_whatever_the_market_does() {
    let evening = with(&[miner(301, 3_000)], situation(at(20, 0), 1_000, 0, kwh(0)));
    let done = dispatched(&SITE, &evening, NOTHING);
    assert_eq!((done.flexible, done.net), (watts(3_000), Power::ZERO));
    let expected = [
        step(Side::Buy, Source::Miner, wh(750), sat(300)),
        step(Side::Buy, Source::Load, wh(250), sat(300)),
    ];
    assert_eq!(ordered(&SITE, &evening), expected, "both at the retail price");
}
