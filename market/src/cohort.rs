//! What the sites of one feeder took together in an interval, where none of them is seen (P42).
//!
//! Not for: the masks ([`boltgrid_protocol::masking`]), or holding the sum against the feeder's meter,
//! which is between meters and no market's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::charter::Feeder;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::{Cohort, CohortRefused, Share, SumRejected};
use boltgrid_protocol::units::{Energy, Interval, NetEnergy};

use crate::round::Round;

/// What became of the sum of a feeder's sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeederSum {
    /// The interval.
    pub interval: Interval,
    /// The feeder's name in the charter.
    pub feeder: String,
    /// Whose meter is the feeder's; none where there is none.
    pub meter: Option<ParticipantId>,
    /// What flowed into the feeder by its own meter; none where its readings are not known.
    pub feeder_mwh: Option<NetEnergy>,
    /// Who was to be added up. All zero where there is no book.
    pub turnout: Turnout,
    /// The cohort, and the share of each of its sites that was heard. Nobody where there is no cohort.
    pub sites: Arc<BTreeMap<ParticipantId, Option<Share>>>,
    /// What the sites that are there took on balance, or why that is not known.
    pub sum: Result<NetEnergy, NoSum>,
}

/// Who of a feeder's sites is in a certified book, and what they ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turnout {
    /// How many are in it.
    pub present: usize,
    /// How many are not.
    pub absent: usize,
    /// What those that are not can take or give in the interval by their ratings.
    pub absent_most_mwh: Energy,
    /// What those that are there ordered, of each the larger of what it sells and what it buys.
    pub ordered_mwh: Energy,
    /// What of that was to be sold.
    pub sold_mwh: Energy,
}

/// Why there is no sum of a feeder's sites.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSum {
    /// Nobody agreed on who was there.
    #[error(
        "no book was certified in time, and it is the book that says whose shares belong together"
    )]
    NoBook,
    /// Too few sites, or too many absent.
    #[error(transparent)]
    Refused(#[from] CohortRefused),
    /// The shares have no sum.
    #[error(transparent)]
    Rejected(#[from] SumRejected),
}

/// The cohort of a feeder in a round; none while the round has no book.
pub(crate) fn of(round: &Round, feeder: &Feeder) -> Option<Result<Cohort, CohortRefused>> {
    let book = round.moves()?;
    let roster = &round.seat.roster;
    Some(Cohort::of_feeder(feeder, roster, round.interval, |place| book.contains_key(&place)))
}

/// Who of a feeder's sites is in a round's book.
pub(crate) fn turnout(round: &Round, feeder: &Feeder) -> Turnout {
    let mut turnout = Turnout::default();
    let Some(book) = round.moves() else { return turnout };
    let interval_ms = round.seat.charter.interval.interval_ms;
    for (place, member) in round.seat.roster.sites_of(feeder) {
        if let Some(moves) = book.get(&place) {
            turnout.present = turnout.present.saturating_add(1);
            let most = moves.bought.max(moves.sold);
            turnout.ordered_mwh = turnout.ordered_mwh.saturating_add(most);
            turnout.sold_mwh = turnout.sold_mwh.saturating_add(moves.sold);
        } else {
            turnout.absent = turnout.absent.saturating_add(1);
            let site = &member.enrolment;
            let rated = site.rated_import_mw.max(site.rated_export_mw);
            // Ratings are at most a gigawatt, so that this fits.
            let most = rated.energy_over_floor(interval_ms).unwrap_or(Energy::ZERO);
            turnout.absent_most_mwh = turnout.absent_most_mwh.saturating_add(most);
        }
    }
    turnout
}
