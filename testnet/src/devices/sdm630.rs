//! The grid meter as an Eastron SDM630 shows it: 32-bit floats in input registers, the most significant
//! word first, import positive.
//!
//! Laid out after the manual ("Smart Meter Modbus Protocol Implementation", input registers), not after
//! the map that reads it.

use boltgrid_protocol::units::Energy;

use super::text::decimal;
use crate::plant::SiteTruth;

/// Most input registers that it has.
const REGISTERS: u16 = 0x0180;

/// `count` input registers from `first` on; gaps read as zero. `None` beyond the last.
pub(super) fn read(truth: &SiteTruth, first: u16, count: u16) -> Option<Vec<u16>> {
    let end = first.checked_add(count).filter(|end| *end <= REGISTERS)?;
    let mut words = vec![0; usize::from(REGISTERS)];
    let phase_mw = truth.metered.to_milliwatts() / 3;
    let phase_ma = super::meter::phase_current_ma(truth.metered.to_milliwatts(), truth.phase_mv);
    let energy = |energy: Energy| i64::try_from(energy.to_milliwatt_hours()).unwrap_or(i64::MAX);
    let mut put = |register: usize, text: &str| {
        // No number of ours is anything else, and no narrower float than the device's own.
        let value: f32 = text.parse().unwrap_or(f32::NAN);
        let bits = value.to_bits().to_be_bytes();
        words[register] = u16::from_be_bytes([bits[0], bits[1]]);
        words[register + 1] = u16::from_be_bytes([bits[2], bits[3]]);
    };
    for phase in 0..3 {
        put(2 * phase, &decimal(truth.phase_mv, 3));
        put(0x06 + 2 * phase, &decimal(phase_ma, 3));
        put(0x0C + 2 * phase, &decimal(phase_mw, 3));
    }
    put(0x34, &decimal(truth.metered.to_milliwatts(), 3));
    put(0x46, &decimal(i64::try_from(truth.frequency_mhz).unwrap_or(0), 3));
    // In kWh.
    put(0x48, &decimal(energy(truth.registers.imported), 6));
    put(0x4A, &decimal(energy(truth.registers.exported), 6));
    Some(words[usize::from(first)..usize::from(end)].to_vec())
}
