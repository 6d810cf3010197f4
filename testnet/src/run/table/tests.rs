//! The lines say what the rows say.

use super::*;
use crate::run::observation::sample;
use crate::run::report::InvariantRow;

fn row() -> IntervalRow {
    IntervalRow {
        interval: 170_000_004,
        local_time: "2016-05-25T12:15:00+01:00".to_owned(),
        decided: true,
        view: Some(0),
        decide_ms_p95: Some(431),
        distinct_digests: 1,
        price_msat_per_kwh: Some(-27_500),
        volume_mwh: 123_456,
        trades: 9,
        trades_confirmed: 9,
        due_msat: 3_395,
        ..IntervalRow::default()
    }
}

#[test]
fn thousandths_are_cut_off_and_keep_their_sign() {
    let check = |value, decimals, expected| assert_eq!(thousandths(value, decimals), expected);
    check(0, 3, "0.000");
    check(1_234, 1, "1.2");
    check(-1_234, 3, "-1.234");
    check(-1, 3, "-0.001");
    check(-999, 0, "-0");
    check(i64::MIN, 3, "-9223372036854775.808");
}

#[test]
fn a_line_shows_price_volume_trades_and_power_under_their_heads() {
    let remarks = Remarks { transformer_mw: -158_250_000, ..Remarks::default() };
    let line = line(4, &row(), &remarks);
    let cells: Vec<&str> = line.split_whitespace().collect();
    let expected = ["4", "2016-05-25", "12:15", "-27.500", "0.123", "9/9", "1", "431", "-158.2"];
    assert_eq!(cells, expected);
    let head = head();
    let (heads, units) = head.split_once('\n').unwrap();
    let end = |text: &str, part: &str| text.find(part).unwrap() + part.len();
    for (head, value) in [("price", "-27.500"), ("volume", "0.123"), ("transformer", "-158.2")] {
        assert_eq!(end(heads, head), end(&line, value), "{head}");
    }
    assert_eq!(end(units, "sat/kWh"), end(&line, "-27.500"));
}

#[test]
fn notes_say_what_is_out_of_the_ordinary() {
    let check = |row: IntervalRow, remarks: Remarks, expected: &str| {
        let line = line(4, &row, &remarks);
        assert!(line.ends_with(expected), "{line}");
    };
    let remarks = |down, violations| Remarks { down, violations, ..Remarks::default() };
    check(IntervalRow { view: Some(2), ..row() }, remarks(1, 0), "  view 2; 1 node down");
    check(row(), remarks(5, 2), "  5 nodes down; 2 VIOLATIONS");
    check(
        IntervalRow { decided: false, price_msat_per_kwh: None, ..row() },
        remarks(0, 1),
        "  no decision: supplied at the tariff; 1 VIOLATION",
    );
    check(IntervalRow { price_msat_per_kwh: None, ..row() }, remarks(0, 0), "  nothing matched");
    let faults = vec!["bus3 killed".to_owned()];
    check(row(), Remarks { faults, ..Remarks::default() }, "  bus3 killed");
}

#[test]
fn the_phase_follows_the_clock_and_what_is_known() {
    const TIMING: Timing = Timing {
        interval_ms: 10_000,
        gate_before_delivery_ms: 6_500,
        orders_open_before_gate_ms: 2_500,
        orders_close_before_gate_ms: 500,
        proposal_after_gate_ms: 300,
        view_ms: 800,
        views: 6,
        confirm_by_after_gate_ms: 6_000,
        readings_by_after_delivery_ms: 3_000,
        clock_skew_max_ms: 300,
    };
    fn told(ms: u64, last: Option<&IntervalReport>) -> String {
        phase(&TIMING, Interval::from_number(100), Timestamp::from_unix_ms(ms), last)
    }
    assert_eq!(told(990_500, None), "warming up");
    assert_eq!(told(991_500, None), "warming up · 0: ordering");
    assert_eq!(told(994_000, None), "warming up · 0: agreeing");
    let mut observation = sample::observation();
    let report = sample::report(&mut observation, 0);
    report.interval = 102;
    let cleared = told(1_014_000, Some(report));
    assert_eq!(cleared, "1: delivering · 2: cleared at 100.000 sat/kWh");
    report.outcome = IntervalOutcome::NoDecision;
    assert_eq!(told(1_019_900, Some(report)), "1: delivering · 2: no decision");
}

#[test]
fn the_summary_adds_up_and_names_what_was_violated() {
    let mut report = Report {
        scenario: "rural1".to_owned(),
        seed: 1,
        interval_ms: 10_000,
        intervals: vec![row(), IntervalRow { price_msat_per_kwh: Some(90_000), ..row() }],
        nodes: Vec::new(),
        invariants: vec![InvariantRow {
            name: "sums".to_owned(),
            checked: 5,
            ..Default::default()
        }],
        ..Report::default()
    };
    let expected = "2 of 2 intervals decided, -27.500 to 90.000 sat/kWh, 0.246 kWh, \
                    18 of 18 trades confirmed, 6.790 sat due\n\
                    all 1 invariants held in 5 checks";
    assert_eq!(summary(&report), expected);
    report.invariants[0].violations = 2;
    report.invariants[0].examples = vec!["interval 7: 3 mWh are left over".to_owned()];
    let text = summary(&report);
    assert!(text.contains("VIOLATED: sums (2 of 5 checks)\n  interval 7"), "{text}");
    assert!(!text.contains("held"), "{text}");
}
