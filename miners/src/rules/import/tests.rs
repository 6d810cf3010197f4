//! Policies written after Edge Mining's documented ones (their own files are not copied here).

use super::*;

const POLICY: &str = r#"
name: Weekend and surplus
description: after the documented examples
start_rules:
  - id: 1
    name: Sunny with a full battery
    priority: 10
    enabled: true
    conditions:
      all_of:
        - field: energy_state.production
          operator: gt
          value: 3000
        - field: energy_state.battery.state_of_charge
          operator: gte
          value: 80.0
        - field: timestamp.hour
          operator: gte
          value: 9
  - name: Weekend
    priority: 5
    conditions:
      all_of:
        - field: timestamp.weekday
          operator: in
          value: [5, 6]
        - field: energy_state.production
          operator: gt
          value: 500
  - name: Exporting
    description: Exporting at least 800W
    conditions:
      field: energy_state.grid.exporting_power
      operator: lt
      value: 800
  - name: No low battery
    conditions:
      not_:
        - field: energy_state.batery.state_of_charge
          operator: lt
          value: 20
stop_rules:
  - name: Miner failed
    conditions: {}
"#;

/// The same without what YAML here does not read, and with a stop rule that works.
fn policy() -> String {
    let dead = "    conditions:\n      any_of:\n        - field: miner.status\n          operator: eq\n          value: \"ERROR\"\n        - field: home_load_forecast\n          operator: gt\n          value: 2500\n";
    let low = "  - name: Battery low\n    priority: 90\n    conditions:\n      any_of:\n      - field: energy_state.battery.state_of_charge\n        operator: lt\n        value: 20\n      - field: home_load_forecast\n        operator: gt\n        value: 2500\n";
    format!("{}{low}", POLICY.replace("    conditions: {}\n", dead))
}

fn reported<'a>(imported: &'a Imported, name: &str) -> &'a Reported {
    imported.report.iter().find(|it| it.rule == name).unwrap()
}

#[test]
fn rules_that_worked_become_rules_of_this_house() {
    let imported = import_policy(&policy()).unwrap();
    let rules = read_rules(&imported.toml).unwrap();
    let names: Vec<&str> = rules.all().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["Battery low", "Sunny with a full battery", "Exporting"]);
    assert!(imported.toml.contains(
        "when = { all_of = [{ pv_w = { above = 3000 } }, { battery_percent = { at_least = 80 } }, \
         { time = { from = \"09:00\", until = \"00:00\" } }] }"
    ));
    assert!(
        imported.toml.contains("when = { battery_percent = { below = 20 } }\n"),
        "what was dead is gone"
    );
}

#[test]
fn rules_that_could_never_fire_are_named_with_the_reason() {
    let imported = import_policy(&policy()).unwrap();
    let weekend = reported(&imported, "Weekend");
    assert_eq!((&weekend.fate, weekend.line), (&Fate::Dead, 20));
    assert!(
        weekend.reasons[0].starts_with("line 24: `timestamp.weekday in [5, 6]`"),
        "{weekend:?}"
    );
    assert!(weekend.reasons[0].contains("a method that is never called"));
    let failed = reported(&imported, "Miner failed");
    assert_eq!(failed.fate, Fate::Dead);
    assert!(failed.reasons[0].contains("enum") && failed.reasons[1].contains("object"));
}

#[test]
fn a_mistyped_field_under_not_always_fired_and_is_not_imported() {
    let imported = import_policy(&policy()).unwrap();
    let always = reported(&imported, "No low battery");
    assert_eq!(always.fate, Fate::AlwaysFired);
    assert!(always.reasons[0].contains("there is no such field"), "{always:?}");
    assert!(!imported.toml.contains("No low battery"));
}

#[test]
fn a_sign_that_contradicts_the_words_is_reported_and_exports_change_sign() {
    let imported = import_policy(&policy()).unwrap();
    let exporting = reported(&imported, "Exporting");
    assert_eq!(exporting.fate, Fate::Imported);
    assert!(exporting.reasons[0].contains("other way round"), "{exporting:?}");
    assert!(imported.toml.contains("when = { power_w = { above = -800 } }"));
    let right =
        policy().replace("operator: lt\n      value: 800", "operator: gt\n      value: 800");
    let imported = import_policy(&right).unwrap();
    assert_eq!(reported(&imported, "Exporting").reasons, Vec::<String>::new());
    let kilowatt =
        policy().replace("at least 800W", "more than 1kW").replace("value: 800", "value: 1000");
    let imported = import_policy(&kilowatt).unwrap();
    assert_eq!(reported(&imported, "Exporting").reasons.len(), 1);
}

#[test]
fn what_can_never_hold_or_be_said_here_is_reported_too() {
    let rule = |field: &str, operator: &str, value: &str| {
        let text = format!(
            "start_rules:\n- name: a\n  conditions:\n    field: {field}\n    operator: {operator}\n    value: {value}\n"
        );
        import_policy(&text).unwrap().report.remove(0).fate
    };
    assert_eq!(rule("energy_state.battery.state_of_charge", "gt", "100"), Fate::Dead);
    assert_eq!(rule("miner.hash_rate", "gt", "100"), Fate::NotExpressible);
    assert_eq!(rule("energy_state.production", "gt", "0.5"), Fate::NotExpressible);
    assert_eq!(rule("energy_state.production", "regex", "5"), Fate::NotExpressible);
    assert_eq!(rule("timestamp.hour", "in", "[9, 10]"), Fate::Imported);
    let off = import_policy("stop_rules:\n- name: a\n  enabled: false\n").unwrap();
    assert_eq!((off.report[0].fate.clone(), off.toml.as_str()), (Fate::Disabled, ""));
    assert!(import_policy("name: x\n").unwrap_err().problem.contains("neither"));
    assert_eq!(import_policy("a: {b: c}\n").unwrap_err().line, 1);
}
