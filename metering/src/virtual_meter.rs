//! Virtual meters: what several meters show together, added and subtracted.
//!
//! A virtual meter's power is the sum of its terms'. Its registers follow one rule:
//!
//! * Where all terms and the virtual meter itself have roles in which energy flows one way only
//!   ([`Role::one_way`]), and the same way, the registers of that way are added and subtracted.
//! * Everywhere else registers mean nothing: what one term takes while another gives never passes the
//!   virtual meter. There the net power is integrated, and its sign decides the direction sample by
//!   sample ([`crate::registers`]).
//!
//! Not for: which meters there are (the node's configuration).

use std::collections::BTreeMap;
use std::str::FromStr;

use boltgrid_protocol::units::{Energy, Power};
use serde::{Deserialize, Serialize};

use crate::role::{Role, Way};

/// Most terms of one virtual meter.
pub const TERMS_MAX: usize = 16;

/// A meter that is added or, with a leading minus, subtracted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Term {
    /// Whether it is subtracted.
    pub minus: bool,
    /// The meter's name.
    pub meter: String,
}

/// A term without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a term is the name of a meter, with a minus before it to subtract, such as \"-barn\"")]
pub struct NotATerm;

impl FromStr for Term {
    type Err = NotATerm;

    fn from_str(text: &str) -> Result<Self, NotATerm> {
        let text = text.trim();
        let (minus, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let meter = rest.trim().to_owned();
        if meter.is_empty() { Err(NotATerm) } else { Ok(Self { minus, meter }) }
    }
}

impl TryFrom<String> for Term {
    type Error = NotATerm;

    fn try_from(text: String) -> Result<Self, NotATerm> {
        text.parse()
    }
}

impl From<Term> for String {
    fn from(term: Term) -> Self {
        format!("{}{}", if term.minus { "-" } else { "" }, term.meter)
    }
}

/// A term by the place of its meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether it is subtracted.
    pub minus: bool,
    /// The place of the meter.
    pub place: usize,
}

/// Why virtual meters make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VirtualRejected {
    /// It sums nothing, or too much.
    #[error("{name} has {terms} terms, not 1 to {TERMS_MAX}")]
    Terms {
        /// The virtual meter.
        name: String,
        /// How many terms it has.
        terms: usize,
    },
    /// A term names no meter.
    #[error("{name} sums `{unknown}`, which is no meter; there are: {known}")]
    Unknown {
        /// The virtual meter.
        name: String,
        /// What is not there.
        unknown: String,
        /// What is.
        known: String,
    },
    /// It rests on itself.
    #[error("{0} is part of its own sum")]
    Cycle(String),
}

/// Resolves the terms of virtual meters. `real` are the names of the real meters, whose places come
/// first. Returns the virtual meters by their places in `virtuals`, each after all that it rests on;
/// that order is also the order of their own places, which follow those of the real ones.
///
/// # Errors
///
/// [`VirtualRejected`].
pub fn in_order(
    real: &[&str],
    virtuals: &[(&str, &[Term])],
) -> Result<Vec<(usize, Vec<Part>)>, VirtualRejected> {
    let mut places: BTreeMap<&str, usize> =
        real.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let is_known = |name: &str| real.contains(&name) || virtuals.iter().any(|(it, _)| *it == name);
    for (name, terms) in virtuals {
        if terms.is_empty() || terms.len() > TERMS_MAX {
            return Err(VirtualRejected::Terms { name: (*name).to_owned(), terms: terms.len() });
        }
        if let Some(term) = terms.iter().find(|term| !is_known(&term.meter)) {
            let all = real.iter().copied().chain(virtuals.iter().map(|(name, _)| *name));
            return Err(VirtualRejected::Unknown {
                name: (*name).to_owned(),
                unknown: term.meter.clone(),
                known: all.collect::<Vec<_>>().join(", "),
            });
        }
    }
    let mut ordered = Vec::new();
    let mut left: Vec<usize> = (0..virtuals.len()).collect();
    while let Some(first) = left.first().copied() {
        let ready = left.iter().position(|index| {
            let terms = virtuals.get(*index).map_or(&[][..], |(_, terms)| terms);
            terms.iter().all(|term| places.contains_key(term.meter.as_str()))
        });
        let stuck = || virtuals.get(first).map_or_else(String::new, |(name, _)| (*name).to_owned());
        let index = left.remove(ready.ok_or_else(|| VirtualRejected::Cycle(stuck()))?);
        let Some((name, terms)) = virtuals.get(index) else { continue };
        let part = |term: &Term| {
            let place = *places.get(term.meter.as_str())?;
            Some(Part { minus: term.minus, place })
        };
        ordered.push((index, terms.iter().filter_map(part).collect()));
        places.insert(name, real.len() + ordered.len() - 1);
    }
    Ok(ordered)
}

/// The sum of powers; `None` where one is missing or the sum is beyond 63 bits.
#[must_use]
pub fn net_power(terms: impl IntoIterator<Item = (bool, Option<Power>)>) -> Option<Power> {
    terms.into_iter().try_fold(Power::ZERO, |sum, (minus, power)| {
        if minus { sum.checked_sub(power?) } else { sum.checked_add(power?) }
    })
}

/// The way of the registers that may be added and subtracted; `None` where power must be integrated.
#[must_use]
pub fn summed_way(role: Role, terms: impl IntoIterator<Item = Role>) -> Option<Way> {
    let way = role.one_way()?;
    terms.into_iter().all(|term| term.one_way() == Some(way)).then_some(way)
}

/// The sum of registers, nothing where it is negative; `None` where one is missing.
#[must_use]
pub fn net_energy(terms: impl IntoIterator<Item = (bool, Option<Energy>)>) -> Option<Energy> {
    let sum = terms.into_iter().try_fold(0_i128, |sum, (minus, energy)| {
        let mwh = i128::from(energy?.to_milliwatt_hours());
        Some(if minus { sum - mwh } else { sum + mwh })
    })?;
    Some(Energy::from_milliwatt_hours(u64::try_from(sum.max(0)).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(texts: &[&str]) -> Vec<Term> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_term_is_a_name_with_or_without_a_minus() {
        let term = |minus, meter: &str| Term { minus, meter: meter.to_owned() };
        assert_eq!("pv roof".parse(), Ok(term(false, "pv roof")));
        assert_eq!(" - pv barn ".parse(), Ok(term(true, "pv barn")));
        assert_eq!("+a".parse(), Ok(term(false, "a")));
        assert_eq!("-".parse::<Term>(), Err(NotATerm));
        assert_eq!(String::from(term(true, "a")), "-a");
    }

    #[test]
    fn virtual_meters_come_after_what_they_rest_on() {
        let (all, house) = (terms(&["house", "-b"]), terms(&["a", "b"]));
        let ordered = in_order(&["a", "b"], &[("all", &all), ("house", &house)]).unwrap();
        let part = |minus, place| Part { minus, place };
        assert_eq!(ordered[0], (1, vec![part(false, 0), part(false, 1)]));
        assert_eq!(ordered[1], (0, vec![part(false, 2), part(true, 1)]));
    }

    #[test]
    fn what_rests_on_nothing_or_on_itself_is_refused() {
        let refused = |virtuals: &[(&str, &[&str])]| {
            let owned: Vec<(&str, Vec<Term>)> =
                virtuals.iter().map(|(name, sum)| (*name, terms(sum))).collect();
            let virtuals: Vec<(&str, &[Term])> =
                owned.iter().map(|(name, sum)| (*name, sum.as_slice())).collect();
            in_order(&["a"], &virtuals).unwrap_err()
        };
        assert_eq!(
            refused(&[("x", &["y"]), ("y", &["a", "x"])]),
            VirtualRejected::Cycle("x".into())
        );
        assert_eq!(refused(&[("x", &["x"])]), VirtualRejected::Cycle("x".into()));
        assert!(refused(&[("x", &["-barn"])]).to_string().contains("`barn`, which is no meter"));
        assert_eq!(refused(&[("x", &[])]), VirtualRejected::Terms { name: "x".into(), terms: 0 });
    }

    #[test]
    fn powers_are_summed_only_where_all_are_known() {
        let mw = Power::from_milliwatts;
        assert_eq!(net_power([(false, Some(mw(5))), (true, Some(mw(-2)))]), Some(mw(7)));
        assert_eq!(net_power([(false, Some(mw(5))), (true, None)]), None);
        assert_eq!(net_power([(true, Some(mw(i64::MIN)))]), None);
    }

    #[test]
    fn registers_are_summed_only_where_energy_flows_one_way() {
        assert_eq!(summed_way(Role::Load, [Role::Load, Role::Load]), Some(Way::Taken));
        assert_eq!(summed_way(Role::Pv, [Role::Pv, Role::Generator]), Some(Way::Given));
        assert_eq!(summed_way(Role::Load, [Role::Grid, Role::Load]), None);
        assert_eq!(summed_way(Role::Grid, [Role::Load]), None);
        let mwh = Energy::from_milliwatt_hours;
        assert_eq!(net_energy([(false, Some(mwh(5))), (true, Some(mwh(2)))]), Some(mwh(3)));
        assert_eq!(net_energy([(true, Some(mwh(2)))]), Some(Energy::ZERO));
    }
}
