//! What must hold of wells, each verdict broken once.

use boltgrid::dispatcher::GasBurnt;

use super::*;

/// What a node says of gas and of what the generator burnt of it.
fn said(gas_l: u64, generator_l: u64) -> GasStatus {
    let burnt = GasBurnt { gas_l, generator_l, ..GasBurnt::default() };
    GasStatus { burnt, ..GasStatus::default() }
}

/// A well that gave 1 000 l, of which the generator burnt 600.
fn seen() -> SeenWell {
    let truth = WellTruth {
        output: Power::ZERO,
        runs: true,
        is_warm: true,
        flame: true,
        gas_ml: 1_000_000,
        generator_ml: 600_000,
        to_flare_ml: 400_000,
        vented_ml: 0,
        given: boltgrid_protocol::units::Energy::ZERO,
        generated: boltgrid_protocol::units::Energy::ZERO,
        starts: 2,
        ran_ms: 60_000,
        rest_ms_min: Some(7_000),
        beyond_limits_ms: 0,
    };
    SeenWell {
        name: "bus6".to_owned(),
        rest_ms: 7_000,
        truth: Some(truth),
        said: Some(said(980, 590)),
        flowed: None,
        with: (500_000, 50_000),
        without: (200_000, 200_000),
        unpriced: BTreeMap::new(),
    }
}

fn wells(well: SeenWell) -> Wells {
    Wells { seen: BTreeMap::from([(SITE, well)]), interval_ms: 10_000, cheap: None }
}

/// The names of the verdicts that are violated.
fn violated(change: impl FnOnce(&mut SeenWell, &mut WellTruth)) -> Vec<String> {
    let mut well = seen();
    let mut truth = well.truth.unwrap();
    change(&mut well, &mut truth);
    well.truth = Some(truth);
    let rows = wells(well).verdicts();
    assert!(!rows.is_empty());
    rows.into_iter().filter(|row| row.violations > 0).map(|row| row.name).collect()
}

#[test]
fn a_well_whose_gas_went_where_it_should_violates_nothing() {
    assert_eq!(violated(|_, _| {}), Vec::<String>::new());
    let row = seen().row().unwrap();
    assert_eq!(row.flared_with_machines_ppm, Some(100_000));
    assert_eq!(row.flared_without_ppm, Some(1_000_000));
}

#[test]
fn gas_that_was_not_burnt_is_seen() {
    assert_eq!(violated(|_, truth| truth.vented_ml = 1), ["gas_is_never_vented"]);
}

#[test]
fn a_generator_beyond_its_limits_or_without_rest_is_seen() {
    let limits = ["generators_stay_within_their_limits"];
    assert_eq!(violated(|_, truth| truth.beyond_limits_ms = 1_000), limits);
    assert_eq!(violated(|_, truth| truth.rest_ms_min = Some(4_000)), limits);
    assert!(violated(|_, truth| truth.rest_ms_min = Some(5_000)).is_empty(), "within two ticks");
}

#[test]
fn a_flare_that_burns_as_much_while_machines_run_is_seen() {
    let flares = ["flares_burn_less_while_machines_run"];
    assert_eq!(violated(|well, _| well.with.1 = 260_000), flares);
    assert!(violated(|well, _| well.with.1 = 250_000).is_empty(), "half as much is less");
    assert!(violated(|well, _| well.without = (0, 0)).is_empty(), "nothing to hold it against");
}

#[test]
fn gas_that_is_flared_while_power_is_cheaper_than_the_generator_is_not_held_against_it() {
    let wear = WEAR.to_msat_per_kwh();
    // What is flared in interval n is 10ⁿ ml.
    let with = |prices: &[Option<i64>]| {
        let intervals = || (0..).map(Interval::from_number).zip(prices);
        let unpriced = intervals().map(|(interval, _)| (interval, 10_u64.pow(number(interval))));
        let unpriced = unpriced.map(|(interval, ml)| (interval, (ml, ml))).collect();
        let mut wells = wells(SeenWell { with: (0, 0), unpriced, ..seen() });
        for (interval, price) in intervals() {
            wells.priced(interval, *price);
            wells.priced(interval, *price);
        }
        assert!(wells.seen[&SITE].unpriced.is_empty());
        wells.seen[&SITE].with.1
    };
    assert_eq!(with(&[Some(wear + 1), Some(wear), Some(-wear)]), 1);
    assert_eq!(with(&[None]), 1, "the supplier is dearer");
    let dear = Some(wear + 1);
    assert_eq!(with(&[dear, Some(wear), dear, dear, dear, None]), 110_001, "it stood still");
}

fn number(interval: Interval) -> u32 {
    u32::try_from(interval.to_number()).unwrap()
}

#[test]
fn an_account_that_is_wrong_or_missing_is_seen() {
    let accounts = ["accounts_of_gas_are_what_became_of_it"];
    let says = |gas_l, generator_l| {
        violated(|well, _| {
            well.said = Some(said(gas_l, generator_l));
        })
    };
    assert_eq!(says(1_001, 600), accounts, "more than there was");
    assert_eq!(says(1_000, 560), accounts, "less than 94 of 100");
    assert!(says(1_000, 565).is_empty());
    assert_eq!(violated(|well, _| well.said = None), accounts);
}
