//! What a site does in situations that people know.

use super::*;

const NOTHING: Contracted = Contracted { bought: Energy::ZERO, sold: Energy::ZERO };

fn dispatched(site: &Site, situation: &Situation, contracted: Contracted) -> Dispatch {
    dispatch(&CHARTER, site, situation, &contracted, Throttle::OPEN)
}

#[test]
fn a_sale_is_delivered_with_its_losses_on_top_of_the_own_load() {
    let evening = situation(at(20, 0), 2_000, 0, kwh(20));
    let sold = Contracted { sold: wh(970), ..NOTHING };
    // 1 kWh leaves the meter in a quarter of an hour, and the house takes 500 Wh.
    assert_eq!(dispatched(&with_battery(), &evening, sold).battery, watts(-6_000));
}

#[test]
fn a_purchase_beyond_the_load_is_charged() {
    let noon = situation(at(12, 0), 2_000, 0, kwh(20));
    let bought = Contracted { bought: wh(1_500), ..NOTHING };
    assert_eq!(dispatched(&with_battery(), &noon, bought).battery, watts(4_000));
}

#[test]
fn without_trades_a_battery_serves_its_own_house() {
    let evening = situation(at(20, 0), 2_000, 0, kwh(20));
    assert_eq!(dispatched(&with_battery(), &evening, NOTHING).battery, watts(-2_000));
    let morning = situation(at(9, 0), 0, 2_000, kwh(10));
    assert_eq!(dispatched(&with_battery(), &morning, NOTHING).battery, watts(2_000));
}

#[test]
fn surplus_that_the_supplier_pays_more_for_is_not_stored() {
    let morning = situation(at(9, 0), 0, 2_000, kwh(38));
    assert_eq!(dispatched(&with_battery(), &morning, NOTHING), Dispatch::default());
}

#[test]
fn what_will_save_more_later_is_not_spent_now_but_a_contract_is_kept() {
    let outlook = Outlook { low: sat(100), high: sat(500) };
    let evening = Situation { outlook, ..situation(at(20, 0), 2_000, 0, kwh(6)) };
    assert_eq!(dispatched(&with_battery(), &evening, NOTHING).battery, Power::ZERO);
    let sold = Contracted { sold: wh(970), ..NOTHING };
    assert_eq!(dispatched(&with_battery(), &evening, sold).battery, watts(-6_000));
}

#[test]
fn a_nearly_full_battery_takes_only_surplus_that_would_cost_money() {
    // Room is worth keeping for when others pay more than 20 sat to be rid of theirs.
    let noon = situation(at(12, 0), 0, 2_000, kwh(39));
    let must_run = Site { pv: PvControl::MustRun, ..with_battery() };
    assert_eq!(dispatched(&must_run, &noon, NOTHING).battery, watts(2_000));
    let turned_down = Dispatch { pv_at_most: Some(Power::ZERO), ..Dispatch::default() };
    assert_eq!(dispatched(&with_battery(), &noon, NOTHING), turned_down);
}

#[test]
fn a_battery_stops_at_its_reserve_and_when_it_is_full() {
    let nearly_empty = situation(at(20, 0), 9_000, 0, kwh(5));
    let discharge = dispatched(&with_battery(), &nearly_empty, NOTHING).battery;
    assert_eq!(discharge, watts(-3_800), "1 kWh above the reserve, less what is lost");
    let full = situation(at(12, 0), 0, 0, kwh(40));
    let bought = Contracted { bought: kwh(1), ..NOTHING };
    assert_eq!(dispatched(&with_battery(), &full, bought).battery, Power::ZERO);
}

#[test]
fn pv_that_nobody_bought_is_turned_down_while_the_supplier_wants_money_for_it() {
    let noon = situation(at(12, 0), 1_000, 9_000, Energy::ZERO);
    let sold = Contracted { sold: wh(970), ..NOTHING };
    let limit = |site, contracted| dispatched(site, &noon, contracted).pv_at_most;
    assert_eq!(limit(&SITE, sold), Some(watts(5_000)), "its load and what it sold");
    assert_eq!(limit(&SITE, NOTHING), Some(watts(1_000)), "its load");
    assert_eq!(limit(&MUST_RUN, NOTHING), None, "must-run is what it says");
    let morning = situation(at(9, 0), 1_000, 9_000, Energy::ZERO);
    assert_eq!(dispatched(&SITE, &morning, NOTHING).pv_at_most, None);
}

#[test]
fn a_full_connection_turns_unsold_pv_down_and_leaves_sold_pv_alone() {
    let full = grid(-159_000, -200_000);
    let capacity = CHARTER.connection.export_capacity();
    let throttle = Throttle::OPEN.after(&full, capacity, sat(80));
    let morning = situation(at(10, 0), 1_000, 9_000, Energy::ZERO);
    let limit = |sold| {
        let contracted = Contracted { sold, ..NOTHING };
        dispatch(&CHARTER, &SITE, &morning, &contracted, throttle).pv_at_most
    };
    // Of 8 kW of surplus a quarter is held back; once 4 kW are sold, a quarter of the rest.
    assert_eq!(limit(Energy::ZERO), Some(watts(7_000)));
    assert_eq!(limit(wh(970)), Some(watts(8_000)));
    assert_eq!(limit(wh(1_940)), None);
}
