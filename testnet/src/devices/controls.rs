//! What the control registers of a unit have in common.

use sunspec::Model;
use tokio_modbus::ExceptionCode;

use super::image::Image;
use crate::plant::{Command, Nameplate};

/// Scale factor of percentages: hundredths of a percent.
pub(super) const PERCENT_SF: i16 = -2;
/// Hundredths of a percent in a whole.
pub(super) const WHOLE: u16 = 10_000;
/// Parts per million in a hundredth of a percent.
pub(super) const PPM_PER_HUNDREDTH: u32 = 100;

/// The writable registers of one model.
pub(super) trait Controls: Copy {
    /// The model that they are part of.
    type Model: Model;

    /// Takes one register, refusing what is not writable (address) or has no meaning (value).
    fn write(&mut self, offset: u16, word: u16) -> Result<(), ExceptionCode>;

    /// What the registers tell the plant.
    fn command(&self, nameplate: &Nameplate) -> Command;
}

/// `controls` after `words` were written from `address` on: all of them or none.
pub(super) fn written<C: Controls>(
    mut controls: C,
    image: &Image,
    address: u16,
    words: &[u16],
) -> Result<C, ExceptionCode> {
    for (address, word) in (address..=u16::MAX).zip(words) {
        let offset =
            image.offset_in::<C::Model>(address).ok_or(ExceptionCode::IllegalDataAddress)?;
        controls.write(offset, *word)?;
    }
    Ok(controls)
}
