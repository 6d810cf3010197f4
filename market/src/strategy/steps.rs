//! Fewer steps than a site has means, for an order that holds eight (P8).
//! Not for: what the steps are.

use boltgrid_protocol::order::Step;

/// Lays steps together until there are at most `most`, `buys` from the highest limit down and `sells`
/// from the lowest up.
///
/// Two neighbours become one at the worse of their limits: a purchase at the lower, a sale at the
/// higher. So nobody pays more or gets less than it would, and what is lost is trades; the pair is
/// taken whose energy is moved least, price times energy.
pub(super) fn at_most(most: usize, buys: &mut Vec<Step>, sells: &mut Vec<Step>) {
    while buys.len().saturating_add(sells.len()) > most {
        let (bought, sold) = (cheapest_pair(buys), cheapest_pair(sells));
        match (bought, sold) {
            (Some((cost, place)), Some((other, _))) if cost <= other => join(buys, place),
            (Some((_, place)), None) => join(buys, place),
            (_, Some((_, place))) => join(sells, place),
            (None, None) => return,
        }
    }
}

/// The step whose limit is cheapest to move to that of the step after it, and what that costs.
fn cheapest_pair(steps: &[Step]) -> Option<(i128, usize)> {
    let cost = |(step, next): (&Step, &Step)| {
        let [from, to] =
            [step, next].map(|step| i128::from(step.limit_msat_per_kwh.to_msat_per_kwh()));
        let moved = i128::from(step.energy_mwh.to_milliwatt_hours());
        from.saturating_sub(to).saturating_abs().saturating_mul(moved)
    };
    let costs = steps.iter().zip(steps.iter().skip(1)).map(cost);
    costs.enumerate().map(|(place, cost)| (cost, place)).min()
}

/// Lays a step into the one after it.
fn join(steps: &mut Vec<Step>, place: usize) {
    if place.saturating_add(1) >= steps.len() {
        return;
    }
    let step = steps.remove(place);
    if let Some(next) = steps.get_mut(place) {
        next.energy_mwh = next.energy_mwh.saturating_add(step.energy_mwh);
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::order::{Side, Source};
    use boltgrid_protocol::units::{Energy, Price};

    use super::*;

    fn steps(side: Side, all: &[(i64, u64)]) -> Vec<Step> {
        let step = |(limit, mwh): &(i64, u64)| Step {
            side,
            source: Source::Load,
            energy_mwh: Energy::from_milliwatt_hours(*mwh),
            limit_msat_per_kwh: Price::from_msat_per_kwh(*limit),
        };
        all.iter().map(step).collect()
    }

    #[test]
    fn the_nearest_are_laid_together_at_the_worse_limit() {
        let mut buys = steps(Side::Buy, &[(300, 5), (120, 3), (110, 3), (90, 1)]);
        let mut sells = steps(Side::Sell, &[(400, 2), (401, 1)]);
        at_most(5, &mut buys, &mut sells);
        assert_eq!(sells, steps(Side::Sell, &[(401, 3)]), "2 moved by 1");
        at_most(4, &mut buys, &mut sells);
        assert_eq!(buys, steps(Side::Buy, &[(300, 5), (110, 6), (90, 1)]), "3 moved by 10");
    }

    #[test]
    fn what_fits_is_left_alone_and_one_each_way_is_the_least() {
        let (mut buys, mut sells) = (steps(Side::Buy, &[(1, 1), (0, 1)]), Vec::new());
        at_most(2, &mut buys, &mut sells);
        assert_eq!(buys.len(), 2);
        sells = steps(Side::Sell, &[(5, 1), (7, 1)]);
        at_most(0, &mut buys, &mut sells);
        assert_eq!((buys, sells), (steps(Side::Buy, &[(0, 2)]), steps(Side::Sell, &[(7, 2)])));
    }
}
