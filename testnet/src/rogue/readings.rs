//! Readings of a meter that lies.

use boltgrid_market::input::Input;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Power};

use super::{Deed, Rogue, Role};

/// Export that a meter claims beside what it gave, for every interval since its first reading.
const CLAIMED_MWH: u64 = 1_000_000;
/// How far a register jumps.
const JUMP_MWH: u64 = 1_000_000_000;
const DICE_LIE: u64 = 30;

impl Rogue {
    /// What the honest inside is told of our meter, and what is said beside it.
    pub(super) fn meter(&mut self, reading: Verified<Reading>) -> (Input, Vec<Deed>) {
        let interval = reading.interval();
        let truth = *reading.body();
        let first = *self.first_reading.get_or_insert(truth);
        let told = match self.role {
            Role::LyingMeter => self.lie(&truth, &first, interval),
            Role::NeverDelivers => Reading {
                import_register_mwh: first.import_register_mwh,
                export_register_mwh: first.export_register_mwh,
                power_mw: Power::ZERO,
                potential_mw: Some(Power::ZERO),
                ..truth
            },
            Role::Equivocator => {
                let given = truth.export_register_mwh.to_milliwatt_hours();
                let export_register_mwh = Energy::from_milliwatt_hours(given ^ 1);
                let other = Reading { export_register_mwh, ..truth };
                let other = self.hand.sign_metered(&other, interval);
                let deeds = if self.hand.charter.readings.is_open() {
                    self.split(Topic::Readings, &reading, other.as_ref())
                } else {
                    let left = self.hand.seal(&reading);
                    let right = other.as_ref().and_then(|other| self.hand.seal(other));
                    left.map_or_else(Vec::new, |left| {
                        self.split(Topic::Readings, &left, right.as_ref())
                    })
                };
                // The inside would say the first one to everybody.
                return (Input::Tick, deeds);
            }
            Role::LatePartial
            | Role::SelectiveAcker
            | Role::DoubleVoter
            | Role::EquivocatingLeader
            | Role::WithholdingLeader
            | Role::Replayer
            | Role::Spammer
            | Role::NeverConfirms
            | Role::FalsePayee
            | Role::FalsePayer
            | Role::Eavesdropper => truth,
        };
        let told = if told == truth { None } else { self.hand.sign_metered(&told, interval) };
        (Input::Metered(Box::new(told.unwrap_or(reading))), Vec::new())
    }

    fn lie(&self, truth: &Reading, first: &Reading, interval: Interval) -> Reading {
        let (taken, given) = (
            truth.import_register_mwh.to_milliwatt_hours(),
            truth.export_register_mwh.to_milliwatt_hours(),
        );
        let (taken, given) = match self.hand.dice(interval, DICE_LIE, 4) {
            0 => (taken.div_euclid(2), given.div_euclid(2)),
            1 => (taken, given.saturating_add(JUMP_MWH)),
            2 => (u64::MAX, u64::MAX),
            _ => {
                let edges = self.hand.charter.interval;
                let since = edges.interval_at(first.at).to_number();
                let edges = interval.to_number().saturating_sub(since);
                let claimed = edges.saturating_mul(CLAIMED_MWH);
                (taken, given.saturating_add(claimed))
            }
        };
        Reading {
            import_register_mwh: Energy::from_milliwatt_hours(taken),
            export_register_mwh: Energy::from_milliwatt_hours(given),
            ..*truth
        }
    }
}
