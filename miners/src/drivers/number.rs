//! Where the floats of devices end: from a number of theirs to thousandths of the unit.

/// `value` in thousandths, rounded; `None` for what is no number or not within 0 and `most`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::float_arithmetic,
    reason = "devices speak floats, and what fits is checked before"
)]
pub(super) fn milli(value: f64, most: u32) -> Option<i64> {
    (0.0..=f64::from(most)).contains(&value).then(|| (value * 1_000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_is_a_number() {
        assert_eq!(milli(3156.4, 5_000), Some(3_156_400));
        assert_eq!(milli(0.0, 5_000), Some(0));
        for odd in [-1.0, 5_001.0, f64::NAN, f64::INFINITY] {
            assert_eq!(milli(odd, 5_000), None);
        }
    }
}
