//! Set points: which command is in force, and what of it each device is to do.
//!
//! A command holds from a lead before its interval starts until the next command's turn. If none
//! comes, the devices are left to themselves a lead after the interval ended: nobody is left
//! following a plan that nobody makes any more. The same goes for set points of an earlier life.
//! Not for: talking to devices, or knowing the time.

use std::collections::BTreeMap;

use boltgrid_metering::sample::{BatterySample, PvSample};
use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::{Interval, Power, Timestamp, scale_floor};

/// How many intervals ahead a command may be.
const AHEAD_MAX: u64 = 3;

/// What the devices are to do in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchCommand {
    /// The interval. A command for the present one takes effect at once.
    pub interval: Interval,
    /// The battery's power, charging positive; `None` leaves it to itself.
    pub battery_mw: Option<Power>,
    /// The most that PV may give, as a positive amount; `None` for all it can.
    pub pv_limit_mw: Option<Power>,
}

/// What one device is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SetPoint {
    /// Nothing was ever said; it goes on as it is.
    #[default]
    Untouched,
    /// Whatever it does by itself.
    Free,
    /// A battery's power (charging positive), or the most that an inverter may give.
    At(Power),
}

/// Which command is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InForce {
    /// Perhaps one of an earlier life.
    Unknown,
    /// None: devices are left to themselves.
    Nothing,
    /// The one of an interval.
    Of(Interval),
}

/// The commands of a site.
///
/// Invariant: at most [`AHEAD_MAX`] and the present interval's wait, and none of an interval before
/// the one in force ever follows.
#[derive(Debug)]
pub(super) struct SetPoints {
    timing: Timing,
    lead_ms: u64,
    waiting: BTreeMap<Interval, DispatchCommand>,
    in_force: InForce,
    until: Timestamp,
}

/// Why a command is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandRejected {
    /// Its interval is over, or a later one has begun.
    #[error("its time is over")]
    Late,
    /// Its interval is too far ahead.
    #[error("it is more than {AHEAD_MAX} intervals ahead")]
    TooEarly,
}

impl SetPoints {
    pub(super) const fn new(timing: Timing, lead_ms: u64, now: Timestamp) -> Self {
        // Long enough for whoever commands to come up as well.
        let until = now.plus_ms(timing.interval_ms * 2);
        let waiting = BTreeMap::new();
        Self { timing, lead_ms, waiting, in_force: InForce::Unknown, until }
    }

    /// Takes a command; it replaces an earlier one for the same interval.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        command: DispatchCommand,
    ) -> Result<(), CommandRejected> {
        let current = self.timing.interval_at(now);
        let overtaken =
            matches!(self.in_force, InForce::Of(in_force) if command.interval < in_force);
        if command.interval < current || overtaken {
            return Err(CommandRejected::Late);
        }
        if command.interval > current.plus(AHEAD_MAX) {
            return Err(CommandRejected::TooEarly);
        }
        self.waiting.insert(command.interval, command);
        Ok(())
    }

    /// What changes at `now`: a new command's turn, or (both `None`) the end of one without a
    /// successor.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<DispatchCommand> {
        let mut turn = None;
        while let Some(entry) = self.waiting.first_entry()
            && self.timing.start_of(*entry.key()).minus_ms(self.lead_ms) <= now
        {
            turn = Some(entry.remove());
        }
        if let Some(command) = turn {
            self.in_force = InForce::Of(command.interval);
            let ends = self.timing.start_of(command.interval.next());
            self.until = ends.plus_ms(self.lead_ms);
        } else if self.in_force != InForce::Nothing && now >= self.until {
            self.in_force = InForce::Nothing;
            let interval = self.timing.interval_at(now);
            turn = Some(DispatchCommand { interval, battery_mw: None, pv_limit_mw: None });
        }
        turn
    }

    /// When something changes next; `None` for never.
    pub(super) fn next_wakeup(&self) -> Option<Timestamp> {
        let starts = |interval: &Interval| self.timing.start_of(*interval).minus_ms(self.lead_ms);
        let turn = self.waiting.keys().next().map(starts);
        let end = (self.in_force != InForce::Nothing).then_some(self.until);
        [turn, end].into_iter().flatten().min()
    }
}

/// Each battery's part of what all are to do, by what each can; the missing ones can nothing.
pub(super) fn shares_of_batteries(
    wanted: Option<Power>,
    batteries: &[Option<BatterySample>],
) -> Vec<SetPoint> {
    let Some(wanted) = wanted else { return vec![SetPoint::Free; batteries.len()] };
    let charging = wanted >= Power::ZERO;
    let able = batteries.iter().map(|battery| {
        battery.map_or(0, |it| amount(if charging { it.charge_max } else { it.discharge_max }))
    });
    shares(amount(wanted), able.collect())
        .map(|mw| SetPoint::At(Power::from_milliwatts(if charging { mw } else { -mw })))
        .collect()
}

/// Each inverter's part of what all may give: what cannot be turned down comes first, the rest is
/// shared by what each could give.
pub(super) fn shares_of_pv(most: Option<Power>, pv: &[Option<PvSample>]) -> Vec<SetPoint> {
    let Some(most) = most else { return vec![SetPoint::Free; pv.len()] };
    let must_run: u64 =
        pv.iter().flatten().filter(|it| !it.curtailable).map(|it| amount(it.power)).sum();
    let rest = u64::try_from(most.to_milliwatts()).unwrap_or(0).saturating_sub(must_run);
    let able = pv.iter().map(|it| {
        it.filter(|it| it.curtailable)
            .map_or(0, |it| amount(it.potential.or(it.rated).unwrap_or(it.power)).max(1))
    });
    shares(rest, able.collect())
        .zip(pv)
        .map(|(mw, it)| {
            if it.is_some_and(|it| it.curtailable) {
                SetPoint::At(Power::from_milliwatts(mw))
            } else {
                SetPoint::Free
            }
        })
        .collect()
}

/// `whole` in proportion to weights, each part rounded down. One device takes it all.
fn shares(whole: u64, weights: Vec<u64>) -> impl Iterator<Item = i64> {
    let total: u64 = weights.iter().fold(0, |total, weight| total.saturating_add(*weight));
    let alone = weights.len() == 1;
    weights.into_iter().map(move |weight| {
        let part = if alone { whole } else { scale_floor(whole, weight, total).unwrap_or(0) };
        i64::try_from(part).unwrap_or(i64::MAX)
    })
}

fn amount(power: Power) -> u64 {
    power.to_milliwatts().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Energy;

    use super::*;
    use crate::site::tests::charter;

    const fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    const fn power(mw: i64) -> Power {
        Power::from_milliwatts(mw)
    }

    fn command(interval: u64, battery_mw: i64) -> DispatchCommand {
        DispatchCommand {
            interval: Interval::from_number(interval),
            battery_mw: Some(power(battery_mw)),
            pv_limit_mw: None,
        }
    }

    fn free(interval: u64) -> DispatchCommand {
        DispatchCommand { battery_mw: None, ..command(interval, 0) }
    }

    /// Ten-second intervals and a lead of 400 ms, in the middle of interval 4.
    fn set_points() -> SetPoints {
        SetPoints::new(charter(10_000).interval, 400, at(45_000))
    }

    #[test]
    fn a_command_has_its_turn_a_lead_before_its_interval() {
        let mut set_points = set_points();
        set_points.take(at(45_000), command(5, 7)).unwrap();
        assert_eq!(set_points.next_wakeup(), Some(at(49_600)));
        assert_eq!(set_points.due(at(49_599)), None);
        assert_eq!(set_points.due(at(49_600)), Some(command(5, 7)));
        assert_eq!(set_points.due(at(49_601)), None);
    }

    #[test]
    fn the_next_command_follows_without_a_break() {
        let mut set_points = set_points();
        set_points.take(at(45_000), command(5, 7)).unwrap();
        set_points.due(at(49_600)).unwrap();
        set_points.take(at(55_000), command(6, 8)).unwrap();
        assert_eq!(set_points.due(at(59_600)), Some(command(6, 8)));
        assert_eq!(set_points.due(at(60_400)), None);
    }

    #[test]
    fn without_a_next_command_devices_are_left_to_themselves_once() {
        let mut set_points = set_points();
        set_points.take(at(45_000), command(5, 7)).unwrap();
        set_points.due(at(49_600)).unwrap();
        assert_eq!(set_points.next_wakeup(), Some(at(60_400)));
        assert_eq!(set_points.due(at(60_399)), None);
        assert_eq!(set_points.due(at(60_400)), Some(free(6)));
        assert_eq!((set_points.due(at(99_000)), set_points.next_wakeup()), (None, None));
    }

    #[test]
    fn set_points_of_an_earlier_life_end_too() {
        let mut set_points = set_points();
        assert_eq!(set_points.due(at(64_999)), None);
        assert_eq!(set_points.due(at(65_000)), Some(free(6)));
    }

    #[test]
    fn a_command_for_the_present_takes_effect_at_once_and_replaces_the_one_before() {
        let mut set_points = set_points();
        set_points.take(at(45_000), command(4, 1)).unwrap();
        assert_eq!(set_points.due(at(45_000)), Some(command(4, 1)));
        set_points.take(at(46_000), command(4, 2)).unwrap();
        assert_eq!(set_points.due(at(46_000)), Some(command(4, 2)));
    }

    #[test]
    fn what_is_over_or_far_ahead_is_refused() {
        let mut set_points = set_points();
        let mut take = |at_ms, interval| set_points.take(at(at_ms), command(interval, 1));
        assert_eq!(take(45_000, 3), Err(CommandRejected::Late));
        assert_eq!(take(45_000, 8), Err(CommandRejected::TooEarly));
        assert_eq!(take(45_000, 5), Ok(()));
        set_points.due(at(49_700)).unwrap();
        let overtaken = set_points.take(at(49_800), command(4, 1));
        assert_eq!(overtaken, Err(CommandRejected::Late));
    }

    fn battery(charge_max: i64, discharge_max: i64) -> Option<BatterySample> {
        Some(BatterySample {
            power: Power::ZERO,
            stored: Energy::ZERO,
            capacity: Energy::ZERO,
            charge_max: power(charge_max),
            discharge_max: power(discharge_max),
        })
    }

    #[test]
    fn batteries_share_by_what_they_can() {
        let check = |wanted, batteries: &[_], expected: &[i64]| {
            let expected: Vec<_> = expected.iter().map(|mw| SetPoint::At(power(*mw))).collect();
            assert_eq!(shares_of_batteries(Some(power(wanted)), batteries), expected);
        };
        let two = [battery(3_000, 1_000), battery(1_000, 1_000)];
        check(2_000, &two, &[1_500, 500]);
        check(-2_001, &two, &[-1_000, -1_000]);
        check(-500, &[None, battery(1, 1)], &[0, -500]);
        check(9_000, &[battery(1, 1)], &[9_000]);
        assert_eq!(shares_of_batteries(None, &two), [SetPoint::Free; 2]);
    }

    fn pv(power_mw: i64, potential_mw: i64, curtailable: bool) -> Option<PvSample> {
        let potential = Some(power(potential_mw));
        Some(PvSample { power: power(power_mw), potential, curtailable, rated: None })
    }

    #[test]
    fn pv_that_cannot_be_turned_down_comes_first() {
        let three = [pv(1_000, 3_000, true), pv(500, 500, false), pv(0, 1_000, true)];
        let expected = [SetPoint::At(power(1_125)), SetPoint::Free, SetPoint::At(power(375))];
        assert_eq!(shares_of_pv(Some(power(2_000)), &three), expected);
        let expected = [SetPoint::At(power(0)), SetPoint::Free, SetPoint::At(power(0))];
        assert_eq!(shares_of_pv(Some(power(400)), &three), expected);
        assert_eq!(shares_of_pv(None, &three), [SetPoint::Free; 3]);
        assert_eq!(shares_of_pv(Some(power(5)), &[pv(0, 0, true)]), [SetPoint::At(power(5))]);
    }
}
