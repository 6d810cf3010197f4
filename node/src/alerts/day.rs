//! What flowed since midnight: the registers as they were when the day began.
//! Not for: what is settled.

use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 86_400_000;

/// The beginning of a day, as far as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    /// Days since 1970 of the grid's standard time.
    number: u64,
    import_mwh: u64,
    export_mwh: u64,
}

impl Day {
    /// Takes the registers at a local time; returns what was taken and given since midnight, or since
    /// they were first seen that day.
    pub(super) fn since_midnight(
        day: &mut Option<Self>,
        local_ms: u64,
        (import_mwh, export_mwh): (u64, u64),
    ) -> (u64, u64) {
        let number = local_ms.div_euclid(DAY_MS);
        let began = Self { number, import_mwh, export_mwh };
        let is_of_today = |it: &Self| {
            // Another meter, or one that was reset, begins anew.
            it.number == number && it.import_mwh <= import_mwh && it.export_mwh <= export_mwh
        };
        let began = day.filter(is_of_today).unwrap_or(began);
        *day = Some(began);
        (import_mwh - began.import_mwh, export_mwh - began.export_mwh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_with_another_meter() {
        let mut day = None;
        let mut since =
            |hour: u64, registers| Day::since_midnight(&mut day, hour * 3_600_000, registers);
        assert_eq!(since(10, (100, 7)), (0, 0));
        assert_eq!(since(23, (150, 9)), (50, 2));
        assert_eq!(since(24, (160, 9)), (0, 0));
        assert_eq!(since(25, (161, 9)), (1, 0));
        assert_eq!(since(26, (3, 0)), (0, 0));
        assert_eq!(since(27, (4, 0)), (1, 0));
    }
}
