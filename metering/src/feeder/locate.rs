//! Whose meter a gap could come from.
//!
//! A meter that shows a fixed share of the truth leaves a gap that is in proportion to what it shows.
//! So for every member of the feeder the share is sought that fits best (least squares over the
//! intervals of the gap); it could be the one where that leaves no interval with more than the
//! tolerance, and explains nine tenths of the squares of the gap. Of the first interval only a part need
//! be explained, since a meter begins to lie when it likes. Flows that rise and fall together, or
//! do not change at all, cannot be told apart; then several are named.
//! A site whose connection could not carry so much is left out. The feeder's own meter is one of those
//! that may be wrong.

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::Energy;
use serde::{Deserialize, Serialize};

use super::{Balance, FeederFlow, PPM, SiteFlow};
use crate::register::RATING_MARGIN_PERCENT;

/// Values are brought down to so many bits before squares are summed, so that nothing overflows.
pub(super) const BITS: u32 = 30;

/// One part in so many of the squares of a gap may stay unexplained.
const UNEXPLAINED_PART: i128 = 10;

/// A member whose meter could explain a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// Who.
    pub participant: ParticipantId,
    /// What its meter shows of the truth, in parts per million, if the gap is all its own: negative
    /// where import and export would be swapped.
    pub shows_ppm: i64,
}

/// All members of the feeder that could explain the gap of these intervals alone, those first that
/// explain it best.
#[must_use]
pub fn suspects(feeder: ParticipantId, row: &[(FeederFlow, Balance)]) -> Vec<Suspect> {
    let gaps: Vec<i64> = row.iter().map(|(_, it)| it.gap_mwh.to_milliwatt_hours()).collect();
    let tolerances: Vec<i64> = row.iter().map(|(_, it)| tolerance(it)).collect();
    let Some((first, _)) = row.first() else { return Vec::new() };
    let sites = first.sites.iter().map(|site| site.participant);
    let members = std::iter::once(feeder).chain(sites);
    let mut found: Vec<(i128, Suspect)> = members
        .filter_map(|participant| {
            let shown = shown(feeder, participant, row)?;
            if !could_be(participant, row) {
                return None;
            }
            // Where the feeder's own meter shows too little, its sites' sum is too large.
            let sign = if participant == feeder { -1 } else { 1 };
            let fit = Fit::of(&shown, &gaps, &tolerances)?;
            let shows_ppm = fit.shows_ppm(sign)?;
            Some((fit.unexplained, Suspect { participant, shows_ppm }))
        })
        .collect();
    found.sort_by_key(|(unexplained, suspect)| (*unexplained, suspect.participant));
    found.into_iter().map(|(_, suspect)| suspect).collect()
}

/// What is left over may be as large as a gap that is none, and as the losses, of which the gap has
/// already been relieved.
fn tolerance(balance: &Balance) -> i64 {
    let most = balance.tolerance_mwh.saturating_add(balance.losses_mwh).to_milliwatt_hours();
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// What one of them showed in each interval; none where it was not a member in all.
fn shown(
    feeder: ParticipantId,
    participant: ParticipantId,
    row: &[(FeederFlow, Balance)],
) -> Option<Vec<i64>> {
    let in_one = |(flow, _): &(FeederFlow, Balance)| {
        if participant == feeder {
            return Some(flow.feeder.to_milliwatt_hours());
        }
        site_of(flow, participant).map(|site| site.net.to_milliwatt_hours())
    };
    row.iter().map(in_one).collect()
}

pub(super) fn site_of(flow: &FeederFlow, participant: ParticipantId) -> Option<&SiteFlow> {
    flow.sites.iter().find(|site| site.participant == participant)
}

/// Whether the connection of a site could carry what it shows and the gap, in every interval; half as
/// much again as it is rated for, as ratings are nominal.
fn could_be(participant: ParticipantId, row: &[(FeederFlow, Balance)]) -> bool {
    let most = |rated: Energy| {
        i128::from(rated.to_milliwatt_hours()) * i128::from(RATING_MARGIN_PERCENT) / 100
    };
    row.iter().all(|(flow, balance)| {
        site_of(flow, participant).is_none_or(|site| {
            let (net, gap) = (site.net.to_milliwatt_hours(), balance.gap_mwh.to_milliwatt_hours());
            let truth = i128::from(net) + i128::from(gap);
            (-most(site.export_most)..=most(site.import_most)).contains(&truth)
        })
    })
}

/// The gap as a multiple of what one meter shows.
struct Fit {
    /// The multiple is `over / under`, both scaled alike; `under` is above zero.
    over: i128,
    under: i128,
    /// The sum of the squares of what it leaves, scaled.
    unexplained: i128,
}

impl Fit {
    /// The best multiple, if it explains every interval.
    fn of(shown: &[i64], gaps: &[i64], tolerances: &[i64]) -> Option<Self> {
        let largest = shown.iter().chain(gaps).map(|it| it.unsigned_abs()).max()?;
        let shift = (u64::BITS - largest.leading_zeros()).saturating_sub(BITS);
        let scaled = |values: &[i64]| -> Vec<i128> {
            values.iter().map(|it| i128::from(*it >> shift)).collect()
        };
        let (shown, gaps) = (scaled(shown), scaled(gaps));
        // The first interval is looked at by itself.
        let pairs = || shown.iter().zip(&gaps).skip(1);
        let under: i128 = pairs().map(|(x, _)| x * x).sum();
        let over: i128 = pairs().map(|(x, gap)| x * gap).sum();
        if under == 0 {
            return None;
        }
        // Scaled by `under`, so that no division rounds: below 2 to the 96th.
        let first = shown.iter().zip(&gaps).take(1).map(|(x, gap)| {
            let (gap, all) = (gap * under, over * x);
            gap - gap.clamp(all.min(0), all.max(0))
        });
        let left: Vec<i128> = first.chain(pairs().map(|(x, gap)| gap * under - over * x)).collect();
        let explains = left.iter().zip(tolerances).all(|(left, tolerance)| {
            // One more for what the shift took off.
            left.abs() <= (i128::from(*tolerance >> shift) + 1).saturating_mul(under)
        });
        let unexplained: i128 = left.iter().map(|left| (left / under).pow(2)).sum();
        let all: i128 = pairs().map(|(_, gap)| gap * gap).sum();
        let explains = explains && unexplained <= all / UNEXPLAINED_PART;
        explains.then_some(Self { over, under, unexplained })
    }

    /// What the meter shows of the truth: the truth is what it shows and, with this sign, the gap.
    fn shows_ppm(&self, sign: i128) -> Option<i64> {
        let truth = self.under + sign * self.over;
        let ppm = (self.under * i128::from(PPM)).checked_div(truth)?;
        i64::try_from(ppm).ok()
    }
}
