//! Conditions of a policy as conditions of rules, and what is wrong with them.

use super::field::{Field, field};
use super::shown;
use super::yaml::{Node, Yaml};

/// Words that say a lower bound, and an upper one.
const AT_LEAST: [&str; 5] = ["at least", "more than", "above", "over ", "exceeds"];
const AT_MOST: [&str; 4] = ["at most", "less than", "below", "under "];

/// What a condition came to in the policy's own program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It was false whatever was seen.
    Never,
    /// It was true whatever was seen.
    Always,
    /// Rules here can't say it.
    NotExpressible,
    /// It depended on what was seen, and is this here.
    Live(String),
}

/// A condition, with what is wrong in it; `said` is what its rule says in words.
pub(super) fn translate(node: &Node, said: &str, reasons: &mut Vec<String>) -> Found {
    let group = |key: &str| node.get(key);
    if let Some(all) = group("all_of") {
        return join("all_of", all, said, reasons);
    }
    if let Some(any) = group("any_of") {
        return join("any_of", any, said, reasons);
    }
    if let Some(of) = group("not_") {
        // Their form is a list of one, or the condition itself.
        let of = of.items().first().unwrap_or(of);
        return match translate(of, said, reasons) {
            Found::Never => Found::Always,
            Found::Always => Found::Never,
            Found::NotExpressible => Found::NotExpressible,
            Found::Live(condition) => Found::Live(format!("{{ not = {condition} }}")),
        };
    }
    let text = |key| node.get(key).and_then(Node::text);
    let (Some(path), Some(operator), Some(value)) =
        (text("field"), text("operator"), node.get("value"))
    else {
        reasons
            .push(format!("line {}: neither a comparison nor all_of, any_of or not_", node.line));
        return Found::NotExpressible;
    };
    compare((path, operator, value), node.line, said, reasons)
}

fn join(word: &str, list: &Node, said: &str, reasons: &mut Vec<String>) -> Found {
    let found: Vec<Found> = list.items().iter().map(|it| translate(it, said, reasons)).collect();
    let decisive = if word == "all_of" { Found::Never } else { Found::Always };
    if found.contains(&decisive) {
        return decisive;
    }
    let mut live = Vec::new();
    for one in &found {
        match one {
            Found::NotExpressible => return Found::NotExpressible,
            Found::Live(condition) => live.push(condition.clone()),
            Found::Never | Found::Always => {}
        }
    }
    match &live[..] {
        // All were alike: true for all_of, false for any_of.
        [] if word == "all_of" => Found::Always,
        [] => Found::Never,
        [only] => Found::Live(only.clone()),
        several => Found::Live(format!("{{ {word} = [{}] }}", several.join(", "))),
    }
}

fn compare(
    (path, operator, value): (&str, &str, &Node),
    line: usize,
    said: &str,
    reasons: &mut Vec<String>,
) -> Found {
    let mut because = |problem: String| reasons.push(format!("line {line}: {problem}"));
    let what = format!("`{path} {operator} {}`", shown(value));
    let (name, sign) = match field(path) {
        Field::NeverTrue(reason) => {
            because(format!("{what} was always false: {reason}"));
            return Found::Never;
        }
        Field::Unknown => {
            because(format!("{what} was always false: there is no such field"));
            return Found::Never;
        }
        Field::Elsewhere => {
            because(format!("{what}: rules here know nothing like it"));
            return Found::NotExpressible;
        }
        Field::Hour => {
            return hour(operator, value).map_or_else(
                || {
                    because(format!("{what} is no span of hours"));
                    Found::NotExpressible
                },
                Found::Live,
            );
        }
        Field::Same(name) => (name, 1),
        Field::Opposite(name) => (name, -1),
    };
    let Some(number) = value.text().and_then(whole) else {
        because(format!("{what}: rules here compare with whole numbers"));
        return Found::NotExpressible;
    };
    if let Some(word) = turned_around(operator, number, said) {
        because(format!("{what} is the other way round than the rule says: \"{word} {number}\""));
    }
    let bound = match (operator, sign) {
        ("gt", 1) | ("lt", -1) => "above",
        ("gte", 1) | ("lte", -1) => "at_least",
        ("lt", 1) | ("gt", -1) => "below",
        ("lte", 1) | ("gte", -1) => "at_most",
        ("eq", _) => {
            let number = number.saturating_mul(sign);
            return Found::Live(format!(
                "{{ {name} = {{ at_least = {number}, at_most = {number} }} }}"
            ));
        }
        _ => {
            because(format!("{what}: numbers are compared by gt, gte, lt, lte or eq"));
            return Found::NotExpressible;
        }
    };
    Found::Live(format!("{{ {name} = {{ {bound} = {} }} }}", number.saturating_mul(sign)))
}

/// A whole number, also where it is written with a fraction of nothing.
fn whole(text: &str) -> Option<i64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.bytes().all(|digit| digit == b'0') { whole.parse().ok() } else { None }
}

/// The word by which a rule says the opposite of what its operator does, about the same number.
fn turned_around(operator: &str, number: i64, said: &str) -> Option<&'static str> {
    let opposite: &[&'static str] = match operator {
        "lt" | "lte" => &AT_LEAST,
        "gt" | "gte" => &AT_MOST,
        _ => return None,
    };
    let magnitude = number.unsigned_abs();
    let thousands = magnitude.is_multiple_of(1_000).then(|| magnitude.div_euclid(1_000));
    let follows = |word: &str| {
        said.match_indices(word).any(|(at, _)| {
            let after = said.get(at.saturating_add(word.len())..).unwrap_or("").trim_start();
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            let unit = after.get(digits.len()..).unwrap_or("").trim_start();
            let in_thousands =
                unit.starts_with('k') && thousands.is_some_and(|it| it.to_string() == digits);
            digits == magnitude.to_string() || in_thousands
        })
    };
    opposite.iter().copied().find(|word| follows(word))
}

/// A comparison of the hour as a window of the day.
fn hour(operator: &str, value: &Node) -> Option<String> {
    let number = |node: &Node| node.text()?.parse::<u32>().ok().filter(|hour| *hour < 24);
    let window = |from: u32, until: u32| {
        let (from, until) = (from.rem_euclid(24), until.rem_euclid(24));
        (from != until).then(|| {
            format!("{{ time = {{ from = \"{from:02}:00\", until = \"{until:02}:00\" }} }}")
        })
    };
    if operator == "in" {
        let Yaml::List(items) = &value.value else { return None };
        let windows: Option<Vec<String>> = items
            .iter()
            .map(|item| number(item).and_then(|hour| window(hour, hour.saturating_add(1))))
            .collect();
        let windows = windows.filter(|windows| !windows.is_empty())?;
        return Some(format!("{{ any_of = [{}] }}", windows.join(", ")));
    }
    let hour = number(value)?;
    match operator {
        "gte" => window(hour, 24),
        "gt" => window(hour.saturating_add(1), 24),
        "lt" => window(0, hour),
        "lte" => window(0, hour.saturating_add(1)),
        "eq" => window(hour, hour.saturating_add(1)),
        _ => None,
    }
}
