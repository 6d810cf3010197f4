//! What a comparison came to, and its table.
//!
//! All in whole milliseconds and thousandths. Not for: the reports of single runs.

use serde::{Deserialize, Serialize};

use super::replay::Burst;
use crate::run::report::percentile;

/// How long payments took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// How many there were.
    pub payments: usize,
    /// From when a payment could be made to its receipt, the median.
    pub payment_ms_p50: u64,
    /// The same for all but the slowest twentieth.
    pub payment_ms_p95: u64,
    /// The same in the mean.
    pub payment_ms_mean: u64,
    /// From when the first payment of an interval could be made to its last receipt, in sum over all
    /// intervals.
    pub busy_ms: u64,
    /// Payments a second of that time, in thousandths.
    pub payments_per_1000_s: u64,
    /// From the end of delivery to the last receipt of an interval, the median; none where nothing
    /// was delivered.
    pub all_paid_ms_p50: Option<u64>,
    /// The longest of these.
    pub all_paid_ms_max: Option<u64>,
}

/// Settlements beside bare payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How many nodes.
    pub nodes: usize,
    /// Intervals in which something was paid.
    pub intervals: usize,
    /// The settlements.
    pub settlements: Timing,
    /// The bare payments.
    pub bare: Timing,
    /// The bare payments beside as many nodes that trade the same and pay nothing.
    pub beside_market: Timing,
    /// How much longer a settlement took than a bare payment in the mean, in thousandths.
    pub overhead_permille: i64,
    /// How much longer it took until all of an interval was paid, in thousandths.
    pub busy_overhead_permille: i64,
    /// How much longer a settlement took than a bare payment beside a market in the mean, in
    /// thousandths.
    pub overhead_beside_market_permille: i64,
}

impl Timing {
    fn of(bursts: &[Burst]) -> Self {
        let payments = bursts.iter().flat_map(|burst| &burst.dues).flat_map(|due| &due.tranches);
        let took = payments.map(|it| it.paid_at_unix_ms.saturating_sub(it.due_at_unix_ms));
        let mut took: Vec<u64> = took.collect();
        took.sort_unstable();
        let count = u64::try_from(took.len()).unwrap_or(u64::MAX);
        let busy = bursts.iter().filter_map(|burst| {
            Some(burst.all_paid_unix_ms()?.saturating_sub(burst.began_unix_ms()?))
        });
        let busy_ms: u64 = busy.sum();
        let all_paid = bursts.iter().filter_map(|burst| {
            Some(burst.all_paid_unix_ms()?.saturating_sub(burst.ended_unix_ms?))
        });
        let mut all_paid: Vec<u64> = all_paid.collect();
        all_paid.sort_unstable();
        Self {
            payments: took.len(),
            payment_ms_p50: percentile(&took, 50).unwrap_or_default(),
            payment_ms_p95: percentile(&took, 95).unwrap_or_default(),
            payment_ms_mean: took.iter().sum::<u64>().checked_div(count).unwrap_or_default(),
            busy_ms,
            payments_per_1000_s: (count * 1_000_000).checked_div(busy_ms).unwrap_or_default(),
            all_paid_ms_p50: percentile(&all_paid, 50),
            all_paid_ms_max: all_paid.last().copied(),
        }
    }
}

impl Comparison {
    /// What the settlements of a run and their replay came to.
    ///
    /// It was replayed alone and beside a market.
    pub(super) fn new(
        nodes: usize,
        settled: &[Burst],
        (alone, beside): (&[Burst], &[Burst]),
    ) -> Self {
        let [settlements, bare, beside_market] = [settled, alone, beside].map(Timing::of);
        let over = |this: u64, bare: u64| {
            let (this, bare) = (i128::from(this), i128::from(bare));
            let permille = ((this - bare) * 1_000).checked_div(bare).unwrap_or_default();
            i64::try_from(permille).unwrap_or(i64::MAX)
        };
        Self {
            nodes,
            intervals: settled.len(),
            overhead_permille: over(settlements.payment_ms_mean, bare.payment_ms_mean),
            busy_overhead_permille: over(settlements.busy_ms, bare.busy_ms),
            overhead_beside_market_permille: over(
                settlements.payment_ms_mean,
                beside_market.payment_ms_mean,
            ),
            settlements,
            bare,
            beside_market,
        }
    }
}

/// The table of comparisons, in Markdown.
#[must_use]
pub fn table(comparisons: &[Comparison]) -> String {
    let mut lines = vec![
        "| nodes | intervals | payments | | payments/s | payment p50 | p95 | mean | settlements \
         take longer by | all paid after, p50 | at most |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for it in comparisons {
        lines.push(format!(
            "| {} | {} | {} | settlements | {} | {} |",
            it.nodes,
            it.intervals,
            it.settlements.payments,
            timing(&it.settlements, ""),
            all_paid(&it.settlements),
        ));
        let bare = [
            ("bare, alone", &it.bare, it.overhead_permille),
            ("bare, beside a market", &it.beside_market, it.overhead_beside_market_permille),
        ];
        for (name, of, over) in bare {
            let told = timing(of, &percent(over));
            lines.push(format!("| | | {} | {name} | {told} | | |", of.payments));
        }
    }
    lines.join("\n")
}

fn timing(it: &Timing, overhead: &str) -> String {
    format!(
        "{}.{} | {} ms | {} ms | {} ms | {overhead}",
        it.payments_per_1000_s / 1_000,
        it.payments_per_1000_s % 1_000 / 100,
        it.payment_ms_p50,
        it.payment_ms_p95,
        it.payment_ms_mean,
    )
}

fn all_paid(it: &Timing) -> String {
    let seconds = |ms: Option<u64>| {
        ms.map_or_else(String::new, |ms| format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10))
    };
    format!("{} | {}", seconds(it.all_paid_ms_p50), seconds(it.all_paid_ms_max))
}

fn percent(permille: i64) -> String {
    let sign = if permille < 0 { "−" } else { "+" };
    let permille = permille.unsigned_abs();
    format!("{sign}{}.{} %", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests {
    use super::super::replay::{Due, Paid};
    use super::*;

    fn burst(ended_unix_ms: Option<u64>, times: &[(u64, u64)]) -> Burst {
        let due = |&(due_at_unix_ms, paid_at_unix_ms): &(u64, u64)| Due {
            between: (0, 1),
            tranches: vec![Paid { due_at_unix_ms, paid_at_unix_ms, amount_msat: 1 }],
        };
        Burst { ended_unix_ms, dues: times.iter().map(due).collect() }
    }

    #[test]
    fn overhead_is_how_much_longer_settlements_take_in_the_mean_and_until_all_are_paid() {
        let settled = [burst(Some(900), &[(1_000, 1_220), (1_000, 1_240)])];
        let bare = [burst(None, &[(5_000, 5_200), (5_010, 5_210)])];
        let beside = [burst(None, &[(5_000, 5_230), (5_010, 5_240)])];
        let it = Comparison::new(2, &settled, (&bare, &beside));
        assert_eq!((it.settlements.payment_ms_mean, it.bare.payment_ms_mean), (230, 200));
        assert_eq!((it.overhead_permille, it.overhead_beside_market_permille), (150, 0));
        assert_eq!((it.settlements.busy_ms, it.bare.busy_ms), (240, 210));
        assert_eq!(it.busy_overhead_permille, 142);
        assert_eq!(it.settlements.all_paid_ms_max, Some(340));
        assert_eq!(it.bare.all_paid_ms_max, None);
        assert_eq!(it.settlements.payments_per_1000_s, 8_333);
        let text = table(&[it]);
        assert!(text.contains("| 2 | 1 | 2 | settlements | 8.3 | 220 ms |"), "{text}");
        assert!(text.contains("+15.0 %"), "{text}");
    }
}
