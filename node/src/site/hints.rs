//! What looks wrong about how a meter is mounted or set up, in words for whoever mounted it.
//!
//! Hints are guesses from a few seconds: they are shown, and nothing else follows from them.
//! Not for: what makes readings untrustworthy while a node runs.

use boltgrid_metering::role::Role;
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::{Energy, Power};

use super::state::{MeterState, MeterValue};

/// Less power than this, in mW, says nothing about a direction: 50 W.
const IDLE_MW: i64 = 50_000;
/// The phases may differ from the total by a twentieth of it.
const PHASES_DIVISOR: i64 = 20;

/// What looks wrong about the meter at `place`, from what all meters showed, the first time first.
#[must_use]
pub fn hints(seen: &[impl AsRef<[MeterState]>], place: usize) -> Vec<String> {
    let samples = seen.iter().filter_map(|meters| {
        let meter = meters.as_ref().get(place)?;
        meter.last.filter(|_| meter.stale.is_none())
    });
    let samples: Vec<MeterValue> = samples.collect();
    let meters = seen.last().map(AsRef::as_ref).unwrap_or_default();
    let (Some(meter), Some(last)) = (meters.get(place), samples.last()) else { return Vec::new() };
    let mut found = Vec::new();
    found.extend(registers(&samples));
    found.extend(phases(&last.shown));
    found.extend(role(meter.role, last.power));
    if meter.role == Role::Grid {
        found.extend(grid(last.power, meters));
    }
    found
}

const fn mw(power: Power) -> i64 {
    power.to_milliwatts()
}

fn watts(mw: i64) -> String {
    format!("{} W", mw / 1_000)
}

/// Power in one direction while only the register of the other one grows.
fn registers(samples: &[MeterValue]) -> Option<String> {
    let (first, last) = (samples.first()?, samples.last()?);
    let powers: Option<Vec<i64>> = samples.iter().map(|sample| sample.power.map(mw)).collect();
    let powers = powers?;
    let grown = |pick: fn(&MeterValue) -> Option<Energy>| Some(pick(last)? > pick(first)?);
    let (import, export) = (grown(|it| it.import)?, grown(|it| it.export)?);
    if powers.iter().all(|mw| *mw > IDLE_MW) && export && !import {
        Some(
            "its power says import, but only its export register grows: power and registers are \
             counted the other way round; look at the sign of `power` in its map, or at its clamps"
                .to_owned(),
        )
    } else if powers.iter().all(|mw| *mw < -IDLE_MW) && import && !export {
        Some(
            "its power says export, but only its import register grows: power and registers are \
             counted the other way round; look at the sign of `power` in its map, or at its clamps"
                .to_owned(),
        )
    } else {
        None
    }
}

/// Phases that do not come to the total.
fn phases(shown: &Shown) -> Option<String> {
    let total = mw(shown.power?);
    let phases: Option<Vec<i64>> = shown.phases.iter().map(|phase| phase.power.map(mw)).collect();
    let phases = phases?;
    let fits = |sum: i64| {
        let margin = (total.saturating_abs() / PHASES_DIVISOR).max(IDLE_MW);
        sum.saturating_sub(total).saturating_abs() <= margin
    };
    let sum = phases.iter().fold(0_i64, |sum, mw| sum.saturating_add(*mw));
    if fits(sum) {
        return None;
    }
    let turned =
        (1_u8..).zip(&phases).find(|(_, mw)| fits(sum.saturating_sub(mw.saturating_mul(2))));
    let what = turned.map_or_else(
        || "is something else measured by one of its clamps?".to_owned(),
        |(phase, _)| format!("the clamp of phase {phase} seems to be the wrong way round"),
    );
    let (sum, total) = (watts(sum), watts(total));
    Some(format!("its phases come to {sum}, but it says {total} for all of them: {what}"))
}

/// A direction that does not fit the role.
fn role(role: Role, power: Option<Power>) -> Option<String> {
    let power = mw(power?);
    let (is_odd, what) = match role {
        Role::Pv => (power > IDLE_MW, "a PV plant gives power"),
        Role::Generator => (power > IDLE_MW, "a generator gives power"),
        Role::Load => (power < -IDLE_MW, "a load takes power"),
        Role::Grid | Role::Battery | Role::Gas | Role::Feeder => (false, ""),
    };
    let does = if power > 0 { "takes" } else { "gives" };
    let shown = watts(power.saturating_abs());
    is_odd.then(|| {
        format!("it says that it {does} {shown}, but {what}: if so, set `inverted = true`")
    })
}

/// A grid meter that does not fit what PV and battery say.
fn grid(grid: Option<Power>, meters: &[MeterState]) -> Option<String> {
    let grid = mw(grid?);
    let sum = |role: Role| {
        let values = meters.iter().filter(|meter| meter.role == role && !meter.is_virtual);
        let powers: Option<Vec<i64>> = values.map(|meter| meter.last?.power.map(mw)).collect();
        powers.map(|powers| powers.iter().fold(0_i64, |sum, mw| sum.saturating_add(*mw)))
    };
    // Both are positive where they take, so PV that gives is negative.
    let (pv, battery) = (sum(Role::Pv)?, sum(Role::Battery)?);
    let load = grid.saturating_sub(pv).saturating_sub(battery);
    let gives = pv.saturating_neg();
    if load < -IDLE_MW {
        let (out, in_) =
            (watts(grid.saturating_neg()), watts(pv.saturating_add(battery).saturating_neg()));
        Some(format!(
            "it says that {out} leave the site, but PV and battery give only {in_}: if the site takes \
             power now, set `inverted = true`"
        ))
    } else if gives > IDLE_MW && grid > gives / 2 {
        let (grid, gives, load) = (watts(grid), watts(gives), watts(load));
        Some(format!(
            "it says that the site takes {grid} while PV gives {gives}: right only if {load} are used \
             there now; if not, import and export are swapped: set `inverted = true`"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_metering::quantity::Quantity;
    use boltgrid_metering::register::Width;
    use boltgrid_protocol::units::Timestamp;

    use super::*;

    fn meter(role: Role, power_w: i64, registers_mwh: (u64, u64)) -> MeterState {
        let power = Some(Power::from_watts(power_w).unwrap());
        let (import, export) = registers_mwh;
        let value = MeterValue {
            at: Timestamp::default(),
            power,
            import: Some(Energy::from_milliwatt_hours(import)),
            export: Some(Energy::from_milliwatt_hours(export)),
            shown: Shown { power, ..Shown::default() },
        };
        let name = role.name().into();
        let (is_virtual, settles) = (false, false);
        MeterState { name, role, is_virtual, settles, last: Some(value), stale: None }
    }

    fn hinted(seen: &[Vec<MeterState>]) -> String {
        hints(seen, 0).join("\n")
    }

    #[test]
    fn a_meter_that_is_right_gets_no_hints() {
        let seen = [
            vec![meter(Role::Grid, -900, (7, 5)), meter(Role::Pv, -2_000, (0, 8))],
            vec![meter(Role::Grid, -900, (7, 6)), meter(Role::Pv, -2_000, (0, 9))],
        ];
        assert_eq!(hinted(&seen), "");
        assert_eq!(hints(&seen, 1), Vec::<String>::new());
        assert_eq!(hints(&seen, 2), Vec::<String>::new());
    }

    #[test]
    fn power_against_its_registers_is_noticed() {
        let seen = [[meter(Role::Grid, 900, (7, 5))], [meter(Role::Grid, 900, (7, 6))]];
        assert!(hints(&seen, 0).concat().contains("only its export register grows"));
        let seen = [[meter(Role::Grid, -900, (7, 5))], [meter(Role::Grid, -900, (8, 5))]];
        assert!(hints(&seen, 0).concat().contains("only its import register grows"));
    }

    #[test]
    fn a_direction_against_the_role_is_noticed() {
        assert!(hinted(&[vec![meter(Role::Pv, 400, (0, 0))]]).contains("takes 400 W, but a PV"));
        assert!(
            hinted(&[vec![meter(Role::Load, -400, (0, 0))]]).contains("gives 400 W, but a load")
        );
        assert_eq!(hinted(&[vec![meter(Role::Pv, 40, (0, 0))]]), "");
    }

    #[test]
    fn a_grid_meter_that_is_swapped_is_noticed_by_day_and_by_night() {
        let night = vec![meter(Role::Grid, -600, (0, 0)), meter(Role::Pv, 0, (0, 0))];
        assert!(
            hinted(&[night]).contains("600 W leave the site, but PV and battery give only 0 W")
        );
        let day = vec![meter(Role::Grid, 4_000, (0, 0)), meter(Role::Pv, -5_000, (0, 0))];
        assert!(hinted(&[day]).contains("takes 4000 W while PV gives 5000 W"));
    }

    #[test]
    fn a_clamp_that_is_turned_round_is_found() {
        let mut odd = meter(Role::Load, 0, (0, 0));
        let mut shown = Shown::default();
        for (quantity, value) in [
            (Quantity::Power, 600_000),
            (Quantity::PowerL1, 300_000),
            (Quantity::PowerL2, -200_000),
            (Quantity::PowerL3, 100_000),
        ] {
            shown.put(quantity, value, Width::Float, None).unwrap();
        }
        odd.last = Some(MeterValue { shown, ..odd.last.unwrap() });
        let hint = hinted(&[vec![odd]]);
        assert!(hint.contains("come to 200 W") && hint.contains("clamp of phase 2"), "{hint}");
    }
}
