//! What machines do for frequency and voltage: a droop with a dead band.
//!
//! Where frequency or voltage is low they draw less, where it is high more, in proportion to how far it
//! is beyond the dead band. Only machines that follow at once take part ([`crate::plan::FAST_MS`]).
//! Not for: measuring frequency, or what a grid code of one country demands; the numbers are the owner's.

use serde::{Deserialize, Serialize};

use crate::plan::Response;

/// All of it, in parts per million.
const ALL_PPM: u64 = 1_000_000;
/// What is farther off the nominal value than this, in parts per million, is no measurement.
const PLAUSIBLE_PPM: u64 = 200_000;

/// How machines answer to frequency and voltage.
///
/// The defaults are those of a 230 V grid at 50 Hz: a dead band of 200 mHz, where the limited
/// frequency-sensitive modes of Regulation (EU) 2016/631 begin, its usual droop of 5 %, and the bounds
/// of EN 50160, within ±10 % of the nominal voltage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GridSupport {
    /// The frequency as it should be.
    pub nominal_mhz: u32,
    /// How far it may be off before anything is done.
    pub dead_band_mhz: u32,
    /// By how much beyond that it is off, in parts per million of the nominal one, when all is done.
    pub droop_ppm: u32,
    /// The voltage as it should be.
    pub nominal_mv: u32,
    /// How far it may be off, in parts per million, before anything is done.
    pub voltage_dead_band_ppm: u32,
    /// By how much it is off in all when all is done; above the dead band.
    pub voltage_full_ppm: u32,
}

impl Default for GridSupport {
    fn default() -> Self {
        Self {
            nominal_mhz: 50_000,
            dead_band_mhz: 200,
            droop_ppm: 50_000,
            nominal_mv: 230_000,
            voltage_dead_band_ppm: 70_000,
            voltage_full_ppm: 100_000,
        }
    }
}

impl GridSupport {
    /// Whether it makes sense: no nominal value is zero, and all is done farther out than nothing is.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.nominal_mhz > 0
            && self.nominal_mv > 0
            && self.droop_ppm > 0
            && self.voltage_full_ppm > self.voltage_dead_band_ppm
    }

    /// What is asked of the machines; nothing where neither is measured. Where frequency and voltage
    /// ask for opposites, less is drawn.
    ///
    /// By frequency ΔP/P = (|f − f₀| − dead band) / (f₀ · droop).
    #[must_use]
    pub fn response(&self, frequency_mhz: Option<u32>, voltage_mv: Option<u32>) -> Response {
        let dead_band_ppm = share_ppm(self.dead_band_mhz.into(), self.nominal_mhz.into());
        let by_frequency = frequency_mhz.and_then(|it| {
            let full_ppm = dead_band_ppm.saturating_add(self.droop_ppm.into());
            asked(it, self.nominal_mhz, (dead_band_ppm, full_ppm))
        });
        let by_voltage = voltage_mv.and_then(|it| {
            let band = (self.voltage_dead_band_ppm.into(), self.voltage_full_ppm.into());
            asked(it, self.nominal_mv, band)
        });
        let mut response = Response::default();
        for asked in [by_frequency, by_voltage].into_iter().flatten() {
            match asked {
                Asked::Less(ppm) => {
                    let left = ppm_of(ALL_PPM.saturating_sub(ppm));
                    response.at_most_ppm = response.at_most_ppm.min(left);
                }
                Asked::More(ppm) => {
                    response.at_least_ppm = response.at_least_ppm.max(ppm_of(ppm));
                }
            }
        }
        response.at_least_ppm = response.at_least_ppm.min(response.at_most_ppm);
        response
    }
}

/// What one quantity asks for, in parts per million of the machines' power.
enum Asked {
    Less(u64),
    More(u64),
}

/// What `measured` asks for where nothing is done within the first of two distances from `nominal`, and
/// all beyond the second. `None` within the dead band, and for what cannot have been measured.
fn asked(measured: u32, nominal: u32, (dead_ppm, full_ppm): (u64, u64)) -> Option<Asked> {
    let off_ppm = share_ppm(measured.abs_diff(nominal).into(), nominal.into());
    if off_ppm > PLAUSIBLE_PPM {
        return None;
    }
    let beyond = off_ppm.checked_sub(dead_ppm).filter(|beyond| *beyond > 0)?;
    let part = share_ppm(beyond, full_ppm.saturating_sub(dead_ppm)).min(ALL_PPM);
    Some(if measured < nominal { Asked::Less(part) } else { Asked::More(part) })
}

/// `part / whole` in parts per million, rounded down; all where there is no whole.
fn share_ppm(part: u64, whole: u64) -> u64 {
    part.saturating_mul(ALL_PPM).checked_div(whole).unwrap_or(ALL_PPM)
}

fn ppm_of(ppm: u64) -> u32 {
    u32::try_from(ppm).unwrap_or(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(frequency_mhz: impl Into<Option<u32>>, voltage_mv: Option<u32>) -> (u32, u32) {
        let found = GridSupport::default().response(frequency_mhz.into(), voltage_mv);
        (found.at_least_ppm, found.at_most_ppm)
    }

    const NOTHING: (u32, u32) = (0, 1_000_000);

    #[test]
    fn a_droop_of_five_percent_is_forty_percent_a_hertz() {
        assert_eq!(response(50_200, None), NOTHING);
        assert_eq!(response(49_800, None), NOTHING);
        assert_eq!(response(49_300, None), (0, 800_000), "half a hertz below the band");
        assert_eq!(response(51_200, None), (400_000, 1_000_000), "one hertz above it");
        assert_eq!(response(47_000, None), (0, 0));
    }

    #[test]
    fn low_voltage_sheds_and_high_voltage_takes() {
        assert_eq!(response(None, Some(230_000 * 94 / 100)), NOTHING);
        assert_eq!(response(None, Some(230_000 * 90 / 100)), (0, 0));
        let (at_least, at_most) = response(None, Some(230_000 * 1085 / 1000));
        assert_eq!((at_least, at_most), (500_000, 1_000_000));
    }

    #[test]
    fn of_opposites_less_is_drawn() {
        assert_eq!(response(49_300, Some(253_000)), (800_000, 800_000));
        assert_eq!(response(51_200, Some(207_000)), (0, 0));
    }

    #[test]
    fn what_cannot_have_been_measured_asks_for_nothing() {
        assert_eq!(response(0, Some(0)), NOTHING);
        assert_eq!(response(u32::MAX, Some(u32::MAX)), NOTHING);
        assert_eq!(response(None, None), NOTHING);
    }
}
