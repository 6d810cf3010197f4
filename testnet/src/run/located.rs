//! What became of falsified meters: in how many intervals every node had caught and located them, and
//! that nobody else was named. Where sites are masked, a meter is located to its cohort.
//! Not for: how they are located (`boltgrid_metering::feeder`).

#[cfg(test)]
mod profiles;
#[cfg(test)]
mod tests;

use boltgrid::rpc::checks::FeederReport;
use boltgrid_protocol::units::Interval;

use super::invariants::Tally;
use super::report::{FalsifiedRow, InvariantRow};

/// What nodes tell of feeders, each with the site of the node.
pub type Told = [(String, Vec<FeederReport>)];

/// A falsified meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lie {
    /// Its site.
    pub site: String,
    /// Whose it is.
    pub participant: String,
    /// What it shows of 100 that flow.
    pub shown_percent: u32,
    /// The first interval in which it does.
    pub began: Interval,
    /// In so many intervals every node must have located it.
    pub must_be_within: Option<u64>,
}

/// All falsified meters of a run.
#[derive(Clone, Debug, Default)]
pub struct Located {
    lies: Vec<(Lie, FalsifiedRow)>,
    nobody_else: Tally,
    in_time: Tally,
}

impl Located {
    /// A meter begins to lie.
    pub fn begin(&mut self, lie: Lie) {
        let row = FalsifiedRow {
            site: lie.site.clone(),
            shown_percent: lie.shown_percent,
            caught_within_intervals: None,
            located_within_intervals: None,
            to_cohort: false,
        };
        self.lies.push((lie, row));
    }

    /// Whether a meter must have been located by the readings of this interval, and some node has yet
    /// to say so.
    #[must_use]
    pub fn is_waiting(&self, interval: Interval, told: &Told) -> bool {
        self.lies
            .iter()
            .any(|(lie, _)| lie.is_due(interval) && !all(told, |gap| gap.locates(&lie.participant)))
    }

    /// Notes what nodes tell once the readings of an interval are there.
    pub fn note(&mut self, interval: Interval, told: &Told) {
        for (lie, row) in &mut self.lies {
            let within = interval.to_number().saturating_sub(lie.began.to_number());
            let within = u32::try_from(within.saturating_add(1)).unwrap_or(u32::MAX);
            let is_caught = all(told, |gap| gap.names(&lie.participant));
            let is_located = all(told, |gap| gap.locates(&lie.participant));
            row.caught_within_intervals =
                row.caught_within_intervals.or(is_caught.then_some(within));
            row.to_cohort = all(told, |gap| gap.cohort.is_some());
            row.located_within_intervals =
                row.located_within_intervals.or(is_located.then_some(within));
            if lie.is_due(interval) {
                let yet: Vec<_> = told
                    .iter()
                    .filter(|(_, feeders)| !feeders.iter().any(|it| it.locates(&lie.participant)))
                    .map(|(node, _)| node.as_str())
                    .collect();
                self.in_time.check(yet.is_empty() && !told.is_empty(), || {
                    let (site, yet) = (&lie.site, yet.join(", "));
                    format!(
                        "interval {interval}: {site} is not located {within} intervals on by {yet}"
                    )
                });
            }
        }
        for (node, feeders) in told {
            let named = feeders.iter().filter_map(|it| it.gap.as_ref()?.located.as_ref());
            for whose in named {
                let lies = self.lies.iter().any(|(lie, _)| lie.participant == *whose);
                self.nobody_else.check(lies, || {
                    format!("interval {interval}: {node} names {whose}, whose meter is honest")
                });
            }
        }
    }

    /// Whether a meter is false by the readings of this interval.
    #[must_use]
    pub fn is_lied(&self, interval: Interval) -> bool {
        self.lies.iter().any(|(lie, _)| lie.began <= interval)
    }

    /// The falsified meters, in the order in which they began to lie.
    #[must_use]
    pub fn rows(&self) -> Vec<FalsifiedRow> {
        self.lies.iter().map(|(_, row)| row.clone()).collect()
    }

    /// What must hold.
    #[must_use]
    pub fn verdicts(&self) -> Vec<InvariantRow> {
        let rows = [
            ("falsified_meters_are_located_in_time", &self.in_time),
            ("no_honest_meter_is_named", &self.nobody_else),
        ];
        let rows = rows.map(|(name, tally)| tally.row(name));
        rows.into_iter().filter(|row| row.checked > 0).collect()
    }
}

impl Lie {
    fn is_due(&self, interval: Interval) -> bool {
        let last = |within: u64| self.began.plus(within.saturating_sub(1));
        self.must_be_within.is_some_and(|within| interval == last(within))
    }
}

/// What a feeder's report says of one member.
trait Says {
    fn is_of_cohort(&self) -> bool;
    fn names(&self, participant: &str) -> bool;
    fn locates(&self, participant: &str) -> bool;
}

impl Says for FeederReport {
    fn is_of_cohort(&self) -> bool {
        self.gap.is_some() && self.cohort.is_some()
    }

    fn names(&self, participant: &str) -> bool {
        if self.is_of_cohort() {
            return true;
        }
        let suspects = self.gap.iter().flat_map(|gap| &gap.suspects);
        suspects.into_iter().any(|suspect| suspect.participant == participant)
    }

    /// Where nobody sees a site, the cohort is as near as can be told.
    fn locates(&self, participant: &str) -> bool {
        if self.is_of_cohort() {
            return true;
        }
        let located = self.gap.as_ref().and_then(|gap| gap.located.as_deref());
        located == Some(participant)
    }
}

/// Whether every node says this of one of its feeders, and there is any node.
fn all(told: &Told, says: impl Fn(&FeederReport) -> bool) -> bool {
    !told.is_empty() && told.iter().all(|(_, feeders)| feeders.iter().any(&says))
}
