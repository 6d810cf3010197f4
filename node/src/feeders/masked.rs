//! Feeders whose sites are added up without being seen (P42, P43): the market makes the sums, and here
//! they are held against the feeders' meters.
//!
//! Sums are kept in memory only: after a restart a gap is noticed anew, in the third interval.
//! Not for: shares, which are the market's.

use std::collections::BTreeMap;

use boltgrid_market::cohort::{FeederSum, NoSum, Turnout};
use boltgrid_metering::feeder::{
    Balance, CohortFlow, WINDOW_INTERVALS, balance_of_cohort, standing_gap_of_cohort,
};
use boltgrid_protocol::charter::Feeder;
use boltgrid_protocol::masking::SumRejected;
use boltgrid_protocol::units::{Interval, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{FeederState, Feeders};
use crate::clock;

/// The sums of the latest intervals by feeder. Bounded by [`WINDOW_INTERVALS`] × feeders.
#[derive(Clone, Debug, Default)]
pub struct Sums(BTreeMap<Interval, BTreeMap<String, FeederSum>>);

impl Sums {
    /// Takes what became of a sum, and forgets what is too long ago to matter.
    pub fn note(&mut self, sum: &FeederSum) {
        self.0.entry(sum.interval).or_default().insert(sum.feeder.clone(), sum.clone());
        while self.0.len() > WINDOW_INTERVALS {
            self.0.pop_first();
        }
    }

    fn of<'a>(&'a self, feeder: &'a Feeder) -> impl Iterator<Item = &'a FeederSum> {
        self.0.values().filter_map(|sums| sums.get(&feeder.name))
    }
}

/// The sites of a feeder that were to be added up last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CohortState {
    /// The interval.
    pub interval: Interval,
    /// Who was there.
    pub turnout: Turnout,
    /// Why there is no sum, and what to do.
    pub no_sum: Option<String>,
}

impl Feeders {
    /// Runs until shutdown, with a look at every sum.
    pub(super) async fn run_masked(mut self, shutdown: CancellationToken) {
        loop {
            let sums = self.sums.borrow_and_update().clone();
            self.look_at_sums(clock::now(), &sums);
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.sums.changed() => if changed.is_err() {
                    // The market has ended, and the node is about to.
                    return shutdown.cancelled().await;
                },
            }
        }
    }

    /// Holds the latest sums against the feeders' meters.
    pub(super) fn look_at_sums(&mut self, now: Timestamp, sums: &Sums) {
        let charter = std::sync::Arc::clone(&self.charter);
        let mut states = Vec::with_capacity(charter.feeders.len());
        for feeder in &charter.feeders {
            let mut state = FeederState { name: feeder.name.clone(), ..FeederState::default() };
            let mut balances = Vec::new();
            for sum in sums.of(feeder) {
                state.meter = sum.meter;
                state.missing = missing(sum).map(|missing| (sum.interval, missing));
                let no_sum = sum.sum.as_ref().err().map(told);
                state.cohort =
                    Some(CohortState { interval: sum.interval, turnout: sum.turnout, no_sum });
                if let Some((flow, balance)) = self.balance(sum) {
                    state.balance = Some(balance);
                    balances.push((flow, balance));
                }
            }
            state.gap = standing_gap_of_cohort(&balances);
            self.note(now, &state);
            if let Some(why) = state.cohort.as_ref().and_then(|cohort| cohort.no_sum.as_ref()) {
                debug!(feeder = %feeder.name, why, "sites not added up");
            }
            states.push(state);
        }
        self.states.send_replace(states);
    }

    fn balance(&self, sum: &FeederSum) -> Option<(CohortFlow, Balance)> {
        let turnout = &sum.turnout;
        let flow = CohortFlow {
            interval: sum.interval,
            feeder: sum.feeder_mwh?,
            sites: *sum.sum.as_ref().ok()?,
            present: turnout.present,
            ordered: turnout.ordered_mwh,
            sold: turnout.sold_mwh,
            absent_most: turnout.absent_most_mwh,
        };
        let interval_ms = self.charter.interval.interval_ms;
        let balance = balance_of_cohort(&flow, self.charter.connection.loss_ppm, interval_ms)?;
        Some((flow, balance))
    }
}

/// Whose share, or whose reading of the feeder's meter, an interval lacks.
fn missing(sum: &FeederSum) -> Option<Vec<boltgrid_protocol::id::ParticipantId>> {
    let mut missing = match &sum.sum {
        Err(NoSum::Rejected(SumRejected::Missing(sites))) => sites.clone(),
        Ok(_)
        | Err(
            NoSum::NoBook
            | NoSum::Refused(_)
            | NoSum::Rejected(SumRejected::NotAPoint(_) | SumRejected::DoesNotAddUp),
        ) => Vec::new(),
    };
    missing.extend(sum.meter.filter(|_| sum.feeder_mwh.is_none()));
    (!missing.is_empty()).then_some(missing)
}

/// Why there is no sum, with what to do about it.
fn told(why: &NoSum) -> String {
    let advice = match why {
        NoSum::NoBook => "it is not made up for",
        NoSum::Refused(_) => "it is made again once more sites order",
        NoSum::Rejected(SumRejected::Missing(_)) => {
            "the next interval has one if they are back; whoever never shares keeps the feeder from \
             being checked"
        }
        NoSum::Rejected(SumRejected::NotAPoint(_) | SumRejected::DoesNotAddUp) => {
            "somebody committed to another energy than it shared; whose share it is nobody can tell \
             before all open theirs to an arbiter (`boltgrid meter open --help`), and the next \
             interval has a sum if it was a mistake"
        }
    };
    format!("{why}; {advice}")
}

#[cfg(test)]
mod tests;
