//! How high the sun stands at a place: what PV is held against.
//! Not for: how much it shines, which clouds decide.

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};
use solar_positioning::time::JulianDate;
use solar_positioning::{Location, SolarPositions};

/// The most of a latitude, either way.
const LATITUDE_MAX: i32 = 90_000;
/// The most of a longitude, either way.
const LONGITUDE_MAX: i32 = 180_000;
/// The Julian date of 1970-01-01 00:00 UTC.
const JULIAN_OF_UNIX_EPOCH: f64 = 2_440_587.5;
/// Seconds that the earth's rotation is behind, for decades to come near enough.
const DELTA_T: f64 = 69.0;

/// Where a site is, in thousandths of a degree, some hundred metres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// North positive: -90 000 to 90 000.
    pub latitude_millidegrees: i32,
    /// East positive: -180 000 to 180 000.
    pub longitude_millidegrees: i32,
}

impl Place {
    /// Whether it is on earth.
    #[must_use]
    pub fn is_on_earth(&self) -> bool {
        (-LATITUDE_MAX..=LATITUDE_MAX).contains(&self.latitude_millidegrees)
            && (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&self.longitude_millidegrees)
    }

    /// The sun's height over the horizon at `at` in thousandths of a degree, negative below it. None
    /// for a place that is not on earth, or a time beyond the year 2106.
    #[must_use]
    #[expect(
        clippy::float_arithmetic,
        reason = "where the sun stands is geometry, and decides nothing"
    )]
    pub fn sun_millidegrees(&self, at: Timestamp) -> Option<i32> {
        let seconds = u32::try_from(at.to_unix_ms() / 1_000).ok()?;
        let julian = f64::from(seconds) / 86_400.0 + JULIAN_OF_UNIX_EPOCH;
        let time = JulianDate::new(julian, DELTA_T).ok()?;
        let location = Location {
            latitude: f64::from(self.latitude_millidegrees) / 1_000.0,
            longitude: f64::from(self.longitude_millidegrees) / 1_000.0,
        };
        let position = SolarPositions::new().at_from_julian(time, location, 0.0, None).ok()?;
        let millidegrees = (position.elevation_angle() * 1_000.0).round();
        #[expect(clippy::cast_possible_truncation, reason = "at most 90 000 either way")]
        Some(millidegrees as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: Place = Place { latitude_millidegrees: 52_520, longitude_millidegrees: 13_405 };

    fn height(place: Place, unix_s: u64) -> i32 {
        place.sun_millidegrees(Timestamp::from_unix_ms(unix_s * 1_000)).unwrap()
    }

    /// At its highest the sun stands at 90° − latitude + declination, which is 23.44° in summer and
    /// -23.44° in winter.
    #[test]
    fn the_sun_is_where_astronomy_has_it() {
        let noon_in_june = (60..140).map(|minute| height(BERLIN, 1_782_036_000 + minute * 60));
        let highest = noon_in_june.max().unwrap();
        assert!((highest - (90_000 - 52_520 + 23_440)).abs() < 20, "{highest}");
        let noon_in_december = (60..140).map(|minute| height(BERLIN, 1_797_847_200 + minute * 60));
        let highest = noon_in_december.max().unwrap();
        assert!((highest - (90_000 - 52_520 - 23_440)).abs() < 20, "{highest}");
    }

    #[test]
    fn midnight_is_dark_and_the_polar_summer_is_not() {
        // 2026-06-21 23:00 UTC, which is an hour past midnight of the sun in Berlin.
        assert!(height(BERLIN, 1_782_082_800) < -12_000);
        let svalbard = Place { latitude_millidegrees: 78_200, longitude_millidegrees: 15_600 };
        assert!(height(svalbard, 1_782_082_800) > 10_000);
    }

    #[test]
    fn nowhere_has_no_sun() {
        let nowhere = Place { latitude_millidegrees: 90_001, longitude_millidegrees: 0 };
        assert!(!nowhere.is_on_earth() && BERLIN.is_on_earth());
        assert_eq!(nowhere.sun_millidegrees(Timestamp::default()), None);
    }
}
