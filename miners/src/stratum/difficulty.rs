//! How hard a share is.
//!
//! A share of difficulty `d` stands for `d · 2³²` hashes on average: difficulty 1 is a target of
//! `0x00000000ffff…`, which one hash in 2³² · (1 + 2⁻¹⁶) meets; the 65 536th is left out here, as pools
//! do.

use std::fmt;

use serde_json::Number;

use crate::hash::HashRate;

/// Billionths.
const NANO: u128 = 1_000_000_000;
/// Digits of a billionth.
const NANO_DIGITS: usize = 9;
/// What a share of difficulty 1 stands for, as a power of two.
const HASHES_BITS: u32 = 32;
/// Digits of the largest difficulty that is believed; that of the whole network has 15.
const DIGITS_MAX: usize = 18;
/// What a machine should find a share in, in ms: often enough that it is seen within minutes whether it
/// works, seldom enough that nobody is kept busy by shares.
const SHARE_EVERY_MS: u128 = 10_000;
/// Hashes in a gigahash, and milliseconds in a second.
const GIGA: u128 = 1_000_000_000;
const MS_PER_S: u128 = 1_000;

/// A share difficulty in billionths; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difficulty {
    nano: u128,
}

impl Difficulty {
    /// What a pool says, rounded down; `None` for what is no difficulty: zero, less, or beyond all
    /// measure.
    #[must_use]
    pub fn from_number(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let both = format!("{whole}{part}");
        if both.len() > 2 * DIGITS_MAX || !both.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        let value: u128 = both.parse().ok()?;
        let digits = i32::try_from(NANO_DIGITS).ok()?;
        let shift = digits.checked_add(exponent)?.checked_sub(i32::try_from(part.len()).ok()?)?;
        let power = 10_u128.checked_pow(shift.unsigned_abs());
        let nano = match power {
            Some(power) if shift >= 0 => value.checked_mul(power)?,
            Some(power) => value.checked_div(power)?,
            None => return None,
        };
        let most = 10_u128.checked_pow(u32::try_from(DIGITS_MAX).ok()?)?.checked_mul(NANO)?;
        (1..=most).contains(&nano).then_some(Self { nano })
    }

    /// The one at which a machine of this rate finds a share in about ten seconds, rounded down to a
    /// power of two so that it does not change with every sample; `None` for one that does not hash.
    #[must_use]
    pub fn fitting(rate: HashRate) -> Option<Self> {
        let hashes = u128::from(rate.to_gigahashes())
            .checked_mul(GIGA)?
            .checked_mul(SHARE_EVERY_MS)?
            .checked_div(MS_PER_S)?;
        let whole = hashes.checked_shr(HASHES_BITS)?;
        let power = 1_u128.checked_shl(whole.max(1).ilog2())?;
        (hashes > 0).then_some(Self { nano: power.checked_mul(NANO)? })
    }

    /// The hashes that a share of it stands for, rounded down.
    #[must_use]
    pub const fn hashes_floor(self) -> u128 {
        self.nano.saturating_mul(1 << HASHES_BITS) / NANO
    }

    /// Whether one is more than twice the other: worth asking for.
    #[must_use]
    pub const fn is_far_from(self, other: Self) -> bool {
        self.nano > other.nano.saturating_mul(2) || other.nano > self.nano.saturating_mul(2)
    }
}

/// As a number of JSON.
impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.nano / NANO, self.nano % NANO);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:09}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<String> {
        let number: Number = serde_json::from_str(text).unwrap();
        Difficulty::from_number(&number).map(|it| it.to_string())
    }

    #[test]
    fn what_pools_say_is_read_to_the_billionth() {
        assert_eq!(said("8192").as_deref(), Some("8192"));
        assert_eq!(said("0.001").as_deref(), Some("0.001"));
        assert_eq!(said("1e-7").as_deref(), Some("0.0000001"));
        assert_eq!(said("65536.5").as_deref(), Some("65536.5"));
        assert_eq!(said("1.5e6").as_deref(), Some("1500000"));
    }

    #[test]
    fn what_is_no_difficulty_is_none() {
        for odd in ["0", "0.0", "-1", "1e-10", "1e19", "1e300", "18446744073709551615"] {
            assert_eq!(said(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_share_stands_for_its_hashes() {
        let one = Difficulty { nano: NANO };
        assert_eq!(one.hashes_floor(), 1 << 32);
        assert_eq!(Difficulty { nano: NANO / 2 }.hashes_floor(), 1 << 31);
    }

    #[test]
    fn a_machine_finds_a_share_in_five_to_ten_seconds() {
        for gh_per_s in [650, 121_800, 184_000, 1_000_000] {
            let fitting = Difficulty::fitting(HashRate::from_gigahashes(gh_per_s)).unwrap();
            let per_s = u128::from(gh_per_s) * GIGA;
            let ms = fitting.hashes_floor() * MS_PER_S / per_s;
            assert!((5_000..=10_000).contains(&ms), "{gh_per_s} GH/s: {ms} ms");
        }
        assert_eq!(Difficulty::fitting(HashRate::ZERO), None);
    }
}
