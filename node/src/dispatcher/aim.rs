//! What the site is to do in the intervals that are planned, as the market's planner tells the
//! dispatcher.

use std::collections::BTreeMap;

use boltgrid_miners::react::Target;
use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::{Energy, Interval, Price, Timestamp};

/// What the site is to do in the intervals that are planned.
pub(crate) type Targets = BTreeMap<Interval, Aim>;

/// What the site is to do in one interval, and at which price others trade in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    /// What it is to do.
    pub(crate) target: Target,
    /// The clearing price, or the supplier's where nothing was traded.
    pub(crate) price: Price,
    /// Whether anything was traded.
    pub(crate) is_traded: bool,
    /// What the hour that starts with it will bring; none where that is not foreseen.
    pub(crate) next_hour: Option<NextHour>,
}

/// What an hour will bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextHour {
    /// What PV gives.
    pub(crate) pv: Energy,
    /// What of that is left beyond the load, interval by interval.
    pub(crate) surplus: Energy,
}

/// What is planned for the interval of `ahead`; while that is not planned yet, what is for `now`'s.
pub(super) fn planned(
    targets: &Targets,
    timing: &Timing,
    (now, ahead): (Timestamp, Timestamp),
) -> Option<Aim> {
    let of = |at| targets.get(&timing.interval_at(at));
    of(ahead).or_else(|| of(now)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::units::Power;

    use crate::site::grid_for_tests;

    #[test]
    fn the_next_interval_counts_before_its_edge_only_once_it_is_planned() {
        let (_, (charter, _)) = grid_for_tests();
        let timing = &charter.interval;
        let first = Interval::from_number(1_000);
        let target = |watts| Aim {
            target: Target {
                net: Power::from_watts(watts).expect("some watts"),
                mining: Power::ZERO,
                spare_brings: Price::ZERO,
                lack_costs: Price::ZERO,
            },
            price: Price::ZERO,
            is_traded: false,
            next_hour: None,
        };
        let now = timing.start_of(first.next()).minus_ms(1);
        let ahead = timing.start_of(first.next());
        let mut targets = Targets::from([(first, target(1))]);
        assert_eq!(planned(&targets, timing, (now, ahead)), Some(target(1)));
        targets.insert(first.next(), target(2));
        assert_eq!(planned(&targets, timing, (now, ahead)), Some(target(2)));
        assert_eq!(planned(&targets, timing, (now, now)), Some(target(1)));
        assert_eq!(planned(&Targets::new(), timing, (now, ahead)), None);
    }
}
