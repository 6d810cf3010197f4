//! Comparisons: a quantity above, at least, below or at most a whole number.

use toml::Spanned;
use toml::de::DeValue;

use super::super::condition::{Condition, Range};
use super::super::fault::Faults;
use super::super::quantity::{Quantity, SCALE};
use super::integer;

/// A comparison; `None` where something of it is wrong, which is noted.
pub(super) fn compare(
    quantity: Quantity,
    value: &Spanned<DeValue<'_>>,
    faults: &mut Faults<'_>,
) -> Option<Condition> {
    let Some(table) = value.get_ref().as_table().filter(|table| !table.is_empty()) else {
        let message = format!(
            "write {quantity} = {{ above = N }}, at_least, below or at_most, or two of them"
        );
        faults.note(&value.span(), message);
        return None;
    };
    let mut range = Range::ALL;
    for (key, number) in table {
        let written = integer(number, faults)?;
        let (least, most) = quantity.possible();
        if !(least..=most).contains(&written) {
            let message = format!("{quantity} is {least} to {most}, never {written}");
            faults.note(&number.span(), message);
            return None;
        }
        let at = written.saturating_mul(SCALE);
        let bound = match key.get_ref().as_ref() {
            "above" => Range { least: Some(at.saturating_add(1)), most: None },
            "at_least" => Range { least: Some(at), most: None },
            "below" => Range { least: None, most: Some(at.saturating_sub(1)) },
            "at_most" => Range { least: None, most: Some(at) },
            other => {
                let message = format!("there is no `{other}`: above, at_least, below or at_most");
                faults.note(&key.span(), message);
                return None;
            }
        };
        range = range.and(&bound);
    }
    let (least, most) = quantity.possible();
    let possible =
        Range { least: Some(least.saturating_mul(SCALE)), most: Some(most.saturating_mul(SCALE)) };
    let left = range.and(&possible);
    if left.is_empty() {
        faults.note(&value.span(), format!("{quantity} can never be {range}"));
        return None;
    }
    if left == possible {
        faults.note(&value.span(), format!("{quantity} is always {range}: leave it out"));
        return None;
    }
    Some(Condition::Is(quantity, range))
}
