//! SML's binary coding: a byte that says type and length, and what it says.
//!
//! Nothing is reserved by a length that the bytes name, and nothing calls itself: what is nested is
//! walked through with a count.

/// More bytes of type and length follow.
const GOES_ON: u8 = 0x80;
const LIST: u8 = 0x70;
/// Bytes of type and length at most.
const HEADER_MAX: usize = 4;

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// What ends a message.
    End,
    /// Bytes; none where something optional is left out.
    Bytes(&'a [u8]),
    /// Yes or no.
    Bool(bool),
    /// A number that may be negative.
    Integer(i64),
    /// One that may not.
    Unsigned(u64),
    /// So many elements follow that belong together.
    List(u32),
}

impl Item<'_> {
    /// The number, if it is one.
    pub(super) fn number(self) -> Option<i128> {
        match self {
            Self::Integer(number) => Some(number.into()),
            Self::Unsigned(number) => Some(number.into()),
            Self::End | Self::Bytes(_) | Self::Bool(_) | Self::List(_) => None,
        }
    }
}

/// Elements, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next element; `None` where the bytes make no sense or end.
    pub(super) fn next(&mut self) -> Option<Item<'a>> {
        let (first, mut rest) = self.0.split_first()?;
        if *first == 0 {
            self.0 = rest;
            return Some(Item::End);
        }
        let kind = first & LIST;
        let (mut length, mut header, mut last) = (u32::from(first & 0x0F), 1, *first);
        while last & GOES_ON != 0 && header < HEADER_MAX {
            (last, rest) = rest.split_first().map(|(last, rest)| (*last, rest))?;
            length = (length << 4) | u32::from(last & 0x0F);
            header += 1;
        }
        if last & GOES_ON != 0 {
            return None;
        }
        if kind == LIST {
            self.0 = rest;
            return Some(Item::List(length));
        }
        // Lengths but those of lists count the bytes of type and length.
        let length = usize::try_from(length).ok()?.checked_sub(header)?;
        let (bytes, rest) = rest.split_at_checked(length)?;
        let item = match kind {
            0x00 => Item::Bytes(bytes),
            0x40 => Item::Bool(bytes.iter().any(|byte| *byte != 0)),
            0x50 => Item::Integer(integer(bytes)?),
            0x60 => Item::Unsigned(unsigned(bytes)?),
            _ => return None,
        };
        self.0 = rest;
        Some(item)
    }

    /// Passes over the next element with all that is in it.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            // Each takes a byte at least, so whatever a length says ends with the bytes.
            if let Item::List(count) = self.next()? {
                left = left.saturating_add(count.into());
            }
        }
        Some(())
    }

    /// Passes over so many elements.
    pub(super) fn skip_many(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.skip())
    }
}

/// A number of one to eight bytes; meters leave out those in front that say nothing.
fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut all = [0; 8];
    all.get_mut(8_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    (!bytes.is_empty()).then(|| u64::from_be_bytes(all))
}

fn integer(bytes: &[u8]) -> Option<i64> {
    let fill = if *bytes.first()? & 0x80 != 0 { 0xFF } else { 0 };
    let mut all = [fill; 8];
    all.get_mut(8_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(i64::from_be_bytes(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_at_every_length() {
        let one = |bytes: &[u8]| {
            let mut cursor = Cursor(bytes);
            let item = cursor.next().map(|item| (format!("{item:?}"), cursor.0.len()));
            item.map(|(item, left)| format!("{item} {left}")).unwrap_or_default()
        };
        assert_eq!(one(&[0x01, 9]), "Bytes([]) 1");
        assert_eq!(one(&[0x03, 1, 2, 9]), "Bytes([1, 2]) 1");
        assert_eq!(one(&[0x42, 1]), "Bool(true) 0");
        assert_eq!(one(&[0x52, 0xFF]), "Integer(-1) 0");
        assert_eq!(one(&[0x54, 0xFF, 0, 0]), "Integer(-65536) 0");
        assert_eq!(one(&[0x56, 0, 0xFF, 0, 0, 1]), "Integer(4278190081) 0");
        assert_eq!(one(&[0x63, 1, 2]), "Unsigned(258) 0");
        assert_eq!(
            one(&[0x69, 0xFF, 255, 255, 255, 255, 255, 255, 255]),
            format!("Unsigned({}) 0", u64::MAX)
        );
        assert_eq!(one(&[0x77, 1]), "List(7) 1");
        assert_eq!(one(&[0xF1, 0x04]), "List(20) 0");
        let long = [&[0x81, 0x02][..], &[5; 16]].concat();
        assert_eq!(one(&long), format!("Bytes({:?}) 0", [5; 16]));
        assert_eq!(one(&[0]), "End 0");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bytes in [
            &[][..],
            &[0x02],
            &[0x61],
            &[0x51],
            &[0x6A, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x32, 0],
            &[0x80],
            &[0x81, 0x81, 0x81, 0x81, 0x01],
            &[0xFF, 0xFF, 0xFF, 0x8F],
        ] {
            assert_eq!(Cursor(bytes).next(), None, "{bytes:?}");
        }
        // A list of millions, of which nothing is there.
        assert_eq!(Cursor(&[0xFF, 0x8F, 0x8F, 0x0F, 0x01]).skip(), None);
        // Lists in lists, as deep as there are bytes.
        assert_eq!(Cursor(&[0x71; 100_000]).skip(), None);
        assert_eq!(Cursor(&[0x72, 0x71, 0x01, 0x62, 5, 9]).skip(), Some(()));
    }
}
