//! What a site with a generator orders and does: it offers what that can give at what it costs.

use super::*;

const NOTHING: Contracted = Contracted { bought: Energy::ZERO, sold: Energy::ZERO };

/// A generator that gives `power_w` for `cost_sat`, beside miners of 5 kW to which power is worth 120.
fn with(cost_sat: i64, power_w: i64, situation: Situation) -> Situation {
    Situation {
        generation: Some(Generation { cost: sat(cost_sat), power: watts(power_w) }),
        flexible: vec![Flexible { worth: sat(120), power: watts(5_000) }],
        ..situation
    }
}

fn dispatched(site: &Site, situation: &Situation, contracted: Contracted) -> Dispatch {
    dispatch(&CHARTER, site, situation, &contracted, Throttle::OPEN)
}

#[test]
fn its_power_is_offered_at_what_it_costs_and_kept_for_miners_up_to_their_break_even() {
    // The load takes 1 kW and the miners 5 of the 9; above what supply costs, they are bought no more.
    let evening = with(90, 9_000, situation(at(20, 0), 1_000, 0, kwh(0)));
    let limit = |msat| Price::from_msat_per_kwh(msat);
    let expected = [
        step(Side::Buy, Source::Load, wh(1_500), sat(90)),
        // 3 kW, then the miners' 5, less the 3 % that are lost on the way.
        step(Side::Sell, Source::Generator, Energy::from_milliwatt_hours(727_500), limit(92_784)),
        step(
            Side::Sell,
            Source::Generator,
            Energy::from_milliwatt_hours(1_212_500),
            limit(123_712),
        ),
    ];
    assert_eq!(ordered(&SITE, &evening), expected);
}

#[test]
fn what_was_sold_is_generated_with_its_losses_and_the_rest_is_mined() {
    let evening = with(90, 9_000, situation(at(20, 0), 1_000, 0, kwh(0)));
    let sold = Contracted { sold: wh(970), ..NOTHING };
    // 4 kW for the kilowatt-hour that leaves the meter, 1 kW for the load, 4 kW for the miners.
    let done = dispatched(&SITE, &evening, sold);
    assert_eq!((done.generator, done.flexible), (watts(9_000), watts(4_000)));
    assert_eq!(done.net, watts(-4_000));
}

#[test]
fn a_generator_that_costs_more_than_the_supplier_serves_nobody_but_its_buyers() {
    let evening = with(400, 9_000, situation(at(20, 0), 1_000, 0, kwh(0)));
    assert_eq!(dispatched(&SITE, &evening, NOTHING).generator, Power::ZERO);
    let sold = Contracted { sold: wh(970), ..NOTHING };
    assert_eq!(dispatched(&SITE, &evening, sold).generator, watts(5_000));
}
