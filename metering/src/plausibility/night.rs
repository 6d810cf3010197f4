//! PV against the sun: with the sun well below the horizon it gives nothing.

use boltgrid_protocol::units::Power;

use super::{Finding, Verdict};
use crate::sample::{PvSample, Unanswered};

/// From here on it is dark for any panel: the end of civil twilight, in thousandths of a degree.
const NIGHT_MILLIDEGREES: i32 = -6_000;
/// What inverters show of an offset, or of street lamps, is below this …
const NOISE: Power = Power::from_milliwatts(50_000);
/// … or below this part of the rating.
const NOISE_OF_RATING: i64 = 100;

/// Whether the PV may show this while the sun is there. Nothing can be said where either is unknown.
pub(super) fn check(
    pv: Option<Result<PvSample, Unanswered>>,
    sun_millidegrees: Option<i32>,
) -> Verdict {
    let (Some(Ok(pv)), Some(sun_millidegrees)) = (pv, sun_millidegrees) else {
        return Verdict::Unknown;
    };
    let rated_mw = pv.rated.unwrap_or(Power::ZERO).to_milliwatts();
    let noise = NOISE.max(Power::from_milliwatts(rated_mw / NOISE_OF_RATING));
    if sun_millidegrees < NIGHT_MILLIDEGREES && pv.power > noise {
        Verdict::Violated(Finding::PvAtNight { pv_mw: pv.power, sun_millidegrees })
    } else {
        Verdict::Holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(watts: i64, sun_millidegrees: Option<i32>) -> Verdict {
        let power = Power::from_watts(watts).unwrap();
        let rated = Some(Power::from_watts(10_000).unwrap());
        let pv = PvSample { power, potential: Some(power), curtailable: true, rated };
        check(Some(Ok(pv)), sun_millidegrees)
    }

    #[test]
    fn power_in_the_dark_cannot_be_and_an_offset_can() {
        assert!(matches!(shown(101, Some(-6_001)), Verdict::Violated(_)));
        assert_eq!(shown(100, Some(-30_000)), Verdict::Holds);
        assert_eq!(shown(-20, Some(-30_000)), Verdict::Holds);
    }

    #[test]
    fn twilight_is_not_night() {
        assert_eq!(shown(5_000, Some(-6_000)), Verdict::Holds);
    }

    #[test]
    fn nothing_is_said_without_a_place_or_without_pv() {
        assert_eq!(shown(5_000, None), Verdict::Unknown);
        assert_eq!(check(None, Some(-10_000)), Verdict::Unknown);
        assert_eq!(check(Some(Err(Unanswered)), Some(-10_000)), Verdict::Unknown);
    }
}
