//! Files of rules as owners write them, right and wrong, and what is decided by them.

use std::collections::BTreeMap;

use boltgrid_protocol::units::{Power, Timestamp};

use super::*;

const GOOD: &str = r#"
[[rules]]
name = "never in the heat"
priority = 100
action = "stop"
when = { any_of = [{ temperature_celsius = { above = 35 } }, { machine_celsius = { above = 90 } }] }

[[rules]]
name = "sunny weekends"
action = { power_w = 2000 }
for_at_least_s = 900
machines = ["shed"]
[rules.when]
all_of = [
  { surplus_w = { at_least = 2500 } },
  { not = { battery_percent = { below = 30 } } },
  { time = { from = "09:00", until = "17:00" } },
  { weekday = ["sat", "sun"] },
]
"#;

/// Saturday, 2016-05-28, ten o'clock.
const SATURDAY_AT_TEN: u64 = 16_949 * 86_400_000 + 10 * 3_600_000;

fn seen(at_s: u64, values: &[(Quantity, i64)]) -> Seen {
    let values: BTreeMap<Quantity, i64> =
        values.iter().map(|(quantity, value)| (*quantity, value * 1_000)).collect();
    let local_ms = SATURDAY_AT_TEN + at_s * 1_000;
    Seen { at: Timestamp::from_unix_ms(at_s * 1_000), local_ms, values }
}

/// The first fault of a file: line, column and message.
fn fault(text: &str) -> (usize, usize, String) {
    let fault = read_rules(text).unwrap_err().faults.remove(0);
    (fault.line, fault.column, fault.message)
}

/// The first fault of a rule with this condition, whose line is the first.
fn in_condition(condition: &str) -> (usize, String) {
    let text = format!("rules = [{{ name = 'a', action = 'stop', when = {condition} }}]");
    let (line, column, message) = fault(&text);
    assert_eq!(line, 1);
    (column - text.find("when = ").unwrap() - "when = ".len(), message)
}

#[test]
fn what_owners_write_is_read_and_the_highest_priority_comes_first() {
    let rules = read_rules(GOOD).unwrap();
    let names: Vec<&str> = rules.all().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["never in the heat", "sunny weekends"]);
    let sunny = &rules.all()[1];
    assert_eq!(sunny.action, Action::Power(Power::from_watts(2_000).unwrap()));
    assert!(sunny.is_for("shed") && !sunny.is_for("barn"));
    assert!(rules.all()[0].is_for("barn"));
}

#[test]
fn a_rule_that_lacks_or_misspells_something_is_refused_where_it_stands() {
    let misspelt = read_rules("[[rules]]\nnam = 'a'\n").unwrap_err().faults.pop().unwrap();
    assert_eq!((misspelt.line, misspelt.column), (2, 1));
    assert_eq!(
        misspelt.message,
        "a rule has no `nam`, only name, priority, action, when, for_at_least_s, machines"
    );
    let all: Vec<String> =
        read_rules("[[rules]]\n").unwrap_err().faults.into_iter().map(|it| it.message).collect();
    assert_eq!(all, ["the rule lacks `action`", "the rule lacks `name`", "the rule lacks `when`"]);
    assert_eq!(fault("\n[[rule]]\n").0, 2);
    assert_eq!(fault("[[rules]]\nname = \n").0, 2, "what is not TOML");
    let twice = "rules = [{ name = 'a', action = 'run', when = { weekday = ['mon'] } },\n\
        { name = 'a', action = 'run', when = { weekday = ['mon'] } }]";
    assert_eq!(fault(twice), (2, 10, "there are two rules named \"a\"".to_owned()));
    assert!(read_rules(&"#".repeat(FILE_BYTES_MAX + 1)).is_err());
}

#[test]
fn unknown_fields_and_wrong_units_are_named_with_what_is_right() {
    let (column, message) = in_condition("{ surplus_kw = { above = 2 } }");
    assert_eq!(
        (column, message.as_str()),
        (3, "`surplus_kw` has another unit: write it as `surplus_w`")
    );
    let (_, message) = in_condition("{ price_msat_per_kwh = { above = 2 } }");
    assert!(message.contains("`price_sat_per_kwh`"), "{message}");
    let (_, message) = in_condition("{ weekdy = ['mon'] }");
    assert!(message.contains("is `weekday` meant?"), "{message}");
    let (_, message) = in_condition("{ moon = { above = 1 } }");
    assert!(message.contains("rules know all_of"), "{message}");
    let (column, message) = in_condition("{ surplus_w = { over = 1 } }");
    assert_eq!(
        (column, message.as_str()),
        (17, "there is no `over`: above, at_least, below or at_most")
    );
}

#[test]
fn numbers_are_whole_and_within_what_can_be() {
    let (column, message) = in_condition("{ surplus_w = { above = 2.5 } }");
    assert_eq!((column, message.as_str()), (25, "write a whole number"));
    let (_, message) = in_condition("{ battery_percent = { below = 120 } }");
    assert_eq!(message, "battery_percent is 0 to 100, never 120");
    let (_, message) = in_condition("{ surplus_w = { above = '2' } }");
    assert_eq!(message, "write a whole number");
}

#[test]
fn comparisons_that_never_or_always_hold_are_refused() {
    let message = |condition| in_condition(condition).1;
    assert!(message("{ surplus_w = { above = 5, below = 5 } }").contains("can never be"));
    assert!(message("{ battery_percent = { above = 100 } }").contains("can never be above 100"));
    assert!(message("{ battery_percent = { at_least = 0 } }").contains("always at least 0"));
    let never = "{ all_of = [{ price_sat_per_kwh = { above = 100 } }, { all_of = [{ price_sat_per_kwh = { below = 50 } }] }] }";
    assert_eq!(message(never), "this can never hold: price_sat_per_kwh above 100 and below 50");
    assert!(
        message("{ all_of = [{ weekday = ['mon'] }, { weekday = ['tue'] }] }").contains("no day")
    );
    let times = "{ all_of = [{ time = { from = '08:00', until = '09:00' } }, { time = { from = '22:00', until = '06:00' } }] }";
    assert!(message(times).contains("no time"));
    assert!(
        message("{ time = { from = '09:00', until = '09:00' } }").contains("two different times")
    );
    assert!(
        message("{ time = { from = '24:00', until = '09:00' } }").contains("two different times")
    );
    assert!(
        message("{ weekday = ['mon','tue','wed','thu','fri','sat','sun'] }").contains("not all")
    );
    assert!(message("{ any_of = [] }").contains("at least one"));
    assert!(message("{ }").contains("one condition"));
}

#[test]
fn conditions_are_neither_too_many_nor_too_deep() {
    let deep = format!(
        "{}{{ weekday = ['mon'] }}{}",
        "{ not = ".repeat(DEPTH_MAX),
        " }".repeat(DEPTH_MAX)
    );
    assert!(in_condition(&deep).1.contains("deep"));
    let many = format!("{{ any_of = [{}] }}", "{ weekday = ['mon'] },".repeat(CONDITIONS_MAX));
    assert!(in_condition(&many).1.contains("conditions at most"));
}

#[test]
fn every_fault_of_a_file_is_listed_from_the_top() {
    let text =
        "[[rules]]\nname = 'a'\naction = 'go'\nwhen = { pv_kw = { above = 1 } }\npriority = 1.5\n";
    let rejected = read_rules(text).unwrap_err();
    let lines: Vec<usize> = rejected.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 4, 5]);
    assert!(rejected.to_string().starts_with("line 3, column 10: write action = "), "{rejected}");
}

#[test]
fn the_highest_rule_that_holds_decides_and_an_unknown_one_never_does() {
    let rules = read_rules(GOOD).unwrap();
    let surplus = (Quantity::Surplus, 3_000);
    let sunny = seen(0, &[surplus, (Quantity::Battery, 80)]);
    let decided = decide(&rules, "shed", &sunny, None);
    assert_eq!(decided.rule.as_deref(), Some("sunny weekends"));
    assert_eq!(decide(&rules, "barn", &sunny, None).action, None, "it is for another machine");
    let unknown_battery = decide(&rules, "shed", &seen(0, &[surplus]), None);
    assert_eq!(unknown_battery.action, None);
    assert_eq!(unknown_battery.judged[1].verdict, Verdict::Unknown);
    let hot = seen(0, &[surplus, (Quantity::Battery, 80), (Quantity::Temperature, 36)]);
    assert_eq!(decide(&rules, "shed", &hot, None).action, Some(Action::Stop));
}

#[test]
fn of_equal_rules_the_one_that_stops_decides() {
    let rule = |name: &str, action: &str| {
        format!("[[rules]]\nname = '{name}'\naction = '{action}'\nwhen = {{ weekday = ['sat'] }}\n")
    };
    let rules = read_rules(&(rule("on", "run") + &rule("off", "stop"))).unwrap();
    assert_eq!(decide(&rules, "shed", &seen(0, &[]), None).rule.as_deref(), Some("off"));
}

#[test]
fn a_rule_is_kept_to_for_its_time_but_a_higher_one_comes_first() {
    let rules = read_rules(GOOD).unwrap();
    let sunny = [(Quantity::Surplus, 3_000), (Quantity::Battery, 80)];
    let first = decide(&rules, "shed", &seen(0, &sunny), None);
    let cloudy = [(Quantity::Surplus, 0), (Quantity::Battery, 80)];
    let kept = decide(&rules, "shed", &seen(899, &cloudy), first.held.as_ref());
    assert_eq!(kept.rule.as_deref(), Some("sunny weekends"));
    assert_eq!(kept.kept_until, Some(Timestamp::from_unix_ms(900_000)));
    let over = decide(&rules, "shed", &seen(900, &cloudy), kept.held.as_ref());
    assert_eq!((over.rule, over.held), (None, None));
    let hot = [(Quantity::Surplus, 0), (Quantity::Temperature, 40)];
    let stopped = decide(&rules, "shed", &seen(10, &hot), first.held.as_ref());
    assert_eq!(stopped.action, Some(Action::Stop));
}
