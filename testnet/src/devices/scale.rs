//! `SunSpec` scale factors: a register times a power of ten is the value.

/// Milli-units that a register counts at scale factor -3, the finest used here.
const FINEST_SF: i16 = -3;
/// The largest value of an unsigned register; one more means that there is none.
pub(super) const UNSIGNED_MAX: u64 = 65_534;
/// The largest value of a signed register.
pub(super) const SIGNED_MAX: u64 = 32_767;

/// The scale of one or more registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    sf: i16,
}

impl Scale {
    /// The finest scale at which `most_milli` thousandths fit `register_max`.
    pub(super) fn fitting(most_milli: u64, register_max: u64) -> Self {
        let mut scale = Self { sf: FINEST_SF };
        while most_milli.div_ceil(scale.milli()) > register_max {
            scale.sf += 1;
        }
        scale
    }

    /// The scale factor.
    pub(super) const fn sf(self) -> i16 {
        self.sf
    }

    /// A value in thousandths as an unsigned register; what does not fit is held at the limits.
    pub(super) fn unsigned(self, milli: i64) -> u16 {
        let most = i64::try_from(UNSIGNED_MAX).expect("16 bits");
        u16::try_from(self.rounded(milli).clamp(0, most)).expect("held within 16 bits")
    }

    /// A rating in thousandths as an unsigned register, rounded down: nothing is promised that is
    /// not there.
    pub(super) fn rating(self, milli: u64) -> u16 {
        u16::try_from((milli / self.milli()).min(UNSIGNED_MAX)).expect("held within 16 bits")
    }

    /// A value in thousandths as a signed register; what does not fit is held at the limits.
    pub(super) fn signed(self, milli: i64) -> i16 {
        let most = i64::try_from(SIGNED_MAX).expect("15 bits");
        i16::try_from(self.rounded(milli).clamp(-most, most)).expect("held within 16 bits")
    }

    /// To the nearest step, halves away from zero.
    fn rounded(self, milli: i64) -> i64 {
        let step = i64::try_from(self.milli()).expect("a power of ten below 10^19");
        (milli + milli.signum() * (step / 2)) / step
    }

    /// Thousandths in one step of the register.
    fn milli(self) -> u64 {
        let exponent = u32::try_from(self.sf - FINEST_SF).expect("scales begin at the finest");
        10_u64.pow(exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_scale_that_fits_is_taken() {
        let check = |milli, register_max, sf| {
            assert_eq!(Scale::fitting(milli, register_max).sf(), sf, "{milli}");
        };
        check(0, SIGNED_MAX, -3);
        check(32_767, SIGNED_MAX, -3);
        check(32_768, SIGNED_MAX, -2);
        check(117_200_000, SIGNED_MAX, 1);
        check(65_534_000, UNSIGNED_MAX, 0);
        check(65_535_000, UNSIGNED_MAX, 1);
    }

    #[test]
    fn values_are_rounded_and_held_at_the_limits() {
        let tens = Scale { sf: 1 };
        assert_eq!(tens.signed(-60_615_840), -6062);
        assert_eq!(tens.unsigned(55_000), 6);
        assert_eq!(tens.rating(59_999), 5);
        assert_eq!(tens.unsigned(-55_000), 0);
        assert_eq!(tens.signed(i64::MIN / 2), -32_767);
        assert_eq!(tens.unsigned(i64::MAX / 2), 65_534);
    }
}
