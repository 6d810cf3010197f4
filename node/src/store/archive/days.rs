//! The archive's part in what passed the site's own meter: a small record a day, kept when signed
//! readings are long forgotten. Ten years of five-minute intervals are some 20 MB.

use boltgrid_metering::substitute::Flow;
use boltgrid_protocol::codec;
use boltgrid_protocol::units::Interval;
use serde::{Deserialize, Serialize};

use super::{Archive, ArchiveError, value};

/// What passed the site's meter in a day of UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRecord {
    /// Its first interval.
    pub first: Interval,
    /// What is known of each of its intervals.
    pub flows: Vec<Option<Flow>>,
}

impl DayRecord {
    /// Takes over what another record of the day knows and this one does not, or knows by a substitute
    /// only. True where that changes anything.
    pub fn learn(&mut self, other: &Self) -> bool {
        let is_measured = |flow: &Flow| flow.substitute.is_none();
        let mut is_news = false;
        for (mine, theirs) in self.flows.iter_mut().zip(&other.flows) {
            let Some(flow) = theirs else { continue };
            if *mine != *theirs && (is_measured(flow) || !mine.as_ref().is_some_and(is_measured)) {
                *mine = Some(*flow);
                is_news = true;
            }
        }
        is_news
    }

    /// What is known, by interval.
    pub fn known(&self) -> impl Iterator<Item = (Interval, Flow)> {
        let flows = (0..).zip(&self.flows);
        flows.filter_map(|(after, flow)| Some((self.first.plus(after), (*flow)?)))
    }
}

impl Archive {
    /// Keeps a day, in place of what was kept of it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_day(&self, day: u64, record: &DayRecord) -> Result<(), ArchiveError> {
        self.days.insert(day.to_be_bytes(), codec::canonical(record))?;
        Ok(())
    }

    /// A day, counted from the beginning of 1970.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn day(&self, day: u64) -> Result<Option<DayRecord>, ArchiveError> {
        let found = self.days.get(day.to_be_bytes())?;
        found.map(|bytes| value("days", &bytes)).transpose()
    }
}
