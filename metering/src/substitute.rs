//! What probably flowed where readings are missing, by stated rules, and never without saying so.
//!
//! Between two known readings what flowed is known in sum, and only its course is not: it follows the
//! same times of earlier days where these are known, or else is even. After the last known reading
//! nothing is known, and the mean of the same time of earlier days stands in. Where there are no earlier
//! days, nothing does.
//! Substitutes are for people, statistics and forecasts. Nothing is traded or settled by them, since no
//! meter has signed them (P23).
//! Not for: keeping them, or what follows when the truth comes.

use std::collections::BTreeMap;
use std::ops::Range;

use boltgrid_protocol::units::{Energy, Interval};
use serde::{Deserialize, Serialize};

/// So many earlier days are looked at.
pub const DAYS: u64 = 7;
/// Of these so many must have been measured at that time.
const DAYS_MIN: usize = 2;

/// A meter's registers at the start of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Which reading of its meter it is.
    pub sequence: u64,
    /// All energy ever taken.
    pub import: Energy,
    /// All energy ever given.
    pub export: Energy,
}

/// How a substitute was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// What flowed in sum is known; it is spread evenly.
    Even,
    /// What flowed in sum is known; it is spread as the same times of earlier days were.
    Shaped,
    /// The mean of the same time of earlier days.
    Profile,
}

impl Rule {
    /// Its name in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Shaped => "shaped",
            Self::Profile => "profile",
        }
    }
}

/// What passed a meter in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Energy taken.
    pub import_mwh: Energy,
    /// Energy given.
    pub export_mwh: Energy,
    /// By which rule, where it is a substitute; none where it was measured.
    pub substitute: Option<Rule>,
}

/// What flowed in each of these intervals, as far as that can be told. `edges` are the known readings of
/// one meter, those of [`DAYS`] earlier days among them; a day has `day_intervals`.
#[must_use]
pub fn flows(
    edges: &BTreeMap<Interval, Edge>,
    intervals: Range<Interval>,
    day_intervals: u64,
) -> BTreeMap<Interval, Flow> {
    let measured = measured(edges);
    let usual = |interval| usual(&measured, interval, day_intervals);
    let mut flows: BTreeMap<_, _> =
        measured.range(intervals.clone()).map(|(interval, flow)| (*interval, *flow)).collect();
    for ((from, before), (until, after)) in edges.iter().zip(edges.iter().skip(1)) {
        let is_gap = from.next() < *until;
        if let (true, Some(sum)) = (is_gap, between(before, after)) {
            let known = spread(sum, *from..*until, &usual);
            flows.extend(known.into_iter().filter(|(interval, _)| intervals.contains(interval)));
        }
    }
    let mut interval = intervals.start;
    while interval < intervals.end {
        if !flows.contains_key(&interval)
            && let Some(flow) = usual(interval)
        {
            flows.insert(interval, flow);
        }
        interval = interval.next();
    }
    flows
}

/// What was measured in whole intervals.
fn measured(edges: &BTreeMap<Interval, Edge>) -> BTreeMap<Interval, Flow> {
    let pairs = edges.iter().zip(edges.iter().skip(1));
    let next = pairs.filter(|((from, _), (until, _))| from.next() == **until);
    next.filter_map(|((from, before), (_, after))| Some((*from, between(before, after)?))).collect()
}

/// What passed between two readings; none where a chain began anew between them (P18).
fn between(before: &Edge, after: &Edge) -> Option<Flow> {
    if after.sequence <= before.sequence {
        return None;
    }
    Some(Flow {
        import_mwh: after.import.checked_sub(before.import)?,
        export_mwh: after.export.checked_sub(before.export)?,
        substitute: None,
    })
}

/// The mean of the same time of earlier days.
fn usual(
    measured: &BTreeMap<Interval, Flow>,
    interval: Interval,
    day_intervals: u64,
) -> Option<Flow> {
    let days = (1..=DAYS).map(|day| interval.minus(day.saturating_mul(day_intervals)));
    let days: Vec<_> = days.filter_map(|it| measured.get(&it)).collect();
    if days.len() < DAYS_MIN {
        return None;
    }
    let count = u64::try_from(days.len()).ok()?;
    let mean = |of: fn(&Flow) -> Energy| {
        let sum = days.iter().map(|it| of(it)).fold(Energy::ZERO, Energy::saturating_add);
        Energy::from_milliwatt_hours(sum.to_milliwatt_hours() / count)
    };
    Some(Flow {
        import_mwh: mean(|it| it.import_mwh),
        export_mwh: mean(|it| it.export_mwh),
        substitute: Some(Rule::Profile),
    })
}

/// Spreads what flowed in sum over intervals, so that it is the sum of the parts to the mWh.
fn spread(
    sum: Flow,
    intervals: Range<Interval>,
    usual: &impl Fn(Interval) -> Option<Flow>,
) -> Vec<(Interval, Flow)> {
    let mut places = Vec::new();
    let mut interval = intervals.start;
    while interval < intervals.end {
        places.push(interval);
        interval = interval.next();
    }
    let shape: Option<Vec<Flow>> = places.iter().map(|it| usual(*it)).collect();
    let rule = if shape.is_some() { Rule::Shaped } else { Rule::Even };
    let part = |sum: Energy, of: fn(&Flow) -> Energy| {
        let weights: Vec<u64> = match &shape {
            Some(shape) => shape.iter().map(|it| of(it).to_milliwatt_hours()).collect(),
            None => vec![1; places.len()],
        };
        parts(sum, &weights)
    };
    let imports = part(sum.import_mwh, |it| it.import_mwh);
    let exports = part(sum.export_mwh, |it| it.export_mwh);
    let flows = imports.into_iter().zip(exports).map(|(import_mwh, export_mwh)| Flow {
        import_mwh,
        export_mwh,
        substitute: Some(rule),
    });
    places.into_iter().zip(flows).collect()
}

/// A sum in parts by weight; even parts where no weight is above zero.
fn parts(sum: Energy, weights: &[u64]) -> Vec<Energy> {
    let even = vec![1; weights.len()];
    let all = |weights: &[u64]| weights.iter().map(|it| u128::from(*it)).sum::<u128>();
    let weights = if all(weights) == 0 { &even } else { weights };
    let whole = u128::from(sum.to_milliwatt_hours());
    // Both are below 2 to the 64th in any life of a meter; where they are not, the rest goes last.
    let up_to = |weight: u128| {
        let part = whole.saturating_mul(weight).checked_div(all(weights)).unwrap_or(0);
        u64::try_from(part.min(whole)).unwrap_or(u64::MAX)
    };
    let (mut weight, mut before) = (0_u128, 0_u64);
    let parts = weights.iter().map(|it| {
        weight = weight.saturating_add(u128::from(*it));
        let until = up_to(weight).max(before);
        let part = until - before;
        before = until;
        Energy::from_milliwatt_hours(part)
    });
    parts.collect()
}

#[cfg(test)]
mod tests;
