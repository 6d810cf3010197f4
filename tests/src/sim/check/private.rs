//! Where readings are not open, none is gossiped, and none is shown to anybody but a counterparty of
//! one of the two intervals that it stands between (P40).
//!
//! Who is a counterparty is read from the disk of whoever shows: the other side's signed confirm.
//! Not for: what a counterparty does with what it was shown.

use boltgrid_market::effect::Slot;
use boltgrid_protocol::envelope::{Header, Verified};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::Interval;

use super::{Facts, Findings, Guarantee, Here};
use crate::sim::journal::Journal;

/// Whether a reading is everybody's: where they are masked, that of a feeder's meter (P42).
fn opens(facts: &mut Facts, reading: &Verified<Reading>) -> bool {
    let roster = facts.roster(reading.interval());
    facts.charter.readings.opens(reading.author(), (&facts.charter, &roster))
}

/// An honest node lets a message of its own leave to everybody.
pub(super) fn left(facts: &mut Facts, findings: &mut Findings, here: Here, message: &Message) {
    if let Message::Reading(reading) = message
        && !opens(facts, reading)
    {
        let what = "a reading is gossiped".to_owned();
        findings.at(Guarantee::ReadingsPrivate, here, reading.interval(), what);
    }
}

/// An honest node shows a reading of its own to somebody.
pub(super) fn shown(
    findings: &mut Findings,
    here: Here,
    (edge, to): (Interval, &ParticipantId),
    journal: &Journal,
) {
    let entries = journal.load_since(edge.previous());
    let traded = entries.iter().any(|entry| {
        matches!(entry.slot, Slot::Countersigned(of, _) if of == edge || of == edge.previous())
            && Header::peek(&entry.bytes).is_ok_and(|header| header.author == *to)
    });
    if !traded {
        let what = format!("a reading is shown to {}, who does not trade with it", to.short());
        findings.at(Guarantee::ReadingsPrivate, here, edge, what);
    }
}
