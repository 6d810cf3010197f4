//! What nodes tell of their payments during a run, and whether all was paid at its end.
//! Not for: putting it together; see [`crate::run::payments`].

use boltgrid::clock;
use boltgrid::rpc::payment::{PaymentReport, PaymentStage};
use boltgrid_protocol::units::Interval;

use super::{Course, RunError};
use crate::run::observation::Observation;
use crate::run::payments::{Settlement, Told, Tranche};
use crate::run::report::InvariantRow;

/// So many intervals back nodes are asked again, each time that one is observed: what is paid later
/// is heard of at the end.
const ASKED_BACK_INTERVALS: u64 = 4;
/// How long nodes may take to pay what is still due at the end.
const PAY_TIME_MS: u64 = 60_000;

impl Course<'_> {
    /// Hears of the payments of the last intervals.
    pub(super) async fn hear_of_payments(&mut self) {
        let from = self.next.to_number().saturating_sub(ASKED_BACK_INTERVALS);
        self.hear_since(Interval::from_number(from)).await;
    }

    async fn hear_since(&mut self, from: Interval) {
        if self.money.is_none() {
            return;
        }
        for (participant, told) in self.fleet.payments(from).await {
            for payment in told {
                let hash = payment.payment_hash.clone();
                self.payments.note(hash, read(participant.clone(), payment));
            }
        }
    }

    /// Waits until everything that was due is paid, and adds to the rows what was.
    ///
    /// # Errors
    ///
    /// [`RunError`] where a node ends by itself.
    pub(super) async fn until_paid(&mut self) -> Result<(), RunError> {
        if self.money.is_none() {
            return Ok(());
        }
        let deadline = clock::now().plus_ms(PAY_TIME_MS);
        loop {
            self.hear_since(self.first).await;
            let timing = &self.stage.charter.interval;
            for row in &mut self.rows {
                let ended = timing.start_of(Interval::from_number(row.interval).next());
                self.payments.add_to(row, ended.to_unix_ms());
            }
            let missing = self.rows.iter().any(|row| row.paid_msat < row.due_msat);
            if !missing || self.look().await? >= deadline {
                return Ok(());
            }
            self.display.now("waiting for what is still to be paid".to_owned());
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Notes when nodes had reckoned what was due for an interval.
    pub(super) fn note_settled(&mut self, observation: &Observation) {
        for (site, report) in observation.reports() {
            let settled_ms = report.settlement.as_ref().and_then(|it| it.settled_ms);
            if let Some(settled_ms) = settled_ms {
                let participant = site.participant.clone();
                self.payments.note_settled(observation.interval, participant, settled_ms);
            }
        }
    }

    /// All tranches that were paid, and how long that took.
    pub(in crate::run) fn settlements(&self) -> Vec<Settlement> {
        let timing = &self.stage.charter.interval;
        let next = |interval| Interval::from_number(interval).next();
        self.payments.settlements(|interval| timing.start_of(next(interval)).to_unix_ms())
    }

    /// What must hold of all payments; nothing where nobody pays.
    pub(super) fn payment_verdicts(&self) -> Vec<InvariantRow> {
        if self.money.is_none() {
            return Vec::new();
        }
        let dues: Vec<(u64, u64)> =
            self.rows.iter().map(|row| (row.interval, row.due_msat)).collect();
        self.payments.verdicts(&dues, self.begun.is_empty())
    }
}

fn read(node: String, payment: PaymentReport) -> Told {
    let PaymentReport { interval, trade, forward, counterparty, is_received, .. } = payment;
    let (payer, payee) = if is_received { (counterparty, node) } else { (node, counterparty) };
    let trade = trade.map(|index| index.to_string());
    Told {
        tranche: Tranche {
            interval,
            cause: trade.or(forward).unwrap_or_default(),
            number: payment.tranche,
            payer,
            payee,
        },
        by_payee: is_received,
        amount_msat: payment.amount_msat,
        is_paid: payment.stage == PaymentStage::Paid,
        is_failed: payment.stage == PaymentStage::Failed,
        preimage: payment.preimage,
        at_unix_ms: payment.at_unix_ms,
    }
}
