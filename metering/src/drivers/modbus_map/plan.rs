//! Which registers are read together: few requests, none across a gap or longer than the device takes.
//! Not for: sending them (see [`super`]).

use crate::drivers::bus::Table;

/// A run of registers of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The table.
    pub table: Table,
    /// The first register.
    pub first: u16,
    /// How many, at least one.
    pub count: u16,
}

impl Span {
    /// The register after the last; a span never ends beyond the table.
    const fn end(&self) -> u32 {
        self.first as u32 + self.count as u32
    }

    /// Both as one, if the device takes a request that long and the gap between them.
    fn with(&self, next: &Self, longest: u16, widest_gap: u16) -> Option<Self> {
        let gap = u32::from(next.first).saturating_sub(self.end());
        if self.table != next.table || gap > u32::from(widest_gap) {
            return None;
        }
        let count = self.end().max(next.end()) - u32::from(self.first);
        let count = u16::try_from(count).ok().filter(|count| *count <= longest)?;
        Some(Self { count, ..*self })
    }

    /// The words of `part` among those of this span, if they are in it.
    pub(super) fn words<'a>(&self, part: &Self, words: &'a [u16]) -> Option<&'a [u16]> {
        let start = part.first.checked_sub(self.first).filter(|_| self.table == part.table)?;
        words.get(start.into()..usize::from(start) + usize::from(part.count))
    }
}

/// The requests that fetch all `parts`, each of which lies whole in one of them.
pub(super) fn requests(mut parts: Vec<Span>, longest: u16, widest_gap: u16) -> Vec<Span> {
    parts.sort_unstable();
    let mut requests: Vec<Span> = Vec::new();
    for part in parts {
        let joined = requests.last().and_then(|last| last.with(&part, longest, widest_gap));
        match (joined, requests.last_mut()) {
            (Some(joined), Some(last)) => *last = joined,
            (_, _) => requests.push(part),
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn span(first: u16, count: u16) -> Span {
        Span { table: Table::Holding, first, count }
    }

    #[test]
    fn registers_side_by_side_are_read_together() {
        let parts = vec![span(2, 2), span(0, 2), span(4, 4), span(10, 2)];
        assert_eq!(requests(parts.clone(), 125, 0), [span(0, 8), span(10, 2)]);
        assert_eq!(requests(parts.clone(), 125, 2), [span(0, 12)]);
        assert_eq!(requests(parts, 4, 2), [span(0, 4), span(4, 4), span(10, 2)]);
    }

    #[test]
    fn tables_are_read_apart_and_overlaps_once() {
        let input = Span { table: Table::Input, ..span(2, 2) };
        assert_eq!(requests(vec![input, span(0, 2)], 125, 9), [span(0, 2), input]);
        assert_eq!(requests(vec![span(0, 4), span(0, 4), span(2, 1)], 125, 0), [span(0, 4)]);
        assert_eq!(requests(vec![span(u16::MAX, 1)], 125, 9), [span(u16::MAX, 1)]);
    }

    #[test]
    fn a_part_is_found_in_its_request() {
        let words = [1, 2, 3, 4];
        assert_eq!(span(10, 4).words(&span(12, 2), &words), Some(&words[2..]));
        assert_eq!(span(10, 4).words(&span(13, 2), &words), None);
        assert_eq!(span(10, 4).words(&span(9, 2), &words), None);
    }
}
