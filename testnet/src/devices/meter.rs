//! The grid meter of a site: unit 1, models 1 (common) and 203 (three-phase meter).
//!
//! Import is positive, as everywhere in the house.

use sunspec::models::model1::Model1;
use sunspec::models::model203::{Evt, Model203};

use super::image::{Image, Registers};
use super::scale::{SIGNED_MAX, Scale};
use crate::plant::{Nameplate, SiteTruth};

/// Scale factor of energy registers: they count mWh and wrap at 2^32 as accumulators do.
pub(super) const ENERGY_SF: i16 = -3;
/// Scale factor of voltages: 0.1 V.
pub(super) const VOLTAGE_SF: i16 = -1;
/// Scale factor of frequencies: 0.01 Hz.
pub(super) const FREQUENCY_SF: i16 = -2;

/// The longest part of a site's name that goes into a serial number.
const SERIAL_SITE_BYTES_MAX: usize = 20;

/// What the grid meter shows.
pub(super) fn image(nameplate: &Nameplate, truth: &SiteTruth) -> Image {
    Image::new()
        .with(|m| common(m, nameplate, "meter"))
        .with::<Model203>(|m| meter(m, nameplate, truth))
}

/// Fills the common model of any unit.
pub(super) fn common(m: &mut Registers<'_, Model1>, nameplate: &Nameplate, kind: &str) {
    let name = &nameplate.name;
    let site = &name[..name.floor_char_boundary(SERIAL_SITE_BYTES_MAX)];
    m.put(Model1::MN, "Boltgrid".to_owned());
    m.put(Model1::MD, format!("testnet {kind}"));
    m.put(Model1::OPT, None);
    m.put(Model1::VR, Some(env!("CARGO_PKG_VERSION").to_owned()));
    m.put(Model1::SN, format!("{site}-{kind}"));
    m.absent(Model1::DA, Model1::DA);
}

fn meter(m: &mut Registers<'_, Model203>, nameplate: &Nameplate, truth: &SiteTruth) {
    let most = nameplate.rated_import.max(nameplate.rated_export);
    let watts = Scale::fitting(most.to_milliwatts().unsigned_abs(), SIGNED_MAX);
    m.put(Model203::W, watts.signed(truth.metered.to_milliwatts()));
    m.put(Model203::W_SF, watts.sf());
    currents_and_voltages(m, most.to_milliwatts(), truth);
    m.put(Model203::HZ, hundredths(truth.frequency_mhz));
    m.put(Model203::HZ_SF, Some(FREQUENCY_SF));
    m.put(Model203::TOT_WH_IMP, accumulator(truth.registers.imported.to_milliwatt_hours()));
    m.put(Model203::TOT_WH_EXP, accumulator(truth.registers.exported.to_milliwatt_hours()));
    m.put(Model203::TOT_WH_SF, ENERGY_SF);
    m.put(Model203::EVT, Evt::empty());
    m.absent(Model203::WPH_A, Model203::WPH_C);
    m.absent(Model203::VA, Model203::PF_SF);
    m.absent(Model203::TOT_WH_EXP_PH_A, Model203::TOT_WH_EXP_PH_C);
    m.absent(Model203::TOT_WH_IMP_PH_A, Model203::TOT_WH_IMP_PH_C);
    m.absent(Model203::TOT_V_AH_EXP, Model203::TOT_V_AH_IMP_PH_C);
    m.absent(Model203::TOT_V_AH_SF, Model203::TOT_V_AH_SF);
    m.absent(Model203::TOT_V_ARH_IMP_Q1, Model203::TOT_V_ARH_EXP_Q4_PH_C);
    m.absent(Model203::TOT_V_ARH_SF, Model203::TOT_V_ARH_SF);
}

fn currents_and_voltages(m: &mut Registers<'_, Model203>, most_mw: i64, truth: &SiteTruth) {
    let phase_ma = phase_current_ma(truth.metered.to_milliwatts(), truth.phase_mv);
    // At half the voltage the current is twice as large; a meter that sees that reads its limit.
    let most_ma = 6 * phase_current_ma(most_mw, truth.phase_mv);
    let amps = Scale::fitting(most_ma.unsigned_abs(), SIGNED_MAX);
    m.put(Model203::A, amps.signed(3 * phase_ma));
    for point in [Model203::APH_A, Model203::APH_B, Model203::APH_C] {
        m.put(point, amps.signed(phase_ma));
    }
    m.put(Model203::A_SF, amps.sf());
    let to_neutral = tenths(truth.phase_mv);
    for point in [Model203::PH_V, Model203::PH_VPH_A, Model203::PH_VPH_B, Model203::PH_VPH_C] {
        m.put(point, to_neutral);
    }
    let between = tenths(between_phases_mv(truth.phase_mv));
    for point in [Model203::PPV, Model203::PH_VPH_AB, Model203::PH_VPH_BC, Model203::PH_VPH_CA] {
        m.put(point, between);
    }
    m.put(Model203::V_SF, VOLTAGE_SF);
}

/// The current in each phase that carries a third of `mw`, a magnitude in mA.
pub(super) fn phase_current_ma(mw: i64, phase_mv: i64) -> i64 {
    mw.abs().saturating_mul(1000) / (3 * phase_mv.max(1000))
}

/// The voltage between phases, √3 times that to neutral.
fn between_phases_mv(phase_mv: i64) -> i64 {
    phase_mv.saturating_mul(1_732_051) / 1_000_000
}

/// A voltage in mV as a register in 0.1 V.
fn tenths(mv: i64) -> i16 {
    i16::try_from(mv / 100).unwrap_or(i16::MAX)
}

/// A frequency in mHz as a register in 0.01 Hz.
fn hundredths(mhz: u64) -> i16 {
    i16::try_from(mhz / 10).unwrap_or(i16::MAX)
}

/// A cumulative count as a 32-bit accumulator, which wraps.
pub(super) fn accumulator(count: u64) -> u32 {
    u32::try_from(count % (1 << 32)).expect("the remainder fits 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accumulators_wrap_after_32_bits() {
        assert_eq!(accumulator((1 << 32) - 1), u32::MAX);
        assert_eq!(accumulator(1 << 32), 0);
        assert_eq!(accumulator((7 << 32) + 5), 5);
    }
}
