//! A row follows from what the nodes say, and the JSON is what it promises to be.

use super::*;
use crate::run::observation::sample;

fn row(observation: &Observation) -> IntervalRow {
    IntervalRow::of(observation, "2016-05-25T12:00:00+01:00".to_owned())
}

#[test]
fn a_row_sums_up_what_the_nodes_say() {
    let expected = IntervalRow {
        interval: 7,
        local_time: "2016-05-25T12:00:00+01:00".to_owned(),
        decided: true,
        view: Some(0),
        decide_ms_p50: Some(400),
        decide_ms_p95: Some(400),
        orders: 3,
        book_hash: Some("book".to_owned()),
        clearing_digest: Some("digest".to_owned()),
        distinct_digests: 1,
        price_msat_per_kwh: Some(sample::PRICE),
        volume_mwh: 1000,
        trades: 2,
        trades_confirmed: 2,
        due_msat: 60 + 30,
        deviation_mwh: 100,
        // Of 1 010 that `bus1` gave 900 were bought, and 9 lost.
        unsold_export_mwh: 101,
        ..IntervalRow::default()
    };
    assert_eq!(row(&sample::observation()), expected);
}

#[test]
fn a_row_of_no_decision_has_no_book_and_no_price() {
    let row = row(&sample::fallen_back());
    assert!(!row.decided);
    assert_eq!((row.view, row.book_hash, row.distinct_digests), (None, None, 0));
    assert_eq!((row.trades, row.due_msat, row.volume_mwh), (0, 0, 0));
}

#[test]
fn a_row_shows_the_clearing_of_the_majority_and_that_there_are_two() {
    let mut observation = sample::observation();
    let odd = sample::report(&mut observation, 0);
    odd.clearing_digest = Some("another".to_owned());
    odd.price_msat_per_kwh = Some(-1);
    let row = row(&observation);
    assert_eq!(row.distinct_digests, 2);
    assert_eq!(row.clearing_digest.as_deref(), Some("digest"));
    assert_eq!(row.price_msat_per_kwh, Some(sample::PRICE));
}

#[test]
fn a_trade_counts_as_confirmed_when_both_sides_hold_both_signatures() {
    let mut observation = sample::observation();
    let state = boltgrid::status::TradeState::Cleared;
    sample::report(&mut observation, 1).own_trades[0].state = state;
    assert_eq!(row(&observation).trades_confirmed, 1);
}

#[test]
fn percentiles_are_values_that_occurred() {
    let check = |values: &[u64], percent, expected| {
        assert_eq!(percentile(values, percent), expected, "{values:?} {percent}");
    };
    check(&[], 50, None);
    check(&[7], 50, Some(7));
    check(&[1, 2], 50, Some(1));
    check(&[1, 2, 3], 50, Some(2));
    check(&[1, 2, 3], 95, Some(3));
    let thirteen: Vec<u64> = (1..=13).collect();
    check(&thirteen, 50, Some(7));
    check(&thirteen, 95, Some(13));
    let hundred: Vec<u64> = (1..=100).collect();
    check(&hundred, 95, Some(95));
}

#[test]
fn the_json_has_strings_for_long_integers_and_reads_back() {
    let report = Report {
        scenario: "rural1".to_owned(),
        seed: u64::MAX,
        interval_ms: 10_000,
        intervals: vec![row(&sample::observation())],
        nodes: vec![NodeRow { cpu_ms: 12, ..NodeRow::default() }],
        invariants: vec![InvariantRow { name: "x".to_owned(), checked: 3, ..Default::default() }],
        rejected: BTreeMap::from([("votes".to_owned(), BTreeMap::from([("stale".to_owned(), 4)]))]),
        floods: Vec::new(),
        faults: BTreeMap::from([("kill".to_owned(), 2)]),
        links: Some(LinksRow { datagrams_cut: 9, ..LinksRow::default() }),
        resumed_within_intervals: Some(2),
        rogues: Vec::new(),
        falsified: Vec::new(),
        masked: Vec::new(),
        mining: MiningReport { mined_mwh: 5, miner_starts: 3, ..MiningReport::default() },
    };
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["seed"], u64::MAX.to_string());
    assert_eq!(json["intervals"][0]["price_msat_per_kwh"], "100000");
    assert_eq!(json["intervals"][0]["trades_confirmed"], 2);
    assert_eq!(json["nodes"][0]["cpu_ms"], "12");
    assert_eq!(json["invariants"][0]["violations"], 0);
    assert_eq!(json["faults"]["kill"], 2);
    assert_eq!(json["links"]["datagrams_cut"], "9");
    assert_eq!(json["resumed_within_intervals"], 2);
    assert_eq!((&json["mined_mwh"], &json["miner_starts"]), (&"5".into(), &3.into()));
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn a_report_is_clean_unless_something_was_violated() {
    let mut report = Report {
        invariants: vec![InvariantRow::default(), InvariantRow::default()],
        ..Report::default()
    };
    assert!(report.is_clean());
    report.invariants[1].violations = 1;
    assert!(!report.is_clean());
}
