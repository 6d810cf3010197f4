//! A set of places in the roster, one bit each.

use serde::{Deserialize, Serialize};

use crate::id::RosterIndex;

const BITS: usize = 8;

/// A set of roster places. The length is that of the roster, rounded up to whole bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bitmap {
    bytes: Vec<u8>,
}

impl Bitmap {
    /// The empty set over a roster of `members`.
    #[must_use]
    pub fn empty(members: usize) -> Self {
        Self { bytes: vec![0; members.div_ceil(BITS)] }
    }

    /// Whether this is a set over a roster of exactly `members`, with no bit set beyond it.
    #[must_use]
    pub fn fits(&self, members: usize) -> bool {
        self.bytes.len() == members.div_ceil(BITS)
            && self.iter().all(|index| index.as_usize() < members)
    }

    /// Adds a place; one beyond the length is not added.
    pub fn insert(&mut self, index: RosterIndex) {
        if let Some(byte) = self.bytes.get_mut(index.as_usize().div_euclid(BITS)) {
            *byte |= mask(index);
        }
    }

    /// Whether the place is in the set.
    #[must_use]
    pub fn contains(&self, index: RosterIndex) -> bool {
        self.bytes
            .get(index.as_usize().div_euclid(BITS))
            .is_some_and(|byte| byte & mask(index) != 0)
    }

    /// The places in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = RosterIndex> {
        let places = self.bytes.len().saturating_mul(BITS);
        (0_u32..).take(places).map(RosterIndex::new).filter(|index| self.contains(*index))
    }
}

const fn mask(index: RosterIndex) -> u8 {
    1_u8.rotate_left(index.get().rem_euclid(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_holds_what_was_inserted_and_nothing_else() {
        let mut bitmap = Bitmap::empty(10);
        for index in [0, 9] {
            bitmap.insert(RosterIndex::new(index));
        }
        let held: Vec<u32> = bitmap.iter().map(RosterIndex::get).collect();
        assert_eq!(held, [0, 9]);
        assert!(bitmap.fits(10) && !bitmap.fits(9) && !bitmap.fits(17));
    }

    #[test]
    fn a_bit_beyond_the_roster_does_not_fit() {
        for members in [1, 7, 9, 15] {
            let mut bitmap = Bitmap::empty(members);
            assert!(bitmap.fits(members));
            bitmap.insert(RosterIndex::new(u32::try_from(members).unwrap()));
            assert!(!bitmap.fits(members), "{members}");
        }
    }

    #[test]
    fn a_place_beyond_the_length_is_not_added() {
        for members in [0, 8, 16] {
            let mut bitmap = Bitmap::empty(members);
            for beyond in [u32::try_from(members).unwrap(), u32::MAX] {
                bitmap.insert(RosterIndex::new(beyond));
                assert!(!bitmap.contains(RosterIndex::new(beyond)));
            }
            assert_eq!(bitmap, Bitmap::empty(members));
        }
    }

    #[test]
    fn the_empty_set_over_nobody_fits_nobody_only() {
        let nobody = Bitmap::empty(0);
        assert!(nobody.fits(0) && !nobody.fits(1));
        assert_eq!(nobody.iter().count(), 0);
    }
}
