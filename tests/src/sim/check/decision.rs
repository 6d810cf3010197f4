//! A decision comes while its assumptions hold: `q` honest voters are up with their clocks right, the
//! links among them are good, and one of them leads a view (P12, P15).
//!
//! Not for: intervals in which something is wrong; those may decide or not.

use boltgrid_protocol::units::Interval;

use super::in_time::InTime;
use super::{Facts, Findings, Fitness, Guarantee};

pub(super) fn closed(
    facts: &mut Facts,
    findings: &mut Findings,
    (at_ms, interval): (u64, Interval),
    (fitness, told): (&Fitness, &InTime),
) {
    let roster = facts.roster(interval);
    let fit: Vec<usize> = roster
        .voters()
        .iter()
        .filter_map(|voter| facts.node_at(&roster, *voter))
        .filter(|node| facts.honest[*node] && fitness.fit[*node])
        .collect();
    let led = (0..facts.charter.interval.views).any(|view| {
        let leader = roster.leader(interval, view);
        leader
            .and_then(|leader| facts.node_at(&roster, leader))
            .is_some_and(|node| fit.contains(&node))
    });
    if fit.len() < roster.voters().len() - roster.faulty_max() || !led {
        return;
    }
    for node in fit.iter().filter(|node| !told.has_cleared(**node, interval)) {
        let what = format!("no decision among {} fit voters", fit.len());
        findings.add(Guarantee::Decision, (at_ms, Some(*node)), interval, what);
    }
}
