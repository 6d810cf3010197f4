//! What a trial came to, and what many of them say.

use std::collections::BTreeMap;

/// A decision later than this is too late for the claim.
pub(super) const CLAIMED_MS: u64 = 20_000;
const MILLION: u64 = 1_000_000;

/// What one trial came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// Whether every honest node decided.
    all_decided: bool,
    /// When 99 % of the honest nodes held the certificate, after the gate.
    most_decided_ms: Option<u64>,
    /// The rule without a vote: whether all honest nodes end with the same orders.
    baseline_agrees: bool,
    /// And how many pairs of honest nodes do, in parts per million.
    baseline_pairs_ppm: u64,
}

impl Outcome {
    /// From each honest node's time of decision and its set of orders by the rule without a vote.
    pub(super) fn of(mut decided_ms: Vec<Option<u64>>, sets: Vec<Vec<usize>>) -> Self {
        let honest = decided_ms.len();
        decided_ms.sort_unstable_by_key(|it| it.unwrap_or(u64::MAX));
        let most = (honest * 99).div_ceil(100);
        let mut classes: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        for set in sets {
            *classes.entry(set).or_default() += 1;
        }
        let pairs = |nodes: usize| (nodes * nodes.saturating_sub(1)) as u64;
        let agreeing: u64 = classes.values().map(|nodes| pairs(*nodes)).sum();
        Self {
            all_decided: decided_ms.iter().all(Option::is_some),
            most_decided_ms: most.checked_sub(1).and_then(|last| decided_ms[last]),
            baseline_agrees: classes.len() == 1,
            baseline_pairs_ppm: (agreeing * MILLION).checked_div(pairs(honest)).unwrap_or(MILLION),
        }
    }
}

/// What the trials of a row say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many intervals were tried.
    pub trials: u64,
    /// In how many every honest node decided.
    pub all_decided: u64,
    /// In how many 99 % of the honest nodes held the certificate within 20 s.
    pub in_time: u64,
    /// The median of that time; `None` if it never came to pass in half of the trials.
    pub median_ms: Option<u64>,
    /// The time within which it came to pass in 95 % of the trials.
    pub p95_ms: Option<u64>,
    /// In how many trials the rule without a vote gave all honest nodes the same orders.
    pub baseline_agreed: u64,
    /// How many pairs of honest nodes it gave the same orders, in parts per million.
    pub baseline_pairs_ppm: u64,
}

impl Summary {
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|it| is(it)).count() as u64;
        let mut times: Vec<u64> =
            outcomes.iter().map(|it| it.most_decided_ms.unwrap_or(u64::MAX)).collect();
        times.sort_unstable();
        let share = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).checked_sub(1)?;
            times.get(place).copied().filter(|it| *it < u64::MAX)
        };
        let trials = outcomes.len() as u64;
        let pairs: u64 = outcomes.iter().map(|it| it.baseline_pairs_ppm).sum();
        Self {
            trials,
            all_decided: count(|it| it.all_decided),
            in_time: count(|it| it.most_decided_ms.is_some_and(|it| it <= CLAIMED_MS)),
            median_ms: share(50),
            p95_ms: share(95),
            baseline_agreed: count(|it| it.baseline_agrees),
            baseline_pairs_ppm: pairs.checked_div(trials).unwrap_or(0),
        }
    }
}

/// The Wilson interval at 95 % of a share, both ends in parts per million.
pub(super) fn wilson_ppm(hits: u64, trials: u64) -> (u64, u64) {
    // With z = 1.959964: z and z² in millionths, as is everything below.
    const Z: u128 = 1_959_964;
    const Z_SQUARED: u128 = 3_841_459;
    const ONE: u128 = 1_000_000;
    let (hits, trials) = (u128::from(hits.min(trials)), u128::from(trials.max(1)));
    // (h + z²/2 ± z·√(h(t − h)/t + z²/4)) / (t + z²)
    let spread = ONE * ONE * hits * (trials - hits) / trials + ONE * Z_SQUARED / 4;
    let half = Z * spread.isqrt() / ONE;
    let middle = ONE * hits + Z_SQUARED / 2;
    let whole = ONE * trials + Z_SQUARED;
    let ppm = |part: u128| u64::try_from(ONE * part / whole).unwrap_or(MILLION).min(MILLION);
    (ppm(middle.saturating_sub(half)), ppm(middle + half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_are_those_of_the_books() {
        // 10 of 10: 72.2 % to 100 %; 50 of 100: 40.4 % to 59.6 %; 0 of 20: 0 % to 16.1 %.
        for ((hits, trials), (low, high)) in
            [((10, 10), (722, 1000)), ((50, 100), (404, 596)), ((0, 20), (0, 161))]
        {
            let (least, most) = wilson_ppm(hits, trials);
            assert_eq!(((least + 500) / 1000, (most + 500) / 1000), (low, high));
        }
    }

    #[test]
    fn ninety_nine_percent_of_five_are_all_of_them() {
        let sets = vec![vec![1]; 5];
        let times = vec![Some(1), Some(9), Some(2), Some(3), Some(4)];
        assert_eq!(Outcome::of(times, sets.clone()).most_decided_ms, Some(9));
        let times = vec![Some(1), None, Some(2), Some(3), Some(4)];
        assert_eq!(Outcome::of(times, sets).most_decided_ms, None);
    }

    #[test]
    fn pairs_agree_where_sets_are_the_same() {
        let sets = vec![vec![1], vec![1], vec![2]];
        let outcome = Outcome::of(vec![Some(1); 3], sets);
        assert_eq!((outcome.baseline_agrees, outcome.baseline_pairs_ppm), (false, 333_333));
    }
}
