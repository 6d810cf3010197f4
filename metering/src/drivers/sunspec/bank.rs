//! The strings of a lithium-ion battery (803, or a 804 for each): which of them are connected, and how
//! full these are. That is all they have that a node needs and the battery as a whole (802, 713, 124)
//! may not say.
//!
//! A string counts by its modules, of which a bank has alike ones; where one does not say how many it
//! has, all strings count alike.
//! Not for: a module's cells (805), which say nothing that a node needs, temperatures, or the current of
//! a string, of whose sign SunSpec does not say what it means.

use sunspec::FixedSize;
use sunspec::models::model803::{Model803, StringStrSt};
use sunspec::models::model804::{Model804, St};

use super::point::{per_cent, thousandths};
use super::unit::Unit;
use crate::drivers::{DeviceError, PointRejected};

/// What the strings of a battery say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bank {
    /// What is connected: so many parts …
    pub(super) connected: u64,
    /// … of so many, at least one.
    pub(super) all: u64,
    /// How full what is connected is, or all where nothing is; in thousandths of a per cent. `None`
    /// where one of these does not say.
    pub(super) charge: Option<u64>,
}

/// A string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OneString {
    modules: u16,
    is_connected: bool,
    charge: Option<u64>,
}

/// The strings of a unit that shows any.
pub(super) async fn of(unit: &Unit) -> Result<Option<Bank>, DeviceError> {
    if let Some(model) = unit.read_if_present::<Model803>().await? {
        return Ok(together(&unit.point("StrSoC", of_bank(&model))?));
    }
    let each = unit.read_all::<Model804>().await?;
    let strings: Result<Vec<_>, _> = each.iter().map(of_string).collect();
    Ok(together(&unit.point("SoC", strings)?))
}

fn of_bank(model: &Model803) -> Result<Vec<OneString>, PointRejected> {
    let strings = model.string.iter().map(|string| {
        // One that does not say is taken to be connected, as all are where there are no such models.
        let state = string.str_st;
        let is_connected = state.is_invalid() || state.contains(StringStrSt::ContactorStatus);
        let charge = charge(string.str_soc, model.soc_sf)?;
        Ok(OneString { modules: string.str_n_mod, is_connected, charge })
    });
    strings.collect()
}

fn of_string(model: &Model804) -> Result<OneString, PointRejected> {
    let is_connected = model.st.is_invalid() || model.st.contains(St::ContactorStatus);
    let charge = charge(model.soc, model.soc_sf)?;
    Ok(OneString { modules: model.n_mod, is_connected, charge })
}

fn charge(stated: u16, scale: i16) -> Result<Option<u64>, PointRejected> {
    if stated.is_invalid() { Ok(None) } else { per_cent(thousandths(stated, scale)?).map(Some) }
}

/// All strings as one; none where there are none.
fn together(strings: &[OneString]) -> Option<Bank> {
    let say = strings.iter().all(|it| it.modules > 0 && !it.modules.is_invalid());
    let parts = |it: &OneString| if say { u64::from(it.modules) } else { 1 };
    let all: u64 = strings.iter().map(parts).sum();
    let connected: u64 = strings.iter().filter(|it| it.is_connected).map(parts).sum();
    // A string's charge is at most 100 000, its modules are 16 bits, and a unit has few thousand strings.
    let counted = strings.iter().filter(|it| it.is_connected || connected == 0);
    let filled = counted.map(|it| Some(it.charge?.saturating_mul(parts(it)))).sum::<Option<u64>>();
    let of = if connected == 0 { all } else { connected };
    let charge = filled.and_then(|filled| filled.checked_div(of));
    (all > 0).then_some(Bank { connected, all, charge })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(modules: u16, is_connected: bool, charge: impl Into<Option<u64>>) -> OneString {
        OneString { modules, is_connected, charge: charge.into() }
    }

    #[test]
    fn strings_count_by_their_modules_and_only_while_they_are_connected() {
        let strings =
            [string(10, true, 80_000), string(30, true, 40_000), string(20, false, 100_000)];
        let bank = Bank { connected: 40, all: 60, charge: Some(50_000) };
        assert_eq!(together(&strings), Some(bank));
        assert_eq!(together(&[]), None);
    }

    #[test]
    fn where_nothing_is_connected_all_of_it_is_looked_at() {
        let strings = [string(10, false, 80_000), string(10, false, 40_000)];
        let bank = Bank { connected: 0, all: 20, charge: Some(60_000) };
        assert_eq!(together(&strings), Some(bank));
    }

    #[test]
    fn strings_of_unknown_size_count_alike() {
        for unknown in [0, u16::MAX] {
            let strings = [string(unknown, true, 90_000), string(50, true, 30_000)];
            let bank = Bank { connected: 2, all: 2, charge: Some(60_000) };
            assert_eq!(together(&strings), Some(bank));
        }
    }

    #[test]
    fn a_charge_that_one_of_those_that_count_does_not_say_is_not_known() {
        let silent = string(10, true, None);
        let bank = Bank { connected: 20, all: 20, charge: None };
        assert_eq!(together(&[silent, string(10, true, 50_000)]), Some(bank));
        let off = OneString { is_connected: false, ..silent };
        let bank = Bank { connected: 10, all: 20, charge: Some(50_000) };
        assert_eq!(together(&[off, string(10, true, 50_000)]), Some(bank));
    }

    #[test]
    fn a_charge_says_nothing_by_its_sentinel_and_cannot_be_above_all() {
        assert_eq!(charge(u16::MAX, -1), Ok(None));
        assert_eq!(charge(625, -1), Ok(Some(62_500)));
        assert!(matches!(charge(1_001, -1), Err(PointRejected::Impossible { .. })));
        assert!(matches!(charge(50, i16::MIN), Err(PointRejected::Scale(_))));
    }
}
