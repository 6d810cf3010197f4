//! The payments of a run once more, by bare Lightning nodes: the same amounts between the same nodes,
//! the first tranche of every due at the same moment after the first of its interval, each next one
//! when the one before has arrived.

use std::collections::BTreeMap;
use std::time::Duration;

use boltgrid::clock;
use futures::future::try_join_all;
use tokio::time::sleep;

use super::bare::{Bare, BareError};
use crate::run::payments::Settlement;

/// Between the payments of two intervals.
const PAUSE: Duration = Duration::from_secs(2);
/// Intervals until a market whose nodes have just found each other has delivered one.
const LEAD_INTERVALS: u64 = 4;

/// One payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paid {
    /// When it could be made.
    pub(super) due_at_unix_ms: u64,
    /// When the payer had its receipt.
    pub(super) paid_at_unix_ms: u64,
    /// How much.
    pub(super) amount_msat: u64,
}

/// The tranches of one due, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Payer and payee, by the numbers of their nodes.
    pub(super) between: (usize, usize),
    /// Its payments.
    pub(super) tranches: Vec<Paid>,
}

/// What was paid for one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Burst {
    /// When its delivery had ended; none where nothing was delivered.
    pub(super) ended_unix_ms: Option<u64>,
    /// What was due.
    pub(super) dues: Vec<Due>,
}

/// The payments of a run by interval and due; `participants` are its nodes.
pub(super) fn bursts(settlements: &[Settlement], participants: Vec<String>) -> Vec<Burst> {
    let numbers: BTreeMap<String, usize> = participants.into_iter().zip(0..).collect();
    let mut bursts: BTreeMap<u64, (u64, BTreeMap<&str, Vec<&Settlement>>)> = BTreeMap::new();
    for settlement in settlements {
        let burst = bursts.entry(settlement.tranche.interval);
        let (_, dues) = burst.or_insert((settlement.ended_unix_ms, BTreeMap::new()));
        dues.entry(&settlement.tranche.cause).or_default().push(settlement);
    }
    let due = |mut tranches: Vec<&Settlement>| {
        tranches.sort_by_key(|it| it.tranche.number);
        let first = tranches.first()?;
        let number = |who: &String| numbers.get(who).copied();
        let between = (number(&first.tranche.payer)?, number(&first.tranche.payee)?);
        let mut due_at_unix_ms = first.due_at_unix_ms;
        let paid = |it: &Settlement| {
            let Settlement { paid_at_unix_ms, amount_msat, .. } = *it;
            let paid = Paid { due_at_unix_ms, paid_at_unix_ms, amount_msat };
            due_at_unix_ms = paid_at_unix_ms;
            paid
        };
        Some(Due { between, tranches: tranches.into_iter().map(paid).collect() })
    };
    let burst = |(ended_unix_ms, dues): (u64, BTreeMap<&str, Vec<&Settlement>>)| Burst {
        ended_unix_ms: Some(ended_unix_ms),
        dues: dues.into_values().filter_map(due).collect(),
    };
    bursts.into_values().map(burst).collect()
}

impl Burst {
    /// When the first payment could be made.
    pub(super) fn began_unix_ms(&self) -> Option<u64> {
        self.dues.iter().filter_map(|due| Some(due.tranches.first()?.due_at_unix_ms)).min()
    }

    /// How long after the end of delivery the first payment could be made, in ms.
    fn after_edge_ms(&self) -> u64 {
        let after = self.began_unix_ms().zip(self.ended_unix_ms);
        after.map_or(0, |(began, ended)| began.saturating_sub(ended))
    }

    /// When the last receipt was there.
    pub(super) fn all_paid_unix_ms(&self) -> Option<u64> {
        self.dues.iter().flat_map(|due| &due.tranches).map(|paid| paid.paid_at_unix_ms).max()
    }
}

/// When the payments of an interval begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// A moment after those of the one before.
    Alone,
    /// As long after an interval's edge as in the run, beside a market with intervals of this length.
    BesideMarket {
        /// How long.
        interval_ms: u64,
    },
}

impl Beat {
    /// How long to wait before anything is paid.
    fn lead(self) -> Duration {
        match self {
            Self::Alone => Duration::ZERO,
            Self::BesideMarket { interval_ms } => {
                Duration::from_millis(interval_ms.saturating_mul(LEAD_INTERVALS))
            }
        }
    }

    /// How long to wait from `now_unix_ms` on with what was paid so long after an edge.
    fn pause(self, now_unix_ms: u64, after_edge_ms: u64) -> Duration {
        let Self::BesideMarket { interval_ms } = self else { return PAUSE };
        let since = now_unix_ms.saturating_sub(after_edge_ms).checked_rem(interval_ms);
        Duration::from_millis(interval_ms.saturating_sub(since.unwrap_or(0)))
    }
}

/// Makes all payments again.
pub(super) async fn replay(
    bare: &Bare,
    bursts: &[Burst],
    beat: Beat,
) -> Result<Vec<Burst>, BareError> {
    sleep(beat.lead()).await;
    let mut replayed = Vec::new();
    for burst in bursts {
        sleep(beat.pause(clock::now().to_unix_ms(), burst.after_edge_ms())).await;
        let began = burst.began_unix_ms().unwrap_or_default();
        let dues = burst.dues.iter().map(|due| pay(bare, due, began));
        replayed.push(Burst { ended_unix_ms: None, dues: try_join_all(dues).await? });
    }
    Ok(replayed)
}

async fn pay(bare: &Bare, due: &Due, began_unix_ms: u64) -> Result<Due, BareError> {
    let first = due.tranches.first().map_or(began_unix_ms, |paid| paid.due_at_unix_ms);
    sleep(Duration::from_millis(first.saturating_sub(began_unix_ms))).await;
    let mut due_at_unix_ms = clock::now().to_unix_ms();
    let mut tranches = Vec::new();
    for Paid { amount_msat, .. } in &due.tranches {
        let paid_at_unix_ms = bare.pay(due.between, *amount_msat).await?;
        tranches.push(Paid { due_at_unix_ms, paid_at_unix_ms, amount_msat: *amount_msat });
        due_at_unix_ms = paid_at_unix_ms;
    }
    Ok(Due { between: due.between, tranches })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::payments::Tranche;

    fn settlement(interval: u64, cause: &str, number: u32, times: (u64, u64)) -> Settlement {
        let (payer, payee) = ("a".to_owned(), "b".to_owned());
        Settlement {
            tranche: Tranche { interval, cause: cause.to_owned(), number, payer, payee },
            amount_msat: 1_000,
            ended_unix_ms: interval * 1_000,
            due_at_unix_ms: times.0,
            paid_at_unix_ms: times.1,
        }
    }

    #[test]
    fn beside_a_market_payments_begin_as_long_after_an_edge_as_in_the_run() {
        let beat = Beat::BesideMarket { interval_ms: 10_000 };
        for (now, after, pause) in [(20_000, 300, 300), (20_300, 300, 10_000), (29_999, 0, 1)] {
            assert_eq!(beat.pause(now, after), Duration::from_millis(pause), "{now} {after}");
        }
        let settled = [settlement(7, "0", 1, (7_120, 7_300))];
        let bursts = bursts(&settled, vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(bursts[0].after_edge_ms(), 120);
    }

    #[test]
    fn tranches_follow_one_another_and_dues_stand_beside_each_other() {
        let settlements = [
            settlement(7, "0", 2, (7_100, 7_450)),
            settlement(7, "0", 1, (7_100, 7_300)),
            settlement(7, "1", 1, (7_150, 7_400)),
            settlement(8, "0", 1, (8_100, 8_200)),
        ];
        let bursts = bursts(&settlements, vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(bursts.len(), 2);
        let [first, second] = bursts[0].dues.as_slice() else { panic!("two dues") };
        let times: Vec<(u64, u64)> =
            first.tranches.iter().map(|it| (it.due_at_unix_ms, it.paid_at_unix_ms)).collect();
        assert_eq!(times, [(7_100, 7_300), (7_300, 7_450)]);
        assert_eq!((first.between, second.tranches.len()), ((0, 1), 1));
        assert_eq!(bursts[0].began_unix_ms(), Some(7_100));
        assert_eq!(bursts[0].all_paid_unix_ms(), Some(7_450));
    }
}
