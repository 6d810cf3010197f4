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
    }
}

/// The names of the verdicts that are violated.
fn violated(change: impl FnOnce(&mut SeenWell, &mut WellTruth)) -> Vec<String> {
    let mut well = seen();
    let mut truth = well.truth.unwrap();
    change(&mut well, &mut truth);
    well.truth = Some(truth);
    let wells = Wells { seen: BTreeMap::from([(SITE, well)]), interval_ms: 10_000 };
    let rows = wells.verdicts();
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
