//! What this node found implausible: at its own site, or in the balance of a feeder.
//! Not for: finding it (`boltgrid_metering::plausibility`, `boltgrid_metering::feeder`), or where it is
//! kept ([`crate::store::Archive`]).

use std::fmt;

use boltgrid_metering::feeder::FeederGap;
use boltgrid_metering::plausibility::{Anomaly, Finding};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

/// An anomaly as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnomalyRecord {
    /// Of which meter or feeder, by its name.
    pub of: String,
    /// What was found last.
    pub found: Found,
    /// When it was found first.
    pub began_at: Timestamp,
    /// When it was found last.
    pub seen_at: Timestamp,
    /// How often it was found.
    pub count: u64,
    /// When it was over: none while it stands.
    pub ended_at: Option<Timestamp>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// At this node's own site.
    Site(Finding),
    /// In the balance of a feeder, and nobody can say whose meter it comes from.
    Feeder(FeederGap),
    /// In the balance of a feeder, and whose meter it comes from.
    LocatedGap(FeederGap, ParticipantId),
    /// In the balance of a feeder of which only the sum of so many sites is known (P43).
    CohortGap(FeederGap, u64),
}

impl Found {
    /// Whose meter it was located at.
    #[must_use]
    pub const fn located(&self) -> Option<ParticipantId> {
        match self {
            Self::Site(_) | Self::Feeder(_) | Self::CohortGap(..) => None,
            Self::LocatedGap(_, whose) => Some(*whose),
        }
    }
}

impl AnomalyRecord {
    /// What a site's checks found of a meter.
    #[must_use]
    pub fn of_site(meter: &str, anomaly: &Anomaly) -> Self {
        let Anomaly { finding, began_at, seen_at, count, ended_at } = *anomaly;
        Self {
            of: meter.to_owned(),
            found: Found::Site(finding),
            began_at,
            seen_at,
            count,
            ended_at,
        }
    }

    /// Its kind, as it is named in JSON and on the command line.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match &self.found {
            Found::Site(finding) => finding.kind().name(),
            Found::Feeder(_) | Found::LocatedGap(..) | Found::CohortGap(..) => "feeder-gap",
        }
    }

    /// Whether this node orders nothing while it stands.
    #[must_use]
    pub const fn blocks_orders(&self) -> bool {
        match &self.found {
            Found::Site(finding) => finding.kind().blocks_orders(),
            Found::Feeder(_) | Found::LocatedGap(..) | Found::CohortGap(..) => false,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(finding) => finding.fmt(f),
            Self::Feeder(gap) => {
                sums(gap, f)?;
                if gap.suspects.is_empty() {
                    return write!(f, "; no single meter explains it");
                }
                for (place, suspect) in gap.suspects.iter().enumerate() {
                    let joint = if place == 0 { "; it could be" } else { " or" };
                    let (who, ppm) = (suspect.participant.short(), suspect.shows_ppm);
                    write!(f, "{joint} {who}, if its meter shows {ppm} ppm of the truth")?;
                }
                Ok(())
            }
            Self::CohortGap(gap, sites) => {
                sums(gap, f)?;
                write!(
                    f,
                    "; it comes from the cohort of {sites} sites, of which nobody sees a single one, or \
                     from the feeder's own meter; ask its members to open their shares of these \
                     intervals to a member whom all trust (`boltgrid meter open --help`)"
                )
            }
            Self::LocatedGap(gap, whose) => {
                sums(gap, f)?;
                write!(f, "; it comes from the meter of {}, whose flow", whose.short())?;
                write!(f, " stepped when the gap began")?;
                let mut suspects = gap.suspects.iter();
                match suspects.find(|it| it.participant == *whose) {
                    Some(it) => write!(f, " and that shows {} ppm of the truth", it.shows_ppm),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What a feeder's gap comes to.
fn sums(gap: &FeederGap, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "in {} intervals since {} its meter counted {} that its sites and the lines do not account \
         for, {} ppm of what flowed",
        gap.intervals, gap.since, gap.gap_mwh, gap.gap_ppm
    )
}
