//! The most that the machines of a site could have earned at the same prices, had their owner known
//! all of them beforehand.
//!
//! It is exact, by a dynamic programme and not by an LP. The machines of a site are equal, so what
//! counts is how many run; what another one costs in an interval never falls with how many run
//! already; and starts cost the same each. So the best schedule is the sum of the best schedules of
//! machine by machine, where the n-th pays what the n-th costs more than n − 1 do: if the best
//! schedule of the n-th runs, so does that of the one before, which never pays more. An LP of a year
//! has 840 000 variables for three sites of eight machines, and the same optimum: a schedule is a path
//! through on and off, and the matrix of a flow has whole corners.
//!
//! Machines need not stay on or off for any time here. So no schedule that must could earn more, and
//! the share that the real one reaches is never flattered.

/// What a machine's schedule earns if it is the best one, and how it does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Best {
    /// In the unit of the gains.
    pub(super) earned: i128,
    /// Whether it runs, interval by interval.
    pub(super) runs: Vec<bool>,
}

/// The best schedule of a machine that is off at first, gains `gains[t]` (or loses, where negative)
/// if it runs in interval t, and pays `start` whenever it runs after it did not.
pub(super) fn best(gains: &[i128], start: i128) -> Best {
    // What is earned at most up to here when it is off and when it is on, and for each interval from
    // which of the two each came.
    let (mut off, mut on) = (0, None::<i128>);
    let mut came_from_on = Vec::with_capacity(gains.len());
    for gain in gains {
        let started = off - start;
        let (before, on_from_on) = match on {
            Some(on) if on >= started => (on, true),
            Some(_) | None => (started, false),
        };
        let off_from_on = on.is_some_and(|on| on > off);
        came_from_on.push((off_from_on, on_from_on));
        off = on.map_or(off, |on| on.max(off));
        on = Some(before + gain);
    }
    let mut is_on = on.is_some_and(|on| on > off);
    let earned = on.map_or(off, |on| on.max(off));
    let mut runs = vec![false; gains.len()];
    for (run, (off_from_on, on_from_on)) in runs.iter_mut().zip(came_from_on).rev() {
        *run = is_on;
        is_on = if is_on { on_from_on } else { off_from_on };
    }
    Best { earned, runs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a schedule earns.
    fn earned(gains: &[i128], start: i128, runs: &[bool]) -> i128 {
        let mut before = false;
        let mut sum = 0;
        for (gain, run) in gains.iter().zip(runs) {
            sum += if *run { *gain } else { 0 };
            sum -= if *run && !before { start } else { 0 };
            before = *run;
        }
        sum
    }

    #[test]
    fn a_short_loss_is_borne_where_another_start_would_cost_more() {
        let found = best(&[10, -2, 10], 3);
        assert_eq!(found, Best { earned: 15, runs: vec![true, true, true] });
        let found = best(&[10, -4, 10], 3);
        assert_eq!(found, Best { earned: 14, runs: vec![true, false, true] });
        assert_eq!(best(&[2, -9, 2], 3), Best { earned: 0, runs: vec![false; 3] });
        assert_eq!(best(&[], 3), Best::default());
    }

    proptest! {
        #[test]
        fn no_schedule_of_all_earns_more(
            gains in prop::collection::vec(-20_i128..20, 0..11),
            start in 0_i128..15,
        ) {
            let found = best(&gains, start);
            prop_assert_eq!(found.earned, earned(&gains, start, &found.runs));
            let every = (0_u32..1 << gains.len()).map(|bits| {
                let runs: Vec<bool> = (0..gains.len()).map(|at| bits >> at & 1 == 1).collect();
                earned(&gains, start, &runs)
            });
            prop_assert_eq!(Some(found.earned), every.max());
        }

        /// Why machine by machine is as good as all at once.
        #[test]
        fn machine_by_machine_is_the_best_of_any_number(
            costs in prop::collection::vec((0_i128..20, 0_i128..20), 0..6),
            start in 0_i128..15,
        ) {
            // Two machines; the second costs at least as much as the first, and both are worth 10.
            let first: Vec<i128> = costs.iter().map(|(cost, _)| 10 - cost).collect();
            let second: Vec<i128> =
                costs.iter().map(|(cost, more)| 10 - cost - more).collect();
            let apart = best(&first, start).earned + best(&second, start).earned;
            let together = (0..3_u32.pow(u32::try_from(costs.len()).unwrap())).map(|mut digits| {
                let (mut before, mut sum) = (0, 0);
                for at in 0..costs.len() {
                    let count = digits % 3;
                    digits /= 3;
                    sum += if count >= 1 { first[at] } else { 0 };
                    sum += if count == 2 { second[at] } else { 0 };
                    sum -= start * i128::from(count.saturating_sub(before));
                    before = count;
                }
                sum
            });
            prop_assert_eq!(Some(apart), together.max());
        }
    }
}
