//! Whether nodes that were away know afterwards what was decided without them.
//! Not for: what they owe for it; a node that was away signed nothing.

use boltgrid_protocol::units::Interval;

use super::fleet::Fleet;
use super::invariants::Tally;
use super::report::{IntervalRow, InvariantRow};

/// The invariant that only the end of a run can show.
const NAME: &str = "nodes_that_were_away_know_every_book";

/// Asks every node that came back for every interval that was decided. None where no node
/// was.
pub(super) async fn check(fleet: &Fleet, rows: &[IntervalRow]) -> Option<InvariantRow> {
    let mut tally = None;
    for (number, member) in fleet.members.iter().enumerate() {
        if !member.is_up() || member.back.is_none() {
            continue;
        }
        let tally = tally.get_or_insert_with(Tally::default);
        for row in rows.iter().filter(|row| row.decided && row.distinct_digests == 1) {
            let told = fleet.report(number, Interval::from_number(row.interval)).await;
            let digest = told.and_then(|report| report.clearing_digest);
            tally.check(digest == row.clearing_digest, || {
                let (name, interval) = (&member.place.name, row.interval);
                match digest {
                    None => format!("interval {interval}: {name} never learnt of its book"),
                    Some(digest) => format!("interval {interval}: {name} knows it as {digest}"),
                }
            });
        }
    }
    tally.map(|tally| tally.row(NAME))
}
