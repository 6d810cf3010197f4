//! Conditions, and conditions made of conditions.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::super::condition::{Condition, WEEKDAYS, Weekdays};
use super::super::fault::Faults;
use super::super::quantity::Quantity;
use super::super::{CONDITIONS_MAX, DEPTH_MAX};
use super::{compare, impossible};

/// Minutes of a day.
const DAY_MINUTES: u32 = 1_440;

/// The condition of a rule; `None` where something of it is wrong, which is noted.
pub(super) fn condition(
    value: &Spanned<DeValue<'_>>,
    faults: &mut Faults<'_>,
) -> Option<Condition> {
    let mut left = CONDITIONS_MAX;
    node(value, DEPTH_MAX, &mut left, faults)
}

fn node(
    value: &Spanned<DeValue<'_>>,
    depth: usize,
    left: &mut usize,
    faults: &mut Faults<'_>,
) -> Option<Condition> {
    if depth == 0 || *left == 0 {
        let message = format!(
            "too much: a rule has {CONDITIONS_MAX} conditions at most, made of each other {DEPTH_MAX} deep"
        );
        faults.note(&value.span(), message);
        return None;
    }
    *left = left.saturating_sub(1);
    let table = value.get_ref().as_table().filter(|table| table.len() == 1);
    let Some((key, inner)) = table.and_then(|table| table.iter().next()) else {
        faults.note(
            &value.span(),
            "write one condition, such as { surplus_w = { at_least = 2500 } }, and several as \
             { all_of = [ … ] } or { any_of = [ … ] }",
        );
        return None;
    };
    match key.get_ref().as_ref() {
        "all_of" => {
            let all = list(inner, depth, left, faults)?;
            impossible::all_of(&all, &inner.span(), faults).then_some(Condition::AllOf(all))
        }
        "any_of" => list(inner, depth, left, faults).map(Condition::AnyOf),
        "not" => {
            let of = node(inner, depth.saturating_sub(1), left, faults)?;
            Some(Condition::Not(Box::new(of)))
        }
        "time" => time(inner, faults),
        "weekday" => weekday(inner, faults),
        name => match Quantity::named(name) {
            Some(quantity) => compare::compare(quantity, inner, faults),
            None => {
                unknown(key, faults);
                None
            }
        },
    }
}

fn list(
    value: &Spanned<DeValue<'_>>,
    depth: usize,
    left: &mut usize,
    faults: &mut Faults<'_>,
) -> Option<Vec<Condition>> {
    let Some(items) = value.get_ref().as_array().filter(|items| !items.is_empty()) else {
        faults.note(&value.span(), "write a list of conditions in square brackets, at least one");
        return None;
    };
    // All of them, so that every fault is found.
    let read: Vec<Option<Condition>> =
        items.iter().map(|item| node(item, depth.saturating_sub(1), left, faults)).collect();
    read.into_iter().collect()
}

/// A name that nothing has: with another unit, or mistyped.
fn unknown(key: &Spanned<DeString<'_>>, faults: &mut Faults<'_>) {
    let name = key.get_ref();
    let same_stem = Quantity::ALL.into_iter().filter(|it| {
        name.strip_prefix(it.stem()).is_some_and(|unit| unit.is_empty() || unit.starts_with('_'))
    });
    let message = match same_stem.max_by_key(|it| it.stem().len()) {
        Some(quantity) => format!("`{name}` has another unit: write it as `{quantity}`"),
        None => {
            let others = ["all_of", "any_of", "not", "time", "weekday"];
            let names = others.into_iter().chain(Quantity::ALL.map(Quantity::name));
            match names.min_by_key(|known| distance(name, known)) {
                Some(near) if distance(name, near).saturating_mul(3) <= name.chars().count() => {
                    format!("there is no `{name}`; is `{near}` meant?")
                }
                Some(_) | None => {
                    let all = Quantity::ALL.map(Quantity::name).join(", ");
                    format!(
                        "there is no `{name}`; rules know all_of, any_of, not, time, weekday, {all}"
                    )
                }
            }
        }
    };
    faults.note(&key.span(), message);
}

/// How many letters have to be changed, added or left out (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut before = place;
        let mut last = place.saturating_add(1);
        for (column, expected) in other.iter().enumerate() {
            let Some(cell) = row.get_mut(column.saturating_add(1)) else { continue };
            let changed = before.saturating_add(usize::from(letter != *expected));
            before = *cell;
            last = changed.min(cell.saturating_add(1)).min(last.saturating_add(1));
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = place.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(0)
}

fn time(value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Condition> {
    const SHAPE: &str =
        "write { from = \"09:00\", until = \"17:00\" }, two different times of the day";
    let table = value.get_ref().as_table().filter(|table| table.len() == 2);
    let minute =
        |table: &DeTable<'_>, field: &str| minute_of(table.get(field)?.get_ref().as_str()?);
    let window = table.and_then(|table| Some((minute(table, "from")?, minute(table, "until")?)));
    let Some((from_minute, until_minute)) = window.filter(|(from, until)| from != until) else {
        faults.note(&value.span(), SHAPE);
        return None;
    };
    Some(Condition::Time { from_minute, until_minute })
}

fn minute_of(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| text.parse::<u32>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let of_day = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && of_day < DAY_MINUTES).then_some(of_day)
}

fn weekday(value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Condition> {
    let mut days = [false; 7];
    let items = value.get_ref().as_array();
    let read = items.is_some_and(|items| {
        items.iter().all(|item| {
            let place = WEEKDAYS.iter().position(|day| item.get_ref().as_str() == Some(*day));
            let day = place.and_then(|place| days.get_mut(place));
            day.map(|day| *day = true).is_some()
        })
    });
    if !read || !days.contains(&true) || !days.contains(&false) {
        let message = format!("write some of {:?}, but not all", WEEKDAYS);
        faults.note(&value.span(), message);
        return None;
    }
    Some(Condition::Day(Weekdays(days)))
}
