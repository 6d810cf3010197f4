//! Tests of the charter: what is refused and how it is said, and what the grid's id depends on.

use super::*;
use crate::fixture::CHARTER;

/// The sample with one line replaced.
fn with(line: &str, instead: &str) -> Result<Charter, CharterRejected> {
    assert_eq!(CHARTER.matches(line).count(), 1, "{line} must be there once");
    Charter::from_toml(&CHARTER.replace(line, instead))
}

/// Asserts that the sample with this change is refused for this parameter.
fn refused(parameter: &str, line: &str, instead: &str) {
    match with(line, instead) {
        Err(CharterRejected::Parameter { parameter: named, problem }) => {
            assert_eq!(named, parameter, "{instead} was refused with: {problem}");
        }
        other => panic!("{instead} gave {other:?}"),
    }
}

#[test]
fn the_sample_is_valid_and_says_what_it_says() {
    let charter = Charter::from_toml(CHARTER).unwrap();
    assert_eq!(charter.name, "Lindenhof");
    assert_eq!(charter.connection.import_capacity(), Power::from_watts(160_000).unwrap());
    assert_eq!(charter.feeders.len(), 2);
    assert!(charter.membership.registrars.is_sorted());
}

#[test]
fn every_timing_out_of_range_is_named() {
    let interval = |key: &str, line: &str, instead: &str| {
        refused(&format!("interval.{key}"), line, instead);
    };
    interval("interval_ms", "interval_ms = 300_000", "interval_ms = 999");
    interval("interval_ms", "interval_ms = 300_000", "interval_ms = 3_600_001");
    interval("views", "views = 5", "views = 0");
    interval("views", "views = 5", "views = 33");
    interval("view_ms", "view_ms = 5_000", "view_ms = 99");
    interval(
        "orders_close_before_gate_ms",
        "orders_close_before_gate_ms = 15_000",
        "orders_close_before_gate_ms = 45_000",
    );
    interval("clock_skew_max_ms", "clock_skew_max_ms = 1_000", "clock_skew_max_ms = 15_001");
    interval(
        "confirm_by_after_gate_ms",
        "confirm_by_after_gate_ms = 45_000",
        "confirm_by_after_gate_ms = 26_999",
    );
    interval(
        "gate_before_delivery_ms",
        "gate_before_delivery_ms = 60_000",
        "gate_before_delivery_ms = 44_999",
    );
    interval(
        "orders_open_before_gate_ms",
        "orders_open_before_gate_ms = 45_000",
        "orders_open_before_gate_ms = 540_001",
    );
    let readings = "readings_by_after_delivery_ms = 30_000";
    interval("readings_by_after_delivery_ms", readings, "readings_by_after_delivery_ms = 0");
    interval("readings_by_after_delivery_ms", readings, "readings_by_after_delivery_ms = 300_001");
}

#[test]
fn timings_at_the_edge_of_their_range_are_fine() {
    for (line, instead) in [
        ("clock_skew_max_ms = 1_000", "clock_skew_max_ms = 15_000"),
        ("confirm_by_after_gate_ms = 45_000", "confirm_by_after_gate_ms = 27_000"),
        ("gate_before_delivery_ms = 60_000", "gate_before_delivery_ms = 45_000"),
        ("orders_open_before_gate_ms = 45_000", "orders_open_before_gate_ms = 540_000"),
    ] {
        assert!(with(line, instead).is_ok(), "{instead}");
    }
}

#[test]
fn lengths_that_overflow_when_added_are_refused() {
    let largest = i64::MAX;
    for (parameter, line, key) in [
        ("interval.confirm_by_after_gate_ms", "view_ms = 5_000", "view_ms"),
        (
            "interval.gate_before_delivery_ms",
            "confirm_by_after_gate_ms = 45_000",
            "confirm_by_after_gate_ms",
        ),
        (
            "interval.orders_open_before_gate_ms",
            "gate_before_delivery_ms = 60_000",
            "gate_before_delivery_ms",
        ),
    ] {
        refused(parameter, line, &format!("{key} = {largest}"));
    }
}

#[test]
fn every_price_out_of_range_is_named() {
    let floor = "floor_msat_per_kwh = -200_000";
    refused("price.floor_msat_per_kwh", floor, "floor_msat_per_kwh = -1_000_000_001");
    refused("price.floor_msat_per_kwh", floor, &format!("floor_msat_per_kwh = {}", i64::MIN));
    refused("price.floor_msat_per_kwh", floor, "floor_msat_per_kwh = 500_000");
    let ceiling = "ceiling_msat_per_kwh = 500_000";
    refused("price.ceiling_msat_per_kwh", ceiling, "ceiling_msat_per_kwh = 1_000_000_001");
}

#[test]
fn every_tariff_out_of_range_is_named() {
    refused("tariff.clock.speed", "speed = 1 }", "speed = 0 }");
    refused("tariff.clock.speed", "speed = 1 }", "speed = 100_001 }");
    let base = "base = { retail_msat_per_kwh = 300_000, feed_in_msat_per_kwh = 80_000 }";
    refused(
        "tariff.base.retail_msat_per_kwh",
        base,
        "base = { retail_msat_per_kwh = 500_001, feed_in_msat_per_kwh = 80_000 }",
    );
    refused(
        "tariff.base.feed_in_msat_per_kwh",
        base,
        "base = { retail_msat_per_kwh = 300_000, feed_in_msat_per_kwh = -200_001 }",
    );
    refused(
        "tariff.base.feed_in_msat_per_kwh",
        base,
        "base = { retail_msat_per_kwh = 300_000, feed_in_msat_per_kwh = 300_001 }",
    );
    refused(
        "tariff.period.prices.feed_in_msat_per_kwh",
        "feed_in_msat_per_kwh = -30_000",
        "feed_in_msat_per_kwh = 300_001",
    );
    for months in ["[]", "[0]", "[13]"] {
        let instead = format!("months = {months}");
        refused("tariff.period.months", "months = [5, 6, 7, 8]", &instead);
    }
    for minute in [660, 1441] {
        let instead = format!("until_minute_of_day = {minute}");
        refused("tariff.period.until_minute_of_day", "until_minute_of_day = 900", &instead);
    }
}

#[test]
fn every_other_parameter_out_of_range_is_named() {
    refused("name", "\"Lindenhof\"", "\"\"");
    refused("name", "\"Lindenhof\"", &format!("\"{}\"", "x".repeat(65)));
    refused("name", "\"Lindenhof\"", "\"Linden\\u001b[31mhof\"");
    for (key, value) in [("import_capacity_w", "160_000"), ("export_capacity_w", "160_000")] {
        let line = format!("{key} = {value}");
        refused(&format!("connection.{key}"), &line, &format!("{key} = 1_000_000_000_001"));
    }
    refused("connection.loss_ppm", "loss_ppm = 30_000", "loss_ppm = 500_000");
    let threshold = "registrar_threshold = 2";
    refused("membership.registrar_threshold", threshold, "registrar_threshold = 0");
    refused("membership.registrar_threshold", threshold, "registrar_threshold = 4");
    let epoch = "roster_epoch_intervals = 288";
    refused("membership.roster_epoch_intervals", epoch, "roster_epoch_intervals = 0");
    refused("membership.roster_epoch_intervals", epoch, "roster_epoch_intervals = 1_000_001");
    refused("membership.bar_intervals", "bar_intervals = 2_016", "bar_intervals = 1_000_001");
    refused("feeder.name", "name = \"south\"", "name = \"north\"");
    refused("feeder.name", "name = \"south\"", "name = \"\"");
    refused("feeder.connection_points", "[\"bus-3\"]", "[\"bus-1\"]");
    refused("feeder.connection_points", "[\"bus-3\"]", "[\"\"]");
}

#[test]
fn registrars_are_between_one_and_thirty_two_and_each_is_named_once() {
    let charter = Charter::from_toml(CHARTER).unwrap();
    let first = charter.membership.registrars[0];
    let check = |registrars: Vec<ParticipantId>| {
        let mut charter = charter.clone();
        charter.membership.registrars = registrars;
        charter.membership.registrar_threshold = 1;
        matches!(
            charter.check(),
            Err(CharterRejected::Parameter { parameter: "membership.registrars", .. })
        )
    };
    assert!(check(Vec::new()));
    assert!(check(vec![first, first]));
    let many = |count: u8| (0..count).map(|byte| ParticipantId::from_bytes([byte; 32])).collect();
    assert!(check(many(33)) && !check(many(32)));
}

#[test]
fn what_is_misspelt_missing_or_no_number_is_refused_as_syntax() {
    let is_syntax = |line: &str, instead: &str| {
        let result = with(line, instead);
        assert!(matches!(result, Err(CharterRejected::Syntax(_))), "{instead} gave {result:?}");
    };
    is_syntax("loss_ppm = 30_000", "losses_ppm = 30_000");
    is_syntax("loss_ppm = 30_000", "loss_ppm = 30_000\nsurprise = 1");
    is_syntax("loss_ppm = 30_000", "loss_ppm = -1");
    is_syntax("loss_ppm = 30_000", "loss_ppm = 0.03");
    is_syntax("loss_ppm = 30_000", "loss_ppm = 30_000\nloss_ppm = 30_000");
    is_syntax("name = \"Lindenhof\"", "");
    is_syntax("registrars = [", "registrars = [\"12\",");
}

#[test]
fn the_grid_id_ignores_how_the_toml_is_written() {
    let charter = Charter::from_toml(CHARTER).unwrap();
    let id = charter.grid_id();
    let rewritten = toml::to_string(&charter).unwrap();
    assert_ne!(rewritten, CHARTER);
    assert_eq!(Charter::from_toml(&rewritten).unwrap().grid_id(), id);
    let mut registrars: Vec<&str> = CHARTER.lines().filter(|line| line.ends_with("\",")).collect();
    assert_eq!(registrars.len(), 3);
    let in_file = registrars.join("\n");
    registrars.reverse();
    let reversed = registrars.join("\n").to_uppercase();
    assert_eq!(with(&in_file, &reversed).unwrap().grid_id(), id);
    let order = "import_capacity_w = 160_000\nexport_capacity_w = 160_000";
    let other_order = "# swapped\nexport_capacity_w=160000\nimport_capacity_w   =   160000";
    assert_eq!(with(order, other_order).unwrap().grid_id(), id);
}

#[test]
fn the_grid_id_depends_on_every_parameter() {
    let id = Charter::from_toml(CHARTER).unwrap().grid_id();
    let mut changed = 0;
    for line in CHARTER.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
        // The last digit of each line that can take another one and stay valid.
        let variant =
            [("8]", "9]"), ("0 }", "1 }"), ("-3\"]", "-4\"]"), ("0", "1"), ("n\"", "m\"")]
                .iter()
                .find_map(|(from, to)| line.strip_suffix(from).map(|rest| format!("{rest}{to}")));
        let Some(variant) = variant else { continue };
        let text = CHARTER.replacen(line, &variant, 1);
        if let Ok(charter) = Charter::from_toml(&text) {
            assert_ne!(charter.grid_id(), id, "{variant}");
            changed += 1;
        }
    }
    assert!(changed >= 15, "only {changed} parameters could be changed");
}

#[test]
fn the_canonical_encoding_reads_back_as_the_same_charter() {
    let charter = Charter::from_toml(CHARTER).unwrap();
    // Open readings are left out of what is hashed.
    let bytes = [codec::canonical(&charter), vec![0; 4]].concat();
    assert_eq!(codec::decode(&bytes, codec::ENCODED_MAX), Ok(charter.clone()));
    let charter = Charter { readings: Disclosure::Counterparty, ..charter };
    let bytes = codec::canonical(&charter);
    assert_eq!(codec::decode(&bytes, codec::ENCODED_MAX), Ok(charter));
}

#[test]
fn a_period_of_the_tariff_holds_in_its_months_and_minutes_only() {
    use crate::units::Timestamp;
    let charter = Charter::from_toml(CHARTER).unwrap();
    let feed_in = |unix_ms| {
        let prices = charter.tariff.at(Timestamp::from_unix_ms(unix_ms));
        prices.feed_in_msat_per_kwh.to_msat_per_kwh()
    };
    // 2016-05-25 00:00 UTC is 01:00 on this tariff's clock, which is an hour ahead.
    let midnight = 1_464_134_400_000;
    let hour = 3_600_000;
    assert_eq!(feed_in(midnight + 10 * hour - 1), 80_000);
    assert_eq!(feed_in(midnight + 10 * hour), -30_000);
    assert_eq!(feed_in(midnight + 14 * hour - 1), -30_000);
    assert_eq!(feed_in(midnight + 14 * hour), 80_000);
    let in_december = midnight + 200 * 24 * hour + 12 * hour;
    assert_eq!(feed_in(in_december), 80_000);
}

#[test]
fn the_moments_of_an_interval_come_in_order() {
    let charter = Charter::from_toml(CHARTER).unwrap();
    let schedule = charter.interval.schedule(crate::fixture::INTERVAL);
    let moments = [
        schedule.orders_open,
        schedule.orders_close,
        schedule.gate,
        schedule.first_view,
        schedule.views_end(),
        schedule.confirm_by,
        schedule.delivery_starts,
        schedule.delivery_ends,
        schedule.readings_by,
    ];
    assert!(moments.is_sorted_by(|a, b| a < b), "{moments:?}");
    assert_eq!(schedule.view_starts(2).ms_since(schedule.first_view), 10_000);
    assert_eq!(schedule.within_view(1, 45).ms_since(schedule.first_view), 7_250);
}

/// The sample without its table `settlement`.
fn without_settlement() -> String {
    let (before, after) = CHARTER.split_once("[settlement]").expect("the sample has it");
    let (_, after) = after.split_once("\n\n").expect("something follows it");
    format!("{before}{after}")
}

#[test]
fn every_term_of_payment_out_of_range_is_named() {
    let tranche = "tranche_mwh = 250_000";
    refused("settlement.tranche_mwh", tranche, "tranche_mwh = 49_999");
    refused("settlement.tranche_mwh", tranche, "tranche_mwh = 250_001");
    let within = "pay_within_ms = 86_400_000";
    refused("settlement.pay_within_ms", within, "pay_within_ms = 999");
    refused("settlement.pay_within_ms", within, "pay_within_ms = 2_592_000_001");
    let part = with("forwarding = true", "");
    assert!(matches!(part, Err(CharterRejected::Syntax(_))), "half a table is none: {part:?}");
}

#[test]
fn a_charter_without_terms_of_payment_has_the_default_and_its_id() {
    let silent = Charter::from_toml(&without_settlement()).unwrap();
    assert_eq!(silent.settlement, PaymentTerms::default());
    let said = with("forwarding = true", "forwarding = false").unwrap();
    assert_eq!(said.grid_id(), silent.grid_id(), "what it says is the default");
    assert_ne!(Charter::from_toml(CHARTER).unwrap().grid_id(), silent.grid_id());
}

#[test]
fn a_charter_that_says_nothing_of_readings_is_open_and_keeps_its_id() {
    let charter = Charter::from_toml(CHARTER).unwrap();
    assert_eq!(charter.readings, Disclosure::Open);
    let says_so = Charter::from_toml(&format!("readings = \"open\"\n{CHARTER}")).unwrap();
    assert_eq!(says_so.grid_id(), charter.grid_id());
    assert!(!toml::to_string(&charter).unwrap().contains("readings ="));
}

#[test]
fn who_sees_readings_changes_the_id_and_survives_the_file() {
    let open = Charter::from_toml(CHARTER).unwrap();
    let mut ids = vec![open.grid_id()];
    for readings in Disclosure::ALL.into_iter().filter(|it| !it.is_open()) {
        let text = format!("readings = \"{}\"\n{CHARTER}", readings.word());
        let charter = Charter::from_toml(&text).unwrap();
        assert_eq!(charter.readings, readings);
        let again = Charter::from_toml(&toml::to_string(&charter).unwrap()).unwrap();
        assert_eq!(again.grid_id(), charter.grid_id());
        ids.push(charter.grid_id());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Disclosure::ALL.len());
    assert!(Charter::from_toml(&format!("readings = \"hidden\"\n{CHARTER}")).is_err());
}
