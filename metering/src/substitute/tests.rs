//! Gaps of one meter, with and without earlier days, and what fills them.

use proptest::prelude::*;

use super::*;

/// Four intervals a day are enough here.
const DAY: u64 = 4;
/// The first interval of the day that is looked at.
const TODAY: u64 = 100;

fn at(number: u64) -> Interval {
    Interval::from_number(number)
}

fn edge(number: u64, import_mwh: u64, export_mwh: u64) -> (Interval, Edge) {
    let (import, export) =
        (Energy::from_milliwatt_hours(import_mwh), Energy::from_milliwatt_hours(export_mwh));
    (at(number), Edge { sequence: number, import, export })
}

/// Days before today, each of which takes 10, 20, 30 and 40 mWh and gives 5 in its third interval, up to
/// the edge at which today begins.
fn days(count: u64) -> BTreeMap<Interval, Edge> {
    let mut edges = BTreeMap::new();
    let (mut import, mut export) = (1_000, 500);
    for number in TODAY - count * DAY..=TODAY {
        edges.extend([edge(number, import, export)]);
        import += (number % DAY + 1) * 10;
        export += if number % DAY == 2 { 5 } else { 0 };
    }
    edges
}

/// Import, export and rule of today's intervals.
fn today(edges: &BTreeMap<Interval, Edge>) -> Vec<(u64, u64, Option<Rule>)> {
    let flows = flows(edges, at(TODAY)..at(TODAY + DAY), DAY);
    let told = |it: &Flow| {
        (it.import_mwh.to_milliwatt_hours(), it.export_mwh.to_milliwatt_hours(), it.substitute)
    };
    flows.values().map(told).collect()
}

fn last(edges: &BTreeMap<Interval, Edge>) -> (u64, u64) {
    let edge = edges.values().next_back().unwrap();
    (edge.import.to_milliwatt_hours(), edge.export.to_milliwatt_hours())
}

#[test]
fn what_was_measured_is_no_substitute() {
    let mut edges = days(0);
    let (import, export) = last(&edges);
    edges.extend([edge(TODAY + 1, import + 7, export + 1)]);
    assert_eq!(today(&edges), [(7, 1, None)]);
}

#[test]
fn between_known_registers_what_is_missing_is_spread_evenly_and_to_the_milliwatt_hour() {
    let mut edges = days(0);
    let (import, export) = last(&edges);
    edges.extend([edge(TODAY + 3, import + 100, export + 2)]);
    let even = Some(Rule::Even);
    assert_eq!(today(&edges), [(33, 0, even), (33, 1, even), (34, 1, even)]);
}

#[test]
fn with_earlier_days_it_is_spread_as_they_were() {
    let mut edges = days(3);
    let (import, export) = last(&edges);
    edges.extend([edge(TODAY + 4, import + 200, export + 10)]);
    let shaped = Some(Rule::Shaped);
    assert_eq!(
        today(&edges),
        [(20, 0, shaped), (40, 0, shaped), (60, 10, shaped), (80, 0, shaped)]
    );
}

#[test]
fn after_the_last_reading_earlier_days_stand_in() {
    let profile = Some(Rule::Profile);
    let usual = [(10, 0, profile), (20, 0, profile), (30, 5, profile), (40, 0, profile)];
    assert_eq!(today(&days(2)), usual);
    assert_eq!(today(&days(1)), [], "one day is no profile");
}

#[test]
fn a_chain_that_began_anew_says_nothing_of_the_time_between() {
    let mut edges = days(2);
    edges.extend([(at(TODAY + 2), Edge { sequence: 0, ..edge(0, 0, 0).1 })]);
    let rules: Vec<_> = today(&edges).into_iter().map(|(_, _, rule)| rule).collect();
    assert_eq!(rules, [Some(Rule::Profile); 4]);
}

#[test]
fn a_reading_that_comes_late_takes_the_substitutes_place() {
    let mut edges = days(0);
    let (import, export) = last(&edges);
    edges.extend([edge(TODAY + 2, import + 100, export)]);
    let even = Some(Rule::Even);
    assert_eq!(today(&edges), [(50, 0, even), (50, 0, even)]);
    edges.extend([edge(TODAY + 1, import + 80, export)]);
    assert_eq!(today(&edges), [(80, 0, None), (20, 0, None)]);
}

proptest! {
    /// Whatever is known and missing: the parts of a gap are its sum, and nothing panics.
    #[test]
    fn substitutes_between_readings_sum_to_what_flowed(
        moved in prop::collection::vec((0_u64..u64::MAX / 64, 0_u64..1_000_000), 2..40),
        kept in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut edges = BTreeMap::new();
        let (mut import, mut export) = (0, 0);
        let count = u64::try_from(moved.len()).unwrap();
        for (number, ((taken, given), kept)) in (0..).zip(moved.iter().zip(&kept)) {
            if *kept || number == 0 || number + 1 == count {
                edges.extend([edge(number, import, export)]);
            }
            import += taken;
            export += given;
        }
        let (first, last) = (edges[&at(0)], edges[&at(count - 1)]);
        let flows = flows(&edges, at(0)..at(count - 1), DAY);
        prop_assert_eq!(u64::try_from(flows.len()).unwrap(), count - 1);
        let sum = |of: fn(&Flow) -> Energy| {
            flows.values().map(|it| of(it).to_milliwatt_hours()).sum::<u64>()
        };
        prop_assert_eq!(sum(|it| it.import_mwh), (last.import.checked_sub(first.import)).unwrap().to_milliwatt_hours());
        prop_assert_eq!(sum(|it| it.export_mwh), (last.export.checked_sub(first.export)).unwrap().to_milliwatt_hours());
    }
}
