//! What a member hears of others' readings, and that where these are not open it hears none.
//!
//! A rogue is a member like any other, with real connections to every node: what reaches it could
//! reach anybody. Not for: readings that whoever trades with a member is shown; an eavesdropper trades
//! nothing.

use std::collections::BTreeMap;

use boltgrid_protocol::charter::Disclosure;

use super::invariants::Tally;
use super::report::InvariantRow;
use crate::rogue::Role;

/// What was heard of the readings of other members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overheard {
    /// Readings, in whatever way they came.
    pub readings: u64,
    /// Seals.
    pub seals: u64,
    /// Masked shares.
    pub shares: u64,
    /// Bytes of readings, seals and shares together, each message once.
    pub bytes: u64,
    /// Questions for readings.
    pub asked: u64,
    /// Of these, answered without any.
    pub denied: u64,
}

impl From<Overheard> for BTreeMap<String, u64> {
    fn from(it: Overheard) -> Self {
        let Overheard { readings, seals, shares, bytes, asked, denied } = it;
        let counts = [
            ("readings", readings),
            ("seals", seals),
            ("shares", shares),
            ("bytes", bytes),
            ("asked", asked),
            ("denied", denied),
        ];
        counts.into_iter().map(|(what, count)| (what.to_owned(), count)).collect()
    }
}

/// Whether eavesdroppers heard no reading though they heard seals and asked; no row where there are
/// none, or where everybody hears everything.
#[must_use]
pub fn verdict(
    readings: Disclosure,
    heard: impl IntoIterator<Item = (Role, Overheard)>,
) -> Option<InvariantRow> {
    let mut tally = Tally::default();
    for (_, heard) in heard.into_iter().filter(|(role, _)| *role == Role::Eavesdropper) {
        if readings.is_open() {
            continue;
        }
        let Overheard { readings: shown, seals, shares, asked, denied, .. } = heard;
        tally.check(shown == 0, || format!("an eavesdropper was shown {shown} readings"));
        if readings.is_masked() {
            tally.check(shares > 0, || "an eavesdropper heard no masked share".to_owned());
        }
        tally.check(seals > 0 && asked > 0 && denied > 0, || {
            format!(
                "an eavesdropper heard {seals} seals, and {denied} answers to {asked} questions"
            )
        });
    }
    let row = tally.row("no_reading_is_overheard");
    (row.checked > 0).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARD: Overheard =
        Overheard { readings: 0, seals: 9, shares: 9, bytes: 999, asked: 4, denied: 3 };

    fn violations(readings: Disclosure, role: Role, heard: Overheard) -> Option<u32> {
        verdict(readings, [(role, heard)]).map(|row| row.violations)
    }

    #[test]
    fn an_eavesdropper_hears_seals_and_no_readings() {
        let hidden = Disclosure::Counterparty;
        let count = |heard| violations(hidden, Role::Eavesdropper, heard);
        assert_eq!(count(HEARD), Some(0));
        assert_eq!(count(Overheard { readings: 1, ..HEARD }), Some(1));
        assert_eq!(count(Overheard { seals: 0, ..HEARD }), Some(1), "it must have listened");
        assert_eq!(count(Overheard { denied: 0, ..HEARD }), Some(1), "and asked");
        let masked = Disclosure::Masked;
        let none = Overheard { shares: 0, ..HEARD };
        assert_eq!(violations(masked, Role::Eavesdropper, HEARD), Some(0));
        assert_eq!(violations(masked, Role::Eavesdropper, none), Some(1), "sites must share");
        assert_eq!(violations(hidden, Role::Eavesdropper, none), Some(0));
        assert_eq!(violations(hidden, Role::FalsePayer, HEARD), None);
        assert_eq!(violations(Disclosure::Open, Role::Eavesdropper, HEARD), None);
    }
}
