//! Rules from a file, with everything that is wrong with it.
//!
//! Not serde: a fault is to be found where it is, with all others of the file, and in words that say
//! what would be right.

use std::collections::BTreeSet;
use std::ops::Range as Span;

use boltgrid_protocol::units::Power;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::condition::Condition;
use super::fault::{Faults, RulesRejected};
use super::{Action, FILE_BYTES_MAX, HOLD_S_MAX, NAME_BYTES_MAX, RULES_MAX, Rule, Rules};

mod compare;
mod impossible;
mod tree;

/// What may stand in a rule.
const FIELDS: [&str; 6] = ["name", "priority", "action", "when", "for_at_least_s", "machines"];

/// Reads a file of rules.
///
/// # Errors
///
/// [`RulesRejected`] with every fault: what is not TOML, unknown fields, wrong units, comparisons that
/// can never hold or never fail, and bounds that are exceeded.
pub fn read_rules(text: &str) -> Result<Rules, RulesRejected> {
    let mut faults = Faults::new(text);
    if text.len() > FILE_BYTES_MAX {
        faults.note(&(0..0), format!("the file is longer than {FILE_BYTES_MAX} bytes"));
        return Err(faults.rejected());
    }
    let parsed = match DeTable::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            faults.note(&error.span().unwrap_or(0..0), error.message().to_owned());
            return Err(faults.rejected());
        }
    };
    let rules = all(parsed.get_ref(), &mut faults);
    if faults.any() { Err(faults.rejected()) } else { Ok(Rules::new(rules)) }
}

fn all(file: &DeTable<'_>, faults: &mut Faults<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut names = BTreeSet::new();
    for (key, value) in file {
        if key.get_ref() != "rules" {
            faults.note(&key.span(), format!("there is no `{}`: write [[rules]]", key.get_ref()));
            continue;
        }
        let Some(list) = value.get_ref().as_array() else {
            faults.note(&value.span(), "write each rule under [[rules]]");
            continue;
        };
        for (number, rule) in list.iter().enumerate() {
            if number == RULES_MAX {
                faults.note(&rule.span(), format!("more than {RULES_MAX} rules"));
                break;
            }
            let Some(table) = rule.get_ref().as_table() else {
                faults.note(&rule.span(), "write each rule under [[rules]]");
                continue;
            };
            let Some(rule) = one(table, &rule.span(), faults) else { continue };
            if !names.insert(rule.name.clone()) {
                let span = table.get("name").map_or(0..0, Spanned::span);
                faults.note(&span, format!("there are two rules named {:?}", rule.name));
            }
            rules.push(rule);
        }
    }
    rules
}

/// One rule; `None` where something of it is wrong, which is noted.
fn one(table: &DeTable<'_>, span: &Span<usize>, faults: &mut Faults<'_>) -> Option<Rule> {
    for key in table.keys().filter(|key| !FIELDS.contains(&key.get_ref().as_ref())) {
        let message = format!("a rule has no `{}`, only {}", key.get_ref(), FIELDS.join(", "));
        faults.note(&key.span(), message);
    }
    let mut required = |field: &str| {
        let value = table.get(field);
        if value.is_none() {
            faults.note(span, format!("the rule lacks `{field}`"));
        }
        value
    };
    let (name, action, when) = (required("name"), required("action"), required("when"));
    let name = name.and_then(|it| name_of(it, faults));
    let action = action.and_then(|it| action_of(it, faults));
    let when: Option<Condition> = when.and_then(|it| tree::condition(it, faults));
    let priority = table.get("priority").map_or(Some(0), |it| integer(it, faults));
    let hold = table.get("for_at_least_s").map_or(Some(0), |it| {
        let seconds = integer(it, faults)?;
        let hold = u32::try_from(seconds).ok().filter(|hold| *hold <= HOLD_S_MAX);
        if hold.is_none() {
            faults.note(&it.span(), format!("write 0 to {HOLD_S_MAX} seconds"));
        }
        hold
    });
    let machines = table.get("machines").map_or(Some(Vec::new()), |it| names(it, faults));
    Some(Rule {
        name: name?,
        priority: priority?,
        action: action?,
        when: when?,
        for_at_least_s: hold?,
        machines: machines?,
    })
}

fn name_of(value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<String> {
    let name = value.get_ref().as_str().filter(|name| {
        let is_shown = !name.trim().is_empty() && !name.chars().any(char::is_control);
        is_shown && name.len() <= NAME_BYTES_MAX
    });
    if name.is_none() {
        faults
            .note(&value.span(), format!("write a name of 1 to {NAME_BYTES_MAX} bytes in quotes"));
    }
    name.map(str::to_owned)
}

fn names(value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Vec<String>> {
    let Some(list) = value.get_ref().as_array().filter(|list| !list.is_empty()) else {
        faults.note(&value.span(), "write a list of names of machines, or leave it out for all");
        return None;
    };
    list.iter().map(|name| name_of(name, faults)).collect()
}

fn action_of(value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Action> {
    match value.get_ref() {
        DeValue::String(word) if word == "run" => return Some(Action::Run),
        DeValue::String(word) if word == "stop" => return Some(Action::Stop),
        DeValue::Table(table) if table.len() == 1 => {
            if let Some(watts) = table.get("power_w") {
                let power = integer(watts, faults)?;
                let power = Power::from_watts(power).ok().filter(|it| *it > Power::ZERO);
                if power.is_none() {
                    faults.note(&watts.span(), "write a power above 0 W, or action = \"stop\"");
                }
                return power.map(Action::Power);
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {}
    }
    faults.note(&value.span(), "write action = \"run\", \"stop\" or { power_w = 2000 }");
    None
}

/// A whole number.
fn integer(value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<i64> {
    let read = match value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        DeValue::Float(_)
        | DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    if read.is_none() {
        faults.note(&value.span(), "write a whole number");
    }
    read
}
