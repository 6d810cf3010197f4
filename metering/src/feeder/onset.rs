//! Whose meter a gap comes from: the one whose flow changed when the gap began.
//!
//! The suspects of a gap are those whose flow is in proportion to it; where flows rise and fall
//! together that is several. But a meter that begins to lie shows a step that the world did not take,
//! and the gap is that step: with it the meter goes on as before. So it is compared how strange each
//! suspect's flow would be with the gap and how strange it is without. What is usual for it is learnt
//! from the intervals before the gap: it goes on as it was, or in proportion to that site elsewhere on
//! the grid which it went along with best (the same sun is over all PV).
//! The feeder's own meter is compared in the same way, and stands for whatever no meter sees as well,
//! since both let its flow step and nobody else's. Nobody is named who is not far likelier than all
//! others: a wrong name is worse than several.
//! Not for: a meter that was false before anybody looked; it has no step.

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::NetEnergy;

use super::locate::{BITS, site_of, suspects};
use super::{Balance, COMPARED_INTERVALS, FeederFlow, Intervals, split};

/// So many even intervals must have been seen before the gap.
const BEFORE_MIN: usize = 3;
/// One, in thousandths.
const ONE: i128 = 1_000;
/// One interval counts at most so much, in squares of what is usual, in thousandths: whatever else
/// happened in it, it is one interval.
const STRANGE_MAX: i128 = 9 * ONE;
/// Whoever is named must be likelier than all others by so much, in the same measure: three and a half
/// times what is usual, squared. With less, one lie in some hundred is blamed on somebody else.
const MARGIN: i128 = 12 * ONE;
/// A step of so many parts of the largest flow is none.
const STEP_PART: i128 = 20;
/// And neither is one of so many parts of what the balance may be off.
const TOLERANCE_PART: i128 = 4;

/// The member whose meter the gap comes from that stands at the end of these intervals, as far as that
/// can be told: none where two could be it, where the gap began before the intervals, or where the
/// feeder's own meter or what no meter sees is as likely.
#[must_use]
pub fn located(feeder: ParticipantId, flows: &[(FeederFlow, Balance)]) -> Option<ParticipantId> {
    let (earlier, row) = split(flows)?;
    let row = row.get(..row.len().min(COMPARED_INTERVALS))?;
    let even: Vec<_> = earlier.iter().filter(|(_, balance)| balance.is_even()).collect();
    let before = even.get(even.len().saturating_sub(COMPARED_INTERVALS)..)?;
    if before.len() < BEFORE_MIN {
        return None;
    }
    let compared = Compared::new(before, row);
    let nobody = compared.step(&compared.of_feeder(), -1)?;
    let mut likelihoods = Vec::new();
    for suspect in suspects(feeder, row) {
        if suspect.participant != feeder {
            let flow = compared.of_site(suspect.participant)?;
            let strange = compared.step(&flow, 1)?.saturating_add(compared.misfit(&flow)?);
            likelihoods.push((strange, suspect.participant));
        }
    }
    likelihoods.sort_unstable();
    let (least, whose) = *likelihoods.first()?;
    let next = likelihoods.get(1).map_or(nobody, |(strange, _)| nobody.min(*strange));
    (next.saturating_sub(least) >= MARGIN).then_some(whose)
}

/// A flow before the gap and in it, scaled.
#[derive(Debug)]
struct Flow {
    before: Vec<i128>,
    row: Vec<i128>,
}

/// The intervals that are compared.
struct Compared<'a> {
    before: &'a [&'a (FeederFlow, Balance)],
    row: Intervals<'a>,
    /// By so many bits values are brought down, so that no square overflows.
    shift: u32,
    /// What the sites and the usual losses do not account for in each interval of the gap.
    beyond: Vec<i128>,
    elsewhere: Vec<Flow>,
}

impl<'a> Compared<'a> {
    fn new(before: &'a [&'a (FeederFlow, Balance)], row: Intervals<'a>) -> Self {
        let all = before.iter().copied().chain(row);
        let largest = all.flat_map(|(flow, balance)| {
            let sites = flow.sites.iter().map(|site| site.net);
            sites.chain([flow.feeder, balance.sites_mwh])
        });
        let largest = largest.map(|it| it.to_milliwatt_hours().unsigned_abs()).max().unwrap_or(0);
        let shift = (u64::BITS - largest.leading_zeros()).saturating_sub(BITS);
        let mut compared = Self { before, row, shift, beyond: Vec::new(), elsewhere: Vec::new() };
        compared.beyond = compared.beyond();
        compared.elsewhere = compared.elsewhere();
        compared
    }

    fn scaled(&self, net: NetEnergy) -> i128 {
        i128::from(net.to_milliwatt_hours() >> self.shift)
    }

    /// What flows apart from what the sites say, less that share of the most that the lines may take
    /// which they took before.
    fn beyond(&self) -> Vec<i128> {
        let apart = |balance: &Balance| {
            i128::from(balance.feeder_mwh.to_milliwatt_hours())
                - i128::from(balance.sites_mwh.to_milliwatt_hours())
        };
        let most = |balance: &Balance| i128::from(balance.losses_mwh.to_milliwatt_hours());
        let balances = || self.before.iter().map(|(_, balance)| balance);
        let could: i128 = balances().map(most).sum();
        let took = balances().map(apart).sum::<i128>().clamp(0, could);
        let beyond = self.row.iter().map(|(_, balance)| {
            let usual = (most(balance) * took).checked_div(could).unwrap_or(0);
            (apart(balance) - usual) >> self.shift
        });
        beyond.collect()
    }

    fn flow(&self, of: impl Fn(&FeederFlow) -> Option<NetEnergy>) -> Option<Flow> {
        let one = |(flow, _): &(FeederFlow, Balance)| of(flow).map(|net| self.scaled(net));
        let before = self.before.iter().copied().map(one).collect::<Option<_>>()?;
        Some(Flow { before, row: self.row.iter().map(one).collect::<Option<_>>()? })
    }

    fn of_feeder(&self) -> Flow {
        let scaled = |(flow, _): &(FeederFlow, Balance)| self.scaled(flow.feeder);
        let before = self.before.iter().copied().map(scaled).collect();
        Flow { before, row: self.row.iter().map(scaled).collect() }
    }

    fn of_site(&self, participant: ParticipantId) -> Option<Flow> {
        self.flow(|flow| site_of(flow, participant).map(|site| site.net))
    }

    /// The flows of those sites elsewhere that are known in all intervals, and are not so large that
    /// they were made up to be.
    fn elsewhere(&self) -> Vec<Flow> {
        let Some((first, _)) = self.row.first() else { return Vec::new() };
        let flows = first.elsewhere.iter().filter_map(|(who, _)| {
            let of = |flow: &FeederFlow| {
                flow.elsewhere.iter().find(|(it, _)| it == who).map(|(_, net)| *net)
            };
            self.flow(of)
        });
        let is_possible = |flow: &Flow| {
            let all = || flow.before.iter().chain(&flow.row);
            all().all(|it| it.unsigned_abs() < 1 << (BITS + BITS / 4))
        };
        flows.filter(is_possible).collect()
    }

    /// How much stranger a flow would be with the gap, of this sign, than without it.
    fn step(&self, flow: &Flow, sign: i128) -> Option<i128> {
        let usual = Usual::of(flow, &self.elsewhere, self.least_square()?)?;
        let with: Vec<i128> =
            flow.row.iter().zip(&self.beyond).map(|(shown, gap)| shown + sign * gap).collect();
        let strange = |row: &[i128]| usual.strangeness(flow, row, &self.elsewhere);
        Some(strange(&with)? - strange(&flow.row)?)
    }

    /// What the smallest step is, squared.
    fn least_square(&self) -> Option<i128> {
        let (_, balance) = self.before.last()?;
        let tolerance = i128::from(balance.tolerance_mwh.to_milliwatt_hours() >> self.shift);
        Some((tolerance / TOLERANCE_PART).pow(2).max(1))
    }

    /// How far the gap is from being in proportion to a flow, in its first interval from being a part of
    /// that. Half the tolerance is what is usual.
    fn misfit(&self, flow: &Flow) -> Option<i128> {
        let pairs = || flow.row.iter().zip(&self.beyond);
        let under: i128 = flow.row.iter().skip(1).map(|shown| shown * shown).sum();
        let over: i128 = pairs().skip(1).map(|(shown, gap)| shown * gap).sum();
        let misfits =
            (0..).zip(pairs().zip(self.row)).map(|(place, ((shown, gap), (_, balance)))| {
                let all = (over * shown).checked_div(under)?;
                let part = if place == 0 { *gap.clamp(&all.min(0), &all.max(0)) } else { all };
                let left = gap - part;
                let usual =
                    i128::from(balance.tolerance_mwh.to_milliwatt_hours() >> self.shift) / 2;
                Some(left.pow(2).saturating_mul(ONE) / usual.pow(2).max(1))
            });
        misfits.sum()
    }
}

/// How a flow usually goes.
struct Usual {
    /// In proportion to one elsewhere, by its place among them: the factor is the first by the second.
    /// None where it goes on as it was.
    by: Option<(usize, i128, i128)>,
    /// How far it is from that, squared.
    square: i128,
}

impl Usual {
    /// Learns it from before the gap.
    fn of(flow: &Flow, elsewhere: &[Flow], least_square: i128) -> Option<Self> {
        let steps = || flow.before.iter().zip(flow.before.iter().skip(1));
        let count = i128::try_from(flow.before.len()).ok()?.checked_sub(1).filter(|it| *it > 0)?;
        let squares: i128 = steps().map(|(one, next)| (next - one).pow(2)).sum();
        let mut usual = Self { by: None, square: squares / count };
        for (place, other) in elsewhere.iter().enumerate() {
            let pairs = || flow.before.iter().zip(&other.before);
            let under: i128 = other.before.iter().map(|it| it * it).sum();
            let over: i128 = pairs().map(|(it, other)| it * other).sum();
            if under == 0 {
                continue;
            }
            let square =
                pairs().map(|(it, other)| (it - over * other / under).pow(2)).sum::<i128>();
            if square / count < usual.square {
                usual = Self { by: Some((place, over, under)), square: square / count };
            }
        }
        let largest = flow.before.iter().map(|it| it.abs()).max().unwrap_or(0);
        usual.square += least_square + (largest / STEP_PART).pow(2);
        Some(usual)
    }

    /// How far a row is from what is usual, in its squares, in thousandths.
    fn strangeness(&self, flow: &Flow, row: &[i128], elsewhere: &[Flow]) -> Option<i128> {
        let mut last = *flow.before.last()?;
        let mut strange = 0;
        for (place, value) in row.iter().enumerate() {
            let expected = match self.by {
                None => last,
                Some((other, over, under)) => over * elsewhere.get(other)?.row.get(place)? / under,
            };
            let square = (value - expected).checked_pow(2).map(|it| it.saturating_mul(ONE));
            strange += square.map_or(STRANGE_MAX, |it| (it / self.square).min(STRANGE_MAX));
            last = *value;
        }
        Some(strange)
    }
}
